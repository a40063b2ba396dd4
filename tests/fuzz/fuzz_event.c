/*
 * Fuzzing what a program may append: the JSON of a message and of a state delta, with a NUL between
 * them. What the store takes is JSON to another reader too, and comes back as it was given; what it
 * refuses leaves nothing behind.
 */
#include <convo/store.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct convo_key key = {"app", "user", "session"};

static convo_store *open_store(void)
{
	struct convo_store_options opts = {.trash_ms = -1, .clean_interval_ms = -1};
	convo_store *store = NULL;

	if (convo_store_open(&store, "memory:", &opts, NULL) < 0)
		abort();
	return store;
}

static void must_be_json(const char *text, size_t len)
{
	json_t *json = json_loadb(text, len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);

	if (!json)
		abort();
	json_decref(json);
}

static void check_stored(const convo_session *session, const struct convo_event *given)
{
	size_t count, i;
	const struct convo_event *events = test_events(session, &count);
	const struct convo_item *items;
	char *text = NULL;

	if (count != 1 || strcmp(events[0].message, given->message) != 0)
		abort();
	must_be_json(given->message, strlen(given->message));
	if (given->state)
		must_be_json(given->state, strlen(given->state));
	if (convo_message_text(&text, events[0].message, events[0].message_len, NULL) < 0)
		abort();
	free(text);
	items = test_state(session, &count);
	for (i = 0; i < count; i++)
		must_be_json(items[i].json, items[i].json_len);
}

/* The user's and the app's state outlive the session. */
static void forget(convo_store *store)
{
	convo_state *state = NULL;
	const struct convo_item *items;
	size_t i, count;

	if (convo_store_delete(store, &key, NULL, NULL) < 0)
		abort();
	if (convo_store_state_list(&state, store, &key, CONVO_SCOPE_USER | CONVO_SCOPE_APP, NULL,
				   NULL) < 0)
		abort();
	items = test_items(state, &count);
	for (i = 0; i < count; i++) {
		if (convo_store_state_delete(store, &key, items[i].name, NULL, NULL) < 0)
			abort();
	}
	convo_state_free(state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static convo_store *store;
	struct convo_event event = {0};
	convo_session *session = NULL;
	char *text = malloc(size + 1);
	size_t count;
	int rc;

	if (!store)
		store = open_store();
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	event.message = text;
	if (strlen(text) < size)
		event.state = text + strlen(text) + 1;

	if (convo_store_create(store, &key, NULL, NULL, NULL, NULL) < 0)
		abort();
	rc = convo_store_append(store, &key, NULL, &event, 1, NULL, NULL, NULL);
	if (convo_store_load(&session, store, &key, NULL, NULL, NULL) < 0)
		abort();
	if (rc == 0)
		check_stored(session, &event);
	else if (test_events(session, &count) && count)
		abort();
	convo_session_free(session);
	forget(store);
	free(text);
	return 0;
}
