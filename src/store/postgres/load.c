/*
 * Loading: one call of {p}read(), whose rows are the session, its state, its draft and its events.
 */
#include <store/postgres/store.h>

#include <errno.h>
#include <stdlib.h>

#include <base/fail.h>

/* A window of more events is taken from the connection row by row. */
#define PG_LARGE 100

/* What an honest answer may take: an event of 4 MiB with as much beside it, and JSONB writes blanks
 * between what it holds. */
#define LOAD_EVENT ((size_t)16 << 20)
#define LOAD_STATE ((size_t)32 << 20)

/* The columns of {p}read(), and what the rows of each part promise. */
enum { LOAD_PART, LOAD_SEQ, LOAD_TIME, LOAD_ID, LOAD_STATUS, LOAD_FIELDS };
enum { PART_SESSION, PART_STATE, PART_EVENT, PART_NO_EVENT, PART_DRAFT };

static const char *const load_promises[] = {
	[PART_SESSION] = "iiiuittTTTTJJJJ", [PART_STATE] = "iiiUiTtTTTTjJJJ",
	[PART_EVENT] = "iiiuittTTTTjJJJ",   [PART_NO_EVENT] = "iIIUITTTTTTJJJJ",
	[PART_DRAFT] = "iiiuittTTTtJJJJ",
};

#define LOAD_COLUMNS (LOAD_FIELDS + FIELD_COUNT)

struct pg_load {
	struct convo_session *into;
	const struct convo_key *key;
	const char *where;
	bool found, no_event;
	int64_t first_seq, last_seq; /* of what is stored */
};

static void load_begin(void *ctx)
{
	struct pg_load *load = ctx;

	load->found = load->no_event = false;
	cv_session_reset(load->into);
}

/* Read numbers with a blank between them. */
static bool load_numbers(struct cv_text text, struct sql_value *number, size_t count)
{
	char copy[512], *at = copy, *end;
	size_t i;

	if (text.len >= sizeof(copy))
		return false;
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	for (i = 0; i < count; i++) {
		errno = 0;
		number[i] = (struct sql_value){.kind = SQL_INT, .number = strtoll(at, &end, 10)};
		if (errno || end == at || *end != (i + 1 < count ? ' ' : '\0'))
			return false;
		at = end + 1;
	}
	return true;
}

/* Of what it is a fork. */
static int load_fork(const struct pg_load *load, struct store_meta *meta,
		     const struct sql_value *column, struct convo_err *err)
{
	struct cv_text generation = column[LOAD_FIELDS + FIELD_MODEL].text;
	char text[CONVO_UUID_SIZE] = "";

	meta->fork_session = column[LOAD_FIELDS + FIELD_TURN].text;
	if (!meta->fork_session.data)
		return 0;
	if (generation.len < sizeof(text))
		memcpy(text, generation.data, generation.len);
	meta->fork_seq = column[LOAD_SEQ].number;
	return cv_uuid_parse(meta->fork_generation, text) ? 0 : cv_sql_damaged(err, load->where);
}

static int load_session(struct pg_load *load, const struct sql_value *column, struct convo_err *err)
{
	struct sql_value row[SQL_ROW_COLUMNS];
	struct store_meta meta;
	struct sql_row read;
	int rc;

	if (!load_numbers(column[LOAD_FIELDS + FIELD_ROLE].text, row, SQL_ROW_NUMBERS))
		return cv_sql_damaged(err, load->where);
	row[SQL_ROW_NUMBERS] = column[LOAD_ID];
	row[SQL_ROW_NUMBERS + 1] =
		(struct sql_value){.kind = SQL_TEXT, .text = cv_text_of(load->key->session)};
	row[SQL_ROW_NUMBERS + 2] = column[LOAD_FIELDS + FIELD_AUTHOR];
	rc = cv_sql_row_read(&read, row, load->where, err);
	if (rc < 0)
		return rc;
	meta = cv_sql_row_meta(&read);
	meta.held_us = column[LOAD_TIME].number;
	rc = load_fork(load, &meta, column, err);
	if (rc < 0)
		return rc;
	load->found = true;
	load->first_seq = read.first_seq;
	load->last_seq = read.last_seq;
	return cv_session_set_meta(load->into, &meta, err);
}

static int load_state(struct pg_load *load, const struct sql_value *column, struct convo_err *err)
{
	int64_t scope = column[LOAD_STATUS].number;

	if (scope != CONVO_SCOPE_SESSION && scope != CONVO_SCOPE_USER && scope != CONVO_SCOPE_APP)
		return cv_sql_damaged(err, load->where);
	return cv_session_add_state(load->into, (enum convo_scope)scope,
				    column[LOAD_FIELDS + FIELD_AUTHOR].text,
				    column[LOAD_FIELDS + FIELD_MESSAGE].text, err);
}

