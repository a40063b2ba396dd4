/*
 * Turns that are being run by this server, so that others than who asked can stop them.
 */
#ifndef SERVER_API_RUNNING_H
#define SERVER_API_RUNNING_H

#include <stdatomic.h>
#include <stdbool.h>

#include <convo/call.h>
#include <convo/session.h>

/** Thread-safe. */
struct running;

/** A turn under way. All-zero but for the first three; the caller's, as what it points at. */
struct running_turn {
	struct convo_key key;
	const char *id;
	convo_cancel *cancel;
	struct running_turn *next, **link; /* the list's */
};

/** @return NULL when memory is out */
struct running *running_new(void);

/** Free it; no turn may be left. NULL is fine. */
void running_free(struct running *running);

/** A turn begins, and ends. */
void running_begin(struct running *running, struct running_turn *turn);
void running_end(struct running *running, struct running_turn *turn);

/** Ask for the cancel of a session's turn. @return whether there is one of that id */
bool running_cancel(struct running *running, const struct convo_key *key, const char *id);

/**
 * A turn waits for another one. Those that do are bounded, since each takes a thread from the others.
 *
 * @return whether one more may
 */
bool running_wait(struct running *running);

/** One that might wait does no more. */
void running_go_on(struct running *running);

#endif
