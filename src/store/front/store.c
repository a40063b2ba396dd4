/*
 * The front of every store: it checks arguments, reads the clocks and makes the fresh ids; backends
 * only store and fetch. Opening is in open.c.
 */
#include <convo/store.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>
#include <store/front/call.h>
#include <store/front/cleaner.h>
#include <store/front/cursor.h>
#include <store/front/hub.h>
#include <store/front/lease.h>
#include <store/front/prepare.h>
#include <store/front/session.h>

#define MAX_PAGE 1000

/* Longest cleaning that a purge does by itself. */
#define SWEEP_US 50000

/* ---- sessions --------------------------------------------------------------------------- */

/* The key with the id that the session gets, generated if none is given. */
static int create_key(struct convo_key *full, struct convo_created *made,
		      const struct convo_key *key, struct convo_err *err)
{
	int rc = cv_prepare_key(key, CONVO_SCOPE_USER, err);

	if (rc < 0)
		return rc;
	*full = *key;
	if (!key->session || !*key->session) {
		convo_uuid_make(made->session);
	} else {
		rc = cv_prepare_name(key->session, "the session id", err);
		if (rc < 0)
			return rc;
		memcpy(made->session, key->session, strlen(key->session) + 1);
	}
	full->session = made->session;
	return 0;
}

int convo_store_create(convo_store *store, const struct convo_key *key,
		       const struct convo_create *create, struct convo_created *out,
		       const struct convo_call *how, struct convo_err *err)
{
	static const struct convo_create empty;
	struct convo_created made = {0};
	struct change_list changes = {0};
	struct store_create full = {0};
	struct convo_key named;
	struct store_call call;
	int rc = cv_call_begin(&call, store, how, err);

	if (rc < 0)
		return rc;
	if (!create)
		create = &empty;
	rc = CHECK_RESERVED(create, err);
	if (rc < 0)
		return rc;
	rc = create_key(&named, &made, key, err);
	if (rc < 0)
		return rc;
	rc = cv_prepare_title(&full.title, create->title, err);
	if (rc < 0)
		return rc;
	rc = cv_prepare_items(&changes, create->state, create->state_count, err);
	if (rc < 0)
		goto out;
	cv_uuid_random(full.generation);
	cv_uuid_format(made.generation, full.generation);
	full.changes = changes.change;
	full.change_count = changes.count;
	rc = store->be->create(store, &call, &named, &full, err);
	if (rc < 0)
		goto out;
	cv_hub_told(store, &named);
	if (out)
		*out = made;
out:
	free(changes.change);
	return rc;
}

int convo_store_fork(convo_store *store, const struct convo_key *key, const struct convo_fork *fork,
		     struct convo_created *out, const struct convo_call *how, struct convo_err *err)
{
	static const struct convo_fork whole;
	struct convo_created made = {0};
	struct store_fork full = {0};
	struct convo_key named;
	struct store_call call;
	int rc = cv_call_begin(&call, store, how, err);

	if (rc < 0)
		return rc;
	if (!fork)
		fork = &whole;
	rc = CHECK_RESERVED(fork, err);
	if (rc < 0)
		return rc;
	rc = cv_prepare_key(key, CONVO_SCOPE_SESSION, err);
	if (rc < 0)
		return rc;
	named = (struct convo_key){key->app, key->user, fork->session};
	rc = create_key(&named, &made, &named, err);
	if (rc < 0)
		return rc;
	if (fork->upto_seq < 0)
		return cv_fail(err, CONVO_E_INVALID, "the seq of the fork is negative");
	full.session = made.session;
	full.upto_seq =
		fork->upto_seq && fork->upto_seq < STORE_SEQ_MAX ? fork->upto_seq : STORE_SEQ_MAX;
	cv_uuid_random(full.generation);
	cv_uuid_format(made.generation, full.generation);
	rc = store->be->fork(store, &call, key, &full, err);
	if (rc < 0)
		return rc;
	cv_hub_told(store, &named);
	if (out)
		*out = made;
	return 0;
}

int convo_store_load(convo_session **out, convo_store *store, const struct convo_key *key,
		     const struct convo_window *window, const struct convo_call *how,
		     struct convo_err *err)
{
	struct store_window full;
	struct store_call call;
	convo_session *session;
	int rc = cv_call_begin(&call, store, how, err);

	if (rc < 0)
		return rc;
	rc = cv_check_given(out, "where the session goes", err);
	if (rc < 0)
		return rc;
	rc = cv_prepare_key(key, CONVO_SCOPE_SESSION, err);
	if (rc < 0)
		return rc;
	rc = cv_prepare_window(&full, window, err);
	if (rc < 0)
		return rc;
	session = cv_alloc(1, sizeof(*session));
	if (!session)
		return cv_fail_nomem(err);
	rc = store->be->load(store, &call, key, &full, session, err);
	if (rc < 0) {
		convo_session_free(session);
		return rc;
	}
	cv_session_finish(session, call.event_limit);
	*out = session;
	return 0;
}

