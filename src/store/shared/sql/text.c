/*
 * The statements of rare.h as most engines word them, and what their rows promise. A ? stands for
 * a value; each value is bound once for each ?.
 */
#include <store/shared/sql/rare.h>

/* clang-format off */
#define THE_NAME "app = ? AND {user} = ? AND session = ?"
#define THE_LIVE_ONE THE_NAME " AND {live} AND (expires_us = 0 OR expires_us > ?)"
#define ROW \
	"no, life, position, created_us, updated_us, expires_us, deleted_us, purge_us, due_us, " \
	"kept_seq, first_seq, last_seq, last_time_ms, state_bytes, generation, session, title"
#define ROW_PROMISES "iiiiiiiiiiiiiiutt"
#define AFTER_THE_PLACE " AND position <= ? AND (position < ? OR no < ?)"
#define IN_ORDER " ORDER BY position DESC, no DESC LIMIT "
#define OWNERS(which) \
	"SELECT * FROM (SELECT app, {user} FROM {p}sessions WHERE app = ? AND {user} > ? AND " which \
	" GROUP BY app, {user} ORDER BY app, {user} LIMIT ?) AS a UNION ALL " \
	"SELECT * FROM (SELECT app, {user} FROM {p}sessions WHERE app > ? AND ? = 1 AND " which \
	" GROUP BY app, {user} ORDER BY app, {user} LIMIT ?) AS b ORDER BY 1, 2 LIMIT ?"

static const char *const sql_texts[SQL_TEXT_COUNT] = {
	[SQL_FIND] = "SELECT " ROW " FROM {p}sessions WHERE " THE_NAME " AND {live}{lock}",
	[SQL_FIND_TRASH] = "SELECT " ROW " FROM {p}sessions WHERE " THE_NAME " AND life = 1 "
		"AND purge_us > ?" IN_ORDER "1{lock}",
	[SQL_FIND_TRASH_LIFE] = "SELECT " ROW " FROM {p}sessions WHERE " THE_NAME " AND life = 1 "
		"AND purge_us > ? AND generation = ?{lock}",
	[SQL_LIST] = "SELECT " ROW " FROM {p}sessions WHERE app = ? AND {user} = ? AND {listed}"
		AFTER_THE_PLACE " AND (expires_us = 0 OR expires_us > ?)" IN_ORDER "?",
	[SQL_LIST_TRASH] = "SELECT " ROW " FROM {p}sessions WHERE app = ? AND {user} = ? "
		"AND life = 1" AFTER_THE_PLACE " AND purge_us > ?" IN_ORDER "?",
	[SQL_OWNERS] = OWNERS("{listed}"),
	[SQL_OWNERS_TRASH] = OWNERS("life = 1"),
	[SQL_RENAME] = "UPDATE {p}sessions SET title = ?, position = {greatest}(position, ?), "
		"updated_us = {greatest}(updated_us, ?), due_us = CASE WHEN ? > 0 AND "
		"(due_us = 0 OR due_us > ?) THEN ? ELSE due_us END, "
		"expires_us = CASE WHEN ? > 0 THEN ? ELSE expires_us END WHERE " THE_LIVE_ONE,
	[SQL_DELETE] = "UPDATE {p}sessions SET life = ?, position = {greatest}(position, ?), deleted_us = ?, "
		"purge_us = ?, due_us = ? WHERE " THE_LIVE_ONE,
	[SQL_PURGE] = "UPDATE {p}sessions SET life = 2, due_us = 1 WHERE " THE_NAME " AND life = 1",
	[SQL_PURGE_LIFE] = "UPDATE {p}sessions SET life = 2, due_us = 1 WHERE " THE_NAME
		" AND life = 1 AND generation = ?",
	[SQL_LIFE] = "UPDATE {p}sessions SET life = ?, position = ?, updated_us = ?, "
		"expires_us = ?, deleted_us = ?, purge_us = ?, due_us = ? WHERE no = ?",
	[SQL_TOUCH] = "UPDATE {p}sessions SET position = ?, updated_us = ?, expires_us = ?, "
		"due_us = ?, state_bytes = ? WHERE no = ?",
	[SQL_SCOPE_ADD] = "INSERT INTO {p}scopes (app, {user}, state_bytes) VALUES (?, ?, 0) "
		"ON CONFLICT (app, {user}) DO NOTHING",
	[SQL_SCOPE] = "SELECT no, state_bytes FROM {p}scopes WHERE app = ? AND {user} = ?{lock}",
	[SQL_SCOPE_BYTES] = "UPDATE {p}scopes SET state_bytes = ? WHERE no = ?",
	[SQL_STATE_BYTES] = "SELECT bytes FROM {p}state WHERE scope = ? AND owner = ? AND name = ?",
	[SQL_STATE_PUT] = "INSERT INTO {p}state (scope, owner, name, value, bytes) "
		"VALUES (?, ?, ?, ?, ?) ON CONFLICT (scope, owner, name) "
		"DO UPDATE SET value = excluded.value, bytes = excluded.bytes",
	[SQL_STATE_DROP] = "DELETE FROM {p}state WHERE scope = ? AND owner = ? AND name = ?",
	/* A row for each scope that is there, or one for each name in it. */
	[SQL_STATE_LIST] = "SELECT o.scope, t.name, t.value FROM "
		"(SELECT 1 AS scope, no AS owner FROM {p}sessions WHERE " THE_LIVE_ONE " UNION ALL "
		"SELECT 2, no FROM {p}scopes WHERE app = ? AND {user} = ? UNION ALL "
		"SELECT 4, no FROM {p}scopes WHERE app = ? AND {user} = '') AS o "
		"LEFT JOIN {p}state AS t ON t.scope = o.scope AND t.owner = o.owner "
		"AND (? IS NULL OR t.name = ?) WHERE o.scope & ? > 0",
};

