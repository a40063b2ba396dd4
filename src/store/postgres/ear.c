/*
 * Hearing of sessions (W1 to W3): a connection of its own that listens on a channel, whose number and
 * sessions stand in {p}ears and {p}watchers. Whoever writes looks there, in its own step, and tells the
 * channels that it finds (0004.sql); where nobody listens nothing is told, since that costs all who
 * tell a lock at the end of their transactions.
 *
 * A writer that looked just before a session was put there tells nobody, and may commit just after: so the
 * session is told once more a little later, and the hub asks for marks now and then.
 */
#include <store/postgres/store.h>

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>
#include <store/postgres/pq.h>

#define EAR_MS 60000                  /* for so long it is not taken for gone */
#define EAR_STAY_US INT64_C(15000000) /* how often it says that it is there */
#define EAR_AGAIN_US 300000           /* when a session is told again */
#define EAR_TOGETHER 500              /* sessions of one statement */
#define EAR_END_US 1000000            /* how long the server may take to hear of its end */

/* A session that is to be heard of, or no more. */
struct ear_change {
	struct ear_change *next;
	bool on;
	uint64_t tag;
	struct convo_key key; /* in `names` */
	char names[];
};

/* One that is to be told again. */
struct ear_again {
	uint64_t tag;
	int64_t at_us;
};

struct store_ear {
	struct pg_store *pg;
	struct pg_db *db;
	bool lost;
	int64_t no;
	int64_t stay_at_us;
	struct ear_change *first, **end; /* that the server has not been told yet */
	struct ear_again *again;         /* the next one first */
	size_t again_count, again_cap;
};

/* Who is told. */
struct ear_teller {
	void (*tell)(void *ctx, uint64_t tag);
	void *ctx;
};

/* ---- asking the server ------------------------------------------------------------------ */

static int ear_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	(void)err;
	*(int64_t *)ctx = column[0].number;
	return 0;
}

/* Run a statement that returns a code; what ends a wait does not end it. Clears the arguments. */
static int ear_run(struct store_ear *ear, enum pg_own number, struct pg_args *args, int64_t us,
		   struct convo_err *err)
{
	const struct pg_until until = {.deadline_us = cv_clock_mono_us() + us};
	int64_t code = 0;
	struct pg_query query = {.statement = &ear->pg->statement[number],
				 .args = args,
				 .row = ear_row,
				 .ctx = &code};
	enum pool_fate fate = POOL_KEEP;
	int rc = cv_pg_args_finish(args, err);

	if (rc < 0)
		goto out;
	do
		rc = cv_pg_run(ear->db, &query, 1, &until, &fate, err);
	while (rc == PG_AGAIN && fate == POOL_KEEP && cv_clock_mono_us() < until.deadline_us);
	ear->lost = ear->lost || fate != POOL_KEEP;
	if (rc == PG_AGAIN)
		rc = cv_sql_in_the_way(err, ear->db->where);
	if (rc == 0 && code < 0)
		rc = cv_fail(err, CONVO_E_GONE, "%s: it has taken us for gone", ear->db->where);
out:
	cv_pg_args_clear(args);
	return rc;
}

static int64_t ear_timeout_us(const struct store_ear *ear)
{
	return ear->pg->sql.base.opts.timeout_ms * 1000;
}

static int ear_stay(struct store_ear *ear, struct convo_err *err)
{
	struct pg_args args = {0};

	ear->stay_at_us = cv_clock_mono_us() + EAR_STAY_US;
	cv_pg_args_int(&args, ear->no);
	cv_pg_args_int(&args, EAR_MS);
	return ear_run(ear, PG_EAR_STAY, &args, ear_timeout_us(ear), err);
}

/* Tell the server of some changes that are alike. */
static int ear_send(struct store_ear *ear, struct ear_change *const *changes, size_t count,
		    struct convo_err *err)
{
	const struct convo_key *keys[EAR_TOGETHER];
	struct pg_args args = {0};
	size_t i;

	for (i = 0; i < count; i++)
		keys[i] = &changes[i]->key;
	cv_pg_args_int(&args, ear->no);
	cv_pg_args_keys(&args, keys, count);
	cv_pg_args_array(&args, PG_INT8, changes[0]->on ? count : 0);
	for (i = 0; changes[0]->on && i < count; i++)
		cv_pg_item_int(&args, PG_INT8, (int64_t)changes[i]->tag);
	return ear_run(ear, PG_EAR_SET, &args, ear_timeout_us(ear), err);
}

