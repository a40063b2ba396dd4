/*
 * A server that lies cannot hurt: every byte of what it says is spoiled in turn, and every kind of
 * nonsense stands in every place. A call fails with a code, or succeeds, by its deadline; the rest is
 * for the sanitizers.
 */
#include <support/fake_postgres.h>
#include <support/test.h>

#include <stdlib.h>
#include <string.h>

#include <base/fail.h>

#include "store/shared/calls.h"

static const struct convo_store_options opts = {
	.clean_interval_ms = CONVO_OFF, .timeout_ms = 400, .max_connections = 1};

static struct fake_postgres *fake;

static const char *fake_url(void)
{
	return test_text("postgres://convo@127.0.0.1:%d/chat", fake_postgres_port(fake));
}

/* ---- calls -------------------------------------------------------------------------------- */

static int call_open(convo_store *unused, struct convo_err *err)
{
	convo_store *store = NULL;
	int rc = convo_store_open(&store, fake_url(), &opts, err);

	(void)unused;
	convo_store_close(store);
	return rc;
}

/* Append under a lease, or save a draft: it lives as long as the call. */
static int with_lease(convo_store *store, bool draft, struct convo_err *err)
{
	const struct convo_event event = {.id = "00112233-4455-6677-8899-aabbccddeeff",
					  .message = "{\"role\":\"assistant\"}"};
	struct convo_expect expect = {.hold = CONVO_HOLD_TAKE};
	convo_lease *lease = NULL;
	int rc = convo_lease_new(&lease, NULL, err);

	if (rc < 0)
		return rc;
	expect.lease = lease;
	rc = draft ? convo_store_draft(store, &calls_key, lease, &event, NULL, err)
		   : convo_store_append(store, &calls_key, &expect, &event, 1, NULL, NULL, err);
	convo_lease_free(lease);
	return rc;
}

static int call_hold(convo_store *store, struct convo_err *err)
{
	return with_lease(store, false, err);
}

static int call_draft(convo_store *store, struct convo_err *err)
{
	return with_lease(store, true, err);
}

static int call_fork(convo_store *store, struct convo_err *err)
{
	return convo_store_fork(store, &calls_key, NULL, NULL, NULL, err);
}

static int call_stats(convo_store *store, struct convo_err *err)
{
	struct convo_stats stats = {0};
	int rc = convo_store_stats(store, "app", "user", &stats, NULL, err);

	/* That time was up is told in the figures (E2). */
	return rc == 0 && stats.partial ? cv_fail(err, CONVO_E_TIMEOUT, "not all is counted") : rc;
}

static int call_clean(convo_store *store, struct convo_err *err)
{
	return convo_store_clean(store, NULL, NULL, err);
}

