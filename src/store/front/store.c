/*
 * The front of every store: it checks arguments, finds the backend, reads the clocks and makes the
 * fresh ids; backends only store and fetch.
 */
#include <convo/store.h>
#include <convo/version.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>
#include <store/front/cleaner.h>
#include <store/front/cursor.h>
#include <store/front/options.h>
#include <store/front/prepare.h>
#include <store/front/session.h>

#define MAX_PAGE 1000

/* Longest cleaning that a purge does by itself. */
#define SWEEP_US 50000

const char *convo_version(void)
{
	return CONVO_VERSION;
}

static struct store_call store_begin(const struct convo_store *store)
{
	return (struct store_call){
		.now_us = cv_clock_us(),
		.deadline_us = cv_clock_mono_us() + (int64_t)store->opts.timeout_ms * 1000,
	};
}

/* ---- opening ---------------------------------------------------------------------------- */

static int store_open_url(convo_store **out, const struct cv_url *url,
			  const struct convo_store_options *opts, struct convo_err *err)
{
	const struct cv_backend *be = cv_backend_find(url->scheme, err);
	struct store_call call;
	convo_store *store;
	int rc;

	if (!be)
		return CONVO_E_UNSUPPORTED;
	store = cv_alloc(1, be->size);
	if (!store)
		return cv_fail_nomem(err);
	store->be = be;
	rc = cv_options_apply(store, opts, url, err);
	if (rc < 0) {
		free(store);
		return rc;
	}
	call = store_begin(store);
	rc = be->open(store, &call, url, err);
	if (rc >= 0)
		rc = cv_cleaner_start(store, err);
	if (rc < 0) {
		convo_store_close(store);
		return rc;
	}
	*out = store;
	return 0;
}

int convo_store_open(convo_store **out, const char *url, const struct convo_store_options *opts,
		     struct convo_err *err)
{
	struct cv_url parsed;
	int rc;

	if (!url)
		return cv_fail(err, CONVO_E_INVALID, "the store URL is missing");
	rc = cv_url_parse(&parsed, url, err);
	if (rc < 0)
		return rc;
	rc = store_open_url(out, &parsed, opts, err);
	cv_url_clear(&parsed);
	return rc;
}

void convo_store_close(convo_store *store)
{
	if (!store)
		return;
	cv_cleaner_stop(store);
	store->be->close(store);
	free(store);
}

const char *convo_store_describe(const convo_store *store)
{
	return store->where;
}

int convo_store_schema(char **out, const char *scheme, const char *prefix, struct convo_err *err)
{
	const struct cv_backend *be = cv_backend_find(scheme ? scheme : "", err);
	struct cv_buf text = {0};
	int rc;

	if (!be)
		return CONVO_E_UNSUPPORTED;
	if (!be->schema)
		return cv_fail(err, CONVO_E_UNSUPPORTED, "the %s store has no schema", be->scheme);
	if (!prefix)
		prefix = be->default_prefix;
	rc = cv_options_prefix(prefix, err);
	if (rc >= 0)
		rc = be->schema(&text, prefix, err);
	if (rc >= 0) {
		char *taken = cv_buf_take(&text);

		if (taken)
			*out = taken;
		else
			rc = cv_fail_nomem(err);
	}
	cv_buf_clear(&text);
	return rc;
}

/* ---- sessions --------------------------------------------------------------------------- */

static int create_checked(convo_store *store, const struct convo_key *key,
			  const struct convo_create *from, struct change_list *changes,
			  struct convo_created *made, struct convo_err *err)
{
	struct store_call call = store_begin(store);
	struct store_create create = {0};
	int rc = cv_prepare_title(&create.title, from->title, err);

	if (rc >= 0)
		rc = cv_prepare_items(changes, from->state, from->state_count, err);
	if (rc < 0)
		return rc;
	cv_uuid_random(create.generation);
	cv_uuid_format(made->generation, create.generation);
	create.changes = changes->change;
	create.change_count = changes->count;
	return store->be->create(store, &call, key, &create, err);
}

int convo_store_create(convo_store *store, const struct convo_key *key,
		       const struct convo_create *create, struct convo_created *out,
		       struct convo_err *err)
{
	static const struct convo_create empty;
	struct change_list changes = {0};
	struct convo_created made;
	struct convo_key full;
	int rc = cv_prepare_key(key, CONVO_SCOPE_USER, err);

	if (rc < 0)
		return rc;
	full = *key;
	if (!full.session || !*full.session) {
		convo_uuid_make(made.session);
		full.session = made.session;
	}
	rc = cv_prepare_name(full.session, "the session id", err);
	if (rc < 0)
		return rc;
	if (full.session != made.session)
		memcpy(made.session, full.session, strlen(full.session) + 1);
	rc = create_checked(store, &full, create ? create : &empty, &changes, &made, err);
	free(changes.change);
	if (rc >= 0 && out)
		*out = made;
	return rc;
}