static int load_event(struct pg_load *load, const struct sql_value *column, struct convo_err *err)
{
	struct store_event event = {
		.seq = column[LOAD_SEQ].number,
		.time_ms = column[LOAD_TIME].number,
		.status = (int)column[LOAD_STATUS].number,
	};
	int i, rc;

	memcpy(event.id, column[LOAD_ID].text.data, UUID_BYTES);
	for (i = 0; i < FIELD_COUNT; i++)
		event.field[i] = column[LOAD_FIELDS + i].text;
	rc = cv_sql_event_check(&event, load->where, err);
	return rc < 0 ? rc : cv_session_add_event(load->into, &event, err);
}

/* Its message is in the place of an error, since it is text, not JSON that the server knows. */
static int load_draft(struct pg_load *load, const struct sql_value *column, struct convo_err *err)
{
	struct store_event event = {0};
	int i;

	memcpy(event.id, column[LOAD_ID].text.data, UUID_BYTES);
	for (i = 0; i < FIELD_COUNT; i++)
		event.field[i] = column[LOAD_FIELDS + i].text;
	event.field[FIELD_MESSAGE] = event.field[FIELD_ERROR];
	event.field[FIELD_ERROR] = (struct cv_text){NULL, 0};
	if ((uint64_t)column[LOAD_SEQ].number != event.field[FIELD_MESSAGE].len)
		return cv_sql_damaged(err, load->where);
	return cv_session_set_draft(load->into, &event, err);
}

static int load_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct pg_load *load = ctx;
	int64_t part = column[LOAD_PART].number;
	int rc;

	if (part < PART_SESSION || part > PART_DRAFT)
		return cv_sql_damaged(err, load->where);
	rc = cv_sql_check_columns(load_promises[part], column, LOAD_COLUMNS, load->where, err);
	if (rc < 0)
		return rc;
	switch (part) {
	case PART_SESSION:
		return load_session(load, column, err);
	case PART_STATE:
		return load_state(load, column, err);
	case PART_EVENT:
		return load_event(load, column, err);
	case PART_DRAFT:
		return load_draft(load, column, err);
	default:
		load->no_event = true;
		return 0;
	}
}

/* Whether all events of the window came. Those of one AROUND which the window is cannot be counted
 * without it, and it is known to have come. */
static bool load_is_whole(const struct pg_load *load, const struct store_call *call,
			  const struct store_window *window)
{
	int64_t first = store_first_shown(call, load->first_seq, load->last_seq), from, to;
	int64_t count = (int64_t)convo_session_count(load->into);

	if (window->kind == CONVO_WINDOW_AROUND)
		return true;
	cv_window_range(window, first, load->last_seq, 0, &from, &to);
	return count == (from <= to ? to - from + 1 : 0);
}

int cv_pg_load(struct convo_store *store, const struct store_call *call,
	       const struct convo_key *key, const struct store_window *window,
	       struct convo_session *into, struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	struct pg_load load = {.into = into, .key = key, .where = store->where};
	struct pg_args args = {0};
	struct pg_query query = {
		.statement = &pg->statement[PG_LOAD],
		.begin = load_begin,
		.row = load_row,
		.ctx = &load,
		.large = window->n > PG_LARGE,
		.most = LOAD_STATE,
	};
	int rc;

	if (!query.large)
		query.most += (size_t)window->n * LOAD_EVENT;
	cv_pg_args_key(&args, key);
	cv_pg_args_int(&args, call->now_us);
	cv_pg_args_int(&args, call->event_limit);
	cv_pg_args_int(&args, window->kind);
	cv_pg_args_int(&args, window->n);
	cv_pg_args_int(&args, window->seq);
	cv_pg_args_uuid(&args, window->kind == CONVO_WINDOW_AROUND ? window->around : NULL);
	cv_pg_args_int(&args, window->draft);
	rc = cv_pg_one(pg, call, &query, &args, err);
	if (rc < 0)
		return rc;
	if (load.no_event)
		return cv_refuse_event(err, key);
	if (!load.found)
		return cv_refuse_notfound(err, key);
	if (!load_is_whole(&load, call, window))
		return cv_fail(err, CONVO_E_IO,
			       "%s: events are missing: the database is damaged, or row level "
			       "security hides them",
			       store->where);
	return 0;
}