/* ---- what it hears ---------------------------------------------------------------------- */

/* The server hears of a session now: tell it, and once more later. */
static int ear_begun(struct store_ear *ear, uint64_t tag, const struct ear_teller *teller,
		     struct convo_err *err)
{
	if (!cv_grow((void **)&ear->again, &ear->again_cap, ear->again_count + 1,
		     sizeof(*ear->again)))
		return cv_fail_nomem(err);
	ear->again[ear->again_count++] = (struct ear_again){tag, cv_clock_mono_us() + EAR_AGAIN_US};
	teller->tell(teller->ctx, tag);
	return 0;
}

/* Carry out what was asked for. */
static int ear_flush(struct store_ear *ear, const struct ear_teller *teller, struct convo_err *err)
{
	while (ear->first) {
		struct ear_change *changes[EAR_TOGETHER], *at = ear->first;
		size_t count = 0, i;
		int rc;

		for (; at && count < EAR_TOGETHER && at->on == ear->first->on; at = at->next)
			changes[count++] = at;
		rc = ear_send(ear, changes, count, err);
		for (i = 0; rc >= 0 && changes[0]->on && i < count; i++)
			rc = ear_begun(ear, changes[i]->tag, teller, err);
		if (rc < 0)
			return rc;
		ear->first = at;
		if (!at)
			ear->end = &ear->first;
		for (i = 0; i < count; i++)
			free(changes[i]);
	}
	return 0;
}

static void ear_tell_again(struct store_ear *ear, const struct ear_teller *teller)
{
	int64_t now_us = cv_clock_mono_us();
	size_t n = 0;

	while (n < ear->again_count && ear->again[n].at_us <= now_us)
		teller->tell(teller->ctx, ear->again[n++].tag);
	if (!n)
		return;
	ear->again_count -= n;
	memmove(ear->again, ear->again + n, ear->again_count * sizeof(*ear->again));
}

/* Tell what has come. What is no number of ours is nothing to us. */
static void ear_tell_come(struct store_ear *ear, const struct ear_teller *teller)
{
	PGnotify *notice;

	while ((notice = pq.notifies(ear->db->pg))) {
		char *end = NULL;
		long long tag;

		errno = 0;
		tag = strtoll(notice->extra, &end, 10);
		if (!errno && end != notice->extra && !*end)
			teller->tell(teller->ctx, (uint64_t)tag);
		pq.freemem(notice);
	}
}

/* Wait until something is to be done. @return 0, CONVO_E_CANCELED, CONVO_E_GONE */
static int ear_rest(struct store_ear *ear, const struct store_call *call, struct convo_err *err)
{
	struct pg_until until = pg_until_of(call);
	enum pool_fate fate;
	int rc;

	if (ear->stay_at_us < until.deadline_us)
		until.deadline_us = ear->stay_at_us;
	if (ear->again_count && ear->again[0].at_us < until.deadline_us)
		until.deadline_us = ear->again[0].at_us;
	rc = cv_pq_wait(ear->db->pg, POLLIN, &until);
	if (rc == CONVO_E_CANCELED)
		return cv_fail(err, rc, "canceled");
	if (rc == 0 && !pq.consumeInput(ear->db->pg)) {
		ear->lost = true;
		return cv_pq_lost(ear->db, &fate, err);
	}
	return 0;
}

int cv_pg_ear_wait(struct store_ear *ear, const struct store_call *call,
		   void (*tell)(void *ctx, uint64_t tag), void *ctx, struct convo_err *err)
{
	const struct ear_teller teller = {tell, ctx};
	int rc;

	do {
		rc = ear_flush(ear, &teller, err);
		if (rc == 0 && cv_clock_mono_us() >= ear->stay_at_us)
			rc = ear_stay(ear, err);
		if (rc < 0)
			return rc;
		ear_tell_again(ear, &teller);
		ear_tell_come(ear, &teller);
		rc = ear_rest(ear, call, err);
	} while (rc == 0 && cv_clock_mono_us() < call->deadline_us);
	ear_tell_come(ear, &teller);
	return rc;
}