/* Check a window and put what the backend wants into `full`. */
static int prepare_window(struct convo_window *full, unsigned char around[UUID_BYTES],
			  const struct convo_window *window, struct convo_err *err)
{
	*full = window ? *window : (struct convo_window){0};
	if ((unsigned)full->kind > CONVO_WINDOW_NONE)
		return cv_fail(err, CONVO_E_INVALID, "the window is of an unknown kind");
	if (full->seq < 0)
		return cv_fail(err, CONVO_E_INVALID, "the window's seq is negative");
	if (full->kind == CONVO_WINDOW_AROUND && (!full->id || !cv_uuid_parse(around, full->id)))
		return cv_fail(err, CONVO_E_INVALID, "the window's event id is not a UUID");
	if (full->n == 0)
		full->n = SIZE_MAX;
	return 0;
}

int convo_store_load(convo_session **out, convo_store *store, const struct convo_key *key,
		     const struct convo_window *window, struct convo_err *err)
{
	struct store_call call = store_begin(store);
	unsigned char around[UUID_BYTES];
	struct convo_window full;
	convo_session *session;
	int rc = cv_prepare_key(key, CONVO_SCOPE_SESSION, err);

	if (rc >= 0)
		rc = prepare_window(&full, around, window, err);
	if (rc < 0)
		return rc;
	session = cv_alloc(1, sizeof(*session));
	if (!session)
		return cv_fail_nomem(err);
	rc = store->be->load(store, &call, key, &full, around, session, err);
	if (rc < 0) {
		convo_session_free(session);
		return rc;
	}
	cv_session_finish(session, store->opts.event_limit);
	*out = session;
	return 0;
}

int convo_store_rename(convo_store *store, const struct convo_key *key, const char *title,
		       struct convo_err *err)
{
	struct store_call call = store_begin(store);
	struct cv_text text;
	int rc = cv_prepare_key(key, CONVO_SCOPE_SESSION, err);

	if (rc >= 0)
		rc = cv_prepare_title(&text, title, err);
	return rc < 0 ? rc : store->be->rename(store, &call, key, text, err);
}

int convo_store_list(convo_store *store, convo_cursor *cursor, size_t n,
		     const struct convo_meta **metas, size_t *count, struct convo_err *err)
{
	struct store_call call = store_begin(store);

	if (!cursor || !n || n > MAX_PAGE)
		return cv_fail(err, CONVO_E_INVALID, "a page has 1 to %d sessions", MAX_PAGE);
	return cv_cursor_next(cursor, store, &call, n, metas, count, err);
}

/* ---- trash ------------------------------------------------------------------------------ */

/*
 * What is gone for good is only marked by the backends, so that it costs nothing there. Most of it
 * is small enough to remove at once; the rest, and what fails here, waits for the next cleaning.
 */
static void store_sweep(convo_store *store, const struct store_call *call)
{
	int64_t until = cv_clock_mono_us() + SWEEP_US, removed;

	cv_clean_all(store, until < call->deadline_us ? until : call->deadline_us, &removed, NULL);
}

int convo_store_delete(convo_store *store, const struct convo_key *key, struct convo_err *err)
{
	struct store_call call = store_begin(store);
	int rc = cv_prepare_key(key, CONVO_SCOPE_SESSION, err);

	if (rc >= 0)
		rc = store->be->delete (store, &call, key, err);
	if (rc >= 0 && !store->opts.trash_ms)
		store_sweep(store, &call);
	return rc;
}

/* Check a key and an optional generation; *parsed is NULL without one. */
static int prepare_life(const unsigned char **parsed, unsigned char uuid[UUID_BYTES],
			const struct convo_key *key, const char *generation, struct convo_err *err)
{
	*parsed = NULL;
	if (generation) {
		if (!cv_uuid_parse(uuid, generation))
			return cv_fail(err, CONVO_E_INVALID, "the generation is not a UUID");
		*parsed = uuid;
	}
	return cv_prepare_key(key, CONVO_SCOPE_SESSION, err);
}

int convo_store_restore(convo_store *store, const struct convo_key *key, const char *generation,
			struct convo_err *err)
{
	struct store_call call = store_begin(store);
	unsigned char uuid[UUID_BYTES];
	const unsigned char *parsed;
	int rc = prepare_life(&parsed, uuid, key, generation, err);

	return rc < 0 ? rc : store->be->restore(store, &call, key, parsed, err);
}

int convo_store_purge(convo_store *store, const struct convo_key *key, const char *generation,
		      struct convo_err *err)
{
	struct store_call call = store_begin(store);
	unsigned char uuid[UUID_BYTES];
	const unsigned char *parsed;
	int rc = prepare_life(&parsed, uuid, key, generation, err);

