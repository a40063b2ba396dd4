/*
 * Every call, for the network suite; see network_calls.h.
 */
#include "store/shared/network_calls.h"

#include <stdatomic.h>
#include <stdio.h>

#include <support/test.h>

#define HELLO "{\"role\":\"user\",\"content\":\"hello\"}"
#define LARGE ((4u << 20) - 1024) /* bytes of an event of the largest append: 16 MiB in all */

static int events_append(struct network_try *try, convo_store *store, const char *message,
			 size_t count, const struct convo_call *bounds, struct convo_err *err)
{
	struct convo_event events[4] = {{0}};

	for (size_t i = 0; i < count; i++) {
		convo_uuid_make(try->id[i]);
		events[i].id = try->id[i];
		events[i].message = message;
	}
	return convo_store_append(store, &try->key, NULL, events, count, NULL, bounds, err);
}

void network_prepare(struct network_try *try, const struct network_call *call, convo_store *healthy)
{
	static atomic_int number;
	const struct convo_item item = {.name = "a", .json = "1"};
	const struct convo_create create = {.title = "title", .state = &item, .state_count = 1};
	struct convo_err err;

	try->key.app = "network";
	try->key.user = test_text("u%d", (int)++number);
	try->key.session = "s";
	if (call->fresh)
		return;
	must_pass(convo_store_create(healthy, &try->key, &create, NULL, NULL, &err));
	must_pass(events_append(try, healthy, HELLO, 3, NULL, &err));
	if (call->deleted)
		must_pass(convo_store_delete(healthy, &try->key, NULL, &err));
}

/* ---- what is seen over the healthy network ------------------------------------------------ */

static convo_session *seen(const struct network_try *try, convo_store *healthy)
{
	struct convo_window none = {.kind = CONVO_WINDOW_NONE};
	convo_session *session = NULL;
	struct convo_err err;

	if (convo_store_load(&session, healthy, &try->key, &none, NULL, &err) < 0)
		must_equal(CONVO_E_NOTFOUND, err.code);
	return session;
}

static bool is_alive(const struct network_try *try, convo_store *healthy)
{
	convo_session *session = seen(try, healthy);

	convo_session_free(session);
	return session != NULL;
}

static bool is_gone(const struct network_try *try, convo_store *healthy)
{
	return !is_alive(try, healthy);
}

static bool is_longer(const struct network_try *try, convo_store *healthy)
{
	convo_session *session = seen(try, healthy);
	bool longer = session && convo_session_meta(session)->last_seq > 3;

	convo_session_free(session);
	return longer;
}

static bool is_renamed(const struct network_try *try, convo_store *healthy)
{
	convo_session *session = seen(try, healthy);
	bool renamed = session && strcmp(convo_session_meta(session)->title, "other") == 0;

	convo_session_free(session);
	return renamed;
}

static bool is_purged(const struct network_try *try, convo_store *healthy)
{
	convo_cursor *cursor = NULL;
	struct convo_err err;
	size_t count;

	must_pass(convo_cursor_new(&cursor, try->key.app, try->key.user, CONVO_LIST_TRASH, &err));
	must_pass(convo_store_list(healthy, cursor, 2, &count, NULL, &err));
	convo_cursor_free(cursor);
	return !count;
}

/* What the name "a" holds, as text of a static buffer; "" when it is not there. */
static const char *state_of(const struct network_try *try, convo_store *healthy, const char *name)
{
	static char text[16];
	struct convo_err err;
	char *json = NULL;

	text[0] = '\0';
	if (convo_store_state_get(&json, healthy, &try->key, name, NULL, &err) >= 0 && json)
		snprintf(text, sizeof(text), "%s", json);
	free(json);
	return text;
}

static bool is_set(const struct network_try *try, convo_store *healthy)
{
	return strcmp(state_of(try, healthy, "a"), "2") == 0;
}

static bool is_set_for_all(const struct network_try *try, convo_store *healthy)
{
	bool user = strcmp(state_of(try, healthy, "user:b"), "2") == 0;

	must_equal(user, is_set(try, healthy)); /* one step */
	return user;
}

static bool is_removed(const struct network_try *try, convo_store *healthy)
{
	return !*state_of(try, healthy, "a");
}

/* ---- the calls ---------------------------------------------------------------------------- */

