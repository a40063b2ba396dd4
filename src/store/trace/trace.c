/*
 * The tracing backend; see trace.h. A store without a listener has none of this around it.
 */
#include <store/trace/trace.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/clock.h>

struct trace_store {
	struct convo_store base;
	struct convo_store *inner;
	struct convo_trace trace;
	struct cv_backend be; /* base.be: ours, with what the inner one is called and lacks */
};

/* A call on its way: the one that is passed on, and what is known of it. */
struct trace_span {
	const struct trace_store *store;
	struct store_call call;
	struct store_work work;
	struct convo_err err;
	struct convo_trace_call told;
	int64_t began_us;
};

static struct trace_store *trace_of(struct convo_store *store)
{
	return (struct trace_store *)store;
}

static struct convo_store *span_begin(struct trace_span *span, struct convo_store *store,
				      const struct store_call *call, const char *op,
				      const struct convo_key *key)
{
	*span = (struct trace_span){.store = trace_of(store)};
	if (call)
		span->call = *call;
	span->call.work = &span->work;
	span->told.op = op;
	span->told.key = key;
	span->began_us = cv_clock_mono_us();
	return span->store->inner;
}

/* Tell, and give the caller its error. @return rc */
static int span_end(struct trace_span *span, int rc, int64_t events, struct convo_err *err)
{
	span->told.duration_us = cv_clock_mono_us() - span->began_us;
	span->told.code = rc < 0 ? rc : 0;
	span->told.maybe = rc < 0 && span->err.maybe;
	span->told.tries = span->work.tries;
	span->told.round_trips = span->work.round_trips;
	span->told.steps = span->work.steps;
	span->told.events = rc < 0 ? 0 : events;
	span->store->trace.on_call(span->store->trace.ctx, &span->told);
	if (rc < 0 && err)
		*err = span->err;
	return rc;
}

/* ---- opening ---------------------------------------------------------------------------- */

static int trace_open(struct convo_store *store, const struct store_call *call,
		      const struct cv_url *url, struct convo_err *err)
{
	struct trace_span span;
	struct convo_store *inner = span_begin(&span, store, call, "open", NULL);
	int rc = inner->be->open(inner, &span.call, url, &span.err);

	memcpy(store->where, inner->where, sizeof(store->where));
	return span_end(&span, rc, 0, err);
}

static void trace_close(struct convo_store *store)
{
	struct trace_span span;
	struct convo_store *inner = span_begin(&span, store, NULL, "close", NULL);

	inner->be->close(inner);
	free(inner);
	span_end(&span, 0, 0, NULL);
}

/* ---- sessions --------------------------------------------------------------------------- */

static int trace_create(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, const struct store_create *create,
			struct convo_err *err)
{
	struct trace_span span;
	struct convo_store *inner = span_begin(&span, store, call, "create", key);

	return span_end(&span, inner->be->create(inner, &span.call, key, create, &span.err), 0,
			err);
}

static int trace_load(struct convo_store *store, const struct store_call *call,
		      const struct convo_key *key, const struct store_window *window,
		      struct convo_session *into, struct convo_err *err)
{
	struct trace_span span;
	struct convo_store *inner = span_begin(&span, store, call, "load", key);
	int rc = inner->be->load(inner, &span.call, key, window, into, &span.err);

	return span_end(&span, rc, (int64_t)convo_session_count(into), err);
}

static int trace_append(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, struct store_append *append,
			struct convo_err *err)
{
	struct trace_span span;
	struct convo_store *inner = span_begin(&span, store, call, "append", key);
	int rc = inner->be->append(inner, &span.call, key, append, &span.err);

	if (span.work.lost)
		store_work_lost(call);
	/* What is in the way is no failure: the caller goes on. */
	return span_end(&span, rc, rc ? 0 : (int64_t)append->count, err);
}

/* One call, however many drafts: how the first that was not saved ended. */
static void trace_drafts(struct convo_store *store, const struct store_call *call,
			 struct store_draft **drafts, size_t count)
{
	struct trace_span span;
	struct convo_store *inner =
		span_begin(&span, store, call, "draft", count == 1 ? drafts[0]->key : NULL);
	size_t saved = 0, i;
	int rc = 0;

	inner->be->drafts(inner, &span.call, drafts, count);
	for (i = 0; i < count; i++) {
		saved += drafts[i]->rc == 0;
		if (drafts[i]->rc < 0 && rc == 0) {
			rc = drafts[i]->rc;
			span.err = drafts[i]->err;
		}
	}
	span_end(&span, rc, (int64_t)saved, NULL);
}

static int trace_fork(struct convo_store *store, const struct store_call *call,
		      const struct convo_key *key, const struct store_fork *fork,
		      struct convo_err *err)
{
	struct trace_span span;
	struct convo_store *inner = span_begin(&span, store, call, "fork", key);

	return span_end(&span, inner->be->fork(inner, &span.call, key, fork, &span.err), 0, err);
}

static int trace_marks(struct convo_store *store, const struct store_call *call,
		       const struct convo_key *const *keys, size_t count, uint64_t *marks,
		       struct convo_err *err)
{
	struct trace_span span;
	struct convo_store *inner = span_begin(&span, store, call, "marks", NULL);

	return span_end(&span, inner->be->marks(inner, &span.call, keys, count, marks, &span.err),
			0, err);
}

static int trace_ear_open(struct convo_store *store, const struct store_call *call,
			  struct store_ear **out, struct convo_err *err)
{
	struct convo_store *inner = trace_of(store)->inner;