	if (rc >= 0)
		rc = store->be->purge(store, &call, key, parsed, err);
	if (rc >= 0)
		store_sweep(store, &call);
	return rc;
}

/* ---- appending -------------------------------------------------------------------------- */

static int append_prepared(convo_store *store, const struct convo_key *key,
			   struct prepared_append *prepared, size_t count, int64_t *seqs,
			   struct convo_err *err)
{
	struct store_call call = store_begin(store);
	int rc = store->be->append(store, &call, key, &prepared->append, err);
	size_t i;

	for (i = 0; rc >= 0 && seqs && i < count; i++)
		seqs[i] = prepared->events[prepared->place[i]].seq;
	return rc;
}

int convo_store_append(convo_store *store, const struct convo_key *key,
		       const struct convo_expect *expect, const struct convo_event *events,
		       size_t count, int64_t *seqs, struct convo_err *err)
{
	struct prepared_append prepared = {0};
	unsigned char uuid[UUID_BYTES];
	int rc = prepare_life(&prepared.append.generation, uuid, key,
			      expect ? expect->generation : NULL, err);

	if (rc >= 0 && expect && expect->check_seq) {
		prepared.append.check_seq = true;
		prepared.append.after_seq = expect->after_seq;
		if (expect->after_seq < 0)
			rc = cv_fail(err, CONVO_E_INVALID, "the expected seq is negative");
	}
	if (rc >= 0)
		rc = cv_prepare_append(&prepared, events, count, err);
	if (rc >= 0)
		rc = append_prepared(store, key, &prepared, count, seqs, err);
	cv_prepare_clear(&prepared);
	return rc;
}

/* ---- state ------------------------------------------------------------------------------ */

int convo_store_state_get(char **out, convo_store *store, const struct convo_key *key,
			  const char *name, struct convo_err *err)
{
	struct store_call call = store_begin(store);
	struct convo_state state = {0};
	enum convo_scope scope;
	struct cv_text rest;
	bool temp;
	int rc;

	if (!name)
		return cv_fail(err, CONVO_E_INVALID, "the state name is missing");
	rc = cv_prepare_state_name(name, strlen(name), &scope, &temp, &rest, err);
	if (rc >= 0)
		rc = cv_prepare_key(key, scope, err);
	if (rc < 0)
		return rc;
	if (!temp)
		rc = store->be->state_list(store, &call, key, scope, &rest, &state, err);
	if (rc >= 0 && !state.items.count)
		rc = cv_fail(err, CONVO_E_NOTFOUND, "no state '%s'", name);
	if (rc >= 0) {
		char *copy = cv_memdup(state.items.item[0].json, state.items.item[0].json_len);

		if (copy)
			*out = copy;
		else
			rc = cv_fail_nomem(err);
	}
	cv_state_reset(&state);
	free(state.items.item);
	return rc;
}

int convo_store_state_set(convo_store *store, const struct convo_key *key,
			  const struct convo_item *items, size_t count, struct convo_err *err)
{
	struct store_call call = store_begin(store);
	struct change_list changes = {0};
	int rc = cv_prepare_items(&changes, items, count, err);

	if (rc >= 0)
		rc = cv_prepare_key(key, cv_prepare_scopes(&changes), err);
	if (rc >= 0 && changes.count)
		rc = store->be->state_set(store, &call, key, changes.change, changes.count, err);
	free(changes.change);
	return rc;
}

int convo_store_state_delete(convo_store *store, const struct convo_key *key, const char *name,
			     struct convo_err *err)
{
	const struct convo_item item = {.name = name};

	return convo_store_state_set(store, key, &item, 1, err);
}

int convo_store_state_list(convo_state **out, convo_store *store, const struct convo_key *key,
			   unsigned scopes, struct convo_err *err)
{
	const unsigned all = CONVO_SCOPE_SESSION | CONVO_SCOPE_USER | CONVO_SCOPE_APP;
	struct store_call call = store_begin(store);
	convo_state *state;
	int rc;

	if (!scopes || scopes & ~all)
		return cv_fail(err, CONVO_E_INVALID, "the scopes are none of enum convo_scope");
	rc = cv_prepare_key(key, scopes, err);
	if (rc < 0)
		return rc;
	state = cv_alloc(1, sizeof(*state));
	if (!state)
		return cv_fail_nomem(err);
	rc = store->be->state_list(store, &call, key, scopes, NULL, state, err);
	if (rc < 0) {
		convo_state_free(state);
		return rc;
	}
	cv_state_finish(state);
	*out = state;
	return 0;
}

/* ---- cleaning --------------------------------------------------------------------------- */

int convo_store_clean(convo_store *store, int64_t *removed, struct convo_err *err)
{
	struct store_call call = store_begin(store);
	int64_t gone = 0;
	int rc = cv_clean_all(store, call.deadline_us, &gone, err);

	if (removed)
		*removed = gone;
	return rc;
}
