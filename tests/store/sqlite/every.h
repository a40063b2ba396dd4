/*
 * Every operation of a store, on a file of which nothing is known: each must succeed or say why not,
 * and what it hands out must be what the headers promise. For the test of damaged files and for
 * fuzzing; ends the program when a promise is broken.
 */
#ifndef TESTS_STORE_SQLITE_EVERY_H
#define TESTS_STORE_SQLITE_EVERY_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convo/store.h>

#include <base/utf8.h>

static void every_must(int cond, const char *what)
{
	if (cond)
		return;
	fprintf(stderr, "a promise is broken: %s\n", what);
	abort();
}

static void every_text(const char *text, const char *what)
{
	every_must(text && cv_utf8_valid(text, strlen(text)), what);
}

static void every_text_or_null(const char *text, const char *what)
{
	if (text)
		every_text(text, what);
}

/* A call has succeeded, or says what failed. @return whether it has succeeded */
static int every_rc(int rc, const struct convo_err *err)
{
	if (rc >= 0)
		return 1;
	every_must(rc == err->code, "the code in err is the code returned");
	every_text(err->text, "the text of an error");
	every_must(*err->text && !strchr(err->text, '\n'), "an error is one line");
	/* Damage is no shortage of memory or disk, and nobody has a lock. */
	every_must(rc != CONVO_E_NOMEM && rc != CONVO_E_FULL && rc != CONVO_E_DENIED,
		   "the code of an error is of its kind");
	return 0;
}

static void every_meta(const struct convo_meta *meta)
{
	every_text(meta->session, "meta.session");
	every_text(meta->title, "meta.title");
	every_text(meta->generation, "meta.generation");
	every_must(strlen(meta->generation) == 36, "a generation is a UUID");
	every_must(meta->created_ms >= 0 && meta->updated_ms >= 0 && meta->expires_ms >= 0 &&
			   meta->deleted_ms >= 0,
		   "times are not negative");
	every_text(meta->fork_session, "meta.fork_session");
	every_text(meta->fork_generation, "meta.fork_generation");
	every_must(!*meta->fork_session == !*meta->fork_generation && meta->fork_seq >= 0,
		   "of what it is a fork");
	every_must(meta->held_ms >= 0, "meta.held_ms is not negative");
	every_must(meta->count >= 0 && meta->count <= meta->last_seq, "count is 0 to last_seq");
}

static void every_event(const struct convo_event *event, int64_t before)
{
	every_must(event->seq == before + 1 || before == 0, "seqs have no gap");
	every_must(event->time_ms >= 0, "time_ms is not negative");
	every_must((int)event->status >= 0 && event->status <= CONVO_FAILED, "status");
	every_text(event->id, "event.id");
	every_text(event->author, "event.author");
	every_text(event->role, "event.role");
	every_text(event->message, "event.message");
	every_must(strlen(event->message) == event->message_len, "event.message_len");
	every_text_or_null(event->turn, "event.turn");
	every_text_or_null(event->model, "event.model");
	every_text_or_null(event->finish_reason, "event.finish_reason");
	every_text_or_null(event->error, "event.error");
	every_text_or_null(event->usage, "event.usage");
	every_text_or_null(event->state, "event.state");
	every_text_or_null(event->extra, "event.extra");
}

static void every_item(const struct convo_item *item)
{
	every_text(item->name, "item.name");
	every_text(item->json, "item.json");
	every_must(strlen(item->json) == item->json_len, "item.json_len");
}

/* Load a window of a session. @return what the call did */
static int every_load(convo_store *store, const struct convo_key *key,
		      const struct convo_window *window, struct convo_err *err)
{
	convo_session *session = NULL;
	int64_t seq = 0;
	size_t i;
	int rc = convo_store_load(&session, store, key, window, NULL, err);

	if (!every_rc(rc, err))
		return rc;
	every_meta(convo_session_meta(session));
	for (i = 0; i < convo_session_count(session); i++) {
		const struct convo_event *event = convo_session_event(session, i);

		every_event(event, seq);
		seq = event->seq;
	}
	for (i = 0; i < convo_session_state_count(session); i++)
		every_item(convo_session_state_at(session, i));
	if (convo_session_draft(session))
		every_event(convo_session_draft(session), 0);
	convo_session_free(session);
	return rc;
}

/* Walk over the live sessions, or the trash. @return what the call did that ended it */
static int every_list(convo_store *store, const struct convo_key *key, enum convo_list_what what,
		      struct convo_err *err)
{
	convo_cursor *cursor = NULL;
	size_t count = 1, pages = 0, i;
	int rc = convo_cursor_new(&cursor, key->app, key->user, what, err);

	while (rc >= 0 && count && pages++ < 1000) {
		rc = convo_store_list(store, cursor, 3, &count, NULL, err);
		if (!every_rc(rc, err))
			break;
		for (i = 0; i < count; i++)
			every_meta(convo_cursor_meta(cursor, i));
	}
	every_must(pages < 1000, "a walk ends");
	convo_cursor_free(cursor);
	return rc;
}

static int every_state(convo_store *store, const struct convo_key *key, struct convo_err *err)
{
	convo_state *state = NULL;
	size_t i;
	int rc = convo_store_state_list(&state, store, key, 7, NULL, err);

	if (!every_rc(rc, err))
		return rc;
	for (i = 0; i < convo_state_count(state); i++)
		every_item(convo_state_at(state, i));
	convo_state_free(state);
	return rc;
}

