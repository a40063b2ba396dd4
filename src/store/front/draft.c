/*
 * Saving drafts (R2). What a draft has in common with the one before it, from the front, is neither sent
 * nor checked again: an answer that comes for minutes costs each second what came in it.
 */
#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/fail.h>
#include <base/json.h>
#include <store/front/call.h>
#include <store/front/hub.h>
#include <store/front/lease.h>
#include <store/front/prepare.h>

/* The fields of a draft beside its message, which does not change while that grows. */
static const enum event_field draft_head[] = {FIELD_ROLE, FIELD_AUTHOR, FIELD_TURN, FIELD_MODEL,
					      FIELD_EXTRA};
#define DRAFT_HEAD (sizeof(draft_head) / sizeof(draft_head[0]))

/* The longest end of a message, behind what grows in it, that is looked at. */
#define TAIL_MOST 256

/* A draft on its way. */
struct saving {
	const struct convo_draft *from;
	size_t place; /* among the caller's */
	struct store_draft draft;
	struct prepared_append prepared;
	struct cv_buf head;
};

/* Drafts that go to the store in one call, of the caller's. */
struct batch {
	struct convo_draft *drafts;
	struct saving *item;
	struct store_draft **send;
	size_t count, bytes;
	/* The first of the caller's that failed so far. */
	int rc;
	size_t failed;
	struct convo_err *err;
};

/* ---- what is new ------------------------------------------------------------------------ */

/* How many bytes from the front two texts have in common. */
static size_t text_common(const char *a, const char *b, size_t len)
{
	const size_t step = 256;
	size_t n = 0;

	while (len - n >= step && memcmp(a + n, b + n, step) == 0)
		n += step;
	while (n < len && a[n] == b[n])
		n++;
	return n;
}

/* The message that was saved last under this lease, if it is of that event; else empty. */
static struct cv_text message_before(const convo_lease *lease, const char *id)
{
	unsigned char uuid[UUID_BYTES];

	if (!lease->saved || !cv_uuid_parse(uuid, id) ||
	    memcmp(lease->draft, uuid, UUID_BYTES) != 0)
		return (struct cv_text){"", 0};
	return (struct cv_text){cv_buf_str(&lease->message), lease->message.len};
}

/* Whether a text has an odd number of quotes that no backslash is in front of, and begins with one. */
static bool tail_ends_string(struct cv_text tail)
{
	bool odd = false;
	size_t i;

	if (!tail.len || tail.len > TAIL_MOST || tail.data[0] != '"')
		return false;
	for (i = 0; i < tail.len; i++) {
		if (tail.data[i] == '\\')
			i++;
		else if (tail.data[i] == '"')
			odd = !odd;
	}
	return odd;
}

/*
 * Whether a message is the one before it, which has been checked, with more in one of its strings:
 * then what is more is all there is to check. The old one is a front and a tail that begins with a quote
 * and has an odd number of them: so the front ends within a string, between two of its characters. (Were
 * it outside, or behind a backslash, the old text would end within a string; within an escape the
 * quote would have been wrong.) The new one is the front, the rest of a string, and the same tail.
 */
static bool message_grew(struct cv_text before, struct cv_text message, size_t common)
{
	struct cv_text tail = {before.data + common, before.len - common};
	struct cv_text rest = {message.data + common, message.len - common};
	size_t more;

	return tail_ends_string(tail) && cv_json_string_rest(rest, &more) &&
	       rest.len - more == tail.len && memcmp(rest.data + more, tail.data, tail.len) == 0;
}

/* ---- what is passed in ------------------------------------------------------------------ */

static int draft_check(const struct convo_event *event, struct convo_err *err)
{
	if (!event->id)
		return cv_fail(err, CONVO_E_INVALID, "a draft needs the id of its event");
	if (event->finish_reason || event->error || event->usage || event->state || event->status)
		return cv_fail(err, CONVO_E_INVALID,
			       "a draft has id, author, turn, message, model and extra alone");
	return 0;
}

static int draft_head_of(struct cv_buf *out, const struct store_event *event)
{
	size_t i;
	int rc = 0;

	for (i = 0; rc >= 0 && i < DRAFT_HEAD; i++) {
		const struct cv_text *field = &event->field[draft_head[i]];

		rc = cv_buf_add(out, &field->len, sizeof(field->len));
		if (rc >= 0 && field->len)
			rc = cv_buf_add(out, field->data, field->len);
	}
	return rc;
}

