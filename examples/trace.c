/*
 * A long conversation read event by event, each call bounded, and a listener that hears what the
 * store does meanwhile.
 *
 *     $ trace
 *     open: ok
 *     create: ok
 *     append: ok, 20 events
 *     load: ok, 8 events
 *     load: ok, 2 events
 *     the last: {"role":"user","content":"10"}
 *     rename: not found
 *     close: ok
 */
#include <stdio.h>

#include <convo/convo.h>

/* Called as each call ends, in the thread that made it. */
static void print_call(void *ctx, const struct convo_trace_call *call)
{
	FILE *out = (FILE *)ctx;

	fprintf(out, "%s: %s", call->op, convo_code_name(call->code));
	if (call->events)
		fprintf(out, ", %lld events", (long long)call->events);
	fprintf(out, "\n");
}

static int add_twenty(convo_store *store, const struct convo_key *key, struct convo_err *err)
{
	struct convo_event events[20] = {{0}};
	char messages[20][40];
	int i;

	for (i = 0; i < 20; i++) {
		snprintf(messages[i], sizeof(messages[i]), "{\"role\":\"user\",\"content\":\"%d\"}",
			 i + 1);
		events[i].message = messages[i];
	}
	return convo_store_append(store, key, NULL, events, 20, NULL, NULL, err);
}

/* The first ten, one after the other; as many could be millions. */
static int read_ten(convo_store *store, const struct convo_key *key, struct convo_err *err)
{
	struct convo_window window = {.kind = CONVO_WINDOW_AFTER, .n = 10};
	struct convo_call call = {.timeout_ms = 2000}; /* for each page; not the store's 5 s */
	const struct convo_event *event = NULL;
	convo_reader *reader = NULL;
	char last[64] = "";
	int rc = convo_reader_new(&reader, key, &window, err);

	if (rc < 0)
		return rc;
	for (;;) {
		rc = convo_store_read(&event, store, reader, &call, err);
		if (rc < 0 || !event)
			break;
		snprintf(last, sizeof(last), "%s", event->message);
	}
	if (rc >= 0)
		printf("the last: %s\n", last);
	convo_reader_free(reader);
	return rc;
}

int main(void)
{
	struct convo_trace trace = {.on_call = print_call, .ctx = stdout};
	struct convo_store_options opts = {
		.clean_interval_ms = CONVO_OFF, /* only when convo_store_clean() is called */
		.trace = &trace,
	};
	struct convo_key key = {.app = "example", .user = "ann", .session = "long"};
	struct convo_key other = {.app = "example", .user = "ann", .session = "none"};
	convo_store *store = NULL;
	struct convo_err err;
	int rc;

	rc = convo_store_open(&store, "memory:", &opts, &err);
	if (rc < 0)
		goto out;
	rc = convo_store_create(store, &key, NULL, NULL, NULL, &err);
	if (rc < 0)
		goto out;
	rc = add_twenty(store, &key, &err);
	if (rc < 0)
		goto out;
	rc = read_ten(store, &key, &err);
	if (rc < 0)
		goto out;
	if (convo_store_rename(store, &other, "a title", NULL, NULL) != CONVO_E_NOTFOUND)
		printf("there is a session that was never made\n");
out:
	if (rc < 0)
		fprintf(stderr, "trace: %s\n", err.text);
	convo_store_close(store);
	return rc < 0;
}
