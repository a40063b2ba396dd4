/*
 * The operations of the Redis store that read; backend.h tells what each does.
 */
#ifndef STORE_REDIS_READ_H
#define STORE_REDIS_READ_H

#include <store/backend.h>

int cv_redis_load(struct convo_store *store, const struct store_call *call,
		  const struct convo_key *key, const struct store_window *window,
		  struct convo_session *into, struct convo_err *err);
int cv_redis_list(struct convo_store *store, const struct store_call *call, const char *app,
		  const char *user, bool trash, const struct store_place *place, size_t n,
		  struct store_page *into, struct convo_err *err);
int cv_redis_state_list(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, unsigned scopes, const struct cv_text *name,
			struct convo_state *into, struct convo_err *err);

#endif