int convo_store_rename(convo_store *store, const struct convo_key *key, const char *title,
		       const struct convo_call *how, struct convo_err *err)
{
	struct store_call call;
	struct cv_text text;
	int rc = cv_call_begin(&call, store, how, err);

	if (rc < 0)
		return rc;
	rc = cv_prepare_key(key, CONVO_SCOPE_SESSION, err);
	if (rc < 0)
		return rc;
	rc = cv_prepare_title(&text, title, err);
	if (rc < 0)
		return rc;
	rc = store->be->rename(store, &call, key, text, err);
	if (rc >= 0)
		cv_hub_told(store, key);
	return rc;
}

int convo_store_list(convo_store *store, convo_cursor *cursor, size_t n, size_t *count,
		     const struct convo_call *how, struct convo_err *err)
{
	struct store_call call;
	int rc = cv_call_begin(&call, store, how, err);

	if (rc < 0)
		return rc;
	rc = cv_check_given(cursor, "the cursor", err);
	if (rc < 0)
		return rc;
	if (!n || n > MAX_PAGE)
		return cv_fail(err, CONVO_E_INVALID, "a page has 1 to %d sessions", MAX_PAGE);
	return cv_cursor_next(cursor, store, &call, n, count, err);
}

/* ---- trash ------------------------------------------------------------------------------ */

/*
 * What is gone for good is only marked by the backends, so that it costs nothing there. Most of it
 * is small enough to remove at once; the rest, and what fails here, waits for the next cleaning.
 */
static void store_sweep(convo_store *store, const struct store_call *call)
{
	int64_t until = cv_clock_mono_us() + SWEEP_US, removed;
	bool more;

	cv_clean_all(store, NULL, until < call->deadline_us ? until : call->deadline_us, &removed,
		     &more, NULL);
}

int convo_store_delete(convo_store *store, const struct convo_key *key,
		       const struct convo_call *how, struct convo_err *err)
{
	struct store_call call;
	int rc = cv_call_begin(&call, store, how, err);

	if (rc < 0)
		return rc;
	rc = cv_prepare_key(key, CONVO_SCOPE_SESSION, err);
	if (rc < 0)
		return rc;
	rc = store->be->delete (store, &call, key, err);
	if (rc >= 0)
		cv_hub_told(store, key);
	if (rc >= 0 && !call.trash_us)
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
			const struct convo_call *how, struct convo_err *err)
{
	unsigned char uuid[UUID_BYTES];
	const unsigned char *parsed;
	struct store_call call;
	int rc = cv_call_begin(&call, store, how, err);

	if (rc < 0)
		return rc;
	rc = prepare_life(&parsed, uuid, key, generation, err);
	if (rc < 0)
		return rc;
	rc = store->be->restore(store, &call, key, parsed, err);
	if (rc >= 0)
		cv_hub_told(store, key);
	return rc;
}

int convo_store_purge(convo_store *store, const struct convo_key *key, const char *generation,
		      const struct convo_call *how, struct convo_err *err)
{
	unsigned char uuid[UUID_BYTES];
	const unsigned char *parsed;
	struct store_call call;
	int rc = cv_call_begin(&call, store, how, err);

	if (rc < 0)
		return rc;
	rc = prepare_life(&parsed, uuid, key, generation, err);
	if (rc < 0)
		return rc;
	rc = store->be->purge(store, &call, key, parsed, err);
	if (rc >= 0)
		store_sweep(store, &call);
	return rc;
}

/* ---- appending -------------------------------------------------------------------------- */

static int prepare_expect(struct store_append *append, struct store_hold *hold,
			  const struct convo_expect *expect, struct convo_err *err)
{
	int rc = CHECK_RESERVED(expect, err);

	if (rc < 0)
		return rc;
	rc = cv_lease_hold(hold, expect, err);
	if (rc < 0)
		return rc;
	if (expect->lease)
		append->hold = hold;
	if (!expect->check_seq)
		return 0;
	if (expect->after_seq < 0)
		return cv_fail(err, CONVO_E_INVALID, "the expected seq is negative");
	append->check_seq = true;
	append->after_seq = expect->after_seq;
	return 0;
}

/*
 * A try whose answer was lost, and a later one that found another life of the session or none. The
 * events may stand in the life that has ended since: this is no refusal (A8).
 */
static int append_refused(int rc, const struct store_work *work, struct convo_err *err)
{
	if (!work->lost || (rc != CONVO_E_NOTFOUND && rc != CONVO_E_CONFLICT))
		return rc;
	return cv_fail_maybe(err, CONVO_E_GONE, "connection lost, and then: %s",
			     rc == CONVO_E_NOTFOUND ? "no such session"
						    : "the session has moved on");
}

