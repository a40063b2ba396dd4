/*
 * The statements of the SQLite store, and what its readers and its writer read: rows of sessions,
 * events and state. What is read is checked here, and nowhere else.
 */
#include <store/sqlite/store.h>

#define NO_MAX INT64_MAX
#define SEQ_MAX (STORE_SEQ_MAX - (int64_t)CONVO_MAX_BATCH_EVENTS)
#define TIME_MS_MAX (SQLITE_TIME_MAX / 1000)
#define BYTES_MAX ((int64_t)INT32_MAX)

#define ROW                                                                                      \
	"no, life, position, created_us, updated_us, expires_us, deleted_us, purge_us, due_us, " \
	"last_seq, first_seq, kept_seq, last_time_ms, state_bytes, generation, session, title, " \
	"lease, held_us, held_boot, draft, draft_bytes, fork_session, fork_generation, fork_seq "

/* Of an app, after a user; and of later apps, unless they are not wanted. */
#define OWNERS(life)                                                                              \
	"SELECT * FROM (SELECT DISTINCT app, user FROM {p}sessions WHERE app = ?1 AND user > ?2 " \
	"AND life = " life " ORDER BY app, user LIMIT ?4) UNION ALL "                             \
	"SELECT * FROM (SELECT DISTINCT app, user FROM {p}sessions WHERE app > ?1 AND ?3 = 1 "    \
	"AND life = " life " ORDER BY app, user LIMIT ?4) ORDER BY 1, 2 LIMIT ?4"