static const struct {
	struct call call;
	const char *statement; /* a part of the one that says most */
} calls[] = {
	{{"open", call_open}, "pg_class"},
	{{"create", call_create}, "_create("},
	{{"append", call_append}, "_append("},
	{{"hold", call_hold}, "_append_held("},
	{{"draft", call_draft}, "_draft("},
	{{"fork", call_fork}, "_fork("},
	{{"stats", call_stats}, "_weigh("},
	{{"load", call_load_last}, "_read("},
	{{"load all", call_load}, "_read("},
	{{"list", call_list}, "fork_session"},
	{{"rename", call_rename}, "SET title"},
	{{"delete", call_delete}, "SET life"},
	{{"restore", call_restore}, "SELECT no, life"},
	{{"state list", call_state_list}, "SELECT o.scope"},
	{{"state set", call_state_set_own}, "SELECT bytes"},
	{{"clean", call_clean}, "_clean("},
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

static convo_store *fake_open(void)
{
	convo_store *store = NULL;
	struct convo_err err;

	must_pass(convo_store_open(&store, fake_url(), &opts, &err));
	return store;
}

/* A store for a call; opening needs none. */
static convo_store *fake_open_for(const struct call *call)
{
	return call->run == call_open ? NULL : fake_open();
}

/* What a server may make of a call: not that the caller was wrong. */
static void must_be_told(const struct call *call, int rc, const struct convo_err *err)
{
	if (rc == CONVO_E_INVALID || rc > 0)
		must_not_reach("%s: %d %s", call->name, rc, err->text);
	if (rc < 0)
		must(*err->text != '\0');
}

/* ---- tests -------------------------------------------------------------------------------- */

static void test_an_honest_server_is_believed(void **state)
{
	(void)state;
	for (size_t i = 0; i < CALLS; i++) {
		convo_store *store = fake_open_for(&calls[i].call);
		struct convo_err err = {0};
		int rc = calls[i].call.run(store, &err);

		/* The one session that it knows lives. */
		if (calls[i].call.run == call_restore)
			must_equal(CONVO_E_EXISTS, rc);
		else if (rc < 0)
			must_not_reach("%s: %s", calls[i].call.name, err.text);
		convo_store_close(store);
	}
}

/* How many bytes the server says to a call, with connecting. */
static size_t bytes_of(const struct call *call)
{
	convo_store *store = fake_open_for(call);
	struct convo_err err = {0};
	size_t connecting;

	fake_postgres_spoil(fake, FAKE_CUT, 0);
	call->run(store, &err);
	fake_postgres_spoil(fake, FAKE_CUT, SIZE_MAX);
	call->run(store, &err);
	connecting = fake_postgres_said(fake);
	convo_store_close(store);
	return connecting + 150;
}

/* Spoil each byte of what the server says to one call, and to the connection that it may have to
 * make because the last one was spoiled. */
static void spoil_call(const struct call *call, enum fake_spoil how)
{
	size_t total = bytes_of(call), spoiled = 0, at;
	convo_store *store = fake_open_for(call);

	for (at = 0; at < total; at++) {
		struct convo_err err = {0};
		int rc;

		fake_postgres_spoil(fake, how, at);
		rc = call->run(store, &err);
		must_be_told(call, rc, &err);
		spoiled += fake_postgres_spoiled(fake);
	}
	fake_postgres_spoil(fake, how, SIZE_MAX);
	if (spoiled < 20)
		must_not_reach("%s: only %zu of %zu bytes were spoiled", call->name, spoiled,
			       total);
	convo_store_close(store);
}

static void test_every_byte_may_be_wrong(void **state)
{
	(void)state;
	for (size_t i = 0; i < CALLS; i++) {
		for (int how = 0; how < FAKE_SPOILS; how++)
			spoil_call(&calls[i].call, (enum fake_spoil)how);
	}
}

/* ---- nonsense in good form ---------------------------------------------------------------- */

static void say_no_columns(struct cv_buf *out)
{
	fake_columns(out, NULL, 0);
	fake_row(out, NULL, 0);
	fake_complete(out, "SELECT 1");
}

static void say_columns(struct cv_buf *out, unsigned type, struct fake_column column, size_t count)
{
	unsigned types[200];
	struct fake_column columns[200];

	for (size_t i = 0; i < count; i++) {
		types[i] = type;
		columns[i] = column;
	}
	fake_columns(out, types, count);
	fake_row(out, columns, count);
	fake_complete(out, "SELECT 1");
}

static void say_nonsense(struct cv_buf *out, size_t kind, size_t count)
{
	static const char strange[] = "SFATAL\0C\0M\0\0";
	static const struct {
		unsigned type;
		struct fake_column column;
	} columns[] = {
		{20, {NULL, 0}},
		{20, {"\x7f\xff\xff\xff\xff\xff\xff\xff", 8}},
		{20, {"\x80\0\0\0\0\0\0\0", 8}},
		{20, {"\1\2\3", 3}},
		{20, {"", 0}},
		{25, {"", 0}},
		{25, {"12", 2}},
		{25, {"a\0b", 3}},
		{25, {"\xff\xfe", 2}},
		{2950, {"0123", 4}},
		{3802, {"\2{}", 3}},
		{3802, {"", 0}},
		{3802, {"\1", 1}},
		{1007, {"\0\0\0\1\0\0\0\0\0\0\0\x14\x7f\xff\xff\xff", 16}},
		{0, {"x", 1}},
	};
	const size_t n = sizeof(columns) / sizeof(columns[0]);

	if (kind < n) {
		say_columns(out, columns[kind].type, columns[kind].column, count);
		return;
	}
	switch (kind - n) {
	case 0:
		say_no_columns(out);
		break;
	case 1: /* no rows */
		fake_columns(out, (const unsigned[]){20, 20, 20}, 3);
		fake_complete(out, "SELECT 0");
		break;
	case 2: /* nothing but that it is done */
		fake_message(out, 'n', "", 0);
		fake_complete(out, "SELECT 99999999999999999999");
		break;
	case 3:
		fake_message(out, 'E', "", 1);
		break;
	case 4:
		fake_message(out, 'E', strange, sizeof(strange));
		break;
	case 5: /* rows out of nothing */
		fake_row(out, &(struct fake_column){"x", 1}, 1);
		break;
	case 6:
		fake_message(out, 'H', "\0\0\0", 3);
		break;
	case 7:
		fake_message(out, 'G', "\0\0\0", 3);
		break;
	case 8:
		fake_message(out, 'W', "\0\0\0", 3);
		break;
	case 9:
		fake_message(out, 'I', "", 0);
		break;
	case 10:
		fake_message(out, 'Z', "E", 1);
		fake_message(out, 'Z', "E", 1);
		break;
	case 11:
		fake_message(out, 'R', "\0\0\0\3", 4);
		break;
	case 12:
		fake_message(out, '?', "what", 4);
		break;
	case 13: /* a length that is none */
		must_equal(0, cv_buf_add(out, "D\0\0\0\1", 5));
		break;
	case 14:
		must_equal(0, cv_buf_add(out, "D\xff\xff\xff\xff", 5));
		break;
	case 15:
		must_equal(0, cv_buf_add(out, "T\x7f\xff\xff\xff", 5));
		break;
	default:
		break;
	}
}

#define NONSENSE (15 + 17)

static void test_nonsense_in_every_place_is_refused(void **state)
{
	static const size_t counts[] = {1, 3, 15, 17, 200};

	(void)state;
	for (size_t i = 0; i < CALLS; i++) {
		for (size_t kind = 0; kind < NONSENSE; kind++) {
			for (size_t n = 0; n < (kind < 15 ? 5 : 1); n++) {
				convo_store *store = fake_open_for(&calls[i].call);
				struct convo_err err = {0};
				struct cv_buf say = {0};
				int rc;

				say_nonsense(&say, kind, counts[n]);
				fake_postgres_say(fake, calls[i].statement, &say);
				rc = calls[i].call.run(store, &err);
				must_be_told(&calls[i].call, rc, &err);
				fake_postgres_say(fake, NULL, NULL);
				cv_buf_clear(&say);
				convo_store_close(store);
			}
		}
	}
}

static void test_a_result_without_columns_is_refused(void **state)
{
	struct cv_buf say = {0};
	struct convo_err err;

	(void)state;
	say_no_columns(&say);
	fake_postgres_say(fake, "pg_class", &say);
	must_fail_with(CONVO_E_IO, call_open(NULL, &err));
	must(strstr(err.text, "damaged") != NULL);
	fake_postgres_say(fake, NULL, NULL);
	cv_buf_clear(&say);
}

static void test_a_server_that_does_not_say_that_it_did_it_is_not_believed(void **state)
{
	static const char *const statements[] = {"_create(", "_append("};
	struct cv_buf say = {0};
	convo_store *store;

	(void)state;
	fake_columns(&say, (const unsigned[]){23}, 1);
	fake_complete(&say, "SELECT 0");
	for (int i = 0; i < 2; i++) {
		struct convo_err err;

		store = fake_open();
		fake_postgres_say(fake, statements[i], &say);
		must_fail_with(CONVO_E_IO, i ? call_append(store, &err) : call_create(store, &err));
		fake_postgres_say(fake, NULL, NULL);
		convo_store_close(store);
	}
	cv_buf_clear(&say);
}

static void test_rows_in_place_of_the_end_are_not_believed(void **state)
{
	struct cv_buf say = {0};
	convo_store *store = fake_open();
	struct convo_err err;

	(void)state;
	for (int i = 0; i < 2; i++) {
		fake_columns(&say, (const unsigned[]){25}, 1);
		fake_row(&say, &(struct fake_column){"x", 1}, 1);
	}
	fake_complete(&say, "SELECT 1");
	fake_postgres_say(fake, "SET title", &say);
	must_fail_with(CONVO_E_IO, call_rename(store, &err));
	must(err.maybe);
	fake_postgres_say(fake, NULL, NULL);
	convo_store_close(store);
	cv_buf_clear(&say);
}

static void test_L2_an_answer_without_end_is_not_listened_to(void **state)
{
	char *much = malloc(60000);
	struct cv_buf say = {0};
	convo_store *store;

	(void)state;
	must(much != NULL);
	memset(much, 'x', 60000);
	fake_columns(&say, (const unsigned[]){25}, 1);
	for (int i = 0; i < 4; i++)
		fake_row(&say, &(struct fake_column){much, 60000}, 1);
	for (size_t i = 0; i < CALLS; i++) {
		struct convo_err err = {0};
		int rc;

		store = fake_open_for(&calls[i].call);
		fake_postgres_say(fake, calls[i].statement, &say);
		fake_postgres_say_for_ever(fake);
		rc = calls[i].call.run(store, &err);
		if (rc >= 0)
			must_not_reach("%s: %d", calls[i].call.name, rc);
		must_be_told(&calls[i].call, rc, &err);
		convo_store_close(store);
		fake_postgres_say(fake, NULL, NULL);
	}
	cv_buf_clear(&say);
	free(much);
}

static void test_a_message_of_several_lines_is_told_whole(void **state)
{
	static const char fields[] = "SERROR\0C55000\0Mthe first line\nand the cause\0\0";
	struct cv_buf say = {0};
	convo_store *store;
	struct convo_err err;

	(void)state;
	store = fake_open();
	fake_message(&say, 'E', fields, sizeof(fields) - 1);
	fake_postgres_say(fake, "_read(", &say);
	must_fail_with(CONVO_E_IO, call_load(store, &err));
	must(strstr(err.text, "the first line and the cause") != NULL);
	fake_postgres_say(fake, NULL, NULL);
	cv_buf_clear(&say);
	convo_store_close(store);
}

static void test_a_refusal_has_the_code_of_its_cause(void **state)
{
	static const struct {
		const char *state;
		int code;
	} causes[] = {
		{"53100", CONVO_E_FULL},   {"53200", CONVO_E_FULL},    {"25006", CONVO_E_READONLY},
		{"42501", CONVO_E_DENIED}, {"42P01", CONVO_E_VERSION}, {"57014", CONVO_E_TIMEOUT},
		{"58030", CONVO_E_IO},     {"XX001", CONVO_E_IO},      {"22003", CONVO_E_IO},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++) {
		struct cv_buf body = {0}, say = {0};
		convo_store *store = fake_open();
		struct convo_err err;

		must_equal(0, cv_buf_add(&body, "SERROR\0C", 8));
		must_equal(0, cv_buf_add(&body, causes[i].state, 6));
		must_equal(0, cv_buf_add(&body, "Mthe cause\0", 12));
		fake_message(&say, 'E', body.data, body.len);
		fake_postgres_say(fake, "_append(", &say);
		must_fail_with(causes[i].code, call_append(store, &err));
		must(!err.maybe);
		fake_postgres_say(fake, NULL, NULL);
		cv_buf_clear(&body);
		cv_buf_clear(&say);
		convo_store_close(store);
	}
}

static int fake_setup(void **state)
{
	(void)state;
	fake = fake_postgres_start();
	return 0;
}

static int fake_teardown(void **state)
{
	(void)state;
	fake_postgres_end(fake);
	return 0;
}

#define LIE(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest lies[] = {
		LIE(test_an_honest_server_is_believed),
		LIE(test_a_result_without_columns_is_refused),
		LIE(test_a_server_that_does_not_say_that_it_did_it_is_not_believed),
		LIE(test_a_message_of_several_lines_is_told_whole),
		LIE(test_a_refusal_has_the_code_of_its_cause),
		LIE(test_nonsense_in_every_place_is_refused),
		LIE(test_rows_in_place_of_the_end_are_not_believed),
		LIE(test_L2_an_answer_without_end_is_not_listened_to),
		LIE(test_every_byte_may_be_wrong),
	};

	return TEST_RUN(lies);
}
