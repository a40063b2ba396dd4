/*
 * What a Redis server holds may have been changed by anybody who can reach it: a session with a
 * field that is missing, of another kind or at the end of its range is an error where it is read,
 * never a crash, and nothing is stored into it.
 */
#include <support/test.h>

#include <stdio.h>

#include <base/uuid.h>
#include <store/redis/event.h>
#include <support/servers.h>

#include "store/shared/calls.h"

#define BASE "'convo:{app:user}"

static struct server *redis; /* NULL: not installed */

static const struct convo_store_options quiet = {.clean_interval_ms = CONVO_OFF};

static const struct call reads[] = {
	{"load", call_load},
	{"load last", call_load_last},
	{"load after", call_load_after},
	{"load before", call_load_before},
	{"load none", call_load_none},
	{"list", call_list},
	{"list of the trash", call_list_trash},
	{"state_list", call_state_list},
};

static const struct call writes[] = {
	{"append", call_append},   {"state_set", call_state_set},
	{"rename", call_rename},   {"append", call_append},
	{"delete", call_delete},   {"list of the trash", call_list_trash},
	{"restore", call_restore}, {"load", call_load},
	{"create", call_create},   {"delete", call_delete},
	{"purge", call_purge},
};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static char generation[CONVO_UUID_SIZE];

/* A session with three events and state, as it should be. */
static convo_store *session_make(void)
{
	struct convo_created made;
	struct convo_err err;
	convo_store *store = NULL;

	if (!redis)
		test_skip("no redis-server to test with");
	server_ask(redis, "FLUSHALL");
	must_pass(convo_store_open(&store, redis->url, &quiet, &err));
	must_pass(convo_store_create(store, &calls_key, NULL, &made, NULL, &err));
	memcpy(generation, made.generation, sizeof(generation));
	for (int i = 0; i < 3; i++)
		must_pass(call_append(store, &err));
	must_pass(call_state_set(store, &err));
	return store;
}

/* A call works or says what is wrong. */
static int must_be_told(convo_store *store, const struct call *call, const char *damage)
{
	struct convo_err err = {0};
	int rc = call->run(store, &err);

	switch (rc) {
	case CONVO_E_IO:
		if (strstr(err.text, "damaged"))
			return rc;
		break;
	case CONVO_E_VERSION:
		if (strstr(err.text, "WRONGTYPE"))
			return rc;
		break;
	case 0:
	case CONVO_E_NOTFOUND:
	case CONVO_E_EXISTS:
	case CONVO_E_TOOBIG:
		return rc;
	}
	must_not_reach("%s after %s: %d, %s", call->name, damage, rc, err.text);
}

static void try_everything(convo_store *store, const char *damage)
{
	for (size_t i = 0; i < COUNT(reads); i++)
		must_be_told(store, &reads[i], damage);
	for (size_t i = 0; i < COUNT(writes); i++)
		must_be_told(store, &writes[i], damage);
}

/* ---- fields ------------------------------------------------------------------------------ */

/* No number of these is one that convo stores. */
static const char *const numbers[] = {"''",
				      "x",
				      "-1",
				      "-9223372036854775808",
				      "9223372036854775807",
				      "99999999999999999999",
				      "9007199254740993",
				      "1e400",
				      "nan",
				      "inf",
				      "1.5",
				      "\"$(printf '1\\\\0002')\""};

/* These are, to the server's scripts. */
static const char *const odd_numbers[] = {"' 1'", "1e15", "0x10", "007"};

static const char *const fields[] = {"expires", "armed",   "first", "last",   "time",
				     "created", "updated", "large", "biggest"};

