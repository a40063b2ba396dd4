/*
 * Tracing: what a store does with each call, told to the program as the call ends.
 */
#ifndef CONVO_TRACE_H
#define CONVO_TRACE_H

#include <convo/session.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A call of a store's backend that has ended. Lives for the callback. Grows at its end. */
struct convo_trace_call {
	/**
	 * "open", "create", "load", "append", "draft", "fork", "rename", "list", "owners", "delete",
	 * "restore", "purge", "state_set", "state_list", "marks", "weigh", "clean", "close". A load is
	 * also what convo_store_read() asks for, a state_list what convo_store_state_get() does; a
	 * clean is one step of a cleaning, marks are asked for by those who watch, and figures
	 * (convo_store_stats()) are lists and weights. Drafts that are saved together are one call.
	 */
	const char *op;
	const struct convo_key *key; /**< whose; members a call does not need are NULL, and so is it
	                                  where there is none, or several. Names are not secret to us; they may be
	                                  to you */
	int64_t duration_us;         /**< from its beginning to its end */
	int code;                    /**< enum convo_code: how it ended */
	bool maybe;                  /**< as in convo_err */
	/**
	 * How often it got a connection to work with: 1, and one for each time that connection was
	 * lost and it began again. 0 in memory, and of a call that another one took along.
	 */
	int tries;
	int64_t round_trips; /**< waits for an answer of the server, those of all tries together */
	int64_t events; /**< appended or loaded; sessions listed; drafts saved; 0 when it failed */
	/**
	 * Work of the engine in a unit of its own, where it can tell: SQLite's steps and pages. Good
	 * for comparing one call with another on the same backend; 0 elsewhere.
	 */
	int64_t steps;
};

/**
 * Hears each call as it ends. `on_call` runs in the thread that called, or the one that cleans,
 * with no lock held, several at once; it may call anything but convo_store_close() of its store.
 * What it takes is added to the call.
 */
struct convo_trace {
	void (*on_call)(void *ctx, const struct convo_trace_call *call);
	void *ctx;               /**< passed first; must outlive the store */
	const void *reserved[2]; /**< NULL; see version.h */
};

#ifdef __cplusplus
}
#endif

#endif
