/*
 * What the files of the runner share.
 */
#ifndef RUNNER_RUNNER_H
#define RUNNER_RUNNER_H

#include <convo/runner.h>

#include <runner/context.h>
#include <runner/params.h>

struct convo_runner {
	convo_store *store;
	convo_model *model;
	char *app;
	char *instruction; /* as a system message, or NULL */
	struct params params;
	struct context_limits limits; /* as they were asked for */
	enum convo_alternate alternate;
	convo_model *summary_model;
	char *summary_params; /* those of params that a summary is asked for with, or NULL */
	char *summary_prompt; /* NULL: the built-in one */
	size_t summary_events;
	struct summarizer *summarizer; /* NULL: none is made by itself */
	struct keeper *keeper;
	int64_t lease_ms;
};

/** How hard an append is tried. */
enum append_patience {
	APPEND_ONCE,
	APPEND_SETTLE, /* again while it may have been carried out (A8) */
	APPEND_PERSIST /* again while the store cannot be reached, too */
};

/**
 * Append `count` events, again under their ids for up to APPEND_RETRY_MS as `patience` says. A failure
 * has err->maybe when any of the tries has.
 *
 * @param call bounds each try; its cancel ends the tries, too. NULL: as the store is bounded
 */
int cv_runner_append(const struct convo_runner *runner, const struct convo_key *key,
		     const struct convo_expect *expect, const struct convo_event *events,
		     size_t count, enum append_patience patience, const struct convo_call *call,
		     int64_t *seqs, struct convo_err *err);

#define APPEND_RETRY_MS 5000

/** Room for a title with its NUL. */
#define TITLE_SIZE (CONVO_MAX_NAME + 1)

/**
 * Make a title from the first line of a text that shows anything: without controls, blanks put
 * together, cut at a whole character after some 60 columns.
 *
 * @param text valid UTF-8
 */
void cv_title_make(char out[TITLE_SIZE], const char *text, size_t len);

#endif
