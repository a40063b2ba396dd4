/*
 * Reading a window event by event, over the backend's load alone.
 *
 * The first call learns which seqs the window has: they are a range, and stay it whatever is
 * appended. Then the range is read in pages, each a window of its own (AFTER the event before). How
 * many events a page asks for follows the bytes of the pages before it, and a page that turns out
 * too large is asked for again as a smaller one; so some megabytes are held at most.
 */
#include <convo/store.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/arena.h>
#include <base/fail.h>
#include <store/front/call.h>
#include <store/front/prepare.h>
#include <store/front/session.h>

enum {
	FIRST_EVENTS = 8, /* what the first page asks for */
	MOST_EVENTS = 64, /* what a page asks for at most */
	PAGE_BYTES = 1 << 20,
	MOST_BYTES = 5 << 20, /* more than the largest event */
};

struct convo_reader {
	struct cv_arena arena; /* the key, and the strings of meta */
	struct convo_key key;
	struct store_window window;

	bool begun;
	struct convo_meta meta;
	int64_t next, to; /* the seqs that are left; none when next > to */

	convo_session *page; /* NULL, or what was loaded last; events before `at` are done with */
	size_t at;
	int64_t n; /* how many events the next page asks for */
};

int convo_reader_new(convo_reader **out, const struct convo_key *key,
		     const struct convo_window *window, struct convo_err *err)
{
	convo_reader *reader;
	struct store_window full;
	int rc = cv_check_given(out, "where the reader goes", err);

	if (rc < 0)
		return rc;
	rc = cv_prepare_key(key, CONVO_SCOPE_SESSION, err);
	if (rc < 0)
		return rc;
	rc = cv_prepare_window(&full, window, err);
	if (rc < 0)
		return rc;
	reader = cv_alloc(1, sizeof(*reader));
	if (!reader)
		return cv_fail_nomem(err);
	reader->window = full;
	reader->n = FIRST_EVENTS;
	reader->key.app = cv_arena_dup(&reader->arena, key->app, strlen(key->app));
	reader->key.user = cv_arena_dup(&reader->arena, key->user, strlen(key->user));
	reader->key.session = cv_arena_dup(&reader->arena, key->session, strlen(key->session));
	if (!reader->key.app || !reader->key.user || !reader->key.session) {
		convo_reader_free(reader);
		return cv_fail_nomem(err);
	}
	*out = reader;
	return 0;
}

void convo_reader_free(convo_reader *reader)
{
	if (!reader)
		return;
	convo_session_free(reader->page);
	cv_arena_clear(&reader->arena);
	free(reader);
}

const struct convo_meta *convo_reader_meta(const convo_reader *reader)
{
	return reader && reader->begun ? &reader->meta : NULL;
}

/* ---- pages ------------------------------------------------------------------------------ */

/* Load a window as the reader's page, and let its size teach the size of the next one. */
static int reader_load(convo_reader *reader, convo_store *store, const struct store_call *call,
		       const struct store_window *window, struct convo_err *err)
{
	convo_session *page;
	int rc;

	convo_session_free(reader->page);
	reader->page = NULL;
	page = cv_alloc(1, sizeof(*page));
	if (!page)
		return cv_fail_nomem(err);
	page->budget = MOST_BYTES;
	rc = store->be->load(store, call, &reader->key, window, page, err);
	if (rc < 0 && page->over) /* the caller asks for less */
		reader->n = (int64_t)page->event_count / 2 + 1;
	if (rc < 0) {
		convo_session_free(page);
		return rc;
	}
	cv_session_finish(page, call->event_limit);
	if (page->bytes > PAGE_BYTES)
		reader->n = (reader->n + 1) / 2;
	else if (page->bytes <= PAGE_BYTES / 2 && reader->n < MOST_EVENTS)
		reader->n *= 2;
	reader->page = page;
	reader->at = 0;
	return 0;
}

/* The window of the first load: it tells the range, and holds the first events where it can. */
static struct store_window first_window(const convo_reader *reader)
{
	struct store_window window = reader->window;

