/*
 * A turn by hand: its question takes the lease of the session, the answer is saved as it comes, and
 * whoever asks meanwhile is told for how long. Here the first program is gone in mid-answer; the one
 * that asks next finds what had come.
 *
 *     $ turn
 *     another program: busy for at most 1 s
 *     1 user: Where is Kyoto?
 *     2 assistant: On Honshu, west ... (interrupted)
 *     3 user: And Nara?
 *     4 assistant: South of it.
 */
#include <stdio.h>

#include <convo/convo.h>

static const struct convo_key key = {.app = "turn", .user = "ann", .session = "trip"};

static int ask(convo_store *store, convo_lease *lease, enum convo_hold hold, const char *question,
	       struct convo_err *err)
{
	struct convo_event event = {.message = question};
	struct convo_expect expect = {.lease = lease, .hold = hold};

	return convo_store_append(store, &key, &expect, &event, 1, NULL, NULL, err);
}

/* The answer, under the id that its drafts had, ends the lease in the same step. */
static int answer(convo_store *store, convo_lease *lease, const char *id, const char *message,
		  struct convo_err *err)
{
	struct convo_event event = {.id = id, .message = message};
	struct convo_expect expect = {.lease = lease, .hold = CONVO_HOLD_END};

	return convo_store_append(store, &key, &expect, &event, 1, NULL, NULL, err);
}

/* Ask, and be gone in the middle of the answer. */
static int half_a_turn(convo_store *store, convo_lease *lease, struct convo_err *err)
{
	struct convo_event so_far = {
		.message = "{\"role\":\"assistant\",\"content\":\"On Honshu, west\"}"};
	char id[CONVO_UUID_SIZE];
	int rc = ask(store, lease, CONVO_HOLD_TAKE,
		     "{\"role\":\"user\",\"content\":\"Where is Kyoto?\"}", err);

	if (rc < 0)
		return rc;
	convo_uuid_make(id);
	so_far.id = id;
	return convo_store_draft(store, &key, lease, &so_far, NULL, err); /* now and then */
}

/* Ask as soon as nobody else is answering. What is left of an answer is stored first. */
static int whole_turn(convo_store *store, convo_lease *lease, struct convo_err *err)
{
	const char *question = "{\"role\":\"user\",\"content\":\"And Nara?\"}";
	char id[CONVO_UUID_SIZE];
	int rc = ask(store, lease, CONVO_HOLD_TAKE, question, err);

	if (rc == CONVO_E_BUSY) {
		printf("another program: busy for at most %d s\n",
		       (int)((err->busy_ms + 999) / 1000));
		rc = ask(store, lease, CONVO_HOLD_WAIT, question, err);
	}
	if (rc < 0)
		return rc;
	convo_uuid_make(id);
	return answer(store, lease, id, "{\"role\":\"assistant\",\"content\":\"South of it.\"}",
		      err);
}

static int print_session(convo_store *store, struct convo_err *err)
{
	convo_session *session = NULL;
	size_t i;
	int rc = convo_store_load(&session, store, &key, NULL, NULL, err);

	for (i = 0; rc == 0 && i < convo_session_count(session); i++) {
		const struct convo_event *event = convo_session_event(session, i);
		char *text = NULL;

		rc = convo_message_text(&text, event->message, event->message_len, err);
		if (rc == 0)
			printf("%lld %s: %s%s\n", (long long)event->seq, event->role, text,
			       event->status == CONVO_INTERRUPTED ? " ... (interrupted)" : "");
		convo_free(text);
	}
	convo_session_free(session);
	return rc;
}

int main(void)
{
	struct convo_lease_options short_lived = {
		.ms = 1000}; /* unless it is prolonged; else 15 s */
	convo_lease *first = NULL, *next = NULL;
	convo_store *store = NULL;
	struct convo_err err;
	int rc;

	rc = convo_store_open(&store, "memory:", NULL, &err);
	if (rc < 0)
		goto out;
	rc = convo_store_create(store, &key, NULL, NULL, NULL, &err);
	if (rc < 0)
		goto out;
	rc = convo_lease_new(&first, &short_lived, &err);
	if (rc < 0)
		goto out;
	rc = convo_lease_new(&next, NULL, &err);
	if (rc < 0)
		goto out;
	rc = half_a_turn(store, first, &err);
	if (rc < 0)
		goto out;
	rc = whole_turn(store, next, &err);
	if (rc < 0)
		goto out;
	rc = print_session(store, &err);
out:
	if (rc < 0)
		fprintf(stderr, "turn: %s\n", err.text);
	convo_lease_free(first);
	convo_lease_free(next);
	convo_store_close(store);
	return rc < 0;
}