const char *const cv_sqlite_texts[TEXT_COUNT] = {
	/* life is compared with numbers that stand in the text: only then is it seen that the
	 * partial indexes serve. */
	[TEXT_FIND] = "SELECT " ROW "FROM {p}sessions WHERE app = ? AND user = ? AND session = ? "
		      "AND life = 0",
	[TEXT_FIND_TRASH] = "SELECT " ROW "FROM {p}sessions WHERE app = ? AND user = ? "
			    "AND session = ? AND life = 1 AND purge_us > ? "
			    "ORDER BY position DESC LIMIT 1",
	[TEXT_FIND_TRASH_LIFE] = "SELECT " ROW "FROM {p}sessions WHERE app = ? AND user = ? "
				 "AND session = ? AND life = 1 AND purge_us > ? "
				 "AND generation = ?",
	[TEXT_FIND_DUE] = "SELECT " ROW "FROM {p}sessions WHERE due_us > 0 AND due_us <= ? "
			  "ORDER BY due_us LIMIT 1",
	[TEXT_LIST] = "SELECT " ROW "FROM {p}sessions WHERE app = ? AND user = ? AND life = 0 "
		      "AND (position, no) < (?, ?) AND (expires_us = 0 OR expires_us > ?) "
		      "ORDER BY position DESC, no DESC LIMIT ?",
	[TEXT_LIST_TRASH] = "SELECT " ROW "FROM {p}sessions WHERE app = ? AND user = ? "
			    "AND life = 1 AND (position, no) < (?, ?) AND purge_us > ? "
			    "ORDER BY position DESC, no DESC LIMIT ?",
	[TEXT_OWNERS] = OWNERS("0"),
	[TEXT_OWNERS_TRASH] = OWNERS("1"),
	[TEXT_CREATE] = "INSERT INTO {p}sessions (app, user, session, generation, title, life, "
			"position, created_us, updated_us, expires_us, deleted_us, purge_us, "
			"due_us, kept_seq, first_seq, last_seq, last_time_ms, state_bytes) "
			"VALUES (?, ?, ?, ?, ?, 0, ?6, ?6, ?6, ?7, 0, 0, ?7, 1, 1, 0, 0, 0)",
	[TEXT_FORK] = "INSERT INTO {p}sessions (app, user, session, generation, title, life, "
		      "position, created_us, updated_us, expires_us, deleted_us, purge_us, "
		      "due_us, kept_seq, first_seq, last_seq, last_time_ms, state_bytes, "
		      "fork_session, fork_generation, fork_seq) "
		      "VALUES (?, ?, ?, ?, ?, 0, ?6, ?6, ?6, ?7, 0, 0, ?7, ?8, ?8, ?9, ?10, ?11, "
		      "?12, ?13, ?9)",
	/* What an append changes: no column of an index but that of the list. */
	[TEXT_TOUCH] = "UPDATE {p}sessions SET position = ?, updated_us = ?, expires_us = ?, "
		       "kept_seq = ?, first_seq = ?, last_seq = ?, last_time_ms = ?, "
		       "state_bytes = ?, changes = changes + 1 WHERE no = ?",
	[TEXT_TITLE] = "UPDATE {p}sessions SET title = ? WHERE no = ?",
	[TEXT_HOLD] = "UPDATE {p}sessions SET lease = ?, held_us = ?, held_boot = ?, draft = ?, "
		      "draft_bytes = ?, changes = changes + ? WHERE no = ?",
	[TEXT_LIFE] = "UPDATE {p}sessions SET life = ?, position = ?, updated_us = ?, "
		      "expires_us = ?, deleted_us = ?, purge_us = ?, due_us = ?, "
		      "changes = changes + 1 WHERE no = ?",
	[TEXT_DUE] = "UPDATE {p}sessions SET due_us = ? WHERE no = ?",
	[TEXT_KEPT] = "UPDATE {p}sessions SET kept_seq = ? WHERE no = ?",
	[TEXT_PURGE] = "UPDATE {p}sessions SET life = 2, due_us = 1 "
		       "WHERE app = ? AND user = ? AND session = ? AND life = 1",
	[TEXT_PURGE_LIFE] = "UPDATE {p}sessions SET life = 2, due_us = 1 "
			    "WHERE app = ? AND user = ? AND session = ? AND life = 1 "
			    "AND generation = ?",
	[TEXT_REMOVE] = "DELETE FROM {p}sessions WHERE no = ?",

	[TEXT_EVENTS] = "SELECT seq, id, time_ms, status, {fields} FROM {p}events "
			"WHERE session = ? AND seq BETWEEN ? AND ? ORDER BY seq",
	[TEXT_EVENT_SEQ] = "SELECT seq FROM {p}events WHERE id = ? AND session = ?",
	[TEXT_EVENT_ADD] = "INSERT INTO {p}events (session, seq, id, time_ms, status, {fields}) "
			   "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[TEXT_EVENTS_CUT] = "DELETE FROM {p}events WHERE session = ? AND seq BETWEEN ? AND ?",
	[TEXT_EVENTS_FORK] = "INSERT INTO {p}events (session, seq, id, time_ms, status, {fields}) "
			     "SELECT ?, seq, id, time_ms, status, {fields} FROM {p}events "
			     "WHERE session = ? AND seq BETWEEN ? AND ? ORDER BY seq",
	[TEXT_EVENT_TIME] = "SELECT time_ms FROM {p}events WHERE session = ? AND seq = ?",
	[TEXT_WEIGH] = "SELECT coalesce(sum(length(CAST(e.message AS BLOB))), 0) "
		       "FROM {p}sessions s JOIN {p}events e ON e.session = s.no "
		       "AND e.seq BETWEEN ? AND ? WHERE s.no = ? AND s.generation = ? "
		       "AND s.life = 0 AND (s.expires_us = 0 OR s.expires_us > ?)",

	[TEXT_SCOPE] = "SELECT no, state_bytes FROM {p}scopes WHERE app = ? AND user = ?",
	[TEXT_SCOPE_ADD] = "INSERT INTO {p}scopes (app, user, state_bytes) VALUES (?, ?, 0)",
	[TEXT_SCOPE_BYTES] = "UPDATE {p}scopes SET state_bytes = ? WHERE no = ?",
	[TEXT_STATE] = "SELECT name, value FROM {p}state WHERE scope = ? AND owner = ?",
	[TEXT_STATE_ONE] = "SELECT name, value FROM {p}state "
			   "WHERE scope = ? AND owner = ? AND name = ?",
	[TEXT_STATE_PUT] = "INSERT INTO {p}state (scope, owner, name, value) VALUES (?, ?, ?, ?) "
			   "ON CONFLICT DO UPDATE SET value = excluded.value",
	[TEXT_STATE_DROP] = "DELETE FROM {p}state WHERE scope = ? AND owner = ? AND name = ?",
	[TEXT_STATE_CUT] = "DELETE FROM {p}state WHERE scope = 1 AND owner = ?1 AND name IN "
			   "(SELECT name FROM {p}state WHERE scope = 1 AND owner = ?1 LIMIT ?2)",
	[TEXT_STATE_FORK] = "INSERT INTO {p}state (scope, owner, name, value) "
			    "SELECT 1, ?, name, value FROM {p}state WHERE scope = 1 AND owner = ?",

	[TEXT_DRAFT] = "SELECT role, author, turn, model, extra FROM {p}drafts WHERE session = ?",
	[TEXT_DRAFT_PUT] = "INSERT OR REPLACE INTO {p}drafts (session, role, author, turn, model, "
			   "extra) VALUES (?, ?, ?, ?, ?, ?)",
	[TEXT_DRAFT_DROP] = "DELETE FROM {p}drafts WHERE session = ?",
	[TEXT_PIECE] = "SELECT bytes FROM {p}pieces WHERE session = ? AND piece = ?",
	[TEXT_PIECES] = "SELECT bytes FROM {p}pieces WHERE session = ? ORDER BY piece",
	[TEXT_PIECE_PUT] = "INSERT INTO {p}pieces (session, piece, bytes) VALUES (?, ?, ?) "
			   "ON CONFLICT DO UPDATE SET bytes = excluded.bytes",
	[TEXT_PIECES_CUT] = "DELETE FROM {p}pieces WHERE session = ? AND piece >= ?",

	[TEXT_MARK] = "SELECT generation, changes, updated_us, last_seq, expires_us "
		      "FROM {p}sessions WHERE app = ? AND user = ? AND session = ? AND life = 0",
	[TEXT_VERSION] = "PRAGMA data_version",

	[TEXT_SAVEPOINT] = "SAVEPOINT job",
	[TEXT_RELEASE] = "RELEASE job",
	[TEXT_UNDO] = "ROLLBACK TO job",
};

