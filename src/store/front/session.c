/*
 * What the store hands out: loaded sessions, state lists, pages of metas. Each owns one arena and
 * is freed at once; backends fill them through the functions of backend.h.
 */
#include <store/front/session.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/fail.h>

/* ---- copying ---------------------------------------------------------------------------- */

/* A copy of a text, NULL for an absent one. */
static bool arena_text(struct cv_arena *arena, const char **out, struct cv_text text)
{
	*out = text.data ? cv_arena_dup(arena, text.data, text.len) : NULL;
	return *out || !text.data;
}

static bool arena_uuid(struct cv_arena *arena, const char **out, const unsigned char *uuid)
{
	char text[CONVO_UUID_SIZE];

	cv_uuid_format(text, uuid);
	*out = cv_arena_dup(arena, text, sizeof(text) - 1);
	return *out;
}

static bool meta_copy(struct cv_arena *arena, struct convo_meta *out, const struct store_meta *meta)
{
	*out = (struct convo_meta){
		.created_ms = meta->created_us / 1000,
		.updated_ms = meta->updated_us / 1000,
		.expires_ms = meta->expires_us / 1000,
		.deleted_ms = meta->deleted_us / 1000,
		.count = meta->last_seq - meta->first_seq + 1,
		.last_seq = meta->last_seq,
		.held_ms = meta->held_us > 0 ? (meta->held_us + 999) / 1000 : 0,
		.fork_session = "",
		.fork_generation = "",
		.fork_seq = meta->fork_session.data ? meta->fork_seq : 0,
	};
	return arena_text(arena, &out->session, meta->session) &&
	       arena_text(arena, &out->title, meta->title) &&
	       arena_uuid(arena, &out->generation, meta->generation) &&
	       (!meta->fork_session.data ||
		(arena_text(arena, &out->fork_session, meta->fork_session) &&
		 arena_uuid(arena, &out->fork_generation, meta->fork_generation)));
}

bool cv_meta_dup(struct cv_arena *arena, struct convo_meta *out, const struct convo_meta *meta)
{
	*out = *meta;
	return arena_text(arena, &out->session, cv_text_of(meta->session)) &&
	       arena_text(arena, &out->title, cv_text_of(meta->title)) &&
	       arena_text(arena, &out->generation, cv_text_of(meta->generation)) &&
	       arena_text(arena, &out->fork_session, cv_text_of(meta->fork_session)) &&
	       arena_text(arena, &out->fork_generation, cv_text_of(meta->fork_generation));
}

/* ---- state lists ------------------------------------------------------------------------ */

const char *cv_scope_prefix(enum convo_scope scope)
{
	switch (scope) {
	case CONVO_SCOPE_USER:
		return "user:";
	case CONVO_SCOPE_APP:
		return "app:";
	case CONVO_SCOPE_SESSION:
		break;
	}
	return "";
}

static void items_reset(struct item_list *list)
{
	list->count = 0;
}

static int items_add(struct item_list *list, struct cv_arena *arena, enum convo_scope scope,
		     struct cv_text name, struct cv_text value, struct convo_err *err)
{
	const char *prefix = cv_scope_prefix(scope);
	size_t prefix_len = strlen(prefix);
	struct convo_item *item;
	char *full;

	if (!cv_grow((void **)&list->item, &list->cap, list->count + 1, sizeof(*list->item)))
		return cv_fail_nomem(err);
	item = &list->item[list->count];
	full = cv_arena_alloc(arena, prefix_len + name.len + 1);
	item->json = cv_arena_dup(arena, value.data, value.len);
	if (!full || !item->json)
		return cv_fail_nomem(err);
	memcpy(full, prefix, prefix_len);
	memcpy(full + prefix_len, name.data, name.len);
	full[prefix_len + name.len] = '\0';
	item->name = full;
	item->json_len = value.len;
	list->count++;
	return 0;
}

static int item_compare(const void *a, const void *b)
{
	return strcmp(((const struct convo_item *)a)->name, ((const struct convo_item *)b)->name);
}

static void items_sort(struct item_list *list)
{
	if (list->count > 1)
		qsort(list->item, list->count, sizeof(*list->item), item_compare);
}

void cv_state_reset(struct convo_state *into)
{
	cv_arena_clear(&into->arena);
	items_reset(&into->items);
}

