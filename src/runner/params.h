/*
 * The params of requests: those of a runner, and those of a question over them.
 */
#ifndef RUNNER_PARAMS_H
#define RUNNER_PARAMS_H

#include <stddef.h>

#include <convo/err.h>

/** Checked params, and what they are for the budget. All-zero: there are none. */
struct params {
	char *json;    /* owned; NULL: none */
	size_t answer; /* most tokens of the answer, if they say so; else 0 */
	double extra;  /* estimated tokens of what they say to the model */
};

/** Read params. @return 0, CONVO_E_INVALID, CONVO_E_NOMEM; to be cleared either way */
int cv_params_read(struct params *out, const char *json, struct convo_err *err);

/**
 * Lay the params of a question over those of a runner.
 *
 * @return 0; CONVO_E_INVALID, also for what is not a question's to set; CONVO_E_TOOBIG, CONVO_E_NOMEM;
 *         to be cleared either way
 */
int cv_params_merge(struct params *out, const struct params *under, const char *json,
		    struct convo_err *err);

/** The members of params that a summary is asked for with: those that shape an answer are not.
 * @return 0, CONVO_E_NOMEM */
int cv_params_strip(char **out, const struct params *params);

void cv_params_clear(struct params *params);

#endif
