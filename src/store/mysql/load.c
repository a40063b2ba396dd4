/*
 * Loading a session: {p}load() returns its row, the names of its state, and its events. A server takes
 * several times as long for a procedure as for what it reads, so the newest events of a session are
 * asked for by one statement first, which is one view as well. Where that finds none, or says that
 * there is state, the procedure is called.
 */
#include <store/mysql/store.h>

#include <base/fail.h>
#include <base/json.h>

/* seq, time, id, status, the text fields, and the texts that the JSON type would change. */
#define LOAD_EVENT \
	"iiui"     \
	"ttTTTT"   \
	"jJJJ"     \
	"T"

enum { LOAD_FIELDS = 4, LOAD_EXACT = LOAD_FIELDS + FIELD_COUNT };

/* What MY_GLANCE says of the session in each row, before the event. */
#define GLANCE_SESSION "iiiiiiiiiut"

enum { GLANCE_COLUMNS = sizeof(GLANCE_SESSION) - 1 };

/* More events than that are not worth the session's columns in each row. */
#define GLANCE_EVENTS 200

struct my_load {
	const char *where;
	const struct store_window *window;
	const struct convo_key *key;
	struct convo_session *into;
	bool found, state; /* the session; a name of state */
	int64_t last_seq, events;
};

static void load_begin(void *ctx)
{
	struct my_load *load = ctx;

	load->found = load->state = false;
	load->events = load->last_seq = 0;
	cv_session_reset(load->into);
}

static int load_session(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct my_load *load = ctx;
	struct store_meta meta;
	struct sql_row row;
	int rc;

	if (load->found)
		return cv_sql_damaged(err, load->where);
	rc = cv_sql_row_read(&row, column, load->where, err);
	if (rc < 0)
		return rc;
	load->found = true;
	meta = cv_sql_row_meta(&row);
	return cv_session_set_meta(load->into, &meta, err);
}

static int load_state(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct my_load *load = ctx;
	int64_t scope = column[0].number;

	if (!load->found ||
	    (scope != CONVO_SCOPE_SESSION && scope != CONVO_SCOPE_USER && scope != CONVO_SCOPE_APP))
		return cv_sql_damaged(err, load->where);
	load->state = true;
	return cv_session_add_state(load->into, (enum convo_scope)scope, column[1].text,
				    column[2].text, err);
}

/* Put texts in place of what the JSON type has made of them. */
static int load_exact(struct store_event *event, struct cv_text exact, const char *where,
		      struct convo_err *err)
{
	struct cv_text name, value;
	size_t pos = 0;
	int i;

	if (cv_json_check(exact, "exact", NULL) != JSON_KIND_OBJECT)
		return cv_sql_damaged(err, where);
	while (cv_json_member(exact, &pos, &name, &value)) {
		for (i = FIELD_MESSAGE; i < FIELD_COUNT; i++) {
			if (cv_json_name_is(name, cv_event_field_name[i]))
				event->field[i] = value;
		}
	}
	return 0;
}

static int load_event(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct my_load *load = ctx;
	struct store_event event = {.seq = column[0].number,
				    .time_ms = column[1].number,
				    .status = (int)column[3].number};
	int i, rc;

	/* They come in order, and not more than were asked for. */
	if (!load->found || event.seq <= load->last_seq || load->events++ == load->window->n)
		return cv_sql_damaged(err, load->where);
	load->last_seq = event.seq;
	memcpy(event.id, column[2].text.data, UUID_BYTES);
	for (i = 0; i < FIELD_COUNT; i++)
		event.field[i] = column[LOAD_FIELDS + i].text;
	rc = cv_sql_event_check(&event, load->where, err);
	if (rc < 0)
		return rc;
	if (column[LOAD_EXACT].kind != SQL_NULL) {
		rc = load_exact(&event, column[LOAD_EXACT].text, load->where, err);
		if (rc < 0)
			return rc;
	}
	return cv_session_add_event(load->into, &event, err);
}

/* ---- the two ways ------------------------------------------------------------------------ */

