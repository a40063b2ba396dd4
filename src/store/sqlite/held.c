/*
 * Leases and drafts in the SQLite store (R1 to R5). Who holds a session stands in its row; the message
 * of a draft lies in pieces, of which saving it again writes those that are new.
 *
 * All programs on a file share a machine, so its time since it was started is the engine's clock. It
 * begins anew with the machine: a lease of an earlier start is over.
 */
#include <store/sqlite/write.h>

#include <stdatomic.h>
#include <stdio.h>

#include <base/clock.h>
#include <base/fail.h>
#include <base/utf8.h>

#define PIECE_BYTES 3800 /* fills a page of the file */

/* No lease holds longer (convo/lease.h): one that seems to is of another clock. */
#define HELD_MOST_US INT64_C(600000000)

/* ---- the clock -------------------------------------------------------------------------- */

static int64_t boot_read(void)
{
	unsigned char uuid[UUID_BYTES];
	char text[CONVO_UUID_SIZE] = "";
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
	int64_t boot = 1; /* who has no /proc has one start alone */

	if (!file)
		return boot;
	if (fgets(text, sizeof(text), file) && cv_uuid_parse(uuid, text))
		memcpy(&boot, uuid, sizeof(boot));
	fclose(file);
	return boot ? boot : 1;
}

/* Which start of the machine this is. */
static int64_t boot_this(void)
{
	static _Atomic int64_t known;
	int64_t boot = atomic_load_explicit(&known, memory_order_relaxed);

	if (boot)
		return boot;
	boot = boot_read();
	atomic_store_explicit(&known, boot, memory_order_relaxed);
	return boot;
}

int64_t cv_sqlite_held_left_us(const struct sqlite_held *held)
{
	int64_t left_us;

	if (!held->us || held->boot != boot_this())
		return 0;
	left_us = held->us - cv_clock_boot_us();
	return left_us > 0 && left_us <= HELD_MOST_US ? left_us : 0;
}

static void held_for(struct sqlite_held *held, int64_t us)
{
	held->us = cv_clock_boot_us() + us;
	held->boot = boot_this();
}

/* ---- leases ----------------------------------------------------------------------------- */

int cv_sqlite_held_check(const struct sqlite_job *job, const struct sqlite_row *row, bool fresh,
			 struct convo_err *err)
{
	struct store_held held = {
		.left_us = cv_sqlite_held_left_us(&row->held),
		.ended = !row->held.us,
		.has_draft = row->held.has_draft,
		.draft_len = row->held.draft_bytes,
	};
	int rc;

	memcpy(held.lease, row->held.lease, UUID_BYTES);
	memcpy(held.draft, row->held.draft, UUID_BYTES);
	rc = cv_hold_check(job->append->hold, &held, fresh);
	if (rc == CONVO_E_BUSY)
		return cv_refuse_busy(err, job->key, row->last_seq, held.left_us);
	return rc == CONVO_E_CONFLICT ? cv_refuse_lease(err, job->key, row->last_seq) : rc;
}

/* Write what the row has of a lease; `news` tells whether those who watch are to hear of it. */
static int held_write(struct sqlite_db *db, const struct sqlite_row *row, bool news,
		      struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_HOLD);
	const struct sqlite_held *held = &row->held;

	cv_sqlite_bind_uuid(&query, held->lease);
	cv_sqlite_bind_int(&query, held->us);
	cv_sqlite_bind_int(&query, held->boot);
	cv_sqlite_bind_uuid(&query, held->has_draft ? held->draft : NULL);
	cv_sqlite_bind_int(&query, held->draft_bytes);
	cv_sqlite_bind_int(&query, news);
	cv_sqlite_bind_int(&query, row->no);
	return cv_sqlite_run(&query, err);
}

static int draft_cut(struct sqlite_db *db, int64_t no, int64_t from_piece, struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_PIECES_CUT);

	cv_sqlite_bind_int(&query, no);
	cv_sqlite_bind_int(&query, from_piece);
	return cv_sqlite_run(&query, err);
}

static int draft_drop(struct sqlite_db *db, struct sqlite_row *row, struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_DRAFT_DROP);
	int rc;

	row->held.has_draft = false;
	row->held.draft_bytes = 0;
	cv_sqlite_bind_int(&query, row->no);
	rc = cv_sqlite_run(&query, err);
	return rc < 0 ? rc : draft_cut(db, row->no, 0, err);
}

