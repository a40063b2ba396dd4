/*
 * State; see rare.h. The rows that count a scope's bytes are locked first, the session's, then the
 * user's, then the app's, in which order every writer locks them; then the names that change are
 * looked at and written.
 */
#include <store/shared/sql/rare.h>

#include <stdlib.h>

#include <base/alloc.h>
#include <base/fail.h>

#define STATE_STEPS 64 /* sent together */

enum { SCOPES = CONVO_SCOPE_APP + 1 };

struct state_scope {
	const char *where;
	bool used;
	bool found;
	int64_t no, bytes;
};

struct state_set {
	struct sql_conversation *with;
	const struct convo_key *key;
	struct sql_locked session;
	struct state_scope scope[SCOPES];
	size_t count; /* steps that wait to be sent */
	struct sql_step step[STATE_STEPS];
};

static int state_send(struct state_set *set, bool more, struct convo_err *err)
{
	int rc = set->with->run(set->with->ctx, set->step, set->count, more, err);

	set->count = 0;
	return rc;
}

/* Add a step, after sending those before if there are many. */
static int state_add(struct state_set *set, enum sql_text text, struct sql_step **step,
		     struct convo_err *err)
{
	int rc = set->count == STATE_STEPS ? state_send(set, true, err) : 0;

	*step = &set->step[set->count++];
	**step = (struct sql_step){.text = text};
	return rc;
}

/* ---- setting ---------------------------------------------------------------------------- */

/* Whether a number that was read can be the size of some state. */
static bool state_is_size(int64_t bytes)
{
	return bytes >= 0 && bytes <= INT32_MAX;
}

static int state_scope_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct state_scope *scope = ctx;

	scope->found = true;
	scope->no = column[0].number;
	scope->bytes = column[1].number;
	return state_is_size(scope->bytes) ? 0 : cv_sql_damaged(err, scope->where);
}

/* Lock what counts the bytes of each scope that changes. */
static int state_lock(struct state_set *set, struct convo_err *err)
{
	const struct convo_key *key = set->key;
	struct state_scope *own = &set->scope[CONVO_SCOPE_SESSION];
	struct sql_step *step;
	int scope, rc;

	if (own->used)
		cv_sql_lock(set->with, &set->step[set->count++], SQL_FIND, key, &set->session);
	for (scope = CONVO_SCOPE_USER; scope < SCOPES; scope++) {
		const char *user = scope == CONVO_SCOPE_USER ? key->user : "";
		int twice;

		for (twice = 0; set->scope[scope].used && twice < 2; twice++) {
			step = &set->step[set->count++];
			*step = (struct sql_step){.text = twice ? SQL_SCOPE : SQL_SCOPE_ADD};
			cv_sql_bind_text(step, SQL_TEXT, cv_text_of(key->app));
			cv_sql_bind_text(step, SQL_TEXT, cv_text_of(user));
			step->row = twice ? state_scope_row : NULL;
			step->ctx = &set->scope[scope];
		}
	}
	rc = state_send(set, true, err);
	if (rc)
		return rc;
	if (own->used && !cv_sql_locked_lives(set->with, &set->session))
		return cv_refuse_notfound(err, key);
	own->found = own->used;
	own->no = set->session.row.no;
	own->bytes = set->session.row.state_bytes;
	for (scope = 0; scope < SCOPES; scope++) {
		if (set->scope[scope].used && !set->scope[scope].found)
			return cv_sql_damaged(err, set->with->store->where);
	}
	return 0;
}

static void state_bind_name(const struct state_set *set, struct sql_step *step,
			    const struct store_change *change)
{
	cv_sql_bind_int(step, change->scope);
	cv_sql_bind_int(step, set->scope[change->scope].no);
	cv_sql_bind_text(step, SQL_TEXT, change->name);
}

static int state_bytes_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct state_scope *scope = ctx;

	if (!state_is_size(column[0].number))
		return cv_sql_damaged(err, scope->where);
	scope->bytes -= column[0].number;
	return 0;
}

/* Work out what each scope will count, and refuse what is too much (N3). */
static int state_count(struct state_set *set, const struct store_change *changes, size_t count,
		       struct convo_err *err)
{
	struct sql_step *step;
	int scope, rc;
	size_t i;

	for (i = 0; i < count; i++) {
		struct state_scope *of = &set->scope[changes[i].scope];

		rc = state_add(set, SQL_STATE_BYTES, &step, err);
		if (rc)
			return rc;
		state_bind_name(set, step, &changes[i]);
		step->row = state_bytes_row;
		step->ctx = of;
		of->bytes += (int64_t)store_change_bytes(&changes[i]);
	}
	rc = state_send(set, true, err);
	for (scope = 0; rc == 0 && scope < SCOPES; scope++) {
		if (set->scope[scope].bytes > (int64_t)CONVO_MAX_STATE)
			return cv_refuse_state(err, (enum convo_scope)scope);
	}
	return rc;
}