int cv_pg_ear_set(struct store_ear *ear, const struct convo_key *key, bool on,
		  struct convo_err *err)
{
	size_t app = strlen(key->app) + 1, user = strlen(key->user) + 1;
	size_t session = strlen(key->session) + 1;
	struct ear_change *change = cv_alloc(1, sizeof(*change) + app + user + session);

	if (!change)
		return cv_fail_nomem(err);
	memcpy(change->names, key->app, app);
	memcpy(change->names + app, key->user, user);
	memcpy(change->names + app + user, key->session, session);
	change->key =
		(struct convo_key){change->names, change->names + app, change->names + app + user};
	change->on = on;
	change->tag = cv_key_tag(key);
	*ear->end = change;
	ear->end = &change->next;
	return 0;
}

/* ---- its beginning and end -------------------------------------------------------------- */

/* Run a statement that is only run once. */
static int ear_plain(struct store_ear *ear, const struct pg_until *until, int64_t *value,
		     struct convo_err *err, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

static int ear_plain(struct store_ear *ear, const struct pg_until *until, int64_t *value,
		     struct convo_err *err, const char *fmt, ...)
{
	enum pool_fate fate = POOL_KEEP;
	bool found = false;
	char sql[256], state[6];
	va_list args;
	int rc;

	va_start(args, fmt);
	vsnprintf(sql, sizeof(sql), fmt, args);
	va_end(args);
	rc = cv_pg_plain(ear->db, sql, until, value, &found, state, &fate, err);
	ear->lost = ear->lost || fate != POOL_KEEP;
	if (rc == PG_AGAIN)
		return cv_sql_in_the_way(err, ear->db->where);
	return rc == 0 && value && !found ? cv_sql_damaged(err, ear->db->where) : rc;
}

/*
 * A pooler gives each transaction another connection, on which nobody listens; or may do so, since it
 * cannot be told from one that does not. The number of the server's process is not the one that was
 * told to us then.
 */
static int ear_listen(struct store_ear *ear, const struct pg_until *until, struct convo_err *err)
{
	const char *prefix = ear->pg->sql.base.prefix;
	int64_t process;
	int rc = ear_plain(ear, until, &process, err, "SELECT pg_backend_pid()");

	if (rc < 0)
		return rc;
	if (process != pq.backendPID(ear->db->pg))
		return cv_fail(err, CONVO_E_UNSUPPORTED, "%s: a pooler stands between",
			       ear->db->where);
	rc = ear_plain(ear, until, &ear->no, err,
		       "INSERT INTO %sears (until) VALUES (clock_timestamp() + "
		       "interval '%d milliseconds') RETURNING no",
		       prefix, EAR_MS);
	if (rc < 0)
		return rc;
	return ear_plain(ear, until, NULL, err, "LISTEN %sear_%lld", prefix, (long long)ear->no);
}

int cv_pg_ear_open(struct convo_store *store, const struct store_call *call, struct store_ear **out,
		   struct convo_err *err)
{
	const struct pg_until until = pg_until_of(call);
	struct store_ear *ear = cv_alloc(1, sizeof(*ear));
	struct convo_err why;
	int rc;

	if (!ear)
		return cv_fail_nomem(err);
	ear->pg = cv_pg_of(store);
	ear->end = &ear->first;
	ear->stay_at_us = cv_clock_mono_us() + EAR_STAY_US;
	ear->db = cv_pg_open(&ear->pg->plan, &until, &ear->pg->shared, &why);
	rc = ear->db ? ear_listen(ear, &until, &why) : why.code;
	if (rc < 0) {
		cv_pg_ear_close(ear);
		if (err)
			*err = why;
		return rc;
	}
	*out = ear;
	return 0;
}

void cv_pg_ear_close(struct store_ear *ear)
{
	struct pg_args args = {0};

	while (ear->first) {
		struct ear_change *change = ear->first;

		ear->first = change->next;
		free(change);
	}
	if (ear->db && !ear->lost && ear->no) {
		cv_pg_args_int(&args, ear->no);
		(void)ear_run(ear, PG_EAR_END, &args, EAR_END_US, NULL);
	}
	cv_pg_close(ear->db);
	free(ear->again);
	free(ear);
}
