/*
 * Running out of memory: every operation of a store is tried with its first, second, third ...
 * allocation failing. Each time it must fail with CONVO_E_NOMEM and leave everything as it was,
 * until it reaches its end and is done. Leaks are for the sanitizers and valgrind to find.
 */
#include <support/oom.h>
#include <support/test.h>

#include <stdio.h>

#include <convo/store.h>
#include <convo/text.h>

#include <base/arena.h>
#include <base/buf.h>
#include <base/url.h>

static const char first_id[] = "0191e2a4-7b2c-7abc-8def-000000000001";

static const struct convo_key key = {"app", "user", "session"};

/* ---- what a store holds ----------------------------------------------------------------- */

static void note_session(struct cv_buf *out, convo_store *store, const char *id)
{
	const struct convo_key one = {key.app, key.user, id};
	const struct convo_event *events;
	const struct convo_item *items;
	convo_session *session = NULL;
	struct convo_err err;
	size_t count;

	must_pass(convo_store_load(&session, store, &one, NULL, NULL, &err));
	events = test_events(session, &count);
	for (size_t i = 0; i < count; i++)
		cv_buf_addf(out, " %lld=%s", (long long)events[i].seq, events[i].message);
	items = test_state(session, &count);
	for (size_t i = 0; i < count; i++)
		cv_buf_addf(out, " %s=%s", items[i].name, items[i].json);
	convo_session_free(session);
}

/* Everything the user has, as text. */
static char *note_store(convo_store *store)
{
	struct cv_buf out = {0};
	struct convo_err err;

	for (int trash = 0; trash < 2; trash++) {
		const struct convo_meta *metas;
		convo_cursor *cursor = NULL;
		size_t count;

		must_pass(convo_cursor_new(&cursor, key.app, key.user,
					   trash ? CONVO_LIST_TRASH : CONVO_LIST_LIVE, &err));
		do {
			must_pass(test_list(store, cursor, 100, &metas, &count, &err));
			for (size_t i = 0; i < count; i++) {
				cv_buf_addf(&out, "%s %s '%s' %lld %lld", metas[i].session,
					    metas[i].generation, metas[i].title,
					    (long long)metas[i].updated_ms,
					    (long long)metas[i].deleted_ms);
				if (!trash)
					note_session(&out, store, metas[i].session);
				cv_buf_addc(&out, '\n');
			}
		} while (count);
		convo_cursor_free(cursor);
	}
	return cv_buf_take(&out);
}

/* ---- operations ------------------------------------------------------------------------- */

static int op_create(convo_store *store, struct convo_err *err)
{
	const struct convo_item items[] = {{.name = "a", .json = "[1,2]"},
					   {.name = "user:a", .json = "1"},
					   {.name = "app:a", .json = "2"}};
	const struct convo_create create = {.title = "a title", .state = items, .state_count = 3};

	return convo_store_create(store, &key, &create, NULL, NULL, err);
}

static int op_create_many(convo_store *store, struct convo_err *err)
{
	const struct convo_key generated = {key.app, key.user, NULL};

	return convo_store_create(store, &generated, NULL, NULL, NULL, err);
}

static int op_append(convo_store *store, struct convo_err *err)
{
	const struct convo_event events[] = {
		{.id = first_id,
		 .message = "{\"role\":\"us\\u0065r\",\"content\":\"one\"}",
		 .state = "{\"b\":{\"c\":1},\"user:b\":2,\"app:b\":3,\"temp:b\":4,\"\\u0061\":"
			  "null}"},
		{.message = "{\"role\":\"assistant\",\"content\":\"two\"}",
		 .author = "me",
		 .turn = "t",
		 .model = "m",
		 .finish_reason = "stop",
		 .error = "none",
		 .usage = "{\"n\":1}",
		 .extra = "{\"x\":2}"},
		{.id = first_id, .message = "{\"role\":\"user\"}"},
	};
	int64_t seqs[3];

	return convo_store_append(store, &key, NULL, events, 3, seqs, NULL, err);
}

static int op_append_many(convo_store *store, struct convo_err *err)
{
	struct convo_event events[40];

	for (int i = 0; i < 40; i++)
		events[i] = (struct convo_event){.message = "{\"role\":\"user\"}",
						 .state = "{\"many\":1}"};
	return convo_store_append(store, &key, NULL, events, 40, NULL, NULL, err);
}

static int op_state(convo_store *store, struct convo_err *err)
{
	const struct convo_item items[] = {{.name = "b", .json = NULL},
					   {.name = "c", .json = "\"a longer value than before\""},
					   {.name = "user:c", .json = "1"},
					   {.name = "app:c", .json = "1"},
					   {.name = "temp:c", .json = "1"}};

	return convo_store_state_set(store, &key, items, 5, NULL, err);
}