static int run_create(struct network_try *try, convo_store *store, const struct convo_call *bounds,
		      struct convo_err *err)
{
	return convo_store_create(store, &try->key, NULL, NULL, bounds, err);
}

static int run_append(struct network_try *try, convo_store *store, const struct convo_call *bounds,
		      struct convo_err *err)
{
	return events_append(try, store, HELLO, 1, bounds, err);
}

/* The most that one append may bring. */
static int run_append_large(struct network_try *try, convo_store *store,
			    const struct convo_call *bounds, struct convo_err *err)
{
	static const char head[] = "{\"role\":\"user\",\"content\":\"", tail[] = "\"}";
	size_t room = LARGE - sizeof(head) - sizeof(tail);
	char *message = malloc(LARGE);
	int rc;

	must(message);
	memcpy(message, head, sizeof(head) - 1);
	memset(message + sizeof(head) - 1, 'x', room);
	memcpy(message + sizeof(head) - 1 + room, tail, sizeof(tail));
	rc = events_append(try, store, message, 4, bounds, err);
	free(message);
	return rc;
}

static int load(struct network_try *try, convo_store *store, const struct convo_window *window,
		const struct convo_call *bounds, struct convo_err *err)
{
	convo_session *session = NULL;
	int rc = convo_store_load(&session, store, &try->key, window, bounds, err);

	must(rc < 0 ? !session : session != NULL);
	convo_session_free(session);
	return rc;
}

static int run_load(struct network_try *try, convo_store *store, const struct convo_call *bounds,
		    struct convo_err *err)
{
	return load(try, store, NULL, bounds, err);
}

static int run_load_last(struct network_try *try, convo_store *store,
			 const struct convo_call *bounds, struct convo_err *err)
{
	return load(try, store, &(struct convo_window){.n = 2}, bounds, err);
}

static int run_load_after(struct network_try *try, convo_store *store,
			  const struct convo_call *bounds, struct convo_err *err)
{
	return load(try, store, &(struct convo_window){.kind = CONVO_WINDOW_AFTER, .seq = 1},
		    bounds, err);
}

static int run_load_before(struct network_try *try, convo_store *store,
			   const struct convo_call *bounds, struct convo_err *err)
{
	return load(try, store, &(struct convo_window){CONVO_WINDOW_BEFORE, .n = 2, .seq = 3},
		    bounds, err);
}

static int run_load_around(struct network_try *try, convo_store *store,
			   const struct convo_call *bounds, struct convo_err *err)
{
	return load(try, store,
		    &(struct convo_window){CONVO_WINDOW_AROUND, .n = 3, .id = try->id[1]}, bounds,
		    err);
}

static int run_load_none(struct network_try *try, convo_store *store,
			 const struct convo_call *bounds, struct convo_err *err)
{
	return load(try, store, &(struct convo_window){.kind = CONVO_WINDOW_NONE}, bounds, err);
}

static int run_read(struct network_try *try, convo_store *store, const struct convo_call *bounds,
		    struct convo_err *err)
{
	const struct convo_event *event = NULL;
	convo_reader *reader = NULL;
	int rc = convo_reader_new(&reader, &try->key, NULL, err), count = 0;

	while (rc >= 0) {
		rc = convo_store_read(&event, store, reader, bounds, err);
		if (rc < 0 || !event)
			break;
		count++;
	}
	must(rc < 0 || count == 3);
	convo_reader_free(reader);
	return rc;
}

static int run_rename(struct network_try *try, convo_store *store, const struct convo_call *bounds,
		      struct convo_err *err)
{
	return convo_store_rename(store, &try->key, "other", bounds, err);
}

static int list(struct network_try *try, convo_store *store, enum convo_list_what what,
		const struct convo_call *bounds, struct convo_err *err)
{
	convo_cursor *cursor = NULL;
	size_t count = 0;
	int rc = convo_cursor_new(&cursor, try->key.app, try->key.user, what, err);

	if (rc >= 0)
		rc = convo_store_list(store, cursor, 2, &count, bounds, err);
	must(rc < 0 || count == 1);
	convo_cursor_free(cursor);
	return rc;
}

static int run_list(struct network_try *try, convo_store *store, const struct convo_call *bounds,
		    struct convo_err *err)
{
	return list(try, store, CONVO_LIST_LIVE, bounds, err);
}

