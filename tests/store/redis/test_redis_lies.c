/*
 * A Redis server that lies cannot hurt: nonsense of every kind at every place of every
 * conversation ends in an error within the deadline, and the next call works. Run it with the
 * sanitizers for its full worth.
 */
#include <support/test.h>

#include <hiredis/hiredis.h>
#include <stdio.h>

#include <base/clock.h>
#include <base/uuid.h>
#include <convo/lease.h>
#include <store/redis/event.h>
#include <support/fake_redis.h>

#include "store/redis/lies.h"
#include "store/shared/calls.h"

#define TIMEOUT_MS 300
#define SLACK_MS 2000
#define GENERATION "0197b0a1-0000-7000-8000-000000000001"
#define GEN "$36\r\n" GENERATION "\r\n"
#define OPENED "*2\r\n:0\r\n$1\r\n1\r\n"

static const struct convo_store_options brief = {.timeout_ms = TIMEOUT_MS,
						 .clean_interval_ms = CONVO_OFF};

/* ---- what is true ------------------------------------------------------------------------ */

static void add_packed(struct bytes *to)
{
	const struct store_event event = {.field = {[FIELD_ROLE] = {"user", 4},
						    [FIELD_AUTHOR] = {"user", 4},
						    [FIELD_MESSAGE] = {CALLS_HELLO, 33}}};
	char packed[256];
	size_t size = cv_event_size(&event);

	must(size < sizeof(packed));
	cv_event_pack(packed, &event, 1764000000000);
	bytes_adds(to, test_text("$%zu\r\n", size));
	bytes_add(to, packed, size);
	bytes_adds(to, "\r\n");
}

/* generation, expires, title, created, updated, first, last, held, of what it is a fork */
#define META                                                                                 \
	GEN "$1\r\n0\r\n$5\r\ntitle\r\n$2\r\n11\r\n$2\r\n12\r\n$1\r\n1\r\n$1\r\n2\r\n:0\r\n" \
	    "$1\r\nf\r\n" GEN "$1\r\n2\r\n"
#define STATE "*4\r\n$0\r\n\r\n$1\r\n5\r\n$1\r\na\r\n$1\r\n1\r\n"

static struct bytes true_load(void)
{
	struct bytes out = {0};

	bytes_adds(&out,
		   "*10\r\n:0\r\n*11\r\n" META STATE STATE STATE ":1\r\n:2\r\n:3\r\n:0\r\n*2\r\n");
	add_packed(&out);
	add_packed(&out);
	return out;
}

static struct bytes true_text(const char *text)
{
	struct bytes out = {0};

	bytes_adds(&out, text);
	return out;
}

static struct bytes true_plain(void)
{
	return true_text("*1\r\n:0\r\n");
}

static struct bytes true_append(void)
{
	return true_text("*2\r\n:0\r\n:1\r\n");
}

static struct bytes true_purge(void)
{
	return true_text("*2\r\n:0\r\n:0\r\n");
}

static struct bytes true_list(void)
{
	return true_text("*4\r\n:0\r\n:1\r\n$2\r\n12\r\n*12\r\n" META "$1\r\ns\r\n");
}

static struct bytes true_list_trash(void)
{
	return true_text("*4\r\n:0\r\n:1\r\n$2\r\n12\r\n*14\r\n" META
			 "$1\r\ns\r\n$2\r\n13\r\n$1\r\n0\r\n");
}

static struct bytes true_state(void)
{
	return true_text("*7\r\n:0\r\n$1\r\ns\r\n" STATE "$1\r\nu\r\n" STATE "$1\r\na\r\n" STATE);
}

/* A load that shows the draft: its id, the bytes in front of its message, both. */
static struct bytes true_load_draft(void)
{
	struct store_event event = {.field = {[FIELD_ROLE] = {"user", 4},
					      [FIELD_AUTHOR] = {"user", 4},
					      [FIELD_MESSAGE] = {"", 0}}};
	struct bytes out = {0};
	char packed[256];
	size_t size = cv_event_size(&event);