/* The role stands first in the head. */
static struct cv_text head_role(const struct cv_buf *head)
{
	size_t len;

	memcpy(&len, head->data, sizeof(len));
	return (struct cv_text){head->data + sizeof(len), len};
}

/* Check the event, and find out what is new in it. */
static int saving_read(struct saving *saving, const convo_lease *lease, struct convo_err *err)
{
	const struct convo_event *event = saving->from->event;
	struct cv_text message = cv_text_of(event->message_len ? NULL : event->message), before;
	struct cv_text role = {0};
	size_t common = 0;
	int rc = draft_check(event, err);

	if (rc < 0)
		return rc;
	if (event->message_len)
		message = (struct cv_text){event->message, event->message_len};
	before = message_before(lease, event->id);
	if (message.data)
		common = text_common(before.data, message.data,
				     before.len < message.len ? before.len : message.len);
	if (message.data && message_grew(before, message, common))
		role = head_role(&lease->head);
	rc = cv_prepare_draft(&saving->prepared, event, role, err);
	if (rc < 0)
		return rc;
	if (message.len > CONVO_MAX_DRAFT)
		return cv_fail(err, CONVO_E_TOOBIG, "a draft is larger than %u bytes",
			       CONVO_MAX_DRAFT);
	saving->draft.event = saving->prepared.one;
	rc = draft_head_of(&saving->head, &saving->draft.event);
	if (rc < 0)
		return cv_buf_fail(err, rc);
	if (saving->head.len == lease->head.len &&
	    memcmp(saving->head.data, lease->head.data, lease->head.len) == 0)
		saving->draft.pos = common;
	return 0;
}

static int saving_begin(struct saving *saving, const struct convo_draft *from,
			struct convo_err *err)
{
	int rc;

	*saving = (struct saving){.from = from};
	rc = CHECK_RESERVED(from, err);
	if (rc < 0)
		return rc;
	rc = cv_check_given(from->lease, "the lease", err);
	if (rc < 0)
		return rc;
	rc = cv_prepare_key(from->key, CONVO_SCOPE_SESSION, err);
	if (rc < 0)
		return rc;
	if (from->lease->saving)
		return cv_fail(err, CONVO_E_INVALID, "a lease stands there twice");
	saving->draft.key = from->key;
	saving->draft.us = from->lease->us;
	saving->draft.none = !from->event;
	memcpy(saving->draft.lease, from->lease->id, UUID_BYTES);
	rc = from->event ? saving_read(saving, from->lease, err) : 0;
	if (rc >= 0)
		from->lease->saving = true;
	return rc;
}

/* ---- what becomes of it ----------------------------------------------------------------- */

/* The store has it: what it sends next time is what is more. */
static void saving_keep(struct saving *saving)
{
	convo_lease *lease = saving->from->lease;
	struct cv_text piece = store_draft_piece(&saving->draft);
	struct cv_buf old = lease->head;

	lease->message.len = saving->draft.pos;
	lease->saved = cv_buf_add(&lease->message, piece.data, piece.len) >= 0;
	memcpy(lease->draft, saving->draft.event.id, UUID_BYTES);
	lease->head = saving->head;
	saving->head = old;
}

static void saving_end(struct convo_store *store, struct saving *saving)
{
	struct store_draft *draft = &saving->draft;

	saving->from->lease->saving = false;
	if (draft->rc == STORE_IN_THE_WAY)
		draft->rc = cv_fail(&draft->err, CONVO_E_IO, "%s: keeps another draft than it says",
				    store->where);
	if (draft->rc < 0 || draft->none)
		return;
	saving_keep(saving);
	cv_hub_told(store, draft->key);
}

static void saving_clear(struct saving *saving)
{
	cv_prepare_clear(&saving->prepared);
	cv_buf_clear(&saving->head);
}

/* ---- batches ---------------------------------------------------------------------------- */

/* Send what is in the way of nothing, and then as a whole what the store does not have the front of. */
static void batch_send(struct convo_store *store, const struct store_call *call,
		       struct batch *batch)
{
	size_t i, again = 0;