static int run_list_trash(struct network_try *try, convo_store *store,
			  const struct convo_call *bounds, struct convo_err *err)
{
	return list(try, store, CONVO_LIST_TRASH, bounds, err);
}

static int run_delete(struct network_try *try, convo_store *store, const struct convo_call *bounds,
		      struct convo_err *err)
{
	return convo_store_delete(store, &try->key, bounds, err);
}

static int run_restore(struct network_try *try, convo_store *store, const struct convo_call *bounds,
		       struct convo_err *err)
{
	return convo_store_restore(store, &try->key, NULL, bounds, err);
}

static int run_purge(struct network_try *try, convo_store *store, const struct convo_call *bounds,
		     struct convo_err *err)
{
	return convo_store_purge(store, &try->key, NULL, bounds, err);
}

static int run_state_get(struct network_try *try, convo_store *store,
			 const struct convo_call *bounds, struct convo_err *err)
{
	char *json = NULL;
	int rc = convo_store_state_get(&json, store, &try->key, "a", bounds, err);

	must(rc < 0 ? !json : json != NULL);
	free(json);
	return rc;
}

static int run_state_set(struct network_try *try, convo_store *store,
			 const struct convo_call *bounds, struct convo_err *err)
{
	const struct convo_item item = {.name = "a", .json = "2"};

	return convo_store_state_set(store, &try->key, &item, 1, bounds, err);
}

static int run_state_set_for_all(struct network_try *try, convo_store *store,
				 const struct convo_call *bounds, struct convo_err *err)
{
	const struct convo_item items[] = {{.name = "a", .json = "2"},
					   {.name = "user:b", .json = "2"},
					   {.name = "app:c", .json = "2"}};

	return convo_store_state_set(store, &try->key, items, 3, bounds, err);
}

static int run_state_delete(struct network_try *try, convo_store *store,
			    const struct convo_call *bounds, struct convo_err *err)
{
	return convo_store_state_delete(store, &try->key, "a", bounds, err);
}

static int run_state_list(struct network_try *try, convo_store *store,
			  const struct convo_call *bounds, struct convo_err *err)
{
	convo_state *state = NULL;
	int rc = convo_store_state_list(&state, store, &try->key, CONVO_SCOPE_SESSION, bounds, err);

	must(rc < 0 ? !state : convo_state_count(state) == 1);
	convo_state_free(state);
	return rc;
}

static int run_clean(struct network_try *try, convo_store *store, const struct convo_call *bounds,
		     struct convo_err *err)
{
	(void)try;
	return convo_store_clean(store, NULL, bounds, err);
}

const struct network_call network_calls[] = {
	{"create", .repeats = true, .fresh = true, .run = run_create, .done = is_alive},
	{"append", .repeats = true, .run = run_append, .done = is_longer},
	{"append of 16 MiB", .repeats = true, .large = true, .run = run_append_large,
	 .done = is_longer},
	{"load", .repeats = true, .run = run_load},
	{"load of the last", .repeats = true, .run = run_load_last},
	{"load after", .repeats = true, .run = run_load_after},
	{"load before", .repeats = true, .run = run_load_before},
	{"load around", .repeats = true, .run = run_load_around},
	{"load of none", .repeats = true, .run = run_load_none},
	{"read", .repeats = true, .run = run_read},
	{"rename", .run = run_rename, .done = is_renamed},
	{"list", .repeats = true, .run = run_list},
	{"list of the trash", .repeats = true, .deleted = true, .run = run_list_trash},
	{"delete", .run = run_delete, .done = is_gone},
	{"restore", .deleted = true, .run = run_restore, .done = is_alive},
	{"purge", .deleted = true, .run = run_purge, .done = is_purged},
	{"state_get", .repeats = true, .run = run_state_get},
	{"state_set", .run = run_state_set, .done = is_set},
	{"state_set for all", .run = run_state_set_for_all, .done = is_set_for_all},
	{"state_delete", .run = run_state_delete, .done = is_removed},
	{"state_list", .repeats = true, .run = run_state_list},
	{"clean", .optional = true, .run = run_clean},
};
const int network_call_count = sizeof(network_calls) / sizeof(network_calls[0]);
