/*
 * State beside the messages: names with JSON values that belong to a session, to a user or to the
 * whole app, and change in the same step as an event.
 *
 *     $ state
 *     in basket-1:
 *       app:currency = "JPY"
 *       items = ["tea"]
 *       user:language = "ja"
 *     in basket-2:
 *       app:currency = "JPY"
 *       user:language = "ja"
 */
#include <stdio.h>

#include <convo/convo.h>

/* The prefix of a name says whose it is: session, user: or app:. A temp: name is never stored. */
static int put_tea_in(convo_store *store, const struct convo_key *key, struct convo_err *err)
{
	struct convo_event event = {
		.message = "{\"role\":\"user\",\"content\":\"Tea, please. Answer in Japanese.\"}",
		.state = "{\"items\":[\"tea\"],\"user:language\":\"ja\",\"temp:step\":1}",
	};

	return convo_store_append(store, key, NULL, &event, 1, NULL, NULL, err);
}

static int print_state(convo_store *store, const struct convo_key *key, struct convo_err *err)
{
	struct convo_window no_events = {.kind = CONVO_WINDOW_NONE};
	convo_session *session = NULL;
	size_t i;
	int rc = convo_store_load(&session, store, key, &no_events, NULL, err);

	if (rc < 0)
		return rc;
	printf("in %s:\n", key->session);
	for (i = 0; i < convo_session_state_count(session); i++) {
		const struct convo_item *item = convo_session_state_at(session, i);

		printf("  %s = %s\n", item->name, item->json);
	}
	convo_session_free(session);
	return 0;
}

int main(void)
{
	struct convo_key first = {.app = "shop", .user = "ann", .session = "basket-1"};
	struct convo_key second = {.app = "shop", .user = "ann", .session = "basket-2"};
	struct convo_key app = {.app = "shop"};
	struct convo_item currency = {.name = "app:currency", .json = "\"JPY\""};
	convo_store *store = NULL;
	struct convo_err err;
	int rc;

	rc = convo_store_open(&store, "memory:", NULL, &err);
	if (rc < 0)
		goto out;
	rc = convo_store_state_set(store, &app, &currency, 1, NULL, &err);
	if (rc < 0)
		goto out;
	rc = convo_store_create(store, &first, NULL, NULL, NULL, &err);
	if (rc < 0)
		goto out;
	rc = convo_store_create(store, &second, NULL, NULL, NULL, &err);
	if (rc < 0)
		goto out;
	rc = put_tea_in(store, &first, &err);
	if (rc < 0)
		goto out;
	rc = print_state(store, &first, &err);
	if (rc < 0)
		goto out;
	rc = print_state(store, &second, &err);
out:
	if (rc < 0)
		fprintf(stderr, "state: %s\n", err.text);
	convo_store_close(store);
	return rc < 0;
}