	if (window.kind == CONVO_WINDOW_LAST && window.n == STORE_SEQ_MAX) {
		window.kind = CONVO_WINDOW_AFTER;
		window.seq = 0;
	}
	if (window.kind == CONVO_WINDOW_AROUND)
		window.n = 1;
	else if (window.kind == CONVO_WINDOW_AFTER && window.n > reader->n)
		window.n = reader->n;
	else if (window.n > reader->n)
		window.kind = CONVO_WINDOW_NONE;
	return window;
}

/* Fix what is read: the generation and the range. */
static int reader_begin(convo_reader *reader, convo_store *store, const struct store_call *call,
			struct convo_err *err)
{
	struct store_window window = first_window(reader);
	int64_t from, around = 0;
	const convo_session *page;
	int rc = reader_load(reader, store, call, &window, err);

	if (rc < 0)
		return rc;
	page = reader->page;
	if (window.kind == CONVO_WINDOW_AROUND && page->event_count)
		around = page->event[0]->seq;
	if (!cv_meta_dup(&reader->arena, &reader->meta, &page->meta))
		return cv_fail_nomem(err);
	cv_window_range(&reader->window, reader->meta.last_seq - reader->meta.count + 1,
			reader->meta.last_seq, around, &from, &reader->to);
	reader->next = from;
	if (!page->event_count || page->event[0]->seq != from)
		reader->at = page->event_count; /* not where the reading begins */
	reader->begun = true;
	return 0;
}

/* Load the page that begins with the next event. */
static int reader_fetch(convo_reader *reader, convo_store *store, const struct store_call *call,
			struct convo_err *err)
{
	struct store_window window = {.kind = CONVO_WINDOW_AFTER, .seq = reader->next - 1};
	int64_t left = reader->to - reader->next + 1;
	int rc;

	window.n = reader->n < left ? reader->n : left;
	rc = reader_load(reader, store, call, &window, err);
	if (rc < 0)
		return rc;
	if (strcmp(reader->page->meta.generation, reader->meta.generation) != 0) {
		reader->at = reader->page->event_count;
		return cv_refuse_notfound(err, &reader->key);
	}
	if (!reader->page->event_count)
		return cv_fail(err, CONVO_E_IO, "session '%.60s' ends at event %lld, before %lld",
			       reader->key.session, (long long)reader->page->meta.last_seq,
			       (long long)reader->next);
	return 0;
}

/* Load on. A page that is too large is no failure: it is asked for again with fewer events. */
static int reader_step(convo_reader *reader, convo_store *store, const struct store_call *call,
		       struct convo_err *err)
{
	int64_t before = reader->n;
	struct convo_err why;
	int rc = reader->begun ? reader_fetch(reader, store, call, &why)
			       : reader_begin(reader, store, call, &why);

	if (rc >= 0 || (rc == CONVO_E_TOOBIG && reader->n < before))
		return 0;
	if (err)
		*err = why;
	return rc;
}

static bool reader_ended(const convo_reader *reader)
{
	return reader->begun && reader->next > reader->to;
}

/* The next event of the page, or NULL when the page is done with. */
static const struct convo_event *reader_take(convo_reader *reader)
{
	const struct convo_event *event;

	if (!reader->begun || reader_ended(reader))
		return NULL;
	event = convo_session_event(reader->page, reader->at);
	if (!event)
		return NULL;
	reader->at++;
	reader->next = event->seq + 1;
	return event->seq <= reader->to ? event : NULL; /* or the rest was removed meanwhile */
}

int convo_store_read(const struct convo_event **event, convo_store *store, convo_reader *reader,
		     const struct convo_call *how, struct convo_err *err)
{
	const struct convo_event *found;
	struct store_call call;
	int rc = cv_call_begin(&call, store, how, err);

	if (rc < 0)
		return rc;
	rc = cv_check_given(event, "where the event goes", err);
	if (rc < 0)
		return rc;
	rc = cv_check_given(reader, "the reader", err);
	if (rc < 0)
		return rc;
	found = reader_take(reader);
	while (!found && !reader_ended(reader)) {
		rc = reader_step(reader, store, &call, err);
		if (rc < 0)
			return rc;
		found = reader_take(reader);
	}
	*event = found;
	return 0;
}
