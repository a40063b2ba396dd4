/*
 * What a store says: opens a URL, creates a session, appends, loads, and appends the
 * largest event that may be, a line each, such as
 *
 *     open: ok
 *     create: read-only: mysql 127.0.0.1:3306/chat: ...
 *
 * and goes on after a failure, but for that of opening. scripts/servers compares the lines where a
 * server is set up so that a store must refuse. A session that is there already is as good as made.
 */
#include <stdio.h>

#include <convo/store.h>

static int say(const char *call, int rc, const struct convo_err *err)
{
	if (rc < 0)
		printf("%s: %s: %s%s\n", call, convo_code_name(rc), err->text,
		       err->maybe ? " (maybe)" : "");
	else
		printf("%s: ok\n", call);
	return rc;
}

int main(int argc, char **argv)
{
	static const struct convo_key key = {.app = "says", .user = "says", .session = "says"};
	static const struct convo_store_options quiet = {.clean_interval_ms = CONVO_OFF};
	struct convo_event event = {.message = "{\"role\":\"user\",\"content\":\"Hello\"}"};
	static char large[CONVO_MAX_EVENT + 1];
	convo_session *session = NULL;
	convo_store *store = NULL;
	struct convo_err err;
	int rc;

	if (argc != 2) {
		fputs("usage: says URL\n", stderr);
		return 2;
	}
	if (say("open", convo_store_open(&store, argv[1], &quiet, &err), &err) < 0)
		return 0;
	rc = convo_store_create(store, &key, NULL, NULL, NULL, &err);
	say("create", rc == CONVO_E_EXISTS ? 0 : rc, &err);
	say("append", convo_store_append(store, &key, NULL, &event, 1, NULL, NULL, &err), &err);
	say("load", convo_store_load(&session, store, &key, NULL, NULL, &err), &err);
	convo_session_free(session);
	snprintf(large, sizeof(large), "{\"role\":\"user\",\"content\":\"%*s\"}",
		 CONVO_MAX_EVENT - 29, "");
	event.message = large;
	say("large", convo_store_append(store, &key, NULL, &event, 1, NULL, NULL, &err), &err);
	convo_store_close(store);
	return 0;
}