	must(size < sizeof(packed) && cv_uuid_parse(event.id, GENERATION));
	cv_event_pack(packed, &event, 0);
	bytes_adds(&out, test_text("*10\r\n:0\r\n*14\r\n" META GEN "$2\r\n%zu\r\n$%zu\r\n", size,
				   size + strlen(CALLS_HELLO)));
	bytes_add(&out, packed, size);
	bytes_adds(&out, CALLS_HELLO "\r\n" STATE STATE STATE ":1\r\n:2\r\n:3\r\n:0\r\n*2\r\n");
	add_packed(&out);
	add_packed(&out);
	return out;
}

static struct bytes true_weigh(void)
{
	return true_text("*4\r\n:0\r\n$2\r\n12\r\n:0\r\n:0\r\n");
}

static struct bytes true_marks(void)
{
	return true_text("*2\r\n:0\r\n$16\r\n0123456789abcdef\r\n");
}

static int call_take(convo_store *store, struct convo_err *err)
{
	const struct convo_event event = {.message = CALLS_HELLO};
	convo_lease *lease = NULL;
	int rc;

	must(convo_lease_new(&lease, NULL, NULL) == 0);
	rc = convo_store_append(store, &calls_key,
				&(struct convo_expect){.lease = lease, .hold = CONVO_HOLD_TAKE},
				&event, 1, NULL, NULL, err);
	convo_lease_free(lease);
	return rc;
}

static int call_draft(convo_store *store, struct convo_err *err)
{
	const struct convo_event event = {.id = GENERATION, .message = CALLS_HELLO};
	convo_lease *lease = NULL;
	int rc;

	must(convo_lease_new(&lease, NULL, NULL) == 0);
	rc = convo_store_draft(store, &calls_key, lease, &event, NULL, err);
	convo_lease_free(lease);
	return rc;
}

static int call_fork(convo_store *store, struct convo_err *err)
{
	return convo_store_fork(store, &calls_key, NULL, NULL, NULL, err);
}

static int call_load_draft(convo_store *store, struct convo_err *err)
{
	const struct convo_window window = {.with = CONVO_WITH_DRAFT};

	return calls_load(store, &window, err);
}

static struct store_call call_of_now(void)
{
	return (struct store_call){.now_us = 1764000000000000,
				   .deadline_us = cv_clock_mono_us() + TIMEOUT_MS * 1000};
}

static int call_weigh(convo_store *store, struct convo_err *err)
{
	const struct store_weighed session = {.session = "s", .first_seq = 1, .last_seq = 2};
	const struct store_call call = call_of_now();
	int64_t bytes = -1;
	int rc = store->be->weigh(store, &call, "app", "user", &session, 1, &bytes, err);

	must(rc < 0 || bytes >= 0);
	return rc;
}

static int call_marks(convo_store *store, struct convo_err *err)
{
	const struct convo_key *key = &calls_key;
	const struct store_call call = call_of_now();
	uint64_t mark = 0;

	return store->be->marks(store, &call, &key, 1, &mark, err);
}