int cv_sqlite_held_grant(struct sqlite_db *db, struct sqlite_row *row,
			 const struct store_hold *hold, struct convo_err *err)
{
	struct sqlite_held *held = &row->held;
	bool ours = memcmp(held->lease, hold->lease, UUID_BYTES) == 0;
	bool ends = hold->what == CONVO_HOLD_END;
	bool news = ends || hold->settles || !ours || !held->us; /* not what is prolonged */
	int rc = 0;

	if (ends && ours && !held->us && !held->has_draft)
		return 0; /* a repetition (A2) */
	if ((ends || hold->settles) && held->has_draft)
		rc = draft_drop(db, row, err);
	if (rc < 0)
		return rc;
	memcpy(held->lease, hold->lease, UUID_BYTES);
	if (ends)
		held->us = 0;
	else
		held_for(held, hold->us);
	return held_write(db, row, news, err);
}

/* ---- saving drafts ---------------------------------------------------------------------- */

/* Read the first bytes of a piece. */
static int piece_begin(struct sqlite_db *db, int64_t no, int64_t piece, char *bytes, size_t len,
		       struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_PIECE);
	struct cv_text got;
	int rc;

	cv_sqlite_bind_int(&query, no);
	cv_sqlite_bind_int(&query, piece);
	rc = cv_sqlite_step(&query, err);
	if (rc <= 0)
		return rc < 0 ? rc : cv_sqlite_damaged(db, err);
	got = cv_sqlite_blob(&query, PIECE_BYTES);
	rc = cv_sqlite_row(&query, err);
	if (rc == 0 && got.len < len)
		rc = cv_sqlite_damaged(db, err);
	if (rc == 0)
		memcpy(bytes, got.data, len);
	cv_sqlite_end(&query);
	return rc;
}

static int piece_put(struct sqlite_db *db, int64_t no, int64_t piece, const char *bytes, size_t len,
		     struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_PIECE_PUT);

	cv_sqlite_bind_int(&query, no);
	cv_sqlite_bind_int(&query, piece);
	cv_sqlite_bind_blob(&query, bytes, len);
	return cv_sqlite_run(&query, err);
}

/* Make the message that of the draft, whose first draft->pos bytes are there. */
static int draft_write(struct sqlite_db *db, const struct sqlite_row *row,
		       const struct store_draft *draft, struct convo_err *err)
{
	struct cv_text message = draft->event.field[FIELD_MESSAGE];
	size_t kept = draft->pos % PIECE_BYTES, pos = draft->pos - kept;
	int64_t piece = (int64_t)(pos / PIECE_BYTES);
	char bytes[PIECE_BYTES];
	int rc = kept ? piece_begin(db, row->no, piece, bytes, kept, err) : 0;

	while (rc == 0 && pos < message.len) {
		size_t n = message.len - pos < PIECE_BYTES ? message.len - pos : PIECE_BYTES;

		memcpy(bytes + kept, message.data + pos + kept, n - kept);
		rc = piece_put(db, row->no, piece++, bytes, n, err);
		kept = 0;
		pos += n;
	}
	if (rc == 0 && piece * PIECE_BYTES < row->held.draft_bytes)
		rc = draft_cut(db, row->no, piece, err);
	return rc;
}

static int draft_head(struct sqlite_db *db, const struct sqlite_row *row,
		      const struct store_event *event, struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_DRAFT_PUT);

	cv_sqlite_bind_int(&query, row->no);
	cv_sqlite_bind_text(&query, event->field[FIELD_ROLE]);
	cv_sqlite_bind_text(&query, event->field[FIELD_AUTHOR]);
	cv_sqlite_bind_text(&query, event->field[FIELD_TURN]);
	cv_sqlite_bind_text(&query, event->field[FIELD_MODEL]);
	cv_sqlite_bind_text(&query, event->field[FIELD_EXTRA]);
	return cv_sqlite_run(&query, err);
}

/* Save one, as backend.h has it. */
static int draft_save(struct sqlite_store *store, struct sqlite_job *job,
		      const struct store_draft *draft, struct convo_err *err)
{
	struct sqlite_row row;
	struct sqlite_held *held = &row.held;
	int rc;

	job->key = draft->key;
	rc = cv_sqlite_job_find(store, job, &row, err);
	if (rc < 0)
		return rc;
	if (!held->us || memcmp(held->lease, draft->lease, UUID_BYTES) != 0)
		return cv_refuse_lease(err, draft->key, row.last_seq);
	held_for(held, draft->us);
	if (draft->none)
		return held_write(store->writer, &row, false, err);
	if (draft->pos && (!held->has_draft || (int64_t)draft->pos > held->draft_bytes ||
			   memcmp(held->draft, draft->event.id, UUID_BYTES) != 0))
		return STORE_IN_THE_WAY;
	if (!draft->pos)
		rc = draft_head(store->writer, &row, &draft->event, err);
	if (rc == 0)
		rc = draft_write(store->writer, &row, draft, err);
	if (rc < 0)
		return rc;
	memcpy(held->draft, draft->event.id, UUID_BYTES);
	held->has_draft = true;
	held->draft_bytes = (int64_t)draft->event.field[FIELD_MESSAGE].len;
	return held_write(store->writer, &row, true, err);
}