const char *const cv_sql_columns[SQL_TEXT_COUNT] = {
	[SQL_FIND] = ROW_PROMISES,
	[SQL_FIND_TRASH] = ROW_PROMISES,
	[SQL_FIND_TRASH_LIFE] = ROW_PROMISES,
	[SQL_LIST] = ROW_PROMISES,
	[SQL_LIST_TRASH] = ROW_PROMISES,
	[SQL_OWNERS] = "tt",
	[SQL_OWNERS_TRASH] = "tt",
	[SQL_SCOPE] = "ii",
	[SQL_STATE_BYTES] = "i",
	[SQL_STATE_LIST] = "iTJ",
};
/* clang-format on */

/* ---- making them ready ------------------------------------------------------------------ */

static int text_add(struct cv_buf *out, const struct sql_dialect *dialect, const char **at,
		    int *values)
{
	static const char *const names[] = {"{user}", "{live}", "{listed}", "{lock}", "{greatest}"};
	const char *const fill[] = {NULL, dialect->live, dialect->listed, dialect->lock,
				    dialect->greatest};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t len = strlen(names[i]);

		if (strncmp(*at, names[i], len) != 0)
			continue;
		*at += len;
		return fill[i] ? cv_buf_adds(out, fill[i])
			       : cv_buf_addf(out, "%cuser%c", dialect->quote, dialect->quote);
	}
	if (**at != '?' || !dialect->numbered)
		return cv_buf_addc(out, *(*at)++);
	++*at;
	return cv_buf_addf(out, "$%d", ++*values);
}

int cv_sql_text(struct cv_buf *out, const struct sql_dialect *dialect, const char *prefix,
		enum sql_text text, struct convo_err *err)
{
	const char *at = dialect->texts[text] ? dialect->texts[text] : sql_texts[text];
	struct cv_buf filled = {0};
	int values = 0, rc = 0;

	while (rc == 0 && *at)
		rc = text_add(&filled, dialect, &at, &values);
	if (rc < 0)
		cv_buf_fail(err, rc);
	else
		rc = cv_sql_expand(out, dialect, prefix, cv_buf_str(&filled), err);
	cv_buf_clear(&filled);
	return rc;
}

/* ---- what is read ----------------------------------------------------------------------- */

int cv_sql_in_the_way(struct convo_err *err, const char *where)
{
	return cv_fail(err, CONVO_E_TIMEOUT, "%s: other transactions were in the way", where);
}

