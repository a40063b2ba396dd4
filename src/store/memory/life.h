/*
 * The operations that begin and end the lives of sessions; see life.c and backend.h.
 */
#ifndef STORE_MEMORY_LIFE_H
#define STORE_MEMORY_LIFE_H

#include <store/memory/dir.h>

int cv_mem_create(struct convo_store *store, const struct store_call *call,
		  const struct convo_key *key, const struct store_create *create,
		  struct convo_err *err);
int cv_mem_fork(struct convo_store *store, const struct store_call *call,
		const struct convo_key *key, const struct store_fork *fork, struct convo_err *err);

/** Let a session that nobody sees yet live under its name. */
int cv_mem_begin(struct memory_store *mem, const struct store_call *call,
		 const struct convo_key *key, struct memory_session *session,
		 struct convo_err *err);

int cv_mem_delete(struct convo_store *store, const struct store_call *call,
		  const struct convo_key *key, struct convo_err *err);
int cv_mem_restore(struct convo_store *store, const struct store_call *call,
		   const struct convo_key *key, const unsigned char *generation,
		   struct convo_err *err);
int cv_mem_purge(struct convo_store *store, const struct store_call *call,
		 const struct convo_key *key, const unsigned char *generation,
		 struct convo_err *err);
int cv_mem_clean(struct convo_store *store, const struct store_call *call, int64_t *removed,
		 bool *more, struct convo_err *err);

#endif