/* ---- sessions --------------------------------------------------------------------------- */

static size_t row_copy(char out[CONVO_MAX_NAME + 1], struct cv_text text)
{
	size_t len = text.len < CONVO_MAX_NAME ? text.len : CONVO_MAX_NAME;

	if (text.data)
		memcpy(out, text.data, len);
	out[len] = '\0';
	return len;
}

static int64_t row_time(struct sqlite_query *query)
{
	return cv_sqlite_int(query, 0, SQLITE_TIME_MAX);
}

/* What nobody has ever held has nothing more to tell. */
static void row_held(struct sqlite_query *query, struct sqlite_held *held)
{
	if (!cv_sqlite_uuid_or_null(query, held->lease)) {
		*held = (struct sqlite_held){0};
		query->columns += 4;
		return;
	}
	held->us = row_time(query);
	held->boot = cv_sqlite_int(query, INT64_MIN, INT64_MAX);
	held->has_draft = cv_sqlite_uuid_or_null(query, held->draft);
	held->draft_bytes = cv_sqlite_int(query, 0, CONVO_MAX_DRAFT);
}

static void row_fork(struct sqlite_query *query, struct sqlite_row *row)
{
	struct cv_text session = cv_sqlite_text_or_null(query, CONVO_MAX_NAME);

	row->is_fork = session.data != NULL;
	row->fork_len = row_copy(row->fork, session);
	row->fork_seq = 0;
	memset(row->fork_generation, 0, UUID_BYTES);
	if (!row->is_fork) {
		query->columns += 2;
		return;
	}
	if (!session.len)
		query->damaged = true;
	cv_sqlite_uuid(query, row->fork_generation);
	row->fork_seq = cv_sqlite_int(query, 0, SEQ_MAX);
}

int cv_sqlite_row_step(struct sqlite_query *query, struct sqlite_row *row, struct convo_err *err)
{
	int rc = cv_sqlite_step(query, err);

	if (rc <= 0)
		return rc;
	row->no = cv_sqlite_int(query, 1, NO_MAX);
	row->life = cv_sqlite_int(query, LIFE_LIVE, LIFE_DEAD);
	row->position = row_time(query);
	row->created_us = row_time(query);
	row->updated_us = row_time(query);
	row->expires_us = row_time(query);
	row->deleted_us = row_time(query);
	row->purge_us = row_time(query);
	row->due_us = row_time(query);
	row->last_seq = cv_sqlite_int(query, 0, SEQ_MAX);
	row->first_seq = cv_sqlite_int(query, 1, row->last_seq + 1);
	/* Of the dead, cleaning takes away what they showed. */
	row->kept_seq = cv_sqlite_int(query, 1,
				      row->life == LIFE_DEAD ? row->last_seq + 1 : row->first_seq);
	row->last_time_ms = cv_sqlite_int(query, 0, TIME_MS_MAX);
	row->state_bytes = cv_sqlite_int(query, 0, BYTES_MAX);
	cv_sqlite_uuid(query, row->generation);
	row->session_len = row_copy(row->session, cv_sqlite_text(query, 1, CONVO_MAX_NAME));
	row->title_len = row_copy(row->title, cv_sqlite_text(query, 0, CONVO_MAX_NAME));
	row_held(query, &row->held);
	row_fork(query, row);
	rc = cv_sqlite_row(query, err);
	return rc < 0 ? rc : 1;
}

