/*
 * Statements for several rows; see rows.h.
 */
#include <store/mysql/rows.h>

/*
 * Without the hints a server may read a small table as a whole, and lock what it reads. What becomes
 * of a session's row follows from what it was and from numbers that all rows of the statement have in
 * common. No column is read after it was set: whether that shows depends on the sql_mode.
 */
#define ROWS_FIRST "GREATEST(first_seq, last_seq + ? - ? + 1)"

static const struct rows_text {
	const char *head, *item, *between, *tail;
} rows_texts[MY_ROWS_KINDS] = {
	[MY_ROWS_FIND] = {"SELECT app, user, session, generation, no, expires_us, kept_seq, "
			  "first_seq, last_seq, last_time_ms "
			  "FROM {p}sessions FORCE INDEX (name) "
			  "WHERE (app, user, session, live) IN (",
			  "(?, ?, ?, 1)", ", ", ") FOR UPDATE SKIP LOCKED"},
	[MY_ROWS_ADD] = {"INSERT INTO {p}events (session, seq, id, time_ms, status, {fields}) "
			 "VALUES ",
			 "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", ", ", ""},
	[MY_ROWS_CUT] = {"DELETE e FROM {p}events AS e FORCE INDEX (PRIMARY) WHERE ",
			 "(e.session = ? AND e.seq >= ? AND e.seq < ?)", " OR ", ""},
	[MY_ROWS_MOVE] = {"UPDATE {p}sessions FORCE INDEX (PRIMARY) SET "
			  "position = GREATEST(position, ?), "
			  "updated_us = GREATEST(updated_us, ?), "
			  "due_us = IF(? > 0 AND (due_us = 0 OR due_us > ?), ?, due_us), "
			  "expires_us = IF(? > 0, ?, expires_us), "
			  "kept_seq = IF(? > 0, LEAST(" ROWS_FIRST ", kept_seq + ?), kept_seq), "
			  "first_seq = IF(? > 0, " ROWS_FIRST ", first_seq), "
			  "last_seq = last_seq + ?, last_time_ms = GREATEST(last_time_ms, ?) "
			  "WHERE no IN (",
			  "?", ", ", ")"},
};

const size_t cv_my_rows[MY_ROWS_SIZES] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64};

/* What of a session changes by its row, and what else it has. Two writes of one microsecond, or one of a
 * clock that is behind, still differ: see SQL_TOUCH in store.c, and the title. */
static const struct rows_text rows_marks = {
	"SELECT s.app, s.user, s.session, s.generation, s.updated_us, s.last_seq, CRC32(s.title), "
	"IFNULL(m.mark, 0) FROM {p}sessions AS s FORCE INDEX (name) "
	"LEFT JOIN {p}more AS m FORCE INDEX (PRIMARY) ON m.session = s.no "
	"WHERE (s.app, s.user, s.session, s.live) IN (",
	"(?, ?, ?, 1)", ", ", ") AND (s.expires_us = 0 OR s.expires_us > ?)"};

const size_t cv_my_mark_rows[MY_MARK_SIZES] = {1, 8, MY_MARK_ROWS};

static int rows_build(struct cv_buf *out, const struct rows_text *text, size_t rows)
{
	size_t row;
	int rc = cv_buf_adds(out, text->head);

	for (row = 0; row < rows && rc == 0; row++)
		rc = cv_buf_addf(out, "%s%s", row ? text->between : "", text->item);
	return rc < 0 ? rc : cv_buf_adds(out, text->tail);
}

int cv_my_rows_text(struct cv_buf *out, int number)
{
	return rows_build(out, &rows_texts[number / MY_ROWS_SIZES],
			  cv_my_rows[number % MY_ROWS_SIZES]);
}

int cv_my_mark_text(struct cv_buf *out, int size)
{
	return rows_build(out, &rows_marks, cv_my_mark_rows[size]);
}

static size_t rows_size(const size_t *sizes, size_t most, size_t rows)
{
	size_t size = 0;

	while (size + 1 < most && sizes[size] < rows)
		size++;
	return size;
}

size_t cv_my_rows_size(size_t rows)
{
	return rows_size(cv_my_rows, MY_ROWS_SIZES, rows);
}

size_t cv_my_mark_size(size_t rows)
{
	return rows_size(cv_my_mark_rows, MY_MARK_SIZES, rows);
}
