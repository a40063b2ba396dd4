/*
 * Follow a session that others write: wait for news, then load what is behind the last event that is
 * known. Give it a store URL and a session of user "user" in the app "convo", and it follows a chat
 * of the program until Ctrl-C; alone it shows two threads of its own.
 *
 *     $ follow
 *     1 user: Where is Kyoto?
 *     2 assistant: On Honshu.
 *     3 user: Thanks, goodbye.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <convo/convo.h>

/* Print what is new, and move *seq behind it. A session that is not there (yet) has nothing new. */
static int print_new(convo_store *store, const struct convo_key *key, int64_t *seq, int *over,
		     struct convo_err *err)
{
	struct convo_window window = {.kind = CONVO_WINDOW_AFTER, .seq = *seq};
	convo_session *session = NULL;
	size_t i;
	int rc = convo_store_load(&session, store, key, &window, NULL, err);

	if (rc == CONVO_E_NOTFOUND)
		return 0;
	for (i = 0; rc == 0 && i < convo_session_count(session); i++) {
		const struct convo_event *event = convo_session_event(session, i);
		char *text = NULL;

		rc = convo_message_text(&text, event->message, event->message_len, err);
		if (rc == 0) {
			printf("%lld %s: %s\n", (long long)event->seq, event->role, text);
			*over = strstr(text, "goodbye") != NULL;
			*seq = event->seq;
		}
		convo_free(text);
	}
	convo_session_free(session);
	return rc;
}

/* The first news comes at once: nobody knows what happened before. */
static int follow(convo_store *store, const struct convo_key *key, struct convo_err *err)
{
	convo_watch *watch = NULL;
	int64_t seq = 0;
	int over = 0;
	int rc = convo_watch_new(&watch, store, err);

	if (rc < 0)
		return rc;
	rc = convo_watch_add(watch, key, NULL, err);
	while (rc == 0 && !over) {
		rc = convo_watch_next(watch, NULL, NULL, NULL, err);
		if (rc == 0)
			rc = print_new(store, key, &seq, &over, err);
	}
	convo_watch_free(watch);
	return rc;
}

/* ---- somebody who writes ---------------------------------------------------------------- */

struct chat {
	convo_store *store;
	struct convo_key key;
};

static void *write_chat(void *ctx)
{
	const char *messages[] = {"{\"role\":\"user\",\"content\":\"Where is Kyoto?\"}",
				  "{\"role\":\"assistant\",\"content\":\"On Honshu.\"}",
				  "{\"role\":\"user\",\"content\":\"Thanks, goodbye.\"}"};
	const struct timespec moment = {.tv_nsec = 100000000};
	struct chat *chat = (struct chat *)ctx;
	struct convo_err err;
	size_t i;
	int rc = convo_store_create(chat->store, &chat->key, NULL, NULL, NULL, &err);

	for (i = 0; rc == 0 && i < 3; i++) {
		struct convo_event event = {.message = messages[i]};

		nanosleep(&moment, NULL);
		rc = convo_store_append(chat->store, &chat->key, NULL, &event, 1, NULL, NULL, &err);
	}
	if (rc < 0)
		fprintf(stderr, "follow: %s\n", err.text);
	return NULL;
}

int main(int argc, char **argv)
{
	struct chat chat = {.key = {.app = "convo", .user = "user", .session = "chat"}};
	pthread_t writer;
	struct convo_err err;
	int rc, alone = argc < 3;

	rc = convo_store_open(&chat.store, alone ? "memory:" : argv[1], NULL, &err);
	if (rc < 0)
		goto out;
	if (!alone)
		chat.key.session = argv[2];
	else if (pthread_create(&writer, NULL, write_chat, &chat) != 0)
		alone = 0;
	rc = follow(chat.store, &chat.key, &err);
	if (alone)
		pthread_join(writer, NULL);
out:
	if (rc < 0)
		fprintf(stderr, "follow: %s\n", err.text);
	convo_store_close(chat.store);
	return rc < 0;
}
