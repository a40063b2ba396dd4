/*
 * The beginnings of sessions: out of nothing, and out of another one.
 */
#include <store/postgres/store.h>

#include <base/fail.h>

#define PG_NO_CODE INT64_MIN /* the server has not said it */

struct pg_creating {
	int64_t code;
	int tries;
};

static void pg_create_begin(void *ctx)
{
	((struct pg_creating *)ctx)->tries++;
}

/* The code that a function of ours returns. */
static int pg_row_code(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	(void)err;
	((struct pg_creating *)ctx)->code = column[0].number;
	return 0;
}

static int pg_row_ignored(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	(void)ctx;
	(void)column;
	(void)err;
	return 0;
}

/* A repeat that finds its session there has written nothing, so its commit waited for nobody; the
 * try before may have been cut off while it waited for the disk or a standby. A lock is written, and
 * waits for all that was committed before it. */
static int pg_create_confirm(struct pg_store *pg, const struct store_call *call,
			     const struct convo_key *key, struct convo_err *err)
{
	struct pg_args args = {0};
	struct pg_query query = {.statement = &pg->statement[PG_RARE + SQL_FIND],
				 .row = pg_row_ignored};
	int rc;

	cv_pg_args_key(&args, key);
	rc = cv_pg_one(pg, call, &query, &args, err);
	if (rc < 0 && err)
		cv_pool_undecide(err);
	return rc < 0 && err ? err->code : rc;
}

/* Run a function that makes a session. Its generation tells a repeat from another creator. */
static int pg_make(struct pg_store *pg, const struct store_call *call, const struct convo_key *key,
		   unsigned statement, struct pg_args *args, int64_t *code, struct convo_err *err)
{
	struct pg_creating creating = {PG_NO_CODE, 0};
	struct pg_query query = {.statement = &pg->statement[statement],
				 .begin = pg_create_begin,
				 .row = pg_row_code,
				 .ctx = &creating};
	int rc = cv_pg_one(pg, call, &query, args, err);

	if (rc < 0)
		return cv_pg_tell(rc, &query, err);
	if (creating.code == PG_NO_CODE)
		return cv_sql_damaged(err, pg->sql.base.where);
	*code = creating.code;
	if (creating.code < 0)
		return 0;
	return creating.tries > 1 ? pg_create_confirm(pg, call, key, err) : 0;
}

int cv_pg_create(struct convo_store *store, const struct store_call *call,
		 const struct convo_key *key, const struct store_create *create,
		 struct convo_err *err)
{
	struct pg_args args = {0};
	int64_t code = 0;
	int rc;

	cv_pg_args_key(&args, key);
	cv_pg_args_int(&args, call->now_us);
	cv_pg_args_int(&args, call->ttl_us);
	cv_pg_args_int(&args, CONVO_MAX_STATE);
	cv_pg_args_uuid(&args, create->generation);
	cv_pg_args_text(&args, create->title);
	cv_pg_args_changes(&args, create->changes, create->change_count);
	rc = pg_make(cv_pg_of(store), call, key, PG_CREATE, &args, &code, err);
	return rc == 0 && code < 0 ? cv_refuse_exists(err, key) : rc;
}

int cv_pg_fork(struct convo_store *store, const struct store_call *call,
	       const struct convo_key *key, const struct store_fork *fork, struct convo_err *err)
{
	const struct convo_key to = {key->app, key->user, fork->session};
	struct pg_args args = {0};
	int64_t code = 0;
	int rc;

	cv_pg_args_key(&args, key);
	cv_pg_args_int(&args, call->now_us);
	cv_pg_args_int(&args, call->ttl_us);
	cv_pg_args_int(&args, call->event_limit);
	cv_pg_args_text(&args, cv_text_of(fork->session));
	cv_pg_args_uuid(&args, fork->generation);
	cv_pg_args_int(&args, fork->upto_seq);
	rc = pg_make(cv_pg_of(store), call, &to, PG_FORK, &args, &code, err);
	if (rc < 0 || code >= 0)
		return rc;
	return code == CONVO_E_NOTFOUND ? cv_refuse_notfound(err, key) : cv_refuse_exists(err, &to);
}