/* Note that the session was written to. */
static void state_touch(struct state_set *set, struct sql_step *step)
{
	int64_t now_us = set->with->call->now_us,
		expires_us = store_call_expires(set->with->call, 0);
	struct sql_row *row = &set->session.row;

	if (row->position < now_us)
		row->position = now_us;
	if (row->updated_us < now_us)
		row->updated_us = now_us;
	if (expires_us) {
		row->expires_us = expires_us;
		/* It only has to be early enough: cleaning moves it on. */
		if (!row->due_us || row->due_us > expires_us)
			row->due_us = expires_us;
	}
	cv_sql_bind_int(step, row->position);
	cv_sql_bind_int(step, row->updated_us);
	cv_sql_bind_int(step, row->expires_us);
	cv_sql_bind_int(step, row->due_us);
	cv_sql_bind_int(step, set->scope[CONVO_SCOPE_SESSION].bytes);
	cv_sql_bind_int(step, row->no);
}

static int state_write(struct state_set *set, const struct store_change *changes, size_t count,
		       struct convo_err *err)
{
	struct sql_step *step;
	int scope, rc;
	size_t i;

	for (i = 0; i < count; i++) {
		const struct store_change *change = &changes[i];

		rc = state_add(set, change->value.data ? SQL_STATE_PUT : SQL_STATE_DROP, &step,
			       err);
		if (rc)
			return rc;
		state_bind_name(set, step, change);
		if (change->value.data) {
			cv_sql_bind_text(step, SQL_JSON, change->value);
			cv_sql_bind_int(step, (int64_t)store_change_bytes(change));
		}
	}
	for (scope = 0; scope < SCOPES; scope++) {
		bool own = scope == CONVO_SCOPE_SESSION;

		if (!set->scope[scope].used)
			continue;
		rc = state_add(set, own ? SQL_TOUCH : SQL_SCOPE_BYTES, &step, err);
		if (rc)
			return rc;
		if (own) {
			state_touch(set, step);
			continue;
		}
		cv_sql_bind_int(step, set->scope[scope].bytes);
		cv_sql_bind_int(step, set->scope[scope].no);
	}
	return state_send(set, false, err);
}

int cv_sql_state_set(struct sql_conversation *with, const struct sql_request *request,
		     struct convo_err *err)
{
	const struct store_change *changes = request->changes;
	size_t count = request->change_count;
	struct state_set *set = cv_alloc(1, sizeof(*set));
	size_t i;
	int rc;

	if (!set)
		return cv_fail_nomem(err);
	set->with = with;
	for (i = 0; i < SCOPES; i++)
		set->scope[i].where = with->store->where;
	set->key = request->key;
	for (i = 0; i < count; i++)
		set->scope[changes[i].scope].used = true;
	rc = state_lock(set, err);
	if (rc)
		goto out;
	rc = state_count(set, changes, count, err);
	if (rc)
		goto out;
	rc = state_write(set, changes, count, err);
out:
	if (rc)
		with->undo(with->ctx);
	free(set);
	return rc;
}

/* ---- listing ---------------------------------------------------------------------------- */

struct state_list {
	const char *where;
	struct convo_state *into;
	bool session;
};

static int state_list_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct state_list *list = ctx;
	int64_t scope = column[0].number;

	list->session = list->session || scope == CONVO_SCOPE_SESSION;
	if (column[1].kind == SQL_NULL && column[2].kind == SQL_NULL)
		return 0; /* a scope without names */
	if (column[1].kind == SQL_NULL || column[2].kind == SQL_NULL ||
	    (scope != CONVO_SCOPE_SESSION && scope != CONVO_SCOPE_USER && scope != CONVO_SCOPE_APP))
		return cv_sql_damaged(err, list->where);
	return cv_state_add(list->into, (enum convo_scope)scope, column[1].text, column[2].text,
			    err);
}

int cv_sql_state_list(struct sql_conversation *with, const struct sql_request *request,
		      struct convo_err *err)
{
	const struct convo_key *key = request->key;
	const struct cv_text *name = request->name;
	const struct cv_text any = {0}, app = cv_text_of(key->app),
			     user = cv_text_of(key->user ? key->user : "");
	struct state_list list = {with->store->where, request->state, false};
	struct sql_step step = {.text = SQL_STATE_LIST, .row = state_list_row, .ctx = &list};
	int rc;

	cv_state_reset(request->state);
	cv_sql_bind_key(&step, key);
	cv_sql_bind_int(&step, with->call->now_us);
	cv_sql_bind_text(&step, SQL_TEXT, app);
	cv_sql_bind_text(&step, SQL_TEXT, user);
	cv_sql_bind_text(&step, SQL_TEXT, app);
	cv_sql_bind_text(&step, SQL_TEXT, name ? *name : any);
	cv_sql_bind_text(&step, SQL_TEXT, name ? *name : any);
	cv_sql_bind_int(&step, request->scopes);
	rc = with->run(with->ctx, &step, 1, false, err);
	if (rc == 0 && request->scopes & CONVO_SCOPE_SESSION && !list.session)
		return cv_refuse_notfound(err, key);
	return rc;
}
