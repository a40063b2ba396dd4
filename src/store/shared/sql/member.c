/*
 * The members of a backend that the SQL servers have in common; see member.h.
 */
#include <store/shared/sql/member.h>

int cv_sql_key_order(const struct convo_key *one, const struct convo_key *two)
{
	int order = strcmp(one->app, two->app);

	if (!order)
		order = strcmp(one->user, two->user);
	return order ? order : strcmp(one->session, two->session);
}

static int member(struct convo_store *store, const struct store_call *call, bool repeat,
		  struct sql_request *request, struct convo_err *err)
{
	const struct sql_store *sql = (const struct sql_store *)store;

	return cv_pool_run(sql->pool, call, repeat, sql->op, request, err);
}

int cv_sql_store_rename(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, struct cv_text title, struct convo_err *err)
{
	struct sql_request request = {.run = cv_sql_rename, .key = key, .title = title};

	return member(store, call, false, &request, err);
}

int cv_sql_store_list(struct convo_store *store, const struct store_call *call, const char *app,
		      const char *user, bool trash, const struct store_place *place, size_t n,
		      struct store_page *into, struct convo_err *err)
{
	const struct convo_key key = {app, user, NULL};
	struct sql_request request = {.run = cv_sql_list,
				      .key = &key,
				      .trash = trash,
				      .place = place,
				      .n = n,
				      .page = into};

	return member(store, call, true, &request, err);
}

int cv_sql_store_owners(struct convo_store *store, const struct store_call *call, const char *app,
			bool trash, size_t n, struct store_owners_place *place,
			struct store_owners *into, bool *more, struct convo_err *err)
{
	const struct convo_key key = {.app = app};
	struct sql_owners owners = {.from = place, .into = into};
	struct sql_request request = {
		.run = cv_sql_owners, .key = &key, .trash = trash, .n = n, .owners = &owners};
	int rc = member(store, call, true, &request, err);

	if (rc < 0)
		return rc;
	*place = owners.last;
	*more = owners.count == n;
	return 0;
}

int cv_sql_store_delete(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, struct convo_err *err)
{
	struct sql_request request = {.run = cv_sql_delete, .key = key};

	return member(store, call, false, &request, err);
}

int cv_sql_store_restore(struct convo_store *store, const struct store_call *call,
			 const struct convo_key *key, const unsigned char *generation,
			 struct convo_err *err)
{
	struct sql_request request = {.run = cv_sql_restore, .key = key, .generation = generation};

	return member(store, call, false, &request, err);
}

int cv_sql_store_purge(struct convo_store *store, const struct store_call *call,
		       const struct convo_key *key, const unsigned char *generation,
		       struct convo_err *err)
{
	struct sql_request request = {.run = cv_sql_purge, .key = key, .generation = generation};

	return member(store, call, false, &request, err);
}

int cv_sql_store_state_set(struct convo_store *store, const struct store_call *call,
			   const struct convo_key *key, const struct store_change *changes,
			   size_t count, struct convo_err *err)
{
	struct sql_request request = {
		.run = cv_sql_state_set, .key = key, .changes = changes, .change_count = count};

	return member(store, call, false, &request, err);
}

int cv_sql_store_state_list(struct convo_store *store, const struct store_call *call,
			    const struct convo_key *key, unsigned scopes,
			    const struct cv_text *name, struct convo_state *into,
			    struct convo_err *err)
{
	struct sql_request request = {.run = cv_sql_state_list,
				      .key = key,
				      .scopes = scopes,
				      .name = name,
				      .state = into};

	return member(store, call, true, &request, err);
}
