/*
 * Lists of texts as parameters of the procedures; see pack.h.
 */
#include <store/mysql/pack.h>

#include <store/mysql/exact.h>

#define MY_PACK_LARGE (64u << 10) /* of a message */

static void my_pack_text(struct my_pack *pack, struct cv_buf *index, struct cv_text text)
{
	if (pack->rc < 0)
		return;
	pack->rc = cv_buf_addf(index, "%09zu%09zu", text.data ? pack->data.len + 1 : 0, text.len);
	if (pack->rc == 0 && text.data)
		pack->rc = cv_buf_add(&pack->data, text.data, text.len);
}

/* Whether the JSON type keeps a text; see 0002.sql. */
static void my_pack_exact(struct my_pack *pack, struct cv_buf *index, struct cv_text json)
{
	enum my_exact exact = json.data ? cv_my_exact(json) : MY_EXACT_KEPT;

	if (pack->rc == 0)
		pack->rc = cv_buf_addc(index, (char)('0' + exact));
}

void cv_my_pack_changes(struct my_pack *pack, const struct store_change *changes, size_t count)
{
	size_t i;

	for (i = 0; i < count && pack->rc == 0; i++) {
		pack->scopes |= changes[i].scope;
		pack->rc = cv_buf_addf(&pack->changes, "%d%09zu", (int)changes[i].scope,
				       changes[i].event);
		my_pack_text(pack, &pack->changes, changes[i].name);
		my_pack_text(pack, &pack->changes, changes[i].value);
		my_pack_exact(pack, &pack->changes, changes[i].value);
	}
}

/* Where a short text occurs in a longer one, from 1; 0 if it does not. */
static size_t my_pack_within(struct cv_text all, struct cv_text part)
{
	const char *at = all.data, *end = all.data + all.len;

	if (!part.len || part.len > all.len)
		return 0;
	while ((at = memchr(at, *part.data, (size_t)(end - at) - part.len + 1)) != NULL) {
		if (memcmp(at, part.data, part.len) == 0)
			return (size_t)(at - all.data) + 1;
		if ((size_t)(end - ++at) < part.len)
			break;
	}
	return 0;
}

/*
 * The fields of an event. That of a large one has its message first, and of the others what occurs in
 * the message, as its role does, is not repeated. So the largest batch takes the bytes that N3 counts
 * and no more, which are as many as a server with a max_allowed_packet of 16 MiB takes.
 */
static void my_pack_fields(struct my_pack *pack, const struct store_event *event)
{
	const struct cv_text message = event->field[FIELD_MESSAGE];
	const bool large = message.len > MY_PACK_LARGE;
	size_t start = pack->data.len, within;
	int field;

	if (large)
		pack->rc = cv_buf_add(&pack->data, message.data, message.len);
	for (field = 0; field < FIELD_COUNT && pack->rc == 0; field++) {
		const struct cv_text text = event->field[field];

		within = !large ? 0 : field == FIELD_MESSAGE ? 1 : my_pack_within(message, text);
		if (within)
			pack->rc =
				cv_buf_addf(&pack->events, "%09zu%09zu", start + within, text.len);
		else
			my_pack_text(pack, &pack->events, text);
	}
}

void cv_my_pack_events(struct my_pack *pack, const struct store_event *events, size_t count)
{
	size_t i;
	int field;

	for (i = 0; i < count && pack->rc == 0; i++) {
		pack->rc = cv_buf_add(&pack->events, events[i].id, UUID_BYTES);
		if (pack->rc == 0)
			pack->rc = cv_buf_addf(&pack->events, "%d", events[i].status);
		for (field = FIELD_MESSAGE; field < FIELD_COUNT; field++)
			my_pack_exact(pack, &pack->events, events[i].field[field]);
		if (pack->rc == 0)
			my_pack_fields(pack, &events[i]);
	}
}

/* What stands beside the message goes with its first piece alone. */
static void my_pack_draft(struct my_pack *pack, const struct store_draft *draft)
{
	static const enum event_field fields[] = {FIELD_ROLE, FIELD_AUTHOR, FIELD_TURN, FIELD_MODEL,
						  FIELD_EXTRA};
	bool whole = !draft->none && !draft->pos;
	size_t i;

	my_pack_text(pack, &pack->events, cv_text_of(draft->key->app));
	my_pack_text(pack, &pack->events, cv_text_of(draft->key->user));
	my_pack_text(pack, &pack->events, cv_text_of(draft->key->session));
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		my_pack_text(pack, &pack->events,
			     whole ? draft->event.field[fields[i]] : (struct cv_text){0});
	my_pack_text(pack, &pack->events, store_draft_piece(draft));
}

void cv_my_pack_drafts(struct my_pack *pack, struct store_draft *const *drafts, size_t count)
{
	size_t i;

	for (i = 0; i < count && pack->rc == 0; i++) {
		pack->rc = cv_buf_addc(&pack->events, drafts[i]->none ? '0' : '1');
		if (pack->rc == 0)
			pack->rc = cv_buf_add(&pack->events, drafts[i]->lease, UUID_BYTES);
		if (pack->rc == 0)
			pack->rc = cv_buf_add(&pack->events, drafts[i]->event.id, UUID_BYTES);
		if (pack->rc == 0)
			pack->rc = cv_buf_addf(&pack->events, "%019lld%09zu",
					       (long long)drafts[i]->us, drafts[i]->pos);
		my_pack_draft(pack, drafts[i]);
	}
}

void cv_my_pack_clear(struct my_pack *pack)
{
	cv_buf_clear(&pack->events);
	cv_buf_clear(&pack->changes);
	cv_buf_clear(&pack->data);
}
