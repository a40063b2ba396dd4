/*
 * Leases and drafts in memory; see held.h. Time is counted by the monotonic clock: the engine is this
 * process.
 */
#include <store/memory/held.h>

#include <string.h>

#include <base/clock.h>

int64_t cv_held_left_us(const struct memory_held *held)
{
	int64_t left_us = held->until_us - cv_clock_mono_us();

	return held->until_us && left_us > 0 ? left_us : 0;
}

int cv_held_check(const struct memory_held *held, const struct store_hold *hold, bool fresh)
{
	struct store_held now = {
		.left_us = cv_held_left_us(held),
		.ended = !held->until_us,
		.has_draft = held->has_draft,
		.draft_len = (int64_t)held->field[FIELD_MESSAGE].len,
	};

	memcpy(now.lease, held->lease, UUID_BYTES);
	memcpy(now.draft, held->draft, UUID_BYTES);
	return cv_hold_check(hold, &now, fresh);
}

static void held_drop_draft(struct memory_held *held)
{
	int i;

	held->has_draft = false;
	for (i = 0; i < FIELD_COUNT; i++) {
		cv_buf_clear(&held->field[i]);
		held->has_field[i] = false;
	}
}

void cv_held_grant(struct memory_held *held, const struct store_hold *hold)
{
	if (hold->settles || hold->what == CONVO_HOLD_END)
		held_drop_draft(held);
	memcpy(held->lease, hold->lease, UUID_BYTES);
	held->until_us = hold->what == CONVO_HOLD_END ? 0 : cv_clock_mono_us() + hold->us;
}

static int held_set_field(struct memory_held *held, const struct store_draft *draft, int field)
{
	const struct cv_text *text = &draft->event.field[field];
	struct cv_buf *into = &held->field[field];

	held->has_field[field] = text->data != NULL;
	into->len = 0;
	return text->data ? cv_buf_add(into, text->data, text->len) : 0;
}

int cv_held_draft(struct memory_held *held, const struct store_draft *draft)
{
	const struct cv_text *message = &draft->event.field[FIELD_MESSAGE];
	struct cv_buf *into = &held->field[FIELD_MESSAGE];
	size_t i;

	if (!held->until_us || memcmp(held->lease, draft->lease, UUID_BYTES) != 0)
		return CONVO_E_CONFLICT;
	if (draft->none) {
		held->until_us = cv_clock_mono_us() + draft->us;
		return 0;
	}
	if (draft->pos && (!held->has_draft || draft->pos > into->len ||
			   memcmp(held->draft, draft->event.id, UUID_BYTES) != 0))
		return STORE_IN_THE_WAY;
	if (!cv_buf_room(into, message->len > into->len ? message->len - into->len : 0))
		return CONVO_E_NOMEM;
	for (i = 0; !draft->pos && i < FIELD_COUNT; i++) {
		if (i != FIELD_MESSAGE && held_set_field(held, draft, (int)i) < 0) {
			held_drop_draft(held);
			return CONVO_E_NOMEM;
		}
	}
	into->len = draft->pos;
	cv_buf_add(into, message->data + draft->pos, message->len - draft->pos);
	memcpy(held->draft, draft->event.id, UUID_BYTES);
	held->has_draft = held->has_field[FIELD_MESSAGE] = true;
	held->until_us = cv_clock_mono_us() + draft->us;
	return 0;
}

int cv_held_load(const struct memory_held *held, struct convo_session *into, struct convo_err *err)
{
	struct store_event event = {0};
	int i;

	if (!held->has_draft)
		return 0;
	memcpy(event.id, held->draft, UUID_BYTES);
	for (i = 0; i < FIELD_COUNT; i++) {
		if (held->has_field[i])
			event.field[i] =
				(struct cv_text){cv_buf_str(&held->field[i]), held->field[i].len};
	}
	return cv_session_set_draft(into, &event, err);
}

uint64_t cv_held_mark(const struct memory_held *held)
{
	uint64_t mark;

	memcpy(&mark, held->lease, sizeof(mark));
	if (!held->until_us)
		mark = ~mark;
	return mark + held->field[FIELD_MESSAGE].len;
}

void cv_held_clear(struct memory_held *held)
{
	held_drop_draft(held);
}