/* Turns: a lease, drafts, a fork. */
static void every_turn(convo_store *store, const struct convo_key *key)
{
	const struct convo_event draft = {.id = "0191e2a4-7b2c-7abc-8def-00000000000b",
					  .message = "{\"role\":\"assistant\",\"content\":\"a\"}"};
	const struct convo_event longer = {
		.id = draft.id, .message = "{\"role\":\"assistant\",\"content\":\"a and b\"}"};
	const struct convo_fork fork = {.session = "forked now"};
	struct convo_expect expect = {.hold = CONVO_HOLD_FORCE};
	convo_lease *lease = NULL;
	struct convo_err err;

	every_must(convo_lease_new(&lease, NULL, &err) == 0, "a lease is made");
	expect.lease = lease;
	every_rc(convo_store_append(store, key, &expect, NULL, 0, NULL, NULL, &err), &err);
	every_rc(convo_store_draft(store, key, lease, &draft, NULL, &err), &err);
	every_rc(convo_store_draft(store, key, lease, &longer, NULL, &err), &err);
	every_rc(convo_store_fork(store, key, &fork, NULL, NULL, &err), &err);
	expect.hold = CONVO_HOLD_END;
	every_rc(convo_store_append(store, key, &expect, &longer, 1, NULL, NULL, &err), &err);
	every_rc(convo_store_settle(store, key, NULL, NULL, &err), &err);
	convo_lease_free(lease);
}

/* What writes: a session that is there, one that is not yet, the trash, and cleaning. */
static void every_write(convo_store *store, const struct convo_key *key)
{
	const struct convo_event event = {.id = "0191e2a4-7b2c-7abc-8def-00000000000a",
					  .message = "{\"role\":\"user\"}",
					  .state = "{\"a\":2,\"user:a\":3,\"app:a\":null}"};
	const struct convo_item items[] = {{.name = "a", .json = NULL},
					   {.name = "user:a", .json = "\"longer than before\""},
					   {.name = "app:b", .json = "1"}};
	const struct convo_key fresh = {key->app, key->user, "fresh"};
	struct convo_err err;

	every_rc(convo_store_append(store, key, NULL, &event, 1, NULL, NULL, &err), &err);
	every_rc(convo_store_append(store, key, NULL, &event, 1, NULL, NULL, &err), &err);
	every_rc(convo_store_state_set(store, key, items, 3, NULL, &err), &err);
	every_rc(convo_store_rename(store, key, "title", NULL, &err), &err);
	every_rc(convo_store_create(store, &fresh, NULL, NULL, NULL, &err), &err);
	every_rc(convo_store_append(store, &fresh, NULL, &event, 1, NULL, NULL, &err), &err);
	every_turn(store, key);
	every_rc(convo_store_delete(store, key, NULL, &err), &err);
	every_rc(convo_store_restore(store, key, NULL, NULL, &err), &err);
	every_rc(convo_store_delete(store, &fresh, NULL, &err), &err);
	every_rc(convo_store_purge(store, &fresh, NULL, NULL, &err), &err);
	every_rc(convo_store_clean(store, NULL, NULL, &err), &err);
}

/* Keep the first failure, but any rather than that a session is not there. */
static void every_keep(struct convo_err *first, int rc, const struct convo_err *err)
{
	if (rc < 0 && (!first->code || first->code == CONVO_E_NOTFOUND))
		*first = *err;
}

/* What reads. @return the code of `first`, the failure that tells most */
static int every_read(convo_store *store, const struct convo_key *key, struct convo_err *first)
{
	const struct convo_window windows[] = {
		{.kind = CONVO_WINDOW_LAST},
		{.kind = CONVO_WINDOW_LAST, .n = 3},
		{.kind = CONVO_WINDOW_AFTER, .n = 3, .seq = 1},
		{.kind = CONVO_WINDOW_BEFORE, .n = 3, .seq = 4},
		{.kind = CONVO_WINDOW_AROUND, .n = 3, .id = "0191e2a4-7b2c-7abc-8def-000000000002"},
		{.kind = CONVO_WINDOW_NONE, .with = CONVO_WITH_DRAFT}};
	struct convo_stats stats;
	struct convo_err err = {0};

	memset(first, 0, sizeof(*first));
	for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++)
		every_keep(first, every_load(store, key, &windows[i], &err), &err);
	every_keep(first, every_list(store, key, CONVO_LIST_LIVE, &err), &err);
	every_keep(first, every_list(store, key, CONVO_LIST_TRASH, &err), &err);
	every_keep(first, every_state(store, key, &err), &err);
	every_rc(convo_store_stats(store, key->app, NULL, &stats, NULL, &err), &err);
	return first->code;
}

/* Open the file, if it lets itself be opened, and do everything. */
static void every_operation(const char *url, const struct convo_key *key)
{
	const struct convo_store_options opts = {.timeout_ms = 2000,
						 .event_limit = 3,
						 .ttl_ms = 1000,
						 .clean_interval_ms = CONVO_OFF};
	convo_store *store = NULL;
	struct convo_err err;

	if (!every_rc(convo_store_open(&store, url, &opts, &err), &err))
		return;
	every_read(store, key, &err);
	every_write(store, key);
	every_read(store, key, &err);
	convo_store_close(store);
}

#endif
