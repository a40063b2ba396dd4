/*
 * The front of every store, over a backend that counts its calls: what is checked before anything
 * is sent, what is filled in, how walks end, and when cleaning runs.
 */
#include <support/test.h>

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include <convo/store.h>

#include <base/clock.h>
#include <store/backend.h>
#include <store/front/cleaner.h>
#include <store/front/options.h>

#define SESSIONS 40

/* One session of the list, newest first. */
struct listed {
	int64_t position;
	unsigned char generation;
};

struct fake {
	struct convo_store base;
	_Atomic int calls, cleans;
	struct store_call call; /* the last one */

	struct store_append append; /* what the last append passed; events copied */
	struct store_event events[8];
	struct store_change changes[8];
	int64_t next_seq;

	struct listed list[SESSIONS];
	size_t listed;
	size_t asked[64];     /* the n of each list() */
	int lists, fail_list; /* the how many-th list() fails; 0: none */
	void (*after_list)(struct fake *fake);

	_Atomic int more; /* steps that clean() says are left */
	int slow_clean_us;
	bool removes_nothing; /* clean() works, but no session is gone by it */
	_Atomic int failing;  /* steps of clean() that fail, then none does */
	bool then_rarely;     /* from the first step on the interval is an hour */
	int rc;               /* what the others return */
	bool loses;           /* append() tells that a try was lost */
};

static struct fake *fake_of(struct convo_store *store, const struct store_call *call)
{
	struct fake *fake = (struct fake *)store;

	atomic_fetch_add(&fake->calls, 1);
	fake->call = *call;
	return fake;
}

static int fake_end(const struct fake *fake, struct convo_err *err)
{
	return fake->rc < 0 ? cv_fail(err, fake->rc, "the fake fails") : 0;
}

static int fake_create(struct convo_store *store, const struct store_call *call,
		       const struct convo_key *key, const struct store_create *create,
		       struct convo_err *err)
{
	(void)key;
	(void)create;
	return fake_end(fake_of(store, call), err);
}

/* Three events in the wrong order, and state. */
static int fake_load(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, const struct store_window *window,
		     struct convo_session *into, struct convo_err *err)
{
	static const int64_t seqs[] = {12, 10, 11};
	struct fake *fake = fake_of(store, call);
	struct store_meta meta = {.session = cv_text_of(key->session),
				  .title = cv_text_of(""),
				  .first_seq = 3,
				  .last_seq = 12};
	int rc = 0;

	(void)window;
	for (int round = 0; rc >= 0 && round < 2; round++) { /* as after a lost connection */
		cv_session_reset(into);
		rc = cv_session_set_meta(into, &meta, err);
		for (int i = 0; rc >= 0 && i < 3; i++) {
			struct store_event event = {.seq = seqs[i]};

			event.field[FIELD_ROLE] = cv_text_of("user");
			event.field[FIELD_AUTHOR] = cv_text_of("user");
			event.field[FIELD_MESSAGE] = cv_text_of("{\"role\":\"user\"}");
			rc = cv_session_add_event(into, &event, err);
		}
		if (rc >= 0)
			rc = cv_session_add_state(into, CONVO_SCOPE_USER, cv_text_of("z"),
						  cv_text_of("1"), err);
		if (rc >= 0)
			rc = cv_session_add_state(into, CONVO_SCOPE_SESSION, cv_text_of("b"),
						  cv_text_of("2"), err);
	}
	return rc < 0 ? rc : fake_end(fake, err);
}

static int fake_append(struct convo_store *store, const struct store_call *call,
		       const struct convo_key *key, struct store_append *append,
		       struct convo_err *err)
{
	struct fake *fake = fake_of(store, call);

	(void)key;
	fake->append = *append;
	if (fake->loses)
		store_work_lost(call);
	for (size_t i = 0; i < append->count && i < 8; i++) {
		append->events[i].seq = fake->next_seq++;
		fake->events[i] = append->events[i];
	}
	for (size_t i = 0; i < append->change_count && i < 8; i++)
		fake->changes[i] = append->changes[i];
	return fake_end(fake, err);
}

static int fake_rename(struct convo_store *store, const struct store_call *call,
		       const struct convo_key *key, struct cv_text title, struct convo_err *err)
{
	(void)key;
	must(title.data != NULL); /* "" for none */
	return fake_end(fake_of(store, call), err);
}

