/*
 * Go on from an earlier point: a fork is a new session with the first events of another one, which
 * stays as it is.
 *
 *     $ fork
 *     trip, 4 events: ... By train or by plane? Train.
 *     by-plane, from trip up to event 3, 4 events: ... By train or by plane? Plane.
 */
#include <stdio.h>

#include <convo/convo.h>

static int say(convo_store *store, const struct convo_key *key, const char *message,
	       struct convo_err *err)
{
	struct convo_event event = {.message = message};

	return convo_store_append(store, key, NULL, &event, 1, NULL, NULL, err);
}

static int write_trip(convo_store *store, const struct convo_key *key, struct convo_err *err)
{
	const struct convo_event events[] = {
		{.message = "{\"role\":\"user\",\"content\":\"I want to see Kyoto.\"}"},
		{.message = "{\"role\":\"assistant\",\"content\":\"From where?\"}"},
		{.message = "{\"role\":\"assistant\",\"content\":\"By train or by plane?\"}"},
		{.message = "{\"role\":\"user\",\"content\":\"Train.\"}"},
	};
	int rc = convo_store_create(store, key, NULL, NULL, NULL, err);

	if (rc < 0)
		return rc;
	return convo_store_append(store, key, NULL, events, 4, NULL, NULL, err);
}

static int print_end(convo_store *store, const struct convo_key *key, struct convo_err *err)
{
	const struct convo_window last_two = {.n = 2};
	const struct convo_meta *meta;
	convo_session *session = NULL;
	size_t i;
	int rc = convo_store_load(&session, store, key, &last_two, NULL, err);

	if (rc < 0)
		return rc;
	meta = convo_session_meta(session);
	printf("%s, ", meta->session);
	if (meta->fork_seq)
		printf("from %s up to event %d, ", meta->fork_session, (int)meta->fork_seq);
	printf("%d events: ...", (int)meta->count);
	for (i = 0; rc == 0 && i < convo_session_count(session); i++) {
		const struct convo_event *event = convo_session_event(session, i);
		char *text = NULL;

		rc = convo_message_text(&text, event->message, event->message_len, err);
		if (rc == 0)
			printf(" %s", text);
		convo_free(text);
	}
	printf("\n");
	convo_session_free(session);
	return rc;
}

int main(void)
{
	struct convo_key trip = {.app = "fork", .user = "ann", .session = "trip"};
	struct convo_key other = {.app = "fork", .user = "ann", .session = "by-plane"};
	struct convo_fork fork = {.session = "by-plane", .upto_seq = 3};
	convo_store *store = NULL;
	struct convo_err err;
	int rc;

	rc = convo_store_open(&store, "memory:", NULL, &err);
	if (rc < 0)
		goto out;
	rc = write_trip(store, &trip, &err);
	if (rc < 0)
		goto out;
	rc = convo_store_fork(store, &trip, &fork, NULL, NULL, &err);
	if (rc < 0)
		goto out;
	rc = say(store, &other, "{\"role\":\"user\",\"content\":\"Plane.\"}", &err);
	if (rc < 0)
		goto out;
	rc = print_end(store, &trip, &err);
	if (rc < 0)
		goto out;
	rc = print_end(store, &other, &err);
out:
	if (rc < 0)
		fprintf(stderr, "fork: %s\n", err.text);
	convo_store_close(store);
	return rc < 0;
}
