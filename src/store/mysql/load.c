/*
 * Loading a session: {p}read() returns its row, the names of its state, its draft if that is asked for,
 * and its events. A server takes
 * several times as long for a procedure as for what it reads, so the newest events of a session are
 * asked for by one statement first, which is one view as well. Where that finds none, or says that
 * there is state or a draft, the procedure is called.
 */
#include <store/mysql/store.h>

#include <base/fail.h>
#include <base/json.h>
#include <store/mysql/more.h>
#include <store/mysql/pack.h>

/* seq, time, id, status, the text fields, and the texts that the JSON type would change. */
#define LOAD_EVENT \
	"iiui"     \
	"ttTTTT"   \
	"jJJJ"     \
	"T"

enum { LOAD_FIELDS = 4, LOAD_EXACT = LOAD_FIELDS + FIELD_COUNT };

/* What MY_GLANCE says of the session in each row, before the event. */
#define GLANCE_SESSION "iiiiiiiiiutT"

enum { GLANCE_COLUMNS = sizeof(GLANCE_SESSION) - 1 };

/* The row of a session with what else it has. */
#define LOAD_SESSION "iiiiiiiiiiiiiiuttT"

/* A piece of the draft: its id, where it begins, the fields of the draft in the first one, its bytes. */
#define LOAD_DRAFT "uiTTTTTt"

/* Fields of a draft that stand beside its message, in the order of the columns. */
static const enum event_field draft_fields[] = {FIELD_ROLE, FIELD_AUTHOR, FIELD_TURN, FIELD_MODEL,
						FIELD_EXTRA};

enum { DRAFT_FIELDS = sizeof(draft_fields) / sizeof(draft_fields[0]) };

/* A draft being put together: its fields lie one behind the other, the message last. */
struct my_draft {
	struct cv_buf text;
	unsigned char id[UUID_BYTES];
	bool has[DRAFT_FIELDS];
	size_t end[DRAFT_FIELDS]; /* of each field in the text; the message begins at the last */
};

/* More events than that are not worth the session's columns in each row. */
#define GLANCE_EVENTS 200

struct my_load {
	const char *where;
	const struct store_window *window;
	const struct convo_key *key;
	struct convo_session *into;
	bool found, state; /* the session; a name of state */
	bool has_draft;
	int64_t last_seq, events;
	struct my_draft draft;
};

static void load_begin(void *ctx)
{
	struct my_load *load = ctx;

	load->found = load->state = load->has_draft = false;
	cv_buf_reset(&load->draft.text);
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
	rc = cv_my_more(&meta, &load->has_draft, &column[SQL_ROW_COLUMNS], load->where, err);
	return rc < 0 ? rc : cv_session_set_meta(load->into, &meta, err);
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

/* ---- the draft -------------------------------------------------------------------------- */

static int draft_begin(struct my_draft *draft, const struct sql_value *column)
{
	int i, rc = 0;

	memcpy(draft->id, column[0].text.data, UUID_BYTES);
	for (i = 0; i < DRAFT_FIELDS && rc == 0; i++) {
		const struct cv_text text = column[2 + i].text;

		draft->has[i] = column[2 + i].kind != SQL_NULL;
		if (text.len)
			rc = cv_buf_add(&draft->text, text.data, text.len);
		draft->end[i] = draft->text.len;
	}
	return rc;
}

static int load_draft(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct my_load *load = ctx;
	struct my_draft *draft = &load->draft;
	const struct cv_text part = column[2 + DRAFT_FIELDS].text;
	int64_t pos = column[1].number;
	int rc = 0;

	if (!load->has_draft)
		return cv_sql_damaged(err, load->where);
	if (pos == 0)
		rc = draft_begin(draft, column);
	if (rc == 0 && draft->text.len - draft->end[DRAFT_FIELDS - 1] != (size_t)pos)
		return cv_sql_damaged(err, load->where);
	if (rc == 0)
		rc = cv_buf_add(&draft->text, part.data, part.len);
	return rc < 0 ? cv_buf_fail(err, rc) : 0;
}

/* Hand out what has been put together, if it is what may be stored as an event. */
static int draft_end(struct my_load *load, struct convo_err *err)
{
	const struct my_draft *draft = &load->draft;
	struct store_event event = {0};
	const char *text = cv_buf_str(&draft->text);
	size_t at = 0;
	int i;

	memcpy(event.id, draft->id, UUID_BYTES);
	for (i = 0; i < DRAFT_FIELDS; i++) {
		if (draft->has[i])
			event.field[draft_fields[i]] =
				(struct cv_text){text + at, draft->end[i] - at};
		at = draft->end[i];
	}
	event.field[FIELD_MESSAGE] = (struct cv_text){text + at, draft->text.len - at};
	if (!event.field[FIELD_ROLE].data || !event.field[FIELD_AUTHOR].data ||
	    cv_json_check(event.field[FIELD_MESSAGE], "a draft", NULL) != JSON_KIND_OBJECT)
		return cv_sql_damaged(err, load->where);
	return cv_session_set_draft(load->into, &event, err);
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
	rc = cv_my_more(&meta, &load->has_draft, &column[11], load->where, err);
	return rc < 0 ? rc : cv_session_set_meta(load->into, &meta, err);
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
				 .take = {{LOAD_SESSION, load_session}, {"itj", load_state}},
				 .ctx = load};
	struct my_take *take = &query.take[2];
	struct my_args args = {0};

	if (window->draft)
		*take++ = (struct my_take){LOAD_DRAFT, load_draft};
	*take = (struct my_take){LOAD_EVENT, load_event};
	cv_my_key(&args, load->key);
	cv_my_int(&args, call->now_us);
	cv_my_int(&args, call->event_limit);
	cv_my_int(&args, window->kind);
	cv_my_int(&args, window->n);
	cv_my_int(&args, window->seq);
	cv_my_bytes(&args, around ? window->around : NULL, UUID_BYTES);
	cv_my_int(&args, window->draft);
	return cv_my_call(my, call, true, &query, &args, err);
}

static int load_both(struct my_store *my, const struct store_call *call, struct my_load *load,
		     struct convo_err *err)
{
	const struct store_window *window = load->window;
	bool newest = window->kind == CONVO_WINDOW_LAST || window->kind == CONVO_WINDOW_BEFORE;
	int rc = 0;

	/* One session is like the one before, in all likelihood. */
	if (newest && window->n <= GLANCE_EVENTS && !atomic_load(&my->state))
		rc = load_glance(my, call, load, err);
	if (rc < 0)
		return rc;
	if (!load->found || load->state || (window->draft && load->has_draft))
		rc = load_call(my, call, load, err);
	if (rc < 0)
		return rc;
	if (!load->found)
		return cv_refuse_notfound(err, load->key);
	if (atomic_load(&my->state) != load->state)
		atomic_store(&my->state, load->state);
	if (window->draft && load->has_draft)
		rc = draft_end(load, err);
	if (rc < 0)
		return rc;
	return window->kind == CONVO_WINDOW_AROUND && !load->events
		       ? cv_refuse_event(err, load->key)
		       : 0;
}

int cv_my_load(struct convo_store *store, const struct store_call *call,
	       const struct convo_key *key, const struct store_window *window,
	       struct convo_session *into, struct convo_err *err)
{
	struct my_load load = {.where = store->where,
			       .window = window,
			       .key = key,
			       .into = into,
			       .draft.text.max = MY_PACK_MAX};
	int rc = load_both(cv_my_of(store), call, &load, err);

	cv_buf_clear(&load.draft.text);
	return rc;
}
