/*
 * The state of the app where it is in another slot than its users: in a cluster. What a call changes of
 * it is noted beside the user in the same atomic step as the rest, then carried out where the app's
 * state is, and the note taken away; whoever finds a note carries it out (contract A6). Notes of a
 * user are numbered and carried out in their order, each once: the app remembers the last number of
 * each user.
 */
#ifndef STORE_REDIS_NOTES_H
#define STORE_REDIS_NOTES_H

#include <store/redis/op.h>

/** Whether some of the changes have to be noted. */
bool cv_notes_needed(const struct redis_op *op, const struct store_change *changes, size_t count);

/**
 * Before they are noted: whether there is room for them. What others write at the same moment is not
 * seen, so the app's state may pass CONVO_MAX_STATE by that; what is noted is carried out.
 *
 * @param last set to the number of the user's last note that was carried out: the
 *        next one is to have a higher one
 * @return 0, CONVO_E_TOOBIG, or that it could not be asked
 */
int cv_notes_check(const struct redis_op *op, const struct store_change *changes, size_t count,
		   int64_t *last, struct convo_err *err);

/** Carry out what is noted beside the user. @return 0, or what hindered it: the notes stay */
int cv_notes_carry(const struct redis_op *op, struct convo_err *err);

/** The same after a write that was done: a failure leaves open what became of it (A8). */
int cv_notes_finish(const struct redis_op *op, struct convo_err *err);

/**
 * After a change of the app's state that was not noted but made there: wait until nobody reads what
 * was before it (flight.h). A failure leaves open what became of it. Some milliseconds.
 */
int cv_app_settle(const struct redis_op *op, struct convo_err *err);

/** The app's state, read beside something of the user. All-zero but for what begin() sets. */
struct redis_app {
	const struct redis_op *op;
	const struct cv_text *only;
	struct redis_ask ask;
	struct cv_buf texts; /* names and values, each with its NUL */
};

/** @param only the name that is wanted; NULL: all; borrowed until the end */
void cv_app_begin(struct redis_app *app, const struct redis_op *op, const struct cv_text *only);

/**
 * Run both at once. What is kept of the app's state may do (flight.h).
 *
 * @param ask NULL: there is no other
 * @param noted set by the answer to `ask`: there are notes, which are then carried out, and the app's
 *        state read again
 */
int cv_app_run(struct redis_app *app, struct redis_ask *ask, const bool *noted,
	       struct convo_err *err);

/** The next name and value; *at is 0 at first. @return false after the last */
bool cv_app_next(const struct redis_app *app, size_t *at, struct cv_text *name,
		 struct cv_text *value);

void cv_app_end(struct redis_app *app);

#endif
