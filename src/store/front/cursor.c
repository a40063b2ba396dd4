/*
 * Walks over a user's sessions (S3).
 *
 * A list is in the order of activity, and a write moves its session to the front while somebody
 * walks. A walk therefore goes from the front to the end once and remembers what it has returned.
 * If that took more than one page, a session may have passed the walk meanwhile: to where is told
 * by its writer's clock, which may be wrong by any amount, so it can stand anywhere above. The
 * walk ends with the whole list as one atomic page, and returns of it what it has not returned.
 * What was there all the time is in that page, and as the walk has returned nearly all of it, it
 * costs in proportion to that.
 *
 * In the trash nothing moves: a session that was there all the time has stayed in its place, and
 * going once from the front to the end meets it.
 *
 * A walk over many users (E1) takes one after the other in this way.
 */
#include <store/front/cursor.h>

#include <convo/place.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/check.h>
#include <base/fail.h>
#include <store/front/call.h>
#include <store/front/prepare.h>
#include <store/front/session.h>

#define OWNERS_AT_ONCE 256

static const struct store_place front_of_list = {INT64_MAX, INT64_MAX};

struct store_owners {
	struct cv_arena arena;
	struct convo_key *key;
	size_t count, cap;
};

struct convo_cursor {
	char *app, *user; /* of whom it was asked for; NULL: all */
	bool trash;
	struct convo_key owner;     /* whose sessions are walked over now */
	struct store_owners owners; /* fetched; the first `next_owner` are done with */
	size_t next_owner;
	struct store_owners_place owners_place;
	bool more_owners;

	struct store_place place; /* what has been fetched ends here */
	bool sought;              /* the walk began at a place: it does not look back */
	size_t fetched;           /* pages until now */
	enum {
		CURSOR_WALKS,
		CURSOR_LOOKS_BACK, /* the whole list is to be fetched */
		CURSOR_IS_OVER     /* nothing is left to fetch */
	} at;

	struct store_page page; /* fetched; the first `next` entries are done with */
	size_t next;
	struct convo_meta *meta; /* what the last call returned */
	size_t *picked;          /* and which entries of the page that was */
	size_t meta_count, meta_cap, picked_cap;

	unsigned char (*seen)[UUID_BYTES]; /* open addressing; all-zero is free */
	size_t seen_count, seen_cap;
};

int convo_cursor_new(convo_cursor **out, const char *app, const char *user,
		     enum convo_list_what what, struct convo_err *err)
{
	const struct convo_key key = {.app = app, .user = user};
	convo_cursor *cursor;
	int rc = cv_check_given(out, "where the cursor goes", err);

	if (rc == 0 && app)
		rc = cv_prepare_key(&key, user ? CONVO_SCOPE_USER : 0, err);
	if (rc < 0)
		return rc;
	if (!app && user)
		return cv_fail(err, CONVO_E_INVALID, "a user is one of an app");
	if (what != CONVO_LIST_LIVE && what != CONVO_LIST_TRASH)
		return cv_fail(err, CONVO_E_INVALID, "a cursor is for the live or the trash");
	cursor = cv_alloc(1, sizeof(*cursor));
	if (!cursor)
		return cv_fail_nomem(err);
	cursor->app = app ? cv_memdup(app, strlen(app)) : NULL;
	cursor->user = user ? cv_memdup(user, strlen(user)) : NULL;
	if ((app && !cursor->app) || (user && !cursor->user)) {
		convo_cursor_free(cursor);
		return cv_fail_nomem(err);
	}
	cursor->trash = what == CONVO_LIST_TRASH;
	cursor->place = front_of_list;
	cursor->owner = (struct convo_key){.app = cursor->app, .user = cursor->user};
	cursor->more_owners = !user;
	if (!user)
		cursor->at = CURSOR_IS_OVER; /* with nobody yet */
	*out = cursor;
	return 0;
}

void convo_cursor_free(convo_cursor *cursor)
{
	if (!cursor)
		return;
	cv_page_clear(&cursor->page);
	cv_arena_clear(&cursor->owners.arena);
	free(cursor->owners.key);
	free(cursor->meta);
	free(cursor->picked);
	free(cursor->seen);
	free(cursor->app);
	free(cursor->user);
	free(cursor);
}

/* ---- what was returned ------------------------------------------------------------------ */

static unsigned char *seen_slot(const convo_cursor *cursor, const unsigned char *generation)
{
	static const unsigned char none[UUID_BYTES];
	size_t slot;

	memcpy(&slot, generation, sizeof(slot));
	for (;; slot++) {
		unsigned char *found = cursor->seen[slot & (cursor->seen_cap - 1)];

		if (memcmp(found, generation, UUID_BYTES) == 0 ||
		    memcmp(found, none, UUID_BYTES) == 0)
			return found;
	}
}