int convo_store_append(convo_store *store, const struct convo_key *key,
		       const struct convo_expect *expect, const struct convo_event *events,
		       size_t count, int64_t *seqs, const struct convo_call *how,
		       struct convo_err *err)
{
	static const struct convo_expect nothing;
	struct prepared_append prepared = {0};
	unsigned char uuid[UUID_BYTES];
	struct store_work work = {0};
	struct store_hold hold = {0};
	struct store_call call;
	size_t i;
	int rc = cv_call_begin(&call, store, how, err);

	if (rc < 0)
		return rc;
	if (!expect)
		expect = &nothing;
	rc = prepare_expect(&prepared.append, &hold, expect, err);
	if (rc < 0)
		return rc;
	rc = prepare_life(&prepared.append.generation, uuid, key, expect->generation, err);
	if (rc < 0)
		return rc;
	if (count || !expect->lease)
		rc = cv_prepare_append(&prepared, events, count, err);
	if (rc < 0)
		goto out;
	call.work = &work;
	if (expect->lease)
		rc = cv_lease_append(store, &call, key, &prepared.append,
				     expect->hold == CONVO_HOLD_WAIT, err);
	else
		rc = store->be->append(store, &call, key, &prepared.append, err);
	if (rc < 0) {
		rc = append_refused(rc, &work, err);
		goto out;
	}
	for (i = 0; seqs && i < count; i++)
		seqs[i] = prepared.events[prepared.place[i]].seq;
	cv_hub_told(store, key);
out:
	cv_prepare_clear(&prepared);
	return rc;
}

/* ---- state ------------------------------------------------------------------------------ */

int convo_store_state_get(char **out, convo_store *store, const struct convo_key *key,
			  const char *name, const struct convo_call *how, struct convo_err *err)
{
	struct convo_state state = {0};
	enum convo_scope scope;
	struct store_call call;
	struct cv_text rest;
	bool temp;
	char *copy;
	int rc = cv_call_begin(&call, store, how, err);

	if (rc < 0)
		return rc;
	rc = cv_check_given(out, "where the value goes", err);
	if (rc < 0)
		return rc;
	rc = cv_check_given(name, "the state name", err);
	if (rc < 0)
		return rc;
	rc = cv_prepare_state_name(name, strlen(name), &scope, &temp, &rest, err);
	if (rc < 0)
		return rc;
	rc = cv_prepare_key(key, scope, err);
	if (rc < 0)
		return rc;
	if (!temp)
		rc = store->be->state_list(store, &call, key, scope, &rest, &state, err);
	if (rc < 0)
		goto out;
	if (!state.items.count) {
		rc = cv_fail(err, CONVO_E_NOTFOUND, "no state '%s'", name);
		goto out;
	}
	copy = cv_memdup(state.items.item[0].json, state.items.item[0].json_len);
	if (copy)
		*out = copy;
	else
		rc = cv_fail_nomem(err);
out:
	cv_state_reset(&state);
	free(state.items.item);
	return rc;
}

int convo_store_state_set(convo_store *store, const struct convo_key *key,
			  const struct convo_item *items, size_t count,
			  const struct convo_call *how, struct convo_err *err)
{
	struct change_list changes = {0};
	struct store_call call;
	int rc = cv_call_begin(&call, store, how, err);

	if (rc < 0)
		return rc;
	rc = cv_prepare_items(&changes, items, count, err);
	if (rc < 0)
		goto out;
	rc = cv_prepare_key(key, cv_prepare_scopes(&changes), err);
	if (rc < 0)
		goto out;
	if (changes.count)
		rc = store->be->state_set(store, &call, key, changes.change, changes.count, err);
	if (rc >= 0 && key->user && key->session)
		cv_hub_told(store, key);
out:
	free(changes.change);
	return rc;
}

int convo_store_state_delete(convo_store *store, const struct convo_key *key, const char *name,
			     const struct convo_call *how, struct convo_err *err)
{
	const struct convo_item item = {.name = name};

	return convo_store_state_set(store, key, &item, 1, how, err);
}

int convo_store_state_list(convo_state **out, convo_store *store, const struct convo_key *key,
			   unsigned scopes, const struct convo_call *how, struct convo_err *err)
{
	const unsigned all = CONVO_SCOPE_SESSION | CONVO_SCOPE_USER | CONVO_SCOPE_APP;
	struct store_call call;
	convo_state *state;
	int rc = cv_call_begin(&call, store, how, err);

	if (rc < 0)
		return rc;
	rc = cv_check_given(out, "where the list goes", err);
	if (rc < 0)
		return rc;
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

int convo_store_clean(convo_store *store, int64_t *removed, const struct convo_call *how,
		      struct convo_err *err)
{
	struct store_call call;
	int64_t gone;
	bool more;
	int rc = cv_call_begin(&call, store, how, err);

	if (rc < 0)
		return rc;
	rc = cv_clean_all(store, how, call.deadline_us, &gone, &more, err);
	if (removed)
		*removed = gone;
	if (rc >= 0 && more)
		return cv_fail(err, CONVO_E_TIMEOUT, "%s: cleaning is not done yet; call again",
			       store->where);
	return rc;
}
