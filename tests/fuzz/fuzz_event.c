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
	const struct convo_event *event = convo_session_event(session, 0);
	const struct convo_item *item;
	char *text = NULL;
	size_t i;

	if (convo_session_count(session) != 1 || strcmp(event->message, given->message) != 0)
		abort();
	must_be_json(given->message, strlen(given->message));
	if (given->state)
		must_be_json(given->state, strlen(given->state));
	if (convo_message_text(&text, event->message, event->message_len, NULL) < 0)
		abort();
	convo_free(text);
	for (i = 0; (item = convo_session_state_at(session, i)); i++)
		must_be_json(item->json, item->json_len);
}

/* The user's and the app's state outlive the session. */
static void forget(convo_store *store)
{
	convo_state *state = NULL;
	const struct convo_item *item;
	size_t i;

	if (convo_store_delete(store, &key, NULL, NULL) < 0)
		abort();
	if (convo_store_state_list(&state, store, &key, CONVO_SCOPE_USER | CONVO_SCOPE_APP, NULL,
				   NULL) < 0)
		abort();
	for (i = 0; (item = convo_state_at(state, i)); i++) {
		if (convo_store_state_delete(store, &key, item->name, NULL, NULL) < 0)
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
	else if (convo_session_count(session))
		abort();
	convo_session_free(session);
	forget(store);
	free(text);
	return 0;
}