struct store_meta cv_sqlite_row_meta(const struct sqlite_row *row)
{
	struct store_meta meta = {
		.session = {row->session, row->session_len},
		.title = {row->title, row->title_len},
		.created_us = row->created_us,
		.updated_us = row->updated_us,
		.expires_us = row->expires_us,
		.deleted_us = row->deleted_us,
		.first_seq = row->first_seq,
		.last_seq = row->last_seq,
		.position = row->position,
		.number = row->no,
		.held_us = cv_sqlite_held_left_us(&row->held),
		.fork_seq = row->fork_seq,
	};

	memcpy(meta.generation, row->generation, UUID_BYTES);
	memcpy(meta.fork_generation, row->fork_generation, UUID_BYTES);
	if (row->is_fork)
		meta.fork_session = (struct cv_text){row->fork, row->fork_len};
	return meta;
}

void cv_sqlite_bind_name(struct sqlite_query *query, const struct convo_key *key)
{
	cv_sqlite_bind_text(query, cv_text_of(key->app));
	cv_sqlite_bind_text(query, cv_text_of(key->user));
	cv_sqlite_bind_text(query, cv_text_of(key->session));
}

int cv_sqlite_find(struct sqlite_db *db, const struct store_call *call, const struct convo_key *key,
		   struct sqlite_row *row, struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_FIND);
	int rc;

	row->no = 0;
	cv_sqlite_bind_name(&query, key);
	rc = cv_sqlite_row_step(&query, row, err);
	if (rc <= 0)
		return rc;
	rc = cv_sqlite_run(&query, err);
	if (rc < 0)
		return rc;
	return !row->expires_us || row->expires_us > call->now_us;
}

/* ---- events and state ------------------------------------------------------------------- */

int cv_sqlite_event_step(struct sqlite_query *query, struct store_event *event,
			 struct convo_err *err)
{
	int field, rc = cv_sqlite_step(query, err);

	if (rc <= 0)
		return rc;
	event->seq = cv_sqlite_int(query, 1, SEQ_MAX);
	cv_sqlite_uuid(query, event->id);
	event->time_ms = cv_sqlite_int(query, 0, TIME_MS_MAX);
	event->status = (int)cv_sqlite_int(query, CONVO_COMPLETE, CONVO_FAILED);
	for (field = 0; field < FIELD_COUNT; field++)
		event->field[field] = cv_sqlite_text_or_null(query, CONVO_MAX_EVENT);
	/* They are set in every event. */
	if (!event->field[FIELD_ROLE].data || !event->field[FIELD_AUTHOR].data ||
	    !event->field[FIELD_MESSAGE].data)
		query->damaged = true;
	rc = cv_sqlite_row(query, err);
	return rc < 0 ? rc : 1;
}

int cv_sqlite_event_seq(struct sqlite_db *db, const struct sqlite_row *row, const unsigned char *id,
			int64_t *seq, struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_EVENT_SEQ);
	int rc;

	cv_sqlite_bind_uuid(&query, id);
	cv_sqlite_bind_int(&query, row->no);
	rc = cv_sqlite_step(&query, err);
	if (rc <= 0)
		return rc;
	*seq = cv_sqlite_int(&query, 1, row->last_seq);
	rc = cv_sqlite_row(&query, err);
	if (rc < 0)
		return rc;
	cv_sqlite_end(&query);
	return 1;
}

int cv_sqlite_state_step(struct sqlite_query *query, struct cv_text *name, struct cv_text *value,
			 struct convo_err *err)
{
	int rc = cv_sqlite_step(query, err);

	if (rc <= 0)
		return rc;
	*name = cv_sqlite_text(query, 0, CONVO_MAX_NAME);
	*value = cv_sqlite_text(query, 1, CONVO_MAX_VALUE);
	rc = cv_sqlite_row(query, err);
	return rc < 0 ? rc : 1;
}

int cv_sqlite_scope(struct sqlite_db *db, enum convo_scope scope, const struct convo_key *key,
		    int64_t *owner, int64_t *bytes, struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_SCOPE);
	int rc;

	cv_sqlite_bind_text(&query, cv_text_of(key->app));
	cv_sqlite_bind_text(&query, cv_text_of(scope == CONVO_SCOPE_USER ? key->user : ""));
	rc = cv_sqlite_step(&query, err);
	if (rc <= 0)
		return rc;
	*owner = cv_sqlite_int(&query, 1, NO_MAX);
	*bytes = cv_sqlite_int(&query, 0, BYTES_MAX);
	rc = cv_sqlite_row(&query, err);
	if (rc < 0)
		return rc;
	cv_sqlite_end(&query);
	return 1;
}