static const struct {
	struct call call;
	struct bytes (*truth)(void);
} calls[] = {
	{{"create", call_create}, true_plain},
	{{"append", call_append}, true_append},
	{{"load", call_load}, true_load},
	{{"list", call_list}, true_list},
	{{"list of the trash", call_list_trash}, true_list_trash},
	{{"rename", call_rename}, true_plain},
	{{"state_set", call_state_set}, true_plain},
	{{"state_list", call_state_list}, true_state},
	{{"delete", call_delete}, true_plain},
	{{"restore", call_restore}, true_plain},
	{{"purge", call_purge}, true_purge},
	{{"append with a lease", call_take}, true_append},
	{{"draft", call_draft}, true_plain},
	{{"load with the draft", call_load_draft}, true_load_draft},
	{{"fork", call_fork}, true_plain},
	{{"weigh", call_weigh}, true_weigh},
	{{"marks", call_marks}, true_marks},
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

/* ---- conversations ----------------------------------------------------------------------- */

static int64_t begin_us;
static size_t last_lie;

static void must_be_in_time(const char *what)
{
	int64_t took_ms = (cv_clock_mono_us() - begin_us) / 1000;

	if (took_ms > TIMEOUT_MS + SLACK_MS)
		must_not_reach("%s took %lld ms", what, (long long)took_ms);
}

static convo_store *fake_open(struct fake_redis *fake)
{
	struct convo_err err;
	convo_store *store = NULL;

	fake_redis_say(fake, "EVALSHA", OPENED);
	must_pass(convo_store_open(&store,
				   test_text("redis://127.0.0.1:%d?pool=1", fake_redis_port(fake)),
				   &brief, &err));
	return store;
}

/* The call works when the server tells the truth. */
static void must_work(struct fake_redis *fake, convo_store *store, size_t call)
{
	struct bytes truth = calls[call].truth();
	struct convo_err err;

	fake_redis_forget(fake);
	/* On a machine that is busy it may be asked for again. */
	for (int i = 0; i < 3; i++)
		fake_redis_reply(fake, "EVALSHA",
				 (struct fake_reply){.data = truth.data, .len = truth.len});
	if (calls[call].call.run(store, &err) < 0)
		must_not_reach("%s after lie %zu: %s", calls[call].call.name, last_lie, err.text);
	keep(truth.data);
}

static int lie_to(struct fake_redis *fake, convo_store *store, size_t call, struct fake_reply reply,
		  struct convo_err *err)
{
	int rc;

	/* A call that repeats hears it again, as it would of such a server. */
	fake_redis_forget(fake);
	for (int i = 0; i < 3; i++)
		fake_redis_reply(fake, "EVAL", reply);
	begin_us = cv_clock_mono_us();
	rc = calls[call].call.run(store, err);
	must_be_in_time(calls[call].call.name);
	return rc;
}

static void test_L2_nonsense_in_place_of_an_answer_is_an_error(void **state)
{
	struct fake_redis *fake = fake_redis_start();
	convo_store *store = fake_open(fake);

	(void)state;
	for (size_t call = 0; call < CALLS; call++) {
		for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
			struct convo_err err = {0};

			last_lie = i;
			must_be_told(lie_to(fake, store, call, reply_of(&lies[i]), &err), &err,
				     calls[call].call.name, i);
			must_work(fake, store, call);
		}
	}
	convo_store_close(store);
	fake_redis_end(fake);
}

static void test_L2_answers_without_an_end_end_in_time(void **state)
{
	struct fake_redis *fake = fake_redis_start();
	convo_store *store = fake_open(fake);

	(void)state;
	for (size_t call = 1; call < 3; call++) {
		for (size_t i = 0; i < sizeof(endless) / sizeof(endless[0]); i++) {
			struct convo_err err = {0};

			must_be_told(lie_to(fake, store, call, reply_of(&endless[i]), &err), &err,
				     calls[call].call.name, i);
			must_work(fake, store, call);
		}
	}
	convo_store_close(store);
	fake_redis_end(fake);
}

static void test_L2_nonsense_while_opening_is_an_error(void **state)
{
	static const char *const places[] = {"PING", "INFO", "EVALSHA"};
	const size_t count = sizeof(lies) / sizeof(lies[0]);

	(void)state;
	for (size_t place = 0; place < 3; place++) {
		for (size_t i = 0; i < count + sizeof(endless) / sizeof(endless[0]); i++) {
			const struct lie *lie = i < count ? &lies[i] : &endless[i - count];
			struct fake_redis *fake = fake_redis_start();
			struct convo_err err = {0};
			convo_store *store = NULL;
			int rc;

			if (strcmp(places[place], "EVALSHA") != 0)
				fake_redis_say(fake, "EVALSHA", OPENED);
			for (int n = 0; n < 3; n++)
				fake_redis_reply(fake, places[place], reply_of(lie));
			begin_us = cv_clock_mono_us();
			rc = convo_store_open(
				&store, test_text("redis://127.0.0.1:%d", fake_redis_port(fake)),
				&brief, &err);
			must_be_in_time(places[place]);
			/* PING and INFO want an answer, whichever it is. */
			if (rc < 0 || place == 2)
				must_be_told(rc, &err, places[place], i);
			must(rc >= 0 || !store);
			convo_store_close(store);
			fake_redis_end(fake);
		}
	}
}