	return inner->be->ear_open(inner, call, out, err);
}

static int trace_weigh(struct convo_store *store, const struct store_call *call, const char *app,
		       const char *user, const struct store_weighed *sessions, size_t count,
		       int64_t *bytes, struct convo_err *err)
{
	const struct convo_key key = {.app = app, .user = user};
	struct trace_span span;
	struct convo_store *inner = span_begin(&span, store, call, "weigh", &key);

	return span_end(&span,
			inner->be->weigh(inner, &span.call, app, user, sessions, count, bytes,
					 &span.err),
			(int64_t)count, err);
}

static int trace_rename(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, struct cv_text title, struct convo_err *err)
{
	struct trace_span span;
	struct convo_store *inner = span_begin(&span, store, call, "rename", key);

	return span_end(&span, inner->be->rename(inner, &span.call, key, title, &span.err), 0, err);
}

static int trace_owners(struct convo_store *store, const struct store_call *call, const char *app,
			bool trash, size_t n, struct store_owners_place *place,
			struct store_owners *into, bool *more, struct convo_err *err)
{
	const struct convo_key key = {.app = app};
	struct trace_span span;
	struct convo_store *inner = span_begin(&span, store, call, "owners", &key);
	int rc = inner->be->owners(inner, &span.call, app, trash, n, place, into, more, &span.err);

	return span_end(&span, rc, 0, err);
}

static int trace_list(struct convo_store *store, const struct store_call *call, const char *app,
		      const char *user, bool trash, const struct store_place *place, size_t n,
		      struct store_page *into, struct convo_err *err)
{
	const struct convo_key key = {.app = app, .user = user};
	struct trace_span span;
	struct convo_store *inner = span_begin(&span, store, call, "list", &key);
	int rc = inner->be->list(inner, &span.call, app, user, trash, place, n, into, &span.err);

	return span_end(&span, rc, (int64_t)cv_page_count(into), err);
}

/* ---- trash ------------------------------------------------------------------------------ */

static int trace_delete(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, struct convo_err *err)
{
	struct trace_span span;
	struct convo_store *inner = span_begin(&span, store, call, "delete", key);

	return span_end(&span, inner->be->delete (inner, &span.call, key, &span.err), 0, err);
}

static int trace_restore(struct convo_store *store, const struct store_call *call,
			 const struct convo_key *key, const unsigned char *generation,
			 struct convo_err *err)
{
	struct trace_span span;
	struct convo_store *inner = span_begin(&span, store, call, "restore", key);

	return span_end(&span, inner->be->restore(inner, &span.call, key, generation, &span.err), 0,
			err);
}

static int trace_purge(struct convo_store *store, const struct store_call *call,
		       const struct convo_key *key, const unsigned char *generation,
		       struct convo_err *err)
{
	struct trace_span span;
	struct convo_store *inner = span_begin(&span, store, call, "purge", key);

	return span_end(&span, inner->be->purge(inner, &span.call, key, generation, &span.err), 0,
			err);
}

/* ---- state ------------------------------------------------------------------------------ */

static int trace_state_set(struct convo_store *store, const struct store_call *call,
			   const struct convo_key *key, const struct store_change *changes,
			   size_t count, struct convo_err *err)
{
	struct trace_span span;
	struct convo_store *inner = span_begin(&span, store, call, "state_set", key);

	return span_end(&span,
			inner->be->state_set(inner, &span.call, key, changes, count, &span.err), 0,
			err);
}

static int trace_state_list(struct convo_store *store, const struct store_call *call,
			    const struct convo_key *key, unsigned scopes,
			    const struct cv_text *name, struct convo_state *into,
			    struct convo_err *err)
{
	struct trace_span span;
	struct convo_store *inner = span_begin(&span, store, call, "state_list", key);
	int rc = inner->be->state_list(inner, &span.call, key, scopes, name, into, &span.err);

	return span_end(&span, rc, 0, err);
}

/* ---- cleaning --------------------------------------------------------------------------- */

static int trace_clean(struct convo_store *store, const struct store_call *call, int64_t *removed,
		       bool *more, struct convo_err *err)
{
	struct trace_span span;
	struct convo_store *inner = span_begin(&span, store, call, "clean", NULL);

	return span_end(&span, inner->be->clean(inner, &span.call, removed, more, &span.err), 0,
			err);
}

struct convo_store *cv_trace_wrap(struct convo_store *inner, const struct convo_trace *trace)
{
	struct trace_store *store = cv_alloc(1, sizeof(*store));

	if (!store)
		return NULL;
	store->base = *inner;
	store->base.opts.prefix = store->base.prefix;
	store->base.be = &store->be;
	store->inner = inner;
	store->trace = *trace;
	store->be = *inner->be;
	store->be.size = sizeof(*store);
	store->be.open = trace_open;
	store->be.close = trace_close;
	store->be.create = trace_create;
	store->be.load = trace_load;
	store->be.append = trace_append;
	store->be.drafts = trace_drafts;
	store->be.fork = trace_fork;
	store->be.marks = trace_marks;
	store->be.ear_open = inner->be->ear_open ? trace_ear_open : NULL;
	store->be.weigh = trace_weigh;
	store->be.rename = trace_rename;
	store->be.list = trace_list;
	store->be.owners = trace_owners;
	store->be.delete = trace_delete;
	store->be.restore = trace_restore;
	store->be.purge = trace_purge;
	store->be.state_set = trace_state_set;
	store->be.state_list = trace_state_list;
	store->be.clean = inner->be->clean ? trace_clean : NULL;
	return &store->base;
}