int cv_sql_damaged(struct convo_err *err, const char *where)
{
	return cv_fail(err, CONVO_E_IO, "%s: the database is damaged", where);
}

static bool column_is(char promised, const struct sql_value *column)
{
	bool optional = promised >= 'A' && promised <= 'Z';

	if (column->kind == SQL_NULL)
		return optional;
	if (column->kind != SQL_INT && !column->text.data)
		return false;
	switch (promised) {
	case 'i':
	case 'I':
		return column->kind == SQL_INT;
	case 'u':
	case 'U':
		return column->kind != SQL_INT && column->text.len == UUID_BYTES;
	default:
		return column->kind == SQL_TEXT || column->kind == SQL_JSON;
	}
}

int cv_sql_check_columns(const char *promised, const struct sql_value *column, size_t count,
			 const char *where, struct convo_err *err)
{
	size_t i = 0;

	while (i < count && promised[i] && column_is(promised[i], &column[i]))
		i++;
	if (promised[i] || i < count)
		return cv_sql_damaged(err, where);
	return 0;
}

/* ---- a session's row -------------------------------------------------------------------- */

/* Beyond every time and number that there can be, and far from where sums overflow. */
#define ROW_MAX (INT64_MAX / 4)

static bool row_times(const struct sql_row *row)
{
	const int64_t times[] = {row->position,   row->created_us,  row->updated_us,
				 row->expires_us, row->deleted_us,  row->purge_us,
				 row->due_us,     row->last_time_ms};
	size_t i = 0;

	while (i < sizeof(times) / sizeof(times[0]) && times[i] >= 0 && times[i] <= ROW_MAX)
		i++;
	return i == sizeof(times) / sizeof(times[0]);
}

int cv_sql_row_check(const struct sql_row *row, const char *where, struct convo_err *err)
{
	if (row->no > 0 && row->life >= SQL_LIFE_LIVE && row->life <= SQL_LIFE_DEAD &&
	    row_times(row) && row->kept_seq > 0 && row->kept_seq <= row->first_seq &&
	    row->last_seq <= STORE_SEQ_MAX && row->first_seq <= row->last_seq + 1 &&
	    row->state_bytes >= 0 && row->state_bytes <= INT32_MAX)
		return 0;
	return cv_sql_damaged(err, where);
}

int cv_sql_event_check(const struct store_event *event, const char *where, struct convo_err *err)
{
	if (event->seq > 0 && event->seq <= STORE_SEQ_MAX && event->time_ms >= 0 &&
	    event->time_ms <= ROW_MAX && event->status >= CONVO_COMPLETE &&
	    event->status <= CONVO_FAILED)
		return 0;
	return cv_sql_damaged(err, where);
}

int cv_sql_row_read(struct sql_row *row, const struct sql_value *column, const char *where,
		    struct convo_err *err)
{
	int64_t *const number[SQL_ROW_NUMBERS] = {
		&row->no,           &row->life,       &row->position,   &row->created_us,
		&row->updated_us,   &row->expires_us, &row->deleted_us, &row->purge_us,
		&row->due_us,       &row->kept_seq,   &row->first_seq,  &row->last_seq,
		&row->last_time_ms, &row->state_bytes};
	size_t i;

	for (i = 0; i < SQL_ROW_NUMBERS; i++)
		*number[i] = column[i].number;
	row->generation = (const unsigned char *)column[SQL_ROW_NUMBERS].text.data;
	row->session = column[SQL_ROW_NUMBERS + 1].text;
	row->title = column[SQL_ROW_NUMBERS + 2].text;
	return cv_sql_row_check(row, where, err);
}

struct store_meta cv_sql_row_meta(const struct sql_row *row)
{
	struct store_meta meta = {
		.session = row->session,
		.title = row->title,
		.created_us = row->created_us,
		.updated_us = row->updated_us,
		.expires_us = row->expires_us,
		.deleted_us = row->deleted_us,
		.first_seq = row->first_seq,
		.last_seq = row->last_seq,
		.position = row->position,
		.number = row->no,
	};

	memcpy(meta.generation, row->generation, UUID_BYTES);
	return meta;
}
