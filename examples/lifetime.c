/*
 * How long sessions live: a TTL of its own, the trash, and cleaning when the program wants it.
 *
 *     $ lifetime
 *     deleted: not found
 *     restored: ok
 *     after the TTL: not found
 *     cleaned: 1
 */
#include <stdio.h>
#include <time.h>

#include <convo/convo.h>

static void print_presence(convo_store *store, const struct convo_key *key, const char *when)
{
	convo_session *session = NULL;
	int rc = convo_store_load(&session, store, key, NULL, NULL, NULL);

	printf("%s: %s\n", when, convo_code_name(rc));
	convo_session_free(session);
}

static int show_trash(convo_store *store, const struct convo_key *key, struct convo_err *err)
{
	int rc = convo_store_delete(store, key, NULL, err);

	if (rc < 0)
		return rc;
	print_presence(store, key, "deleted");
	rc = convo_store_restore(store, key, NULL, NULL, err);
	if (rc < 0)
		return rc;
	print_presence(store, key, "restored");
	return 0;
}

int main(void)
{
	struct convo_store_options opts = {
		.ttl_ms = 1000,                 /* after the last write */
		.trash_ms = 60 * 1000,          /* a deleted session can be restored this long */
		.clean_interval_ms = CONVO_OFF, /* only when convo_store_clean() is called */
	};
	struct convo_key key = {.app = "lifetime", .user = "ann", .session = "short"};
	struct timespec nap = {.tv_sec = 1, .tv_nsec = 100 * 1000 * 1000};
	convo_store *store = NULL;
	int64_t removed = 0;
	struct convo_err err;
	int rc;

	rc = convo_store_open(&store, "memory:", &opts, &err);
	if (rc < 0)
		goto out;
	rc = convo_store_create(store, &key, NULL, NULL, NULL, &err);
	if (rc < 0)
		goto out;
	rc = show_trash(store, &key, &err);
	if (rc < 0)
		goto out;
	nanosleep(&nap, NULL);
	print_presence(store, &key, "after the TTL");
	rc = convo_store_clean(store, &removed, NULL, &err);
	if (rc < 0)
		goto out;
	printf("cleaned: %lld\n", (long long)removed);
out:
	if (rc < 0)
		fprintf(stderr, "lifetime: %s\n", err.text);
	convo_store_close(store);
	return rc < 0;
}
