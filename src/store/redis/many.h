/*
 * Asking Redis many things at once.
 */
#ifndef STORE_REDIS_MANY_H
#define STORE_REDIS_MANY_H

#include <store/redis/ask.h>

/**
 * Ask for all of them: one round trip for each server that is asked. All are run, whatever becomes of
 * one of them; what became of each is in its job.rc and job.err.
 *
 * @return 0, or the failure of the first that failed
 */
int cv_ask_run_many(struct redis_store *redis, const struct store_call *call,
		    struct redis_ask **asks, size_t count, struct convo_err *err);

#endif
