/*
 * What a watch has heard of; see model.h. News says that a session is to be looked at, so there may be
 * more of it than needed; what must not be missing is news of a session that is another one than when
 * it was loaded last. Where the engine has to be asked, one that came and went between two questions is
 * not: whoever knew of none then, and knows of none now, has missed nothing.
 */
#include "model.h"

#define SOON_MS 10000 /* far more than any news takes */
#define QUIET_MS 1000

void listen_begin(struct model *m)
{
	struct convo_err err;

	must_pass(convo_watch_new(&m->watch, m->listener, &err));
	for (int user = 0; user < USERS; user++) {
		for (int name = 0; name < NAMES; name++)
			op_watch(m, user, name);
	}
}

void listen_end(struct model *m)
{
	convo_watch_free(m->watch);
}

void op_watch(struct model *m, int user, int name)
{
	struct model_watched *watched = &m->watched[user][name];
	struct convo_key key = model_key(m, user, name);
	struct convo_err err;

	watched->watched = !watched->watched;
	if (watched->watched) {
		watched->changes++; /* of what is watched newly there is news at once */
		watched->seen_living = true;
		must_pass(convo_watch_add(m->watch, &key, watched, &err));
	} else {
		convo_watch_remove(m->watch, &key);
	}
}

/* Whether there must be news of a session. */
static bool listen_lacks(struct model *m, int user, int name)
{
	const struct model_watched *watched = &m->watched[user][name];

	return watched->watched && watched->changes != watched->seen &&
	       (watched->seen_living || model_find(m, user, name));
}

static bool listen_lacks_any(struct model *m)
{
	for (int i = 0; i < USERS * NAMES; i++) {
		if (listen_lacks(m, i / NAMES, i % NAMES))
			return true;
	}
	return false;
}

/* What one who heard of it would do: load it, by the handle that watches. */
static void listen_heard(struct model *m, const struct convo_key *key, const void *tag)
{
	convo_store *store = m->store;

	for (int i = 0; i < USERS * NAMES; i++) {
		struct model_watched *watched = &m->watched[i / NAMES][i % NAMES];

		if (tag != watched)
			continue;
		must_equal_str(model_users[i / NAMES], key->user);
		must_equal_str(model_names[i % NAMES], key->session);
		must(watched->watched);
		m->store = m->listener;
		compare_session(m, i / NAMES, i % NAMES);
		m->store = store;
		watched->seen = watched->changes;
		watched->seen_living = model_find(m, i / NAMES, i % NAMES) != NULL;
		return;
	}
	must_not_reach("news of a session that nobody watches: %s", key->session);
}

static void listen_must_not_lack(struct model *m)
{
	for (int i = 0; i < USERS * NAMES; i++) {
		if (listen_lacks(m, i / NAMES, i % NAMES))
			must_not_reach("no news of %s/'%s', which %s", model_users[i / NAMES],
				       model_names[i % NAMES],
				       model_find(m, i / NAMES, i % NAMES) ? "lives" : "is gone");
	}
}

/* Hear of what there is until it is quiet for so long, or, while some is lacking, for much longer. */
static void listen_for(struct model *m, int64_t quiet_ms)
{
	struct convo_key key;
	struct convo_err err;
	void *tag;
	int rc;

	do {
		const struct convo_call call = {.timeout_ms =
							listen_lacks_any(m) ? SOON_MS : quiet_ms};

		rc = convo_watch_next(m->watch, &key, &tag, &call, &err);
		if (rc == 0)
			listen_heard(m, &key, tag);
	} while (rc == 0);
	must_equal(CONVO_E_TIMEOUT, rc);
}

void listen_now(struct model *m)
{
	/* Quiet for as long as it takes to ask again: what was seen is what the answers were about. */
	listen_for(m, QUIET_MS);
	listen_must_not_lack(m);
}