int cv_state_add(struct convo_state *into, enum convo_scope scope, struct cv_text name,
		 struct cv_text value, struct convo_err *err)
{
	return items_add(&into->items, &into->arena, scope, name, value, err);
}

void cv_state_finish(struct convo_state *state)
{
	items_sort(&state->items);
}

size_t convo_state_count(const convo_state *state)
{
	return state ? state->items.count : 0;
}

const struct convo_item *convo_state_at(const convo_state *state, size_t i)
{
	return i < convo_state_count(state) ? &state->items.item[i] : NULL;
}

void convo_state_free(convo_state *state)
{
	if (!state)
		return;
	cv_arena_clear(&state->arena);
	free(state->items.item);
	free(state);
}

/* ---- sessions --------------------------------------------------------------------------- */

static void session_let_go(struct convo_session *session)
{
	while (session->block_count)
		cv_share_drop(session->block[--session->block_count]);
}

void cv_session_reset(struct convo_session *into)
{
	session_let_go(into);
	cv_arena_clear(&into->arena);
	items_reset(&into->state);
	into->event_count = 0;
	into->bytes = 0;
	into->over = false;
	memset(&into->meta, 0, sizeof(into->meta));
	into->draft = (struct convo_event){0};
}

int cv_session_set_meta(struct convo_session *into, const struct store_meta *meta,
			struct convo_err *err)
{
	if (!meta_copy(&into->arena, &into->meta, meta))
		return cv_fail_nomem(err);
	return 0;
}

/* Make room for one event more of so many bytes, if the budget allows it. */
static int session_reserve(struct convo_session *into, size_t bytes, struct convo_err *err)
{
	if (into->budget && into->event_count && into->bytes + bytes > into->budget) {
		into->over = true;
		return cv_fail(err, CONVO_E_TOOBIG, "the window is larger than a page");
	}
	if (!cv_grow((void **)&into->event, &into->event_cap, into->event_count + 1,
		     sizeof(*into->event)))
		return cv_fail_nomem(err);
	return 0;
}

/* A copy with everything in the arena. */
static bool event_copy(struct cv_arena *arena, struct convo_event *out,
		       const struct store_event *event)
{
	const struct cv_text *field = event->field;

	*out = (struct convo_event){
		.seq = event->seq,
		.time_ms = event->time_ms,
		.status = (enum convo_status)event->status,
		.message_len = field[FIELD_MESSAGE].len,
	};
	return arena_uuid(arena, &out->id, event->id) &&
	       arena_text(arena, &out->role, field[FIELD_ROLE]) &&
	       arena_text(arena, &out->author, field[FIELD_AUTHOR]) &&
	       arena_text(arena, &out->turn, field[FIELD_TURN]) &&
	       arena_text(arena, &out->model, field[FIELD_MODEL]) &&
	       arena_text(arena, &out->finish_reason, field[FIELD_FINISH_REASON]) &&
	       arena_text(arena, &out->error, field[FIELD_ERROR]) &&
	       arena_text(arena, &out->usage, field[FIELD_USAGE]) &&
	       arena_text(arena, &out->state, field[FIELD_STATE]) &&
	       arena_text(arena, &out->extra, field[FIELD_EXTRA]) &&
	       arena_text(arena, &out->message, field[FIELD_MESSAGE]);
}

int cv_session_set_draft(struct convo_session *into, const struct store_event *event,
			 struct convo_err *err)
{
	struct store_event draft = *event;

	draft.seq = 0;
	draft.time_ms = 0;
	draft.status = CONVO_INTERRUPTED;
	return event_copy(&into->arena, &into->draft, &draft) ? 0 : cv_fail_nomem(err);
}

const struct convo_event *convo_session_draft(const convo_session *session)
{
	return session && session->draft.message ? &session->draft : NULL;
}

int cv_session_add_event(struct convo_session *into, const struct store_event *event,
			 struct convo_err *err)
{
	struct convo_event *out;
	size_t i, size = 0;
	int rc;

	for (i = 0; i < FIELD_COUNT; i++)
		size += event->field[i].len;
	rc = session_reserve(into, size, err);
	if (rc < 0)
		return rc;
	out = cv_arena_alloc(&into->arena, sizeof(*out));
	if (!out || !event_copy(&into->arena, out, event))
		return cv_fail_nomem(err);
	into->event[into->event_count++] = out;
	into->bytes += size;
	return 0;
}