static bool seen_has(const convo_cursor *cursor, const unsigned char *generation)
{
	return cursor->seen_cap &&
	       memcmp(seen_slot(cursor, generation), generation, UUID_BYTES) == 0;
}

static bool seen_reserve(convo_cursor *cursor, size_t extra)
{
	size_t old_cap = cursor->seen_cap, cap = old_cap ? old_cap : 64, i;
	unsigned char(*old)[UUID_BYTES] = cursor->seen;

	while (cap < (cursor->seen_count + extra) * 2)
		cap *= 2;
	if (cap == old_cap)
		return true;
	cursor->seen = cv_alloc(cap, UUID_BYTES);
	if (!cursor->seen) {
		cursor->seen = old;
		return false;
	}
	cursor->seen_cap = cap;
	for (i = 0; i < old_cap; i++) {
		unsigned char *slot = seen_slot(cursor, old[i]);

		memcpy(slot, old[i], UUID_BYTES);
	}
	free(old);
	return true;
}

/* Forget it all, but not with a walk over many whose table has grown large once. */
static void seen_forget(convo_cursor *cursor)
{
	if (cursor->seen_cap > 1024) {
		free(cursor->seen);
		cursor->seen = NULL;
		cursor->seen_cap = 0;
	}
	if (cursor->seen)
		memset(cursor->seen, 0, cursor->seen_cap * UUID_BYTES);
	cursor->seen_count = 0;
}

/* ---- owners ----------------------------------------------------------------------------- */

void cv_owners_reset(struct store_owners *into)
{
	cv_arena_clear(&into->arena);
	into->count = 0;
}

int cv_owners_add(struct store_owners *into, struct cv_text app, struct cv_text user,
		  struct convo_err *err)
{
	struct convo_key key = {.app = cv_arena_dup(&into->arena, app.data, app.len),
				.user = cv_arena_dup(&into->arena, user.data, user.len)};

	if (!key.app || !key.user ||
	    !cv_grow((void **)&into->key, &into->cap, into->count + 1, sizeof(*into->key)))
		return cv_fail_nomem(err);
	into->key[into->count++] = key;
	return 0;
}

static int owners_fetch(convo_cursor *cursor, struct convo_store *store,
			const struct store_call *call, struct convo_err *err)
{
	struct store_owners_place place = cursor->owners_place;
	bool more = false;
	int rc;

	cursor->owner = (struct convo_key){0};
	cursor->next_owner = 0;
	rc = store->be->owners(store, call, cursor->app, cursor->trash, OWNERS_AT_ONCE, &place,
			       &cursor->owners, &more, err);
	if (rc < 0) {
		cv_owners_reset(&cursor->owners);
		return rc;
	}
	cursor->owners_place = place;
	cursor->more_owners = more;
	return 0;
}

/* Turn to the next owner. @return 1, 0 when there is none, or why it could not be found */
static int cursor_turn(convo_cursor *cursor, struct convo_store *store,
		       const struct store_call *call, struct convo_err *err)
{
	int rc;

	while (cursor->next_owner == cursor->owners.count) {
		if (!cursor->more_owners)
			return 0;
		rc = owners_fetch(cursor, store, call, err);
		if (rc < 0)
			return rc;
	}
	cursor->owner = cursor->owners.key[cursor->next_owner++];
	cursor->place = front_of_list;
	cursor->fetched = 0;
	cursor->at = CURSOR_WALKS;
	if (!store->be->owners_twice)
		seen_forget(cursor);
	return 1;
}

/* ---- pages ------------------------------------------------------------------------------ */

static int cursor_fetch(convo_cursor *cursor, struct convo_store *store,
			const struct store_call *call, size_t n, struct convo_err *err)
{
	bool back = cursor->at == CURSOR_LOOKS_BACK;
	const struct store_place *from = back ? &front_of_list : &cursor->place;
	int rc;

	rc = store->be->list(store, call, cursor->owner.app, cursor->owner.user, cursor->trash,
			     from, back ? STORE_LIST_ALL : n, &cursor->page, err);
	cursor->next = 0;
	if (rc < 0) {
		cursor->page.count = 0;
		return rc;
	}
	cursor->fetched++;
	if (cursor->page.count)
		cursor->place = cursor->page.entry[cursor->page.count - 1].place;
	if (back ||
	    (cursor->page.count < n && (cursor->fetched == 1 || cursor->trash || cursor->sought)))
		cursor->at = CURSOR_IS_OVER;
	else if (cursor->page.count < n)
		cursor->at = CURSOR_LOOKS_BACK;
	return 0;
}