static int op_state_elsewhere(convo_store *store, struct convo_err *err)
{
	const struct convo_key elsewhere = {"another app", "another user", NULL};
	const struct convo_item items[] = {{.name = "user:a", .json = "1"},
					   {.name = "app:a", .json = "1"}};

	return convo_store_state_set(store, &elsewhere, items, 2, NULL, err);
}

static int op_state_get(convo_store *store, struct convo_err *err)
{
	char *value = NULL;
	int rc = convo_store_state_get(&value, store, &key, "c", NULL, err);

	must((rc == 0) == (value != NULL));
	free(value);
	return rc;
}

static int op_state_list(convo_store *store, struct convo_err *err)
{
	convo_state *state = NULL;
	int rc = convo_store_state_list(&state, store, &key, 7, NULL, err);

	must((rc == 0) == (state != NULL));
	convo_state_free(state);
	return rc;
}

static int op_rename(convo_store *store, struct convo_err *err)
{
	return convo_store_rename(store, &key, "another, longer title", NULL, err);
}

static int op_load(convo_store *store, struct convo_err *err)
{
	convo_session *session = NULL;
	int rc = convo_store_load(&session, store, &key, NULL, NULL, err);

	must((rc == 0) == (session != NULL));
	convo_session_free(session);
	return rc;
}

static int op_load_around(convo_store *store, struct convo_err *err)
{
	const struct convo_window window = {.kind = CONVO_WINDOW_AROUND, .n = 3, .id = first_id};
	convo_session *session = NULL;
	int rc = convo_store_load(&session, store, &key, &window, NULL, err);

	convo_session_free(session);
	return rc;
}

static int op_read(convo_store *store, struct convo_err *err)
{
	const struct convo_window window = {.n = 10};
	const struct convo_event *event = NULL;
	convo_reader *reader = NULL;
	int rc = convo_reader_new(&reader, &key, &window, err);

	if (rc < 0)
		return rc;
	do
		rc = convo_store_read(&event, store, reader, NULL, err);
	while (rc == 0 && event);
	convo_reader_free(reader);
	return rc;
}

static int op_walk(convo_store *store, struct convo_err *err)
{
	const struct convo_meta *metas;
	convo_cursor *cursor = NULL;
	size_t count = 1;
	int rc = convo_cursor_new(&cursor, key.app, key.user, CONVO_LIST_LIVE, err);

	while (rc >= 0 && count)
		rc = test_list(store, cursor, 1, &metas, &count, err);
	convo_cursor_free(cursor);
	return rc;
}

static int op_delete(convo_store *store, struct convo_err *err)
{
	return convo_store_delete(store, &key, NULL, err);
}

static int op_restore(convo_store *store, struct convo_err *err)
{
	return convo_store_restore(store, &key, NULL, NULL, err);
}

static int op_purge(convo_store *store, struct convo_err *err)
{
	return convo_store_purge(store, &key, NULL, NULL, err);
}

static int op_clean(convo_store *store, struct convo_err *err)
{
	return convo_store_clean(store, NULL, NULL, err);
}

static const struct op {
	const char *name;
	int (*run)(convo_store *store, struct convo_err *err);
} ops[] = {
	{"create", op_create},
	{"create with an id", op_create_many},
	{"create another", op_create_many},
	{"append", op_append},
	{"append many", op_append_many},
	{"append many again", op_append_many},
	{"append what is there", op_append},
	{"state", op_state},
	{"state elsewhere", op_state_elsewhere},
	{"state get", op_state_get},
	{"state list", op_state_list},
	{"rename", op_rename},
	{"load", op_load},
	{"load around", op_load_around},
	{"read", op_read},
	{"walk", op_walk},
	{"delete", op_delete},
	{"restore", op_restore},
	{"delete again", op_delete},
	{"purge", op_purge},
	{"create again", op_create},
	{"append to the new", op_append},
	{"clean", op_clean},
};

/* Try with one allocation failing after the other. @return how many failed */
static size_t op_try(convo_store *store, const struct op *op)
{
	size_t failed = 0;

	for (size_t n = 1;; n++) {
		char *before = note_store(store), *after;
		struct convo_err err = {0};
		bool hit;
		int rc;

		if (!test_oom_at(n)) {
			free(before);
			return failed;
		}
		rc = op->run(store, &err);
		hit = test_oom_end();
		/* Its work done, a purge removes what that left; what fails there waits for cleaning. */
		if (hit && rc == 0 && op->run == op_purge) {
			free(before);
			return failed;
		}
		if (hit ? rc != CONVO_E_NOMEM || err.code != rc : rc != 0)
			must_not_reach("%s, allocation %zu: %d: %s", op->name, n, rc, err.text);
		after = note_store(store);
		must(before && after);
		if (hit && strcmp(before, after) != 0)
			must_not_reach("%s, allocation %zu failed, and left\n%s\nof\n%s", op->name,
				       n, after, before);
		free(before);
		free(after);
		failed += hit;
	}
}