static void test_N2_a_number_of_a_session_that_is_none_is_damage(void **state)
{
	(void)state;
	for (size_t f = 0; f < COUNT(fields); f++) {
		for (size_t n = 0; n < COUNT(numbers); n++) {
			const char *damage =
				test_text("HSET " BASE ":s:s' %s %s", fields[f], numbers[n]);
			convo_store *store = session_make();

			server_ask(redis, "%s", damage);
			/* These every load and every append look at. */
			if (f < 4 && f != 1)
				must_equal(CONVO_E_IO, must_be_told(store, &reads[0], damage));
			if (f < 5)
				must_equal(CONVO_E_IO, must_be_told(store, &writes[0], damage));
			try_everything(store, damage);
			convo_store_close(store);
		}
		for (size_t n = 0; n < COUNT(odd_numbers); n++) {
			const char *damage =
				test_text("HSET " BASE ":s:s' %s %s", fields[f], odd_numbers[n]);
			convo_store *store = session_make();

			server_ask(redis, "%s", damage);
			try_everything(store, damage);
			convo_store_close(store);
		}
	}
}

static void test_N2_a_field_of_a_session_that_is_missing_is_damage(void **state)
{
	static const char *const all[] = {"generation", "title", "expires", "armed",  "first",
					  "last",       "time",  "created", "updated"};

	(void)state;
	for (size_t f = 0; f < COUNT(all); f++) {
		const char *damage = test_text("HDEL " BASE ":s:s' %s", all[f]);
		convo_store *store = session_make();

		server_ask(redis, "%s", damage);
		if (strcmp(all[f], "armed") != 0 && strcmp(all[f], "time") != 0)
			must_equal(CONVO_E_IO, must_be_told(store, &reads[0], damage));
		try_everything(store, damage);
		convo_store_close(store);
	}
}

static void test_N2_text_of_a_session_that_is_none_is_damage(void **state)
{
	static const char *const values[] = {"\"$(printf '\\\\377')\"", "\"$(printf 'a\\\\nb')\"",
					     "''"};
	static const char *const damages[] = {"HSET " BASE ":s:s' title %s",
					      "HSET " BASE ":s:s' generation %s",
					      "ZADD " BASE ":live' 99999 %s"};

	(void)state;
	for (size_t d = 0; d < COUNT(damages); d++) {
		for (size_t v = 0; v < COUNT(values); v++) {
			char damage[256];
			convo_store *store = session_make();

			snprintf(damage, sizeof(damage), "%.100s", damages[d]);
			strcpy(strchr(damage, '%'), values[v]);
			server_ask(redis, "%s", damage);
			try_everything(store, damage);
			convo_store_close(store);
		}
	}
}

static void test_N2_places_that_are_none_are_damage(void **state)
{
	static const char *const scores[] = {"inf", "-inf", "1e300",
					     "-5",  "1.5",  "9007199254740993"};

	(void)state;
	for (size_t i = 0; i < COUNT(scores); i++) {
		const char *damage = test_text("ZADD " BASE ":live' %s s", scores[i]);
		convo_store *store = session_make();

		server_ask(redis, "%s", damage);
		must_equal(CONVO_E_IO, must_be_told(store, &reads[5], damage));
		try_everything(store, damage);
		convo_store_close(store);
	}
}

static void test_N2_a_key_of_another_kind_is_damage(void **state)
{
	const char *const keys[] = {BASE ":s:s'",  BASE ":live'", BASE ":e:%s'",
				    BASE ":v:%s'", BASE "'",      "'convo:{app}'"};

	(void)state;
	for (size_t i = 0; i < COUNT(keys); i++) {
		for (int kind = 0; kind < 2; kind++) {
			convo_store *store = session_make();
			const char *key = strstr(keys[i], "%s")
						  ? test_text("%.*s%s'", (int)strlen(keys[i]) - 3,
							      keys[i], generation)
						  : keys[i];
			const char *damage = test_text(kind ? "RPUSH %s x" : "SET %s x", key);

			server_ask(redis, "DEL %s", key);
			server_ask(redis, "%s", damage);
			try_everything(store, damage);
			convo_store_close(store);
		}
	}
}