/* Move entries that were not returned before from the page to `meta`. */
static size_t cursor_gather(convo_cursor *cursor, size_t n, int64_t event_limit)
{
	size_t count = 0;

	for (; count < n && cursor->next < cursor->page.count; cursor->next++) {
		const struct page_entry *entry = &cursor->page.entry[cursor->next];

		if (seen_has(cursor, entry->generation))
			continue;
		memcpy(seen_slot(cursor, entry->generation), entry->generation, UUID_BYTES);
		cursor->seen_count++;
		cursor->meta[count] = entry->meta;
		cursor->picked[count] = cursor->next;
		if (event_limit && entry->meta.count > event_limit)
			cursor->meta[count].count = event_limit;
		count++;
	}
	return count;
}

int cv_cursor_next(convo_cursor *cursor, struct convo_store *store, const struct store_call *call,
		   size_t n, size_t *count, struct convo_err *err)
{
	size_t found = 0;

	if (!cv_grow((void **)&cursor->meta, &cursor->meta_cap, n, sizeof(*cursor->meta)) ||
	    !cv_grow((void **)&cursor->picked, &cursor->picked_cap, n, sizeof(*cursor->picked)))
		return cv_fail_nomem(err);
	for (;;) {
		int rc;

		if (!seen_reserve(cursor, n))
			return cv_fail_nomem(err);
		found = cursor_gather(cursor, n, store->opts.event_limit);
		if (found)
			break;
		if (cursor->at == CURSOR_IS_OVER) {
			rc = cursor->user ? 0 : cursor_turn(cursor, store, call, err);
			if (rc == 0)
				break;
		} else {
			rc = cursor_fetch(cursor, store, call, n, err);
		}
		if (rc < 0)
			return rc;
	}
	cursor->meta_count = found;
	if (count)
		*count = found;
	return 0;
}

int cv_cursor_weigh(const convo_cursor *cursor, struct convo_store *store,
		    const struct store_call *call, int64_t *bytes, struct convo_err *err)
{
	struct store_weighed sessions[STORE_WEIGHED];
	size_t i;

	*bytes = 0;
	for (i = 0; i < cursor->meta_count; i++) {
		const struct page_entry *entry = &cursor->page.entry[cursor->picked[i]];
		struct store_weighed *out = &sessions[i];

		out->session = entry->meta.session;
		out->number = entry->place.number;
		memcpy(out->generation, entry->generation, UUID_BYTES);
		out->last_seq = entry->meta.last_seq;
		out->first_seq = store_first_shown(call, entry->first_seq, out->last_seq);
	}
	return store->be->weigh(store, call, cursor->owner.app, cursor->owner.user, sessions,
				cursor->meta_count, bytes, err);
}

const struct convo_meta *convo_cursor_meta(const convo_cursor *cursor, size_t i)
{
	return cursor && i < cursor->meta_count ? &cursor->meta[i] : NULL;
}

const struct convo_key *convo_cursor_owner(const convo_cursor *cursor)
{
	return cursor && cursor->meta_count ? &cursor->owner : NULL;
}

/* ---- places ----------------------------------------------------------------------------- */

static int cursor_check_one_user(const convo_cursor *cursor, struct convo_err *err)
{
	int rc = cv_check_given(cursor, "the cursor", err);

	if (rc == 0 && !cursor->user)
		rc = cv_fail(err, CONVO_E_INVALID, "a walk over several users has no places");
	return rc;
}

int convo_cursor_place(const convo_cursor *cursor, struct convo_place *out, struct convo_err *err)
{
	const struct store_place *place;
	int rc = cursor_check_one_user(cursor, err);

	if (rc == 0)
		rc = cv_check_given(out, "where the place goes", err);
	if (rc < 0)
		return rc;
	if (!cursor->meta_count)
		return cv_fail(err, CONVO_E_INVALID, "the walk has returned nothing");
	place = &cursor->page.entry[cursor->picked[cursor->meta_count - 1]].place;
	*out = (struct convo_place){.position = place->position, .number = place->number};
	return 0;
}

int convo_cursor_seek(convo_cursor *cursor, const struct convo_place *place, struct convo_err *err)
{
	int rc = cursor_check_one_user(cursor, err);

	if (rc == 0)
		rc = cv_check_given(place, "the place", err);
	if (rc < 0)
		return rc;
	if (cursor->fetched)
		return cv_fail(err, CONVO_E_INVALID, "the walk has begun");
	cursor->place.position = place->position;
	cursor->place.number = place->number;
	cursor->sought = true;
	return 0;
}