	for (i = 0; i < batch->count; i++) {
		struct saving *saving = &batch->item[i];

		batch->send[i] = &saving->draft;
		if (!saving->draft.none)
			saving->from->lease->saved = false;
	}
	store->be->drafts(store, call, batch->send, batch->count);
	for (i = 0; i < batch->count; i++) {
		struct store_draft *draft = &batch->item[i].draft;

		if (draft->rc != STORE_IN_THE_WAY || !draft->pos)
			continue;
		draft->pos = 0;
		batch->send[again++] = draft;
	}
	if (again)
		store->be->drafts(store, call, batch->send, again);
	for (i = 0; i < batch->count; i++)
		saving_end(store, &batch->item[i]);
}

/* Tell what became of one of the caller's. */
static void batch_told(struct batch *batch, size_t place, int rc, const struct convo_err *why)
{
	batch->drafts[place].code = rc;
	if (rc >= 0 || (batch->rc < 0 && batch->failed < place))
		return;
	batch->rc = rc;
	batch->failed = place;
	if (batch->err)
		*batch->err = *why;
}

/* Send what is in it. */
static void batch_flush(struct convo_store *store, const struct store_call *call,
			struct batch *batch)
{
	size_t i;

	if (batch->count)
		batch_send(store, call, batch);
	for (i = 0; i < batch->count; i++) {
		struct saving *saving = &batch->item[i];

		batch_told(batch, saving->place, saving->draft.rc, &saving->draft.err);
		saving_clear(saving);
	}
	batch->count = batch->bytes = 0;
}

/* Whether no more than what is in it already fits in. */
static bool batch_full(const struct batch *batch)
{
	return batch->count == STORE_DRAFTS || batch->bytes >= STORE_DRAFTS_BYTES;
}

static void batch_add(struct batch *batch, size_t place)
{
	struct saving *saving = &batch->item[batch->count];
	struct convo_err why = {0};
	int rc = saving_begin(saving, &batch->drafts[place], &why);

	if (rc < 0) {
		saving_clear(saving);
		batch_told(batch, place, rc, &why);
		return;
	}
	saving->place = place;
	batch->bytes += store_draft_piece(&saving->draft).len;
	batch->count++;
}

/* None of them was sent. */
static int drafts_refused(struct convo_draft *drafts, size_t count, int rc)
{
	size_t i;

	for (i = 0; i < count; i++)
		drafts[i].code = rc;
	return rc;
}

static int batch_run(struct convo_store *store, const struct store_call *call,
		     struct convo_draft *drafts, size_t count, struct convo_err *err)
{
	size_t room = count < STORE_DRAFTS ? count : STORE_DRAFTS, i;
	struct batch batch = {.drafts = drafts,
			      .item = cv_alloc(room, sizeof(*batch.item)),
			      .send = cv_alloc(room, sizeof(struct store_draft *)),
			      .err = err};

	if (!batch.item || !batch.send) {
		batch.rc = drafts_refused(drafts, count, cv_fail_nomem(err));
		goto out;
	}
	for (i = 0; i < count; i++) {
		if (batch_full(&batch))
			batch_flush(store, call, &batch);
		batch_add(&batch, i);
	}
	batch_flush(store, call, &batch);
out:
	free(batch.item);
	free(batch.send);
	return batch.rc;
}

int convo_store_drafts(convo_store *store, struct convo_draft *drafts, size_t count,
		       const struct convo_call *how, struct convo_err *err)
{
	struct store_call call;
	int rc = count ? cv_check_given(drafts, "the drafts", err) : 0;

	if (rc < 0)
		return rc;
	rc = cv_call_begin(&call, store, how, err);
	if (rc == 0 && count > CONVO_MAX_BATCH_EVENTS)
		rc = cv_fail(err, CONVO_E_TOOBIG, "more than %u drafts", CONVO_MAX_BATCH_EVENTS);
	if (rc < 0)
		return drafts_refused(drafts, count, rc);
	return batch_run(store, &call, drafts, count, err);
}

int convo_store_draft(convo_store *store, const struct convo_key *key, convo_lease *lease,
		      const struct convo_event *event, const struct convo_call *how,
		      struct convo_err *err)
{
	struct convo_draft draft = {.key = key, .lease = lease, .event = event};
	struct store_call call;
	int rc = cv_call_begin(&call, store, how, err);

	if (rc < 0)
		return rc;
	rc = cv_check_given(event, "the draft", err);
	return rc < 0 ? rc : batch_run(store, &call, &draft, 1, err);
}
