/*
 * Lists of texts as parameters of the procedures; see pack.h.
 */
#include <store/mysql/pack.h>

#include <store/mysql/exact.h>

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
		for (field = 0; field < FIELD_COUNT; field++)
			my_pack_text(pack, &pack->events, events[i].field[field]);
	}
}

void cv_my_pack_clear(struct my_pack *pack)
{
	cv_buf_clear(&pack->events);
	cv_buf_clear(&pack->changes);
	cv_buf_clear(&pack->data);
}