static void op_try_all(const char *url)
{
	const struct convo_store_options quiet = {.clean_interval_ms = -1, .event_limit = 60};
	convo_store *store = NULL;
	struct convo_err err;
	size_t failed = 0;

	must_pass(convo_store_open(&store, url, &quiet, &err));
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		failed += op_try(store, &ops[i]);
	test_say("%s: %zu allocations failed", convo_store_describe(store), failed);
	must(failed > 40);
	convo_store_close(store);
}

static void test_oom__memory_store_operations_fail_whole(void **state)
{
	(void)state;
	op_try_all("memory:");
}

static void test_oom__sqlite_store_operations_fail_whole(void **state)
{
	convo_store *store = NULL;
	const char *url = test_text("sqlite://%s/oom.db", test_dir());

	(void)state;
	if (convo_store_open(&store, url, NULL, NULL) == CONVO_E_UNSUPPORTED)
		test_skip("no SQLite in this build");
	convo_store_close(store);
	op_try_all(url);
}

static void trace_nothing(void *ctx, const struct convo_trace_call *call)
{
	(void)ctx;
	(void)call;
}

static void open_fails_whole(const char *url)
{
	const struct convo_trace trace = {.on_call = trace_nothing};
	const struct convo_store_options opts = {.ttl_ms = 1000, .trace = &trace};
	size_t failed = 0;

	for (size_t n = 1; test_oom_at(n); n++) {
		convo_store *store = NULL;
		struct convo_err err = {0};
		int rc = convo_store_open(&store, url, &opts, &err);
		bool hit = test_oom_end();

		must((rc == 0) == (store != NULL));
		if (rc != (hit ? CONVO_E_NOMEM : 0))
			must_not_reach("open, allocation %zu: %d: %s", n, rc, err.text);
		convo_store_close(store);
		failed += hit;
	}
	must(failed >= 2);
}

static void test_oom__opening_fails_whole(void **state)
{
	const char *url = test_text("sqlite://%s/open.db", test_dir());
	convo_store *store = NULL;

	(void)state;
	open_fails_whole("memory:?ttl=1h&prefix=a_");
	if (convo_store_open(&store, url, NULL, NULL) == 0) {
		convo_store_close(store);
		open_fails_whole(url);
	}
}

static void test_oom__text_helpers_fail_whole(void **state)
{
	static const char message[] =
		"{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\\n\"}]}";
	size_t failed = 0;

	(void)state;
	for (size_t n = 1; test_oom_at(n); n++) {
		struct cv_url url = {0};
		struct convo_err err;
		char *made = NULL, *text = NULL, *quoted = NULL;
		int rc = convo_message_make(&made, "user", "a\xff", 2, &err);

		if (rc >= 0)
			rc = convo_message_text(&text, message, sizeof(message) - 1, &err);
		if (rc >= 0)
			rc = convo_json_quote(&quoted, "\"", 1, &err);
		if (rc >= 0)
			rc = cv_url_parse(&url, "redis://u:p@h:1/0?a=b", &err);
		if (test_oom_end()) {
			must_equal(CONVO_E_NOMEM, rc);
			failed++;
		} else {
			must_equal(0, rc);
		}
		free(made);
		free(text);
		free(quoted);
		cv_url_clear(&url);
	}
	must(failed >= 4);
}

static void test_oom__buffers_keep_what_they_hold(void **state)
{
	struct cv_buf buf = {0};
	struct cv_arena arena = {0};
	size_t len = 0;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		test_oom_at(1);
		if (cv_buf_adds(&buf, "0123456789") == 0)
			len += 10;
		else
			must_equal(len, buf.len); /* no change when it fails */
		if (!test_oom_end()) {
			must(!test_oom_at(2)); /* none was needed: that is the end of a series */
			continue;
		}
		must_equal(0, cv_buf_adds(&buf, "0123456789"));
		len += 10;
	}
	must_equal(len, buf.len);
	for (size_t i = 0; i < len; i++)
		must(buf.data[i] == (char)('0' + i % 10));
	cv_buf_clear(&buf);
	must(test_oom_at(1));
	must(cv_arena_alloc(&arena, 100) == NULL);
	must(test_oom_end());
	must(cv_arena_alloc(&arena, 100) != NULL);
	cv_arena_clear(&arena);
}

int main(void)
{
	const struct CMUnitTest oom[] = {
		cmocka_unit_test(test_oom__memory_store_operations_fail_whole),
		cmocka_unit_test(test_oom__sqlite_store_operations_fail_whole),
		cmocka_unit_test(test_oom__opening_fails_whole),
		cmocka_unit_test(test_oom__text_helpers_fail_whole),
		cmocka_unit_test(test_oom__buffers_keep_what_they_hold),
	};

	return TEST_RUN(oom);
}
