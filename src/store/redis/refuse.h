/*
 * What the errors of a Redis server mean.
 */
#ifndef STORE_REDIS_REFUSE_H
#define STORE_REDIS_REFUSE_H

#include <store/redis/conn.h>

/** Fail with what an error of a server means; `command` is the one it is about, NULL if it says
 * that itself. @return the code */
int cv_redis_refuse(const struct redis_place *place, const char *error, const char *command,
		    struct convo_err *err);

/** Whether an error begins with a word. */
bool cv_redis_error_is(const struct redis_value *value, const char *word);

/** Why the server will not do it yet, or NULL for an error that stays. */
const char *cv_redis_error_passes(const struct redis_value *value);

/** What is stored is not as convo stores it: CONVO_E_IO. `name` is where. */
int cv_redis_damaged(const char *name, struct convo_err *err);

#endif