/* Who is refused has changed nothing; where the engine fails nothing of any is kept. */
static int drafts_run(struct sqlite_store *store, struct sqlite_job *job, struct convo_err *err)
{
	size_t i;

	for (i = 0; i < job->draft_count; i++) {
		struct store_draft *draft = job->drafts[i];

		draft->rc = draft_save(store, job, draft, &draft->err);
		if (!cv_sqlite_broken(store->writer))
			continue;
		*err = draft->err;
		return draft->rc;
	}
	return 0;
}

void cv_sqlite_drafts(struct convo_store *store, const struct store_call *call,
		      struct store_draft **drafts, size_t count)
{
	struct sqlite_job job = {
		.run = drafts_run, .light = true, .drafts = drafts, .draft_count = count};
	struct convo_err err = {0};
	size_t i;

	for (i = 0; i < count; i++)
		job.base.weight += store_draft_piece(drafts[i]).len;
	if (cv_sqlite_write(store, call, &job, &err) == 0)
		return;
	for (i = 0; i < count; i++) {
		drafts[i]->rc = err.code;
		drafts[i]->err = err;
	}
}

/* ---- reading them ----------------------------------------------------------------------- */

static int draft_message(struct sqlite_db *db, const struct sqlite_row *row, struct cv_buf *into,
			 struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_PIECES);
	struct cv_text piece;
	int rc;

	into->max = (size_t)row->held.draft_bytes;
	cv_sqlite_bind_int(&query, row->no);
	while ((rc = cv_sqlite_step(&query, err)) > 0) {
		piece = cv_sqlite_blob(&query, PIECE_BYTES);
		rc = cv_sqlite_row(&query, err);
		if (rc < 0)
			return rc;
		rc = cv_buf_add(into, piece.data, piece.len);
		if (rc < 0)
			break;
	}
	cv_sqlite_end(&query);
	if (rc == CONVO_E_NOMEM)
		return cv_fail_nomem(err);
	if (rc == CONVO_E_TOOBIG)
		return cv_sqlite_damaged(db, err);
	if (rc == 0 &&
	    (into->len != into->max || !into->len || memchr(into->data, '\0', into->len) ||
	     !cv_utf8_valid(into->data, into->len)))
		return cv_sqlite_damaged(db, err);
	return rc;
}

static int draft_give(struct sqlite_query *query, const struct sqlite_row *row,
		      const struct cv_buf *message, struct convo_session *into,
		      struct convo_err *err)
{
	struct store_event event = {0};
	int rc;

	memcpy(event.id, row->held.draft, UUID_BYTES);
	event.field[FIELD_ROLE] = cv_sqlite_text(query, 0, CONVO_MAX_EVENT);
	event.field[FIELD_AUTHOR] = cv_sqlite_text(query, 0, CONVO_MAX_EVENT);
	event.field[FIELD_TURN] = cv_sqlite_text_or_null(query, CONVO_MAX_EVENT);
	event.field[FIELD_MODEL] = cv_sqlite_text_or_null(query, CONVO_MAX_EVENT);
	event.field[FIELD_EXTRA] = cv_sqlite_text_or_null(query, CONVO_MAX_EVENT);
	event.field[FIELD_MESSAGE] = (struct cv_text){message->data, message->len};
	rc = cv_sqlite_row(query, err);
	return rc < 0 ? rc : cv_session_set_draft(into, &event, err);
}

int cv_sqlite_held_load(struct sqlite_db *db, const struct sqlite_row *row,
			struct convo_session *into, struct convo_err *err)
{
	struct cv_buf message = {0};
	struct sqlite_query query;
	int rc;

	if (!row->held.has_draft)
		return 0;
	rc = draft_message(db, row, &message, err);
	if (rc < 0)
		goto out;
	query = cv_sqlite_query(db, TEXT_DRAFT);
	cv_sqlite_bind_int(&query, row->no);
	rc = cv_sqlite_step(&query, err);
	if (rc == 0)
		rc = cv_sqlite_damaged(db, err);
	else if (rc > 0)
		rc = draft_give(&query, row, &message, into, err);
	cv_sqlite_end(&query);
out:
	cv_buf_clear(&message);
	return rc;
}
