/*
 * The sessions that are watched, those who watch them, and news of them. See watched.h.
 */
#include <store/front/watched.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>

/* FNV-1a over the names with their ends, which no name holds. */
uint64_t cv_key_tag(const struct convo_key *key)
{
	const char *const names[] = {key->app, key->user, key->session};
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	size_t i;

	for (i = 0; i < 3; i++) {
		const char *at = names[i];

		do
			hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
		while (*at++);
	}
	return hash ^ (hash >> 29);
}

/* ---- sessions ------------------------------------------------------------------------------- */

void cv_watched_changed(struct store_hub *hub, struct hub_session *session)
{
	if (session->changed)
		return;
	session->changed = true;
	session->next_changed = hub->changed;
	hub->changed = session;
	convo_cancel_request(hub->wake);
}

struct hub_session *cv_watched_find(struct store_hub *hub, const struct convo_key *key,
				    uint64_t tag)
{
	struct chain_node *at;

	for (at = cv_chain_first(&hub->sessions, tag); at; at = at->next) {
		struct hub_session *session = (struct hub_session *)at;

		if (at->hash == tag && strcmp(session->key.session, key->session) == 0 &&
		    strcmp(session->key.user, key->user) == 0 &&
		    strcmp(session->key.app, key->app) == 0)
			return session;
	}
	return NULL;
}

struct hub_session *cv_watched_make(struct store_hub *hub, const struct convo_key *key,
				    uint64_t tag)
{
	size_t app = strlen(key->app) + 1, user = strlen(key->user) + 1;
	size_t id = strlen(key->session) + 1;
	struct hub_session *session = cv_alloc(1, sizeof(*session) + app + user + id);

	if (!session || !cv_chain_reserve(&hub->sessions, 1)) {
		free(session);
		return NULL;
	}
	memcpy(session->names, key->app, app);
	memcpy(session->names + app, key->user, user);
	memcpy(session->names + app + user, key->session, id);
	session->key = (struct convo_key){session->names, session->names + app,
					  session->names + app + user};
	session->chain.hash = tag;
	cv_chain_add(&hub->sessions, &session->chain);
	return session;
}

void cv_watched_each(struct store_hub *hub, void (*visit)(struct store_hub *, struct hub_session *))
{
	size_t i;

	for (i = 0; i < hub->sessions.buckets; i++) {
		struct chain_node *at;

		for (at = hub->sessions.bucket[i]; at; at = at->next)
			visit(hub, (struct hub_session *)at);
	}
}

/* ---- those who watch ------------------------------------------------------------------------ */

struct watch_entry *cv_entry_find(const struct hub_session *session, const convo_watch *watch)
{
	struct watch_entry *entry = session->entries;

	while (entry && entry->watch != watch)
		entry = entry->next;
	return entry;
}

void cv_entry_link(struct watch_entry *entry, struct hub_session *session, convo_watch *watch)
{
	entry->session = session;
	entry->watch = watch;
	entry->next = session->entries;
	entry->link = &session->entries;
	if (entry->next)
		entry->next->link = &entry->next;
	session->entries = entry;
	entry->watch_next = watch->entries;
	entry->watch_link = &watch->entries;
	if (entry->watch_next)
		entry->watch_next->watch_link = &entry->watch_next;
	watch->entries = entry;
}

void cv_entry_drop_news(struct watch_entry *entry)
{
	struct watch_entry **at = &entry->watch->news;

	if (!entry->news)
		return;
	while (*at != entry)
		at = &(*at)->next_news;
	*at = entry->next_news;
	if (!*at)
		entry->watch->news_end = at;
}

void cv_entry_free(struct watch_entry *entry)
{
	*entry->link = entry->next;
	if (entry->next)
		entry->next->link = entry->link;
	*entry->watch_link = entry->watch_next;
	if (entry->watch_next)
		entry->watch_next->watch_link = entry->watch_link;
	free(entry);
}

/* ---- news ----------------------------------------------------------------------------------- */

void cv_entry_news(struct watch_entry *entry)
{
	convo_watch *watch = entry->watch;

	if (entry->news)
		return;
	entry->news = true;
	entry->next_news = NULL;
	*watch->news_end = entry;
	watch->news_end = &entry->next_news;
	pthread_cond_signal(&watch->wake);
}

void cv_watched_news(struct hub_session *session)
{
	struct watch_entry *entry;

	for (entry = session->entries; entry; entry = entry->next)
		cv_entry_news(entry);
}

/* Sessions with different names may have one tag: then there is news of both. */
void cv_watched_tell(void *ctx, uint64_t tag)
{
	struct store_hub *hub = ctx;
	struct chain_node *at;

	pthread_mutex_lock(&hub->lock);
	for (at = cv_chain_first(&hub->sessions, tag); at; at = at->next) {
		if (at->hash == tag)
			cv_watched_news((struct hub_session *)at);
	}
	pthread_mutex_unlock(&hub->lock);
}