/* Hold a block. What stands side by side is added side by side, so one look finds most of them. */
static int session_hold(struct convo_session *into, struct cv_share *block, struct convo_err *err)
{
	if (into->block_count && into->block[into->block_count - 1] == block)
		return 0;
	if (!cv_grow((void **)&into->block, &into->block_cap, into->block_count + 1,
		     sizeof(*into->block)))
		return cv_fail_nomem(err);
	cv_share_hold(block);
	into->block[into->block_count++] = block;
	return 0;
}

int cv_session_share_event(struct convo_session *into, const struct convo_event *event,
			   size_t bytes, struct cv_share *block, struct convo_err *err)
{
	int rc = session_reserve(into, bytes, err);

	if (rc < 0)
		return rc;
	rc = session_hold(into, block, err);
	if (rc < 0)
		return rc;
	into->event[into->event_count++] = event;
	into->bytes += bytes;
	return 0;
}

int cv_session_share_state(struct convo_session *into, const struct convo_item *item,
			   struct cv_share *block, struct convo_err *err)
{
	struct item_list *list = &into->state;
	int rc = session_hold(into, block, err);

	if (rc < 0)
		return rc;
	if (!cv_grow((void **)&list->item, &list->cap, list->count + 1, sizeof(*list->item)))
		return cv_fail_nomem(err);
	list->item[list->count++] = *item;
	return 0;
}

int cv_session_add_state(struct convo_session *into, enum convo_scope scope, struct cv_text name,
			 struct cv_text value, struct convo_err *err)
{
	return items_add(&into->state, &into->arena, scope, name, value, err);
}

static int event_compare(const void *a, const void *b)
{
	int64_t left = (*(const struct convo_event *const *)a)->seq;
	int64_t right = (*(const struct convo_event *const *)b)->seq;

	return left < right ? -1 : left > right;
}

void cv_session_finish(struct convo_session *session, int64_t event_limit)
{
	size_t i;

	for (i = 1; i < session->event_count; i++) {
		if (session->event[i]->seq < session->event[i - 1]->seq) {
			qsort(session->event, session->event_count, sizeof(*session->event),
			      event_compare);
			break;
		}
	}
	items_sort(&session->state);
	if (event_limit && session->meta.count > event_limit)
		session->meta.count = event_limit;
}

const struct convo_meta *convo_session_meta(const convo_session *session)
{
	return session ? &session->meta : NULL;
}

size_t convo_session_count(const convo_session *session)
{
	return session ? session->event_count : 0;
}

const struct convo_event *convo_session_event(const convo_session *session, size_t i)
{
	return i < convo_session_count(session) ? session->event[i] : NULL;
}

size_t convo_session_state_count(const convo_session *session)
{
	return session ? session->state.count : 0;
}

const struct convo_item *convo_session_state_at(const convo_session *session, size_t i)
{
	return i < convo_session_state_count(session) ? &session->state.item[i] : NULL;
}

const struct convo_item *convo_session_state_get(const convo_session *session, const char *name)
{
	struct convo_item wanted = {.name = name};

	if (!name || !convo_session_state_count(session))
		return NULL;
	return bsearch(&wanted, session->state.item, session->state.count, sizeof(wanted),
		       item_compare);
}

void convo_session_free(convo_session *session)
{
	if (!session)
		return;
	session_let_go(session);
	cv_arena_clear(&session->arena);
	free(session->block);
	free(session->event);
	free(session->state.item);
	free(session);
}

/* ---- pages ------------------------------------------------------------------------------ */

void cv_page_reset(struct store_page *into)
{
	cv_arena_clear(&into->arena);
	into->count = 0;
}

int cv_page_add(struct store_page *into, const struct store_meta *meta, struct convo_err *err)
{
	struct page_entry *entry;

	if (!cv_grow((void **)&into->entry, &into->cap, into->count + 1, sizeof(*into->entry)))
		return cv_fail_nomem(err);
	entry = &into->entry[into->count];
	entry->place = (struct store_place){meta->position, meta->number};
	memcpy(entry->generation, meta->generation, UUID_BYTES);
	entry->first_seq = meta->first_seq;
	if (!meta_copy(&into->arena, &entry->meta, meta))
		return cv_fail_nomem(err);
	into->count++;
	return 0;
}

size_t cv_page_count(const struct store_page *page)
{
	return page->count;
}

void cv_page_clear(struct store_page *page)
{
	cv_arena_clear(&page->arena);
	free(page->entry);
	memset(page, 0, sizeof(*page));
}
