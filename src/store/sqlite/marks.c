/*
 * Marks of sessions in the SQLite store, for those who watch them (W1): a number that changes with
 * whatever happens to a session. A connection keeps those it has read; SQLite tells it by one number
 * whether anybody has written the file since, so asking again costs a look at that.
 */
#include <store/sqlite/store.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/fail.h>

/* Most marks that are kept; beyond that all are forgotten. */
#define SEEN_MOST 100000

struct seen_session {
	struct chain_node chain; /* first; its hash is the tag of the key */
	uint64_t mark;           /* 0: absent */
	int64_t expires_us;
	char names[]; /* app, user, session, each with its NUL */
};

void cv_sqlite_seen_clear(struct sqlite_seen *seen)
{
	size_t i;

	for (i = 0; i < seen->sessions.buckets; i++) {
		struct chain_node *at = seen->sessions.bucket[i];

		while (at) {
			struct chain_node *next = at->next;

			free(at);
			at = next;
		}
	}
	cv_chain_clear(&seen->sessions);
}

int cv_sqlite_seen_check(struct sqlite_db *db, struct sqlite_seen *seen, struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_VERSION);
	int64_t version;
	int rc = cv_sqlite_step(&query, err);

	if (rc <= 0)
		return rc < 0 ? rc : cv_sqlite_damaged(db, err);
	version = cv_sqlite_int(&query, INT64_MIN, INT64_MAX);
	cv_sqlite_end(&query);
	if (version != seen->version || seen->sessions.count > SEEN_MOST)
		cv_sqlite_seen_clear(seen);
	seen->version = version;
	return 0;
}

static struct seen_session *seen_find(const struct sqlite_seen *seen, const struct convo_key *key,
				      uint64_t tag)
{
	struct chain_node *at;

	for (at = cv_chain_first(&seen->sessions, tag); at; at = at->next) {
		struct seen_session *session = (struct seen_session *)at;
		const char *user = session->names + strlen(session->names) + 1;

		if (at->hash == tag && strcmp(session->names, key->app) == 0 &&
		    strcmp(user, key->user) == 0 &&
		    strcmp(user + strlen(user) + 1, key->session) == 0)
			return session;
	}
	return NULL;
}

static struct seen_session *seen_make(struct sqlite_seen *seen, const struct convo_key *key,
				      uint64_t tag)
{
	size_t app = strlen(key->app) + 1, user = strlen(key->user) + 1;
	size_t id = strlen(key->session) + 1;
	struct seen_session *session = cv_alloc(1, sizeof(*session) + app + user + id);

	if (!session || !cv_chain_reserve(&seen->sessions, 1)) {
		free(session);
		return NULL;
	}
	memcpy(session->names, key->app, app);
	memcpy(session->names + app, key->user, user);
	memcpy(session->names + app + user, key->session, id);
	session->chain.hash = tag;
	return session;
}

static uint64_t mark_mix(uint64_t mark, uint64_t value)
{
	mark = (mark ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return mark ^ (mark >> 32);
}

/* What a program of the version before writes shows in the times and the seq alone. */
static uint64_t mark_read(struct sqlite_query *query)
{
	unsigned char generation[UUID_BYTES];
	uint64_t half[2], mark;
	int i;

	cv_sqlite_uuid(query, generation);
	memcpy(half, generation, sizeof(half));
	mark = mark_mix(half[0], half[1]);
	for (i = 0; i < 3; i++)
		mark = mark_mix(mark, (uint64_t)cv_sqlite_int(query, 0, INT64_MAX));
	return mark ? mark : 1;
}

/* A row that is damaged keeps nobody else from being heard of: it is news whenever anything is. */
static int seen_read(struct sqlite_db *db, const struct sqlite_seen *seen,
		     const struct convo_key *key, struct seen_session *session,
		     struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_MARK);
	int rc;

	cv_sqlite_bind_name(&query, key);
	rc = cv_sqlite_step(&query, err);
	if (rc <= 0)
		return rc;
	session->mark = mark_read(&query);
	session->expires_us = cv_sqlite_int(&query, 0, INT64_MAX);
	if (query.damaged)
		session->mark = mark_mix(1, (uint64_t)seen->version);
	cv_sqlite_end(&query);
	return 0;
}

int cv_sqlite_seen_mark(struct sqlite_db *db, struct sqlite_seen *seen,
			const struct store_call *call, const struct convo_key *key, uint64_t *mark,
			struct convo_err *err)
{
	uint64_t tag = cv_key_tag(key);
	struct seen_session *session = seen_find(seen, key, tag);
	int rc;

	if (!session) {
		session = seen_make(seen, key, tag);
		if (!session)
			return cv_fail_nomem(err);
		rc = seen_read(db, seen, key, session, err);
		if (rc < 0) {
			free(session);
			return rc;
		}
		cv_chain_add(&seen->sessions, &session->chain);
	}
	*mark = session->expires_us && session->expires_us <= call->now_us ? 0 : session->mark;
	return 0;
}