static void try_part(struct fake_redis *fake, convo_store *store, size_t call,
		     const struct bytes *truth, size_t at, const struct lie *lie, bool wrong)
{
	struct bytes said = truth_with(truth, at, lie);
	struct convo_err err = {0};
	int rc = lie_to(fake, store, call, (struct fake_reply){.data = said.data, .len = said.len},
			&err);

	if (rc < 0 || wrong)
		must_be_told(rc, &err, test_text("%s, byte %zu", calls[call].call.name, at),
			     (size_t)(lie - (wrong ? parts : perhaps)));
	must_work(fake, store, call);
	keep(said.data);
}

static void test_L2_nonsense_in_a_part_of_an_answer_is_an_error(void **state)
{
	struct fake_redis *fake = fake_redis_start();
	convo_store *store = fake_open(fake);

	(void)state;
	for (size_t call = 0; call < CALLS; call++) {
		struct bytes truth = calls[call].truth();

		for (size_t at = 0; at < truth.len; at += resp_next(truth.data + at)) {
			for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
				try_part(fake, store, call, &truth, at, &parts[i], true);
			for (size_t i = 0; i < sizeof(perhaps) / sizeof(perhaps[0]); i++)
				try_part(fake, store, call, &truth, at, &perhaps[i], false);
		}
		keep(truth.data);
	}
	convo_store_close(store);
	fake_redis_end(fake);
}

static void test_L2_answers_cut_at_any_byte_are_errors(void **state)
{
	struct fake_redis *fake = fake_redis_start();
	convo_store *store = fake_open(fake);

	(void)state;
	for (size_t call = 0; call < CALLS; call++) {
		struct bytes truth = calls[call].truth();

		for (size_t len = 0; len < truth.len; len++) {
			struct convo_err err = {0};
			int rc = lie_to(fake, store, call,
					(struct fake_reply){truth.data, len, 0, true}, &err);

			must_be_told(rc, &err, calls[call].call.name, len);
			if (rc != CONVO_E_GONE && rc != CONVO_E_IO)
				must_not_reach("%s: %d, %s", calls[call].call.name, rc, err.text);
			must_work(fake, store, call);
		}
		keep(truth.data);
	}
	convo_store_close(store);
	fake_redis_end(fake);
}

static void test_L5_an_error_of_several_lines_keeps_its_cause(void **state)
{
	struct fake_redis *fake = fake_redis_start();
	convo_store *store = fake_open(fake);
	struct convo_err err;

	(void)state;
	fake_redis_say(fake, "EVALSHA", "-ERR it did not work\nbecause of the cause\r\n");
	must_fail_with(CONVO_E_IO, call_load(store, &err));
#if HIREDIS_MAJOR > 1 || (HIREDIS_MAJOR == 1 && HIREDIS_MINOR >= 1)
	must(strstr(err.text, "an unexpected answer") != NULL); /* so the client library says */
#else
	must(strstr(err.text, "it did not work because of the cause") != NULL);
#endif
	convo_store_close(store);
	fake_redis_end(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_L2_nonsense_in_place_of_an_answer_is_an_error),
		cmocka_unit_test(test_L2_answers_without_an_end_end_in_time),
		cmocka_unit_test(test_L2_nonsense_while_opening_is_an_error),
		cmocka_unit_test(test_L2_nonsense_in_a_part_of_an_answer_is_an_error),
		cmocka_unit_test(test_L2_answers_cut_at_any_byte_are_errors),
		cmocka_unit_test(test_L5_an_error_of_several_lines_keeps_its_cause),
	};

	int rc = TEST_RUN(tests);

	kept_free();
	return rc;
}
