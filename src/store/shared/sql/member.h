/*
 * The members of a backend that the SQL servers have in common: each makes a request of rare.h and
 * hands it through the pool to the backend's own function, which has a conversation with a
 * connection.
 */
#ifndef STORE_SHARED_SQL_MEMBER_H
#define STORE_SHARED_SQL_MEMBER_H

#include <store/shared/pool.h>
#include <store/shared/sql/rare.h>

/** What such a backend's store begins with. */
struct sql_store {
	struct convo_store base;
	struct store_pool *pool;
	pool_op op; /* carries out the struct sql_request that is its ctx */
};

/** The order in which rounds lock their sessions, so that two of them do not wait for each other. */
int cv_sql_key_order(const struct convo_key *one, const struct convo_key *two);

/* As in backend.h. */
int cv_sql_store_rename(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, struct cv_text title, struct convo_err *err);
int cv_sql_store_list(struct convo_store *store, const struct store_call *call, const char *app,
		      const char *user, bool trash, const struct store_place *place, size_t n,
		      struct store_page *into, struct convo_err *err);
int cv_sql_store_owners(struct convo_store *store, const struct store_call *call, const char *app,
			bool trash, size_t n, struct store_owners_place *place,
			struct store_owners *into, bool *more, struct convo_err *err);
int cv_sql_store_delete(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, struct convo_err *err);
int cv_sql_store_restore(struct convo_store *store, const struct store_call *call,
			 const struct convo_key *key, const unsigned char *generation,
			 struct convo_err *err);
int cv_sql_store_purge(struct convo_store *store, const struct store_call *call,
		       const struct convo_key *key, const unsigned char *generation,
		       struct convo_err *err);
int cv_sql_store_state_set(struct convo_store *store, const struct store_call *call,
			   const struct convo_key *key, const struct store_change *changes,
			   size_t count, struct convo_err *err);
int cv_sql_store_state_list(struct convo_store *store, const struct store_call *call,
			    const struct convo_key *key, unsigned scopes,
			    const struct cv_text *name, struct convo_state *into,
			    struct convo_err *err);

#endif
