/*
 * Keep a conversation and read it again: the smallest use of a store. Give it a store URL, such as
 * sqlite:chats.db, and run it twice: the second run finds what the first one kept.
 *
 *     $ hello
 *     1 user: Where is Kyoto?
 *     2 assistant: On Honshu, west of Tokyo.
 */
#include <stdio.h>
#include <stdlib.h>

#include <convo/convo.h>

static int print_events(const convo_session *session, struct convo_err *err)
{
	size_t i;

	for (i = 0; i < convo_session_count(session); i++) {
		const struct convo_event *event = convo_session_event(session, i);
		char *text = NULL;
		int rc = convo_message_text(&text, event->message, event->message_len, err);

		if (rc < 0)
			return rc;
		printf("%lld %s: %s\n", (long long)event->seq, event->role, text);
		convo_free(text);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *url = argc > 1 ? argv[1] : "memory:";
	struct convo_key key = {.app = "hello", .user = "ann", .session = "trip"};
	struct convo_event events[] = {
		{.message = "{\"role\":\"user\",\"content\":\"Where is Kyoto?\"}"},
		{.message = "{\"role\":\"assistant\",\"content\":\"On Honshu, west of Tokyo.\"}"},
	};
	convo_store *store = NULL;
	convo_session *session = NULL;
	struct convo_err err;
	int rc;

	rc = convo_store_open(&store, url, NULL, &err);
	if (rc < 0)
		goto out;
	rc = convo_store_create(store, &key, NULL, NULL, NULL, &err);
	if (rc < 0 && rc != CONVO_E_EXISTS)
		goto out;
	rc = convo_store_append(store, &key, NULL, events, 2, NULL, NULL, &err);
	if (rc < 0)
		goto out;
	rc = convo_store_load(&session, store, &key, NULL, NULL, &err);
	if (rc < 0)
		goto out;
	rc = print_events(session, &err);
out:
	if (rc < 0)
		fprintf(stderr, "hello: %s\n", err.text);
	convo_session_free(session);
	convo_store_close(store);
	return rc < 0;
}
