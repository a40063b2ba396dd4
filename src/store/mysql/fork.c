/*
 * Forks, which {p}fork() makes where the events are, and the weight of messages, which {p}weigh() sums
 * up there.
 */
#include <store/mysql/store.h>

#include <base/fail.h>

/* ---- forks ------------------------------------------------------------------------------ */

static int fork_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	int64_t *code = ctx;

	(void)err;
	*code = column[0].number;
	return 0;
}

int cv_my_fork(struct convo_store *store, const struct store_call *call,
	       const struct convo_key *key, const struct store_fork *fork, struct convo_err *err)
{
	const struct convo_key to = {key->app, key->user, fork->session};
	int64_t code = 1; /* no answer */
	struct my_query query = {.text = MY_FORK, .take[0] = {"i", fork_row}, .ctx = &code};
	struct my_args args = {0};
	int rc;

	cv_my_key(&args, key);
	cv_my_int(&args, call->now_us);
	cv_my_int(&args, call->ttl_us);
	cv_my_int(&args, call->event_limit);
	cv_my_bytes(&args, fork->session, strlen(fork->session));
	cv_my_bytes(&args, fork->generation, UUID_BYTES);
	cv_my_int(&args, fork->upto_seq);
	/* Its generation tells a repeat from another creator. */
	rc = cv_my_call(cv_my_of(store), call, true, &query, &args, err);
	if (rc == 0 && code == CONVO_E_NOTFOUND)
		return cv_refuse_notfound(err, key);
	if (rc == CONVO_E_EXISTS || (rc == 0 && code == CONVO_E_EXISTS))
		return cv_refuse_exists(err, &to);
	return rc == 0 && code ? cv_my_damaged(store->where, err) : rc;
}

/* ---- figures ---------------------------------------------------------------------------- */

static int weigh_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	int64_t *bytes = ctx;

	(void)err;
	*bytes = column[0].number;
	return 0;
}

/* A number belongs to one life of a session for ever: what is gone has no events any more. */
int cv_my_weigh(struct convo_store *store, const struct store_call *call, const char *app,
		const char *user, const struct store_weighed *sessions, size_t count,
		int64_t *bytes, struct convo_err *err)
{
	int64_t sum = 0;
	struct my_query query = {.text = MY_WEIGH, .take[0] = {"i", weigh_row}, .ctx = &sum};
	struct my_args args = {0};
	struct cv_buf list = {0};
	size_t i;
	int rc = 0;

	(void)app;
	(void)user;
	for (i = 0; i < count && rc == 0; i++)
		rc = cv_buf_addf(&list, "%019lld%019lld%019lld", (long long)sessions[i].number,
				 (long long)sessions[i].first_seq, (long long)sessions[i].last_seq);
	if (rc < 0) {
		rc = cv_buf_fail(err, rc);
		goto out;
	}
	cv_my_buf(&args, &list);
	rc = cv_my_call(cv_my_of(store), call, true, &query, &args, err);
	if (rc == 0)
		*bytes += sum;
out:
	cv_buf_clear(&list);
	return rc;
}