static int glance_session(struct my_load *load, const struct sql_value *column,
			  struct convo_err *err)
{
	struct sql_row row = {.no = column[0].number,
			      .position = column[1].number,
			      .created_us = column[2].number,
			      .updated_us = column[3].number,
			      .expires_us = column[4].number,
			      .kept_seq = column[5].number,
			      .first_seq = column[5].number,
			      .last_seq = column[6].number,
			      .state_bytes = column[7].number,
			      .generation = (const unsigned char *)column[9].text.data,
			      .session = cv_text_of(load->key->session),
			      .title = column[10].text};
	struct store_meta meta;
	int rc = cv_sql_row_check(&row, load->where, err);

	if (rc < 0)
		return rc;
	load->found = true;
	load->state = row.state_bytes || column[8].number;
	meta = cv_sql_row_meta(&row);
	return cv_session_set_meta(load->into, &meta, err);
}

static int glance_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct my_load *load = ctx;
	int rc;

	if (!load->found) {
		rc = glance_session(load, column, err);
		if (rc < 0)
			return rc;
	}
	return load->state ? 0 : load_event(ctx, column + GLANCE_COLUMNS, err);
}

static int load_glance(struct my_store *my, const struct store_call *call, struct my_load *load,
		       struct convo_err *err)
{
	const struct store_window *window = load->window;
	const int64_t end = window->kind == CONVO_WINDOW_BEFORE ? window->seq - 1 : STORE_SEQ_MAX;
	const char *app = load->key->app, *user = load->key->user;
	struct my_query query = {.text = MY_GLANCE,
				 .begin = load_begin,
				 .take = {{GLANCE_SESSION LOAD_EVENT, glance_row}},
				 .ctx = load};
	struct my_args args = {0};

	cv_my_bytes(&args, app, strlen(app));
	cv_my_bytes(&args, user, strlen(user));
	cv_my_int(&args, end);
	cv_my_int(&args, call->event_limit);
	cv_my_int(&args, call->event_limit);
	cv_my_int(&args, end);
	cv_my_int(&args, window->n);
	cv_my_key(&args, load->key);
	cv_my_int(&args, call->now_us);
	return cv_my_call(my, call, true, &query, &args, err);
}

static int load_call(struct my_store *my, const struct store_call *call, struct my_load *load,
		     struct convo_err *err)
{
	const struct store_window *window = load->window;
	const bool around = window->kind == CONVO_WINDOW_AROUND;
	struct my_query query = {.text = MY_LOAD,
				 .begin = load_begin,
				 .take = {{cv_sql_columns[SQL_FIND], load_session},
					  {"itj", load_state},
					  {LOAD_EVENT, load_event}},
				 .ctx = load};
	struct my_args args = {0};

	cv_my_key(&args, load->key);
	cv_my_int(&args, call->now_us);
	cv_my_int(&args, call->event_limit);
	cv_my_int(&args, window->kind);
	cv_my_int(&args, window->n);
	cv_my_int(&args, window->seq);
	cv_my_bytes(&args, around ? window->around : NULL, UUID_BYTES);
	return cv_my_call(my, call, true, &query, &args, err);
}

int cv_my_load(struct convo_store *store, const struct store_call *call,
	       const struct convo_key *key, const struct store_window *window,
	       struct convo_session *into, struct convo_err *err)
{
	struct my_store *my = cv_my_of(store);
	struct my_load load = {.where = store->where, .window = window, .key = key, .into = into};
	bool newest = window->kind == CONVO_WINDOW_LAST || window->kind == CONVO_WINDOW_BEFORE;
	int rc = 0;

	/* One session is like the one before, in all likelihood. */
	if (newest && window->n <= GLANCE_EVENTS && !atomic_load(&my->state))
		rc = load_glance(my, call, &load, err);
	if (rc < 0)
		return rc;
	if (!load.found || load.state)
		rc = load_call(my, call, &load, err);
	if (rc < 0)
		return rc;
	if (!load.found)
		return cv_refuse_notfound(err, key);
	if (atomic_load(&my->state) != load.state)
		atomic_store(&my->state, load.state);
	return window->kind == CONVO_WINDOW_AROUND && !load.events ? cv_refuse_event(err, key) : 0;
}
