/*
 * One call: how long it may take, and how it is stopped.
 */
#ifndef CONVO_CALL_H
#define CONVO_CALL_H

#include <convo/err.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Stops calls that run, from another thread or a signal handler. */
typedef struct convo_cancel convo_cancel;

/**
 * Make one.
 *
 * @return 0, CONVO_E_NOMEM, CONVO_E_IO when no descriptor is left, CONVO_E_INVALID for an out of NULL
 */
CONVO_API int convo_cancel_new(convo_cancel **out, struct convo_err *err);

/** Free it; nothing may be using it. NULL is fine. */
CONVO_API void convo_cancel_free(convo_cancel *cancel);

/**
 * Ask for the stop: of every call that was given it and runs, and of each that begins before the
 * next reset. NULL: nothing. Thread-safe and async-signal-safe (POSIX.1-2008, 2.4.3); keeps errno.
 */
CONVO_API void convo_cancel_request(convo_cancel *cancel);

/** Whether it was asked for since the last reset. NULL: no. Thread-safe, async-signal-safe. */
CONVO_API bool convo_cancel_requested(const convo_cancel *cancel);

/** Make it ready for the next calls. Nothing may be using it. NULL: nothing. */
CONVO_API void convo_cancel_reset(convo_cancel *cancel);

/**
 * A descriptor that becomes readable when the stop is asked for, for poll(2) in a model or a
 * backend of your own. It belongs to the cancel: do not read from or close it. NULL: -1.
 */
CONVO_API int convo_cancel_fd(const convo_cancel *cancel);

/**
 * How one call of a store is bounded. Every function that takes one accepts NULL, which is
 * all-zero. Borrowed for the call.
 */
struct convo_call {
	/** Longest the call may take (L2), 1 ms to CONVO_MAX_DURATION; 0: the store's timeout. */
	int64_t timeout_ms;
	/**
	 * Stops the call within 100 ms: it returns CONVO_E_CANCELED, and convo_err.maybe tells
	 * whether it may have been carried out all the same (A8). NULL: it cannot be stopped.
	 */
	convo_cancel *cancel;
	const void *reserved[4]; /**< NULL; see version.h */
};

#ifdef __cplusplus
}
#endif

#endif