static int fake_list(struct convo_store *store, const struct store_call *call, const char *app,
		     const char *user, bool trash, const struct store_place *place, size_t n,
		     struct store_page *into, struct convo_err *err)
{
	struct fake *fake = fake_of(store, call);
	int rc = 0;

	(void)app;
	(void)user;
	(void)trash;
	must(fake->lists < 64);
	fake->asked[fake->lists++] = n;
	cv_page_reset(into);
	if (fake->lists == fake->fail_list)
		return cv_fail(err, CONVO_E_IO, "the fake fails");
	for (size_t i = 0; rc >= 0 && i < fake->listed && n > 0; i++) {
		const struct listed *one = &fake->list[i];
		char name[16];
		struct store_meta meta = {.position = one->position,
					  .number = 1,
					  .session = {name, 0},
					  .title = cv_text_of(""),
					  .generation = {one->generation}};

		if (one->position > place->position ||
		    (one->position == place->position && meta.number >= place->number))
			continue;
		meta.session.len = (size_t)snprintf(name, sizeof(name), "s%d", one->generation);
		rc = cv_page_add(into, &meta, err);
		n--;
	}
	if (rc >= 0 && fake->after_list)
		fake->after_list(fake);
	return rc;
}

static int fake_key(struct convo_store *store, const struct store_call *call,
		    const struct convo_key *key, struct convo_err *err)
{
	(void)key;
	return fake_end(fake_of(store, call), err);
}

static int fake_life(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, const unsigned char *generation,
		     struct convo_err *err)
{
	(void)key;
	(void)generation;
	return fake_end(fake_of(store, call), err);
}

static int fake_state_set(struct convo_store *store, const struct store_call *call,
			  const struct convo_key *key, const struct store_change *changes,
			  size_t count, struct convo_err *err)
{
	struct fake *fake = fake_of(store, call);

	(void)key;
	for (size_t i = 0; i < count && i < 8; i++)
		fake->changes[i] = changes[i];
	return fake_end(fake, err);
}

static int fake_state_list(struct convo_store *store, const struct store_call *call,
			   const struct convo_key *key, unsigned scopes, const struct cv_text *name,
			   struct convo_state *into, struct convo_err *err)
{
	(void)key;
	(void)scopes;
	(void)name;
	cv_state_reset(into);
	return fake_end(fake_of(store, call), err);
}

static int fake_clean(struct convo_store *store, const struct store_call *call, int64_t *removed,
		      bool *more, struct convo_err *err)
{
	struct fake *fake = (struct fake *)store;
	struct timespec ts = {0, fake->slow_clean_us * 1000L};

	(void)call;
	atomic_fetch_add(&fake->cleans, 1);
	if (fake->then_rarely)
		store->opts.clean_interval_ms = 3600000;
	if (atomic_load(&fake->failing) > 0 && atomic_fetch_sub(&fake->failing, 1) > 0)
		return cv_fail(err, CONVO_E_GONE, "the fake is away");
	if (fake->slow_clean_us)
		nanosleep(&ts, NULL);
	*removed += !fake->removes_nothing;
	*more = atomic_fetch_sub(&fake->more, 1) > 1;
	return fake_end(fake, err);
}

static void fake_close(struct convo_store *store)
{
	(void)store;
}

static const struct cv_backend fake_backend = {
	.scheme = "fake",
	.title = "Fake",
	.size = sizeof(struct fake),
	.default_prefix = "fake_",
	.close = fake_close,
	.create = fake_create,
	.load = fake_load,
	.append = fake_append,
	.rename = fake_rename,
	.list = fake_list,
	.delete = fake_key,
	.restore = fake_life,
	.purge = fake_life,
	.state_set = fake_state_set,
	.state_list = fake_state_list,
	.clean = fake_clean,
};

static const struct convo_key good_key = {"app", "user", "session"};

/* A store on the fake with the options of a URL; for convo_store_close(). */
static struct fake *fake_open(const char *text, const struct convo_store_options *opts)
{
	struct fake *fake = calloc(1, sizeof(*fake));
	struct cv_url url;
	struct convo_err err;

	must(fake != NULL);
	fake->base.be = &fake_backend;
	fake->next_seq = 1;
	must_pass(cv_url_parse(&url, text, &err));
	must_pass(cv_options_apply(&fake->base, opts, &url, &err));
	cv_url_clear(&url);
	return fake;
}