/* What fails has stored nothing: a script that stops half-way takes nothing back. */
static void test_A1_an_append_to_a_damaged_session_stores_nothing(void **state)
{
	static const char *const damages[] = {"HSET " BASE ":s:s' armed x",
					      "HSET " BASE ":s:s' time x",
					      "HSET " BASE ":s:s' first 9",
					      "HSET " BASE ":s:s' updated x"};

	(void)state;
	for (size_t i = 0; i < COUNT(damages); i++) {
		convo_store *store = session_make();

		server_ask(redis, "%s", damages[i]);
		must_equal(CONVO_E_IO, must_be_told(store, &writes[0], damages[i]));
		must_equal_str("6", server_ask(redis, "HLEN " BASE ":e:%s'", generation));
		must_equal_str("3", server_ask(redis, "HGET " BASE ":s:s' last"));
		convo_store_close(store);
	}
}

/* ---- events ------------------------------------------------------------------------------ */

/* Store bytes in the place of the second event. */
static void event_set(const char *packed, size_t len)
{
	static const char *path;
	FILE *file;

	if (!path)
		path = test_path(test_dir(), "event");
	file = fopen(path, "w");
	must(file != NULL);
	must_equal(len, fwrite(packed, 1, len, file));
	must(fclose(file) == 0);
	server_ask(redis, "-x HSET " BASE ":e:%s' 2 <'%s'", generation, path);
}

static void test_N2_an_event_with_changed_bytes_is_damage_or_another(void **state)
{
	const struct store_event event = {.field = {[FIELD_ROLE] = {"user", 4},
						    [FIELD_AUTHOR] = {"user", 4},
						    [FIELD_TURN] = {"t", 1},
						    [FIELD_MESSAGE] = {CALLS_HELLO, 33}}};
	char packed[256], changed[256];
	size_t size = cv_event_size(&event);
	convo_store *store = session_make();

	(void)state;
	cv_event_pack(packed, &event, 1764000000000);
	event_set(packed, size);
	must_equal(0, must_be_told(store, &reads[0], "none"));
	for (size_t len = 0; len < size; len += len < 40 ? 1 : 7) {
		event_set(packed, len);
		must_equal(CONVO_E_IO, must_be_told(store, &reads[0], test_text("%zu bytes", len)));
	}
	for (size_t at = 0; at < size; at += at < 56 ? 1 : 9) {
		static const char others[] = {0, '\x7f', '\xff'};

		for (size_t i = 0; i < sizeof(others); i++) {
			memcpy(changed, packed, size);
			changed[at] = others[i];
			event_set(changed, size);
			must_be_told(store, &reads[0], test_text("byte %zu", at));
		}
	}
	server_ask(redis, "HDEL " BASE ":e:%s' 2", generation);
	must_equal(CONVO_E_IO, must_be_told(store, &reads[0], "no event 2"));
	try_everything(store, "no event 2");
	convo_store_close(store);
}

static void test_N2_a_count_of_state_that_is_none_is_damage(void **state)
{
	static const char *const counts[] = {"x", "-1", "1e400", "9223372036854775807", "1.5"};

	(void)state;
	for (size_t i = 0; i < COUNT(counts); i++) {
		convo_store *store = session_make();
		const char *damage = test_text("HSET " BASE "' '' %s", counts[i]);

		server_ask(redis, "%s", damage);
		must_equal(CONVO_E_IO, must_be_told(store, &writes[1], damage));
		try_everything(store, damage);
		convo_store_close(store);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_N2_a_number_of_a_session_that_is_none_is_damage),
		cmocka_unit_test(test_N2_a_field_of_a_session_that_is_missing_is_damage),
		cmocka_unit_test(test_N2_text_of_a_session_that_is_none_is_damage),
		cmocka_unit_test(test_N2_places_that_are_none_are_damage),
		cmocka_unit_test(test_N2_a_key_of_another_kind_is_damage),
		cmocka_unit_test(test_A1_an_append_to_a_damaged_session_stores_nothing),
		cmocka_unit_test(test_N2_an_event_with_changed_bytes_is_damage_or_another),
		cmocka_unit_test(test_N2_a_count_of_state_that_is_none_is_damage),
	};
	int rc;

	redis = server_start(SERVER_REDIS, SERVER_FAST);
	rc = TEST_RUN(tests);
	server_end(redis);
	return rc;
}
