/*
 * Cleaning: expired sessions and old trash go, in bounded steps, at an interval and on demand (T4).
 */
#ifndef STORE_FRONT_CLEANER_H
#define STORE_FRONT_CLEANER_H

#include <store/backend.h>

/** Take steps until nothing is left, or until the deadline: *more tells. */
int cv_clean_all(struct convo_store *store, const struct convo_call *how, int64_t deadline_us,
		 int64_t *removed, bool *more, struct convo_err *err);

/** Start the thread, if there is anything for it to do. */
int cv_cleaner_start(struct convo_store *store, struct convo_err *err);

/** Stop the thread and wait for it; fine when there is none. */
void cv_cleaner_stop(struct convo_store *store);

#endif