/* ---- options ---------------------------------------------------------------------------- */

static void test_options__zero_means_the_default(void **state)
{
	struct fake *fake = fake_open("fake:", NULL);
	const struct convo_store_options *o = &fake->base.opts;

	(void)state;
	must_equal(5000, o->timeout_ms);
	must_equal(0, o->ttl_ms);
	must_equal(0, o->event_limit);
	must_equal(7 * 86400000, o->trash_ms);
	must_equal(300000, o->clean_interval_ms);
	must_equal(8, o->max_connections);
	must_equal_str("fake_", o->prefix);
	must(!o->check_schema);
	convo_store_close(&fake->base);
}

static void test_options__negative_means_none(void **state)
{
	const struct convo_store_options none = {.trash_ms = -1, .clean_interval_ms = -1};
	struct fake *fake = fake_open("fake:", &none);

	(void)state;
	must_equal(0, fake->base.opts.trash_ms);
	must_equal(0, fake->base.opts.clean_interval_ms);
	convo_store_close(&fake->base);
}

static void test_options__the_url_wins(void **state)
{
	const struct convo_store_options opts = {.timeout_ms = 1, .ttl_ms = 1, .prefix = "a"};
	struct fake *fake = fake_open("fake:?timeout=9s&ttl=2h&limit=3&trash=0&clean=0&pool=2&"
				      "prefix=b_&schema=check",
				      &opts);
	const struct convo_store_options *o = &fake->base.opts;

	(void)state;
	must_equal(9000, o->timeout_ms);
	must_equal(7200000, o->ttl_ms);
	must_equal(3, o->event_limit);
	must_equal(0, o->trash_ms);
	must_equal(0, o->clean_interval_ms);
	must_equal(2, o->max_connections);
	must_equal_str("b_", o->prefix);
	must(o->check_schema);
	convo_store_close(&fake->base);
}

