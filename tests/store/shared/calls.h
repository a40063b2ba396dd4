/*
 * Every call of a store once, as the tests of what a server may hold or say make them: each
 * looks at all that it was given, so that a sanitizer sees what should not be there.
 */
#ifndef TESTS_STORE_SHARED_CALLS_H
#define TESTS_STORE_SHARED_CALLS_H

#include <stdlib.h>
#include <string.h>

#include <convo/store.h>

#define CALLS_HELLO "{\"role\":\"user\",\"content\":\"hello\"}"

static const struct convo_key calls_key = {"app", "user", "s"};

struct call {
	const char *name;
	int (*run)(convo_store *store, struct convo_err *err);
};

/* The bytes of a string that may be NULL. */
static inline size_t calls_see(const char *text)
{
	return text ? strlen(text) : 0;
}

static inline size_t calls_see_meta(const struct convo_meta *meta)
{
	return strlen(meta->session) + strlen(meta->title) + strlen(meta->generation);
}

static inline int call_create(convo_store *store, struct convo_err *err)
{
	const struct convo_item item = {.name = "a", .json = "1"};
	const struct convo_create create = {.title = "title", .state = &item, .state_count = 1};

	return convo_store_create(store, &calls_key, &create, NULL, NULL, err);
}

static inline int call_append(convo_store *store, struct convo_err *err)
{
	const struct convo_event event = {.message = CALLS_HELLO};

	return convo_store_append(store, &calls_key, NULL, &event, 1, NULL, NULL, err);
}

static inline int calls_load(convo_store *store, const struct convo_window *window,
			     struct convo_err *err)
{
	convo_session *session = NULL;
	int rc = convo_store_load(&session, store, &calls_key, window, NULL, err);
	size_t seen = 0, i;

	if (rc < 0)
		return rc;
	seen += calls_see_meta(convo_session_meta(session));
	for (i = 0; i < convo_session_count(session); i++) {
		const struct convo_event *event = convo_session_event(session, i);

		seen += strlen(event->id) + strlen(event->role) + strlen(event->author);
		seen += strlen(event->message) + calls_see(event->turn) + calls_see(event->model);
		seen += calls_see(event->finish_reason) + calls_see(event->error);
		seen += calls_see(event->usage) + calls_see(event->state) + calls_see(event->extra);
	}
	for (i = 0; i < convo_session_state_count(session); i++) {
		const struct convo_item *item = convo_session_state_at(session, i);

		seen += strlen(item->name) + strlen(item->json);
	}
	convo_session_free(session);
	return seen ? rc : -1;
}

static inline int call_load(convo_store *store, struct convo_err *err)
{
	return calls_load(store, NULL, err);
}

static inline int call_load_last(convo_store *store, struct convo_err *err)
{
	const struct convo_window window = {.kind = CONVO_WINDOW_LAST, .n = 2};

	return calls_load(store, &window, err);
}

static inline int call_load_after(convo_store *store, struct convo_err *err)
{
	const struct convo_window window = {.kind = CONVO_WINDOW_AFTER, .n = 2, .seq = 1};

	return calls_load(store, &window, err);
}

static inline int call_load_before(convo_store *store, struct convo_err *err)
{
	const struct convo_window window = {.kind = CONVO_WINDOW_BEFORE, .n = 2, .seq = 3};

	return calls_load(store, &window, err);
}

static inline int call_load_none(convo_store *store, struct convo_err *err)
{
	const struct convo_window window = {.kind = CONVO_WINDOW_NONE};

	return calls_load(store, &window, err);
}

static inline int calls_list(convo_store *store, enum convo_list_what what, struct convo_err *err)
{
	convo_cursor *cursor = NULL;
	size_t count = 1, i;
	int rc = convo_cursor_new(&cursor, "app", "user", what, err);

	while (rc >= 0 && count) {
		rc = convo_store_list(store, cursor, 2, &count, NULL, err);
		for (i = 0; rc >= 0 && i < count; i++)
			must(calls_see_meta(convo_cursor_meta(cursor, i)) > 0);
	}
	convo_cursor_free(cursor);
	return rc;
}

static inline int call_list(convo_store *store, struct convo_err *err)
{
	return calls_list(store, CONVO_LIST_LIVE, err);
}

static inline int call_list_trash(convo_store *store, struct convo_err *err)
{
	return calls_list(store, CONVO_LIST_TRASH, err);
}

static inline int call_rename(convo_store *store, struct convo_err *err)
{
	return convo_store_rename(store, &calls_key, "other", NULL, err);
}

static inline int call_state_set(convo_store *store, struct convo_err *err)
{
	const struct convo_item items[] = {{.name = "a", .json = "1"},
					   {.name = "user:b", .json = "2"},
					   {.name = "app:c", .json = "3"}};

	return convo_store_state_set(store, &calls_key, items, 3, NULL, err);
}

/* Of the session alone. */
static inline int call_state_set_own(convo_store *store, struct convo_err *err)
{
	const struct convo_item item = {.name = "a", .json = "1"};

	return convo_store_state_set(store, &calls_key, &item, 1, NULL, err);
}

static inline int call_state_list(convo_store *store, struct convo_err *err)
{
	convo_state *state = NULL;
	int rc = convo_store_state_list(&state, store, &calls_key,
					CONVO_SCOPE_SESSION | CONVO_SCOPE_USER | CONVO_SCOPE_APP,
					NULL, err);
	size_t i;

	for (i = 0; rc >= 0 && i < convo_state_count(state); i++) {
		const struct convo_item *item = convo_state_at(state, i);

		if (!strlen(item->name) || !item->json)
			rc = -1;
	}
	convo_state_free(state);
	return rc;
}

static inline int call_delete(convo_store *store, struct convo_err *err)
{
	return convo_store_delete(store, &calls_key, NULL, err);
}

static inline int call_restore(convo_store *store, struct convo_err *err)
{
	return convo_store_restore(store, &calls_key, NULL, NULL, err);
}

static inline int call_purge(convo_store *store, struct convo_err *err)
{
	return convo_store_purge(store, &calls_key, NULL, NULL, err);
}

#endif
