/*
 * The insides of what the store hands out, for the front; a backend uses the functions of
 * backend.h.
 */
#ifndef STORE_FRONT_SESSION_H
#define STORE_FRONT_SESSION_H

#include <store/backend.h>

#include <base/arena.h>

struct item_list {
	struct convo_item *item;
	size_t count, cap;
};

struct convo_session {
	struct cv_arena arena; /* holds every event and string that is in none of `block` */
	struct convo_meta meta;
	const struct convo_event **event;
	size_t event_count, event_cap;
	struct cv_share **block; /* of the backend, held */
	size_t block_count, block_cap;
	struct item_list state;
	struct convo_event draft; /* its message is NULL when there is none */
	size_t bytes;             /* of the events; reset with them */
	size_t budget;            /* more bytes than that are refused (CONVO_E_TOOBIG); 0: no end */
	bool over;                /* they were */
};

struct convo_state {
	struct cv_arena arena;
	struct item_list items;
};

struct page_entry {
	struct convo_meta meta;
	struct store_place place;
	unsigned char generation[UUID_BYTES];
	int64_t first_seq; /* of what is stored */
};

struct store_page {
	struct cv_arena arena;
	struct page_entry *entry;
	size_t count, cap;
};

/** Sort what a backend has added, and hide from the count what the limit hides. */
void cv_session_finish(struct convo_session *session, int64_t event_limit);

void cv_state_finish(struct convo_state *state);

/** Copy a meta with its strings into the arena. */
bool cv_meta_dup(struct cv_arena *arena, struct convo_meta *out, const struct convo_meta *meta);

/** Free what a page holds. */
void cv_page_clear(struct store_page *page);

#endif