static void test_options__unknown_backends_are_told(void **state)
{
	convo_store *store = NULL;
	struct convo_err err;
	char *sql = NULL;

	(void)state;
	must_fail_with(CONVO_E_UNSUPPORTED, convo_store_open(&store, "mongo://h/", NULL, &err));
	must(strstr(err.text, "mongo") && strstr(err.text, "memory"));
	must_fail_with(CONVO_E_INVALID, convo_store_open(&store, NULL, NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_store_open(&store, "", NULL, &err));
	must_fail_with(CONVO_E_UNSUPPORTED, convo_store_schema(&sql, "memory", NULL, &err));
	must_fail_with(CONVO_E_UNSUPPORTED, convo_store_schema(&sql, "mongo", NULL, &err));
	must(store == NULL && sql == NULL);
	convo_store_close(NULL);
}

/* ---- before anything is sent ------------------------------------------------------------ */

static void bad_key_sends_nothing(struct fake *fake, const struct convo_key *key)
{
	const struct convo_item item = {.name = "a", .json = "1"};
	struct convo_event event = {.message = "{\"role\":\"user\"}"};
	convo_store *store = &fake->base;
	convo_session *session = NULL;
	convo_state *state = NULL;
	struct convo_err err;

	must_fail_with(CONVO_E_INVALID, convo_store_load(&session, store, key, NULL, NULL, &err));
	must_fail_with(CONVO_E_INVALID,
		       convo_store_append(store, key, NULL, &event, 1, NULL, NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_store_rename(store, key, "t", NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_store_delete(store, key, NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_store_restore(store, key, NULL, NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_store_purge(store, key, NULL, NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_store_state_set(store, key, &item, 1, NULL, &err));
	must_fail_with(CONVO_E_INVALID,
		       convo_store_state_list(&state, store, key, CONVO_SCOPE_SESSION, NULL, &err));
	must_equal(0, fake->calls);
}

static void test_store__bad_arguments_send_nothing(void **state)
{
	struct fake *fake = fake_open("fake:", NULL);
	const struct convo_key bad[] = {{"", "u", "s"}, {"a", NULL, "s"}, {"a", "u", NULL}};
	const struct convo_item items[] = {{.name = "a", .json = "1"}, {.name = "b", .json = "{"}};
	const struct convo_create create = {.state = items, .state_count = 2};
	const struct convo_create title = {.title = "a\nb"};
	struct convo_event events[2] = {{.message = "{\"role\":\"user\"}"}, {.message = "{}"}};
	struct convo_err err;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		bad_key_sends_nothing(fake, &bad[i]);
	bad_key_sends_nothing(fake, NULL);
	must_fail_with(CONVO_E_INVALID,
		       convo_store_create(&fake->base, &good_key, &create, NULL, NULL, &err));
	must_fail_with(CONVO_E_INVALID,
		       convo_store_create(&fake->base, &good_key, &title, NULL, NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_store_append(&fake->base, &good_key, NULL, events, 2,
							   NULL, NULL, &err));
	must_fail_with(CONVO_E_TOOBIG, convo_store_append(&fake->base, &good_key, NULL, events,
							  1001, NULL, NULL, &err));
	must_fail_with(CONVO_E_INVALID,
		       convo_store_state_set(&fake->base, &good_key, items, 2, NULL, &err));
	must_equal(0, fake->calls);
	convo_store_close(&fake->base);
}

static void test_store__a_call_has_a_deadline_and_a_moment(void **state)
{
	struct fake *fake = fake_open("fake:?timeout=3s", NULL);
	int64_t mono_us = cv_clock_mono_us(), now_us = cv_clock_us();
	struct convo_err err;

	(void)state;
	must_pass(convo_store_delete(&fake->base, &good_key, NULL, &err));
	must_equal(1, fake->calls);
	must(fake->call.now_us > now_us);
	must(fake->call.deadline_us >= mono_us + 3000000);
	must(fake->call.deadline_us <= mono_us + 4000000);
	now_us = fake->call.now_us;
	must_pass(convo_store_delete(&fake->base, &good_key, NULL, &err));
	must(fake->call.now_us > now_us);
	convo_store_close(&fake->base);
}

static void test_store__nothing_to_change_asks_nobody(void **state)
{
	const struct convo_item item = {.name = "temp:a", .json = "1"};
	struct fake *fake = fake_open("fake:", NULL);
	char *value = NULL;
	struct convo_err err;

	(void)state;
	must_pass(convo_store_state_set(&fake->base, &good_key, &item, 1, NULL, &err));
	must_pass(convo_store_state_set(&fake->base, &good_key, NULL, 0, NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_store_state_get(&value, &fake->base, &good_key, "temp:a", NULL, &err));
	must_equal(0, fake->calls);
	convo_store_close(&fake->base);
}

/* ---- loading ---------------------------------------------------------------------------- */

static void test_store__loaded_events_and_state_are_sorted(void **state)
{
	struct fake *fake = fake_open("fake:?limit=4", NULL);
	const struct convo_event *events;
	const struct convo_item *items;
	convo_session *session = NULL;
	struct convo_err err;
	size_t count;

	(void)state;
	must_pass(convo_store_load(&session, &fake->base, &good_key, NULL, NULL, &err));
	events = test_events(session, &count);
	must_equal(3, count); /* the first round is forgotten */
	for (int i = 0; i < 3; i++)
		must_equal(10 + i, events[i].seq);
	items = test_state(session, &count);
	must_equal(2, count);
	must_equal_str("b", items[0].name);
	must_equal_str("user:z", items[1].name);
	must_equal(4, convo_session_meta(session)->count); /* ten are stored */
	convo_session_free(session);
	session = NULL;
	fake->rc = CONVO_E_IO;
	must_fail_with(CONVO_E_IO,
		       convo_store_load(&session, &fake->base, &good_key, NULL, NULL, &err));
	must(session == NULL);
	convo_store_close(&fake->base);
}

/* ---- appending -------------------------------------------------------------------------- */

static void test_store__a_batch_holds_no_id_twice(void **state)
{
	static const char a[] = "0191e2a4-7b2c-7abc-8def-0123456789ab";
	static const char b[] = "0191e2a4-7b2c-7abc-8def-0123456789ac";
	static const char upper[] = "0191E2A4-7B2C-7ABC-8DEF-0123456789AB";
	struct fake *fake = fake_open("fake:", NULL);
	struct convo_event events[] = {
		{.id = b, .message = "{\"role\":\"user\"}", .state = "{\"n\":1}"},
		{.id = a, .message = "{\"role\":\"user\"}", .state = "{\"n\":2,\"user:m\":null}"},
		{.message = "{\"role\":\"user\"}"},
		{.id = upper, .message = "{\"role\":\"user\"}", .state = "{\"n\":4}"},
		{.id = b, .message = "{\"role\":\"user\"}"},
		{.message = "{\"role\":\"user\"}", .state = "{\"temp:x\":1,\"app:n\":6}"},
	};
	int64_t seqs[6];
	struct convo_err err;

	(void)state;
	must_pass(convo_store_append(&fake->base, &good_key, NULL, events, 6, seqs, NULL, &err));
	must_equal(4, fake->append.count);
	must_equal(1, seqs[0]);
	must_equal(2, seqs[1]);
	must_equal(3, seqs[2]);
	must_equal(2, seqs[3]);
	must_equal(1, seqs[4]);
	must_equal(4, seqs[5]);
	must_equal(4, fake->append.change_count);
	for (int i = 1; i < 4; i++)
		must(fake->changes[i].event >= fake->changes[i - 1].event);
	must_equal(CONVO_SCOPE_USER, fake->changes[2].scope);
	must(fake->changes[2].value.data == NULL);
	must_equal(CONVO_SCOPE_APP, fake->changes[3].scope);
	must_equal(3, fake->changes[3].event);
	must(!fake->append.check_seq && !fake->append.generation);
	convo_store_close(&fake->base);
}

static void test_store__a_failed_append_leaves_the_seqs(void **state)
{
	struct fake *fake = fake_open("fake:", NULL);
	struct convo_event event = {.message = "{\"role\":\"user\"}"};
	int64_t seq = -9;
	struct convo_err err;

	(void)state;
	fake->rc = CONVO_E_TIMEOUT;
	must_fail_with(CONVO_E_TIMEOUT, convo_store_append(&fake->base, &good_key, NULL, &event, 1,
							   &seq, NULL, &err));
	must_equal(-9, seq);
	must(event.id == NULL && event.seq == 0);
	convo_store_close(&fake->base);
}

/* The events may stand in a life of the session that has ended since. */
static void test_A8_no_session_after_a_lost_try_is_no_refusal(void **state)
{
	struct fake *fake = fake_open("fake:", NULL);
	struct convo_event event = {.message = "{\"role\":\"user\"}"};
	struct convo_err err;

	(void)state;
	for (int i = 0; i < 4; i++) {
		int code = i % 2 ? CONVO_E_NOTFOUND : CONVO_E_CONFLICT;

		fake->rc = code;
		fake->loses = i >= 2;
		must_fail_with(fake->loses ? CONVO_E_GONE : code,
			       convo_store_append(&fake->base, &good_key, NULL, &event, 1, NULL,
						  NULL, &err));
		must_equal(fake->loses, err.maybe);
	}
	convo_store_close(&fake->base);
}

/* ---- walks ------------------------------------------------------------------------------ */

/* `n` sessions, the newest a second old, each a second older than the one before it. */
static struct fake *walk_open(size_t n)
{
	struct fake *fake = fake_open("fake:", NULL);
	int64_t now_us = cv_clock_us();

	fake->listed = n;
	for (size_t i = 0; i < n; i++)
		fake->list[i] = (struct listed){now_us - 1000000 * (int64_t)(i + 1),
						(unsigned char)(i + 1)};
	return fake;
}

/* Move the last of the list to its front, as a write does. */
static void walk_move_last(struct fake *fake)
{
	struct listed last = fake->list[fake->listed - 1];

	memmove(&fake->list[1], &fake->list[0], (fake->listed - 1) * sizeof(last));
	last.position = cv_clock_us();
	fake->list[0] = last;
}

static void walk_move_once(struct fake *fake)
{
	fake->after_list = NULL;
	walk_move_last(fake);
}

/* Walk to the end; how many each session came. */
static void walk_count(struct fake *fake, size_t n, int times[256])
{
	const struct convo_meta *metas;
	convo_cursor *cursor = NULL;
	struct convo_err err;
	size_t count;

	memset(times, 0, 256 * sizeof(*times));
	must_pass(convo_cursor_new(&cursor, "app", "user", CONVO_LIST_LIVE, &err));
	must_equal(0, fake->calls); /* asks nobody */
	do {
		must_pass(test_list(&fake->base, cursor, n, &metas, &count, &err));
		for (size_t i = 0; i < count; i++)
			times[atoi(metas[i].session + 1)]++;
	} while (count);
	convo_cursor_free(cursor);
}

static void walk_must_be_whole(const struct fake *fake, const int times[256])
{
	for (size_t i = 1; i <= fake->listed; i++)
		must_equal(1, times[i]);
}

static void test_cursor__a_walk_of_one_page_asks_once(void **state)
{
	struct fake *fake = walk_open(5);
	int times[256];

	(void)state;
	walk_count(fake, 10, times);
	walk_must_be_whole(fake, times);
	must_equal(1, fake->lists);
	convo_store_close(&fake->base);
}

static void test_cursor__a_longer_walk_looks_at_the_front_again(void **state)
{
	struct fake *fake = walk_open(25);
	int times[256];

	(void)state;
	walk_count(fake, 10, times);
	walk_must_be_whole(fake, times);
	must_equal(4, fake->lists); /* three pages, and one look at what may have moved */
	must_equal(10, fake->asked[0]);
	must(fake->asked[3] >= 1000);
	convo_store_close(&fake->base);
}

static void test_cursor__what_moves_ahead_of_the_walk_is_returned(void **state)
{
	struct fake *fake = walk_open(25);
	int times[256];

	(void)state;
	fake->after_list = walk_move_once;
	walk_count(fake, 10, times);
	walk_must_be_whole(fake, times);
	convo_store_close(&fake->base);
	fake = walk_open(25);
	fake->after_list = walk_move_last; /* after every look, to the end */
	walk_count(fake, 3, times);
	walk_must_be_whole(fake, times);
	convo_store_close(&fake->base);
}

static void test_cursor__a_failed_page_can_be_asked_for_again(void **state)
{
	(void)state;
	for (int fail = 1; fail <= 4; fail++) {
		struct fake *fake = walk_open(25);
		const struct convo_meta *metas = NULL;
		convo_cursor *cursor = NULL;
		struct convo_err err;
		size_t total = 0, count = 0;
		int failed = 0;

		fake->fail_list = fail;
		must_pass(convo_cursor_new(&cursor, "app", "user", CONVO_LIST_LIVE, &err));
		for (;;) {
			int rc = test_list(&fake->base, cursor, 10, &metas, &count, &err);

			failed += rc == CONVO_E_IO;
			if (rc == 0 && count == 0)
				break;
			total += rc == 0 ? count : 0;
		}
		must_equal(1, failed);
		must_equal(25, total);
		convo_cursor_free(cursor);
		convo_store_close(&fake->base);
	}
}

/* ---- cleaning --------------------------------------------------------------------------- */

static void test_clean__goes_on_while_there_is_more(void **state)
{
	struct fake *fake = fake_open("fake:", NULL);
	struct convo_err err;
	int64_t removed = 0;

	(void)state;
	atomic_store(&fake->more, 7);
	must_pass(convo_store_clean(&fake->base, &removed, NULL, &err));
	must_equal(7, removed);
	must_equal(7, fake->cleans);
	convo_store_close(&fake->base);
}

static void test_clean__ends_with_the_timeout(void **state)
{
	struct fake *fake = fake_open("fake:?timeout=30ms", NULL);
	struct convo_err err;
	int64_t removed = 0;

	(void)state;
	atomic_store(&fake->more, 100000);
	fake->slow_clean_us = 5000;
	must_fail_with(CONVO_E_TIMEOUT, convo_store_clean(&fake->base, &removed, NULL, &err));
	must(removed > 0 && removed < 100);
	convo_store_close(&fake->base);
}

static void test_clean__a_failure_is_told(void **state)
{
	struct fake *fake = fake_open("fake:", NULL);
	struct convo_err err;

	(void)state;
	fake->rc = CONVO_E_IO;
	must_fail_with(CONVO_E_IO, convo_store_clean(&fake->base, NULL, NULL, &err));
	must_equal(1, fake->cleans);
	convo_store_close(&fake->base);
}

static void test_clean__the_thread_cleans_at_its_interval(void **state)
{
	struct fake *fake = fake_open("fake:?clean=5ms", NULL);
	struct timespec wait = {0, 1000000};
	struct convo_err err;

	(void)state;
	fake->rc = CONVO_E_IO; /* a failure does not end it */
	must_pass(cv_cleaner_start(&fake->base, &err));
	for (int ms = 0; ms < 5000 && atomic_load(&fake->cleans) < 3; ms++)
		nanosleep(&wait, NULL);
	must(atomic_load(&fake->cleans) >= 3);
	convo_store_close(&fake->base); /* ends the thread */
}

static void clean_wait(struct fake *fake, int cleans)
{
	struct timespec wait = {0, 1000000};

	for (int ms = 0; ms < 30000 && atomic_load(&fake->cleans) < cleans; ms++)
		nanosleep(&wait, NULL);
	must(atomic_load(&fake->cleans) >= cleans);
}

/* Old rows of a long session go in many steps before the session itself is gone. */
static void test_T4_the_thread_goes_on_while_work_is_left(void **state)
{
	struct fake *fake = fake_open("fake:?clean=5ms", NULL);
	struct convo_err err;

	(void)state;
	fake->then_rarely = true;
	fake->removes_nothing = true;
	fake->slow_clean_us = 25000;
	atomic_store(&fake->more, 60);
	must_pass(cv_cleaner_start(&fake->base, &err));
	clean_wait(fake, 60);
	convo_store_close(&fake->base);
}

static void test_T4_the_thread_goes_on_after_a_failure(void **state)
{
	struct fake *fake = fake_open("fake:?clean=5ms", NULL);
	struct convo_err err;

	(void)state;
	fake->then_rarely = true;
	atomic_store(&fake->failing, 2);
	atomic_store(&fake->more, 20);
	must_pass(cv_cleaner_start(&fake->base, &err));
	clean_wait(fake, 22);
	convo_store_close(&fake->base);
}

/* A store that cannot be reached is tried after 0.1 s, 0.2 s, 0.4 s ... */
static void test_P3_the_thread_does_not_hurry_where_nothing_answers(void **state)
{
	struct fake *fake = fake_open("fake:?clean=5ms", NULL);
	int64_t began_us = cv_clock_mono_us();
	struct convo_err err;

	(void)state;
	fake->then_rarely = true;
	atomic_store(&fake->failing, 1000000);
	must_pass(cv_cleaner_start(&fake->base, &err));
	clean_wait(fake, 4);
	must(cv_clock_mono_us() - began_us >= 700000);
	convo_store_close(&fake->base); /* at once, in the middle of a pause */
}

static void test_clean__no_thread_where_there_is_nothing_to_clean(void **state)
{
	static const char *const urls[] = {"fake:?clean=0&ttl=1h", "fake:?trash=0"};
	struct convo_err err;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct fake *fake = fake_open(urls[i], NULL);

		must_pass(cv_cleaner_start(&fake->base, &err));
		must(fake->base.cleaner == NULL);
		convo_store_close(&fake->base);
	}
}

int main(void)
{
	const struct CMUnitTest store[] = {
		cmocka_unit_test(test_options__zero_means_the_default),
		cmocka_unit_test(test_options__negative_means_none),
		cmocka_unit_test(test_options__the_url_wins),
		cmocka_unit_test(test_options__unknown_backends_are_told),
		cmocka_unit_test(test_store__bad_arguments_send_nothing),
		cmocka_unit_test(test_store__a_call_has_a_deadline_and_a_moment),
		cmocka_unit_test(test_store__nothing_to_change_asks_nobody),
		cmocka_unit_test(test_store__loaded_events_and_state_are_sorted),
		cmocka_unit_test(test_store__a_batch_holds_no_id_twice),
		cmocka_unit_test(test_store__a_failed_append_leaves_the_seqs),
		cmocka_unit_test(test_A8_no_session_after_a_lost_try_is_no_refusal),
		cmocka_unit_test(test_cursor__a_walk_of_one_page_asks_once),
		cmocka_unit_test(test_cursor__a_longer_walk_looks_at_the_front_again),
		cmocka_unit_test(test_cursor__what_moves_ahead_of_the_walk_is_returned),
		cmocka_unit_test(test_cursor__a_failed_page_can_be_asked_for_again),
		cmocka_unit_test(test_clean__goes_on_while_there_is_more),
		cmocka_unit_test(test_clean__ends_with_the_timeout),
		cmocka_unit_test(test_clean__a_failure_is_told),
		cmocka_unit_test(test_clean__the_thread_cleans_at_its_interval),
		cmocka_unit_test(test_T4_the_thread_goes_on_while_work_is_left),
		cmocka_unit_test(test_T4_the_thread_goes_on_after_a_failure),
		cmocka_unit_test(test_P3_the_thread_does_not_hurry_where_nothing_answers),
		cmocka_unit_test(test_clean__no_thread_where_there_is_nothing_to_clean),
	};

	return TEST_RUN(store);
}
