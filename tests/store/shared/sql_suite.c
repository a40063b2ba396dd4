/*
 * See sql_suite.h. Tests keep apart by their table prefix, or by a database of their own.
 */
#include "store/shared/sql_suite.h"

#include <stdio.h>
#include <time.h>

#include <base/clock.h>
#include <support/oom.h>
#include <support/proxy.h>

#define HELLO "{\"role\":\"user\",\"content\":\"hello\"}"

struct server *sql_server;

void sql_needed(void)
{
	if (!sql_server)
		test_skip("no server to test with");
}

static bool sql_is_postgres(void)
{
	return sql_server->kind < SERVER_MARIADB;
}

const char *sql_url(const char *database, const char *more)
{
	const char *url = sql_server->url, *query = strchr(url, '?');
	size_t len = query ? (size_t)(query - url) : strlen(url);

	if (database) {
		url = test_text("%.*s%s%s", (int)(len - strlen(sql_server->database)), url,
				database, query ? query : "");
	}
	if (!more)
		return url;
	return test_text("%s%c%s", url, strchr(url, '?') ? '&' : '?', more);
}

/* The server's URL, through a proxy. */
static const char *sql_by_way_of(const struct proxy *proxy, const char *more)
{
	const char *url = sql_url(NULL, more), *port = test_text(":%d/", sql_server->port);

	return test_text("%.*s:%d/%s", (int)(strstr(url, port) - url), url, proxy_port(proxy),
			 strstr(url, port) + strlen(port));
}

convo_store *sql_open(const char *url)
{
	const struct convo_store_options opts = {.clean_interval_ms = -1, .timeout_ms = 10000};
	convo_store *store = NULL;
	struct convo_err err;

	must_pass(convo_store_open(&store, url, &opts, &err));
	return store;
}

void sql_must_refuse(int code, const char *url, const char *text)
{
	convo_store *store = NULL;
	struct convo_err err;

	must_fail_with(code, convo_store_open(&store, url, NULL, &err));
	must(store == NULL);
	if (!strstr(err.text, text))
		must_not_reach("'%s' does not say '%s'", err.text, text);
	if (*sql_server->password && strstr(err.text, sql_server->password))
		must_not_reach("'%s' holds the password", err.text);
}

static struct convo_key sql_key(const char *session)
{
	return (struct convo_key){"app", "user", session};
}

void sql_create(convo_store *store, const char *session)
{
	struct convo_key key = sql_key(session);
	struct convo_err err;

	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
}

int sql_say(convo_store *store, const char *session, struct convo_err *err)
{
	const struct convo_event event = {.message = HELLO};
	struct convo_key key = sql_key(session);

	return convo_store_append(store, &key, NULL, &event, 1, NULL, NULL, err);
}

void sql_must_have(convo_store *store, const char *session, size_t events)
{
	struct convo_key key = sql_key(session);
	convo_session *loaded = NULL;
	struct convo_err err;
	size_t n;

	must_pass(convo_store_load(&loaded, store, &key, NULL, NULL, &err));
	test_events(loaded, &n);
	must_equal(events, n);
	convo_session_free(loaded);
}

/* ---- L1: whose tables they are ------------------------------------------------------------ */

void test_L1_tables_of_others_are_left_alone(void **state)
{
	static const char *const names[] = {"sessions", "meta", "events"};

	(void)state;
	sql_needed();
	for (size_t i = 0; i < 3; i++) {
		server_ask(sql_server, "CREATE TABLE other%zu_%s (x INT)", i, names[i]);
		server_ask(sql_server, "INSERT INTO other%zu_%s VALUES (42)", i, names[i]);
		sql_must_refuse(CONVO_E_VERSION, sql_url(NULL, test_text("prefix=other%zu_", i)),
				"did not make");
		must_equal_str("42",
			       server_ask(sql_server, "SELECT x FROM other%zu_%s", i, names[i]));
		must_equal_str("1", server_ask(sql_server,
					       "SELECT COUNT(*) FROM information_schema.tables "
					       "WHERE table_name LIKE 'other%zu%%'",
					       i));
	}
}

void test_L1_a_newer_schema_is_left_alone(void **state)
{
	const char *url;

	(void)state;
	sql_needed();
	url = sql_url(NULL, "prefix=newer_");
	convo_store_close(sql_open(url));
	server_ask(sql_server, "UPDATE newer_meta SET value = '99' WHERE name = 'schema'");
	sql_must_refuse(CONVO_E_VERSION, url, "99");
	sql_must_refuse(CONVO_E_VERSION, sql_url(NULL, "prefix=newer_&schema=check"), "99");
	must_equal_str("99", server_ask(sql_server, "SELECT value FROM newer_meta"));
}

/* ---- L1: databases ------------------------------------------------------------------------ */

static void sql_start(void *ctx, int index)
{
	const char *session = test_text("s%d", index);
	convo_store *store = sql_open(ctx);
	struct convo_err err;

	sql_create(store, session);
	must_pass(sql_say(store, session, &err));
	sql_must_have(store, session, 1);
	convo_store_close(store);
}

void test_L1_many_processes_may_start_without_a_database(void **state)
{
	convo_store *store;
	const char *url;

	(void)state;
	sql_needed();
	url = sql_url("convo-made by:us", NULL);
	sql_must_refuse(CONVO_E_IO, sql_url("convo-made by:us", "schema=check"),
			"convo-made by:us");
	test_processes(16, sql_start, (void *)(uintptr_t)url);
	store = sql_open(url);
	for (int i = 0; i < 16; i++)
		sql_must_have(store, test_text("s%d", i), 1);
	convo_store_close(store);
}

void test_L1_a_database_that_may_not_be_made_is_told(void **state)
{
	(void)state;
	sql_needed();
	if (sql_is_postgres())
		server_ask(sql_server, "CREATE ROLE poor LOGIN PASSWORD 'secret'");
	else
		server_ask(sql_server, "CREATE USER poor IDENTIFIED BY 'secret'");
	sql_must_refuse(CONVO_E_DENIED,
			test_text("%s://poor:secret@%s:%d/convo_missing",
				  sql_is_postgres() ? "postgres" : "mysql", sql_server->host,
				  sql_server->port),
			"denied");
}

/* Feed SQL to the server's own client, as an administrator does. */
void sql_feed(const char *database, const char *sql)
{
	const char *file = test_path(test_dir(), "schema.sql");
	FILE *out = fopen(file, "w");
	const char *psql[] = {"/usr/bin/psql",
			      "-XAtq",
			      "-v",
			      "ON_ERROR_STOP=1",
			      "-h",
			      sql_server->socket,
			      "-p",
			      NULL,
			      "-U",
			      "convo",
			      "-d",
			      database,
			      "-f",
			      file,
			      NULL};
	const char *mariadb[] = {"/bin/sh", "-c", NULL, NULL};

	must(out != NULL);
	fputs(sql, out);
	must_equal(0, fclose(out));
	psql[7] = test_text("%d", sql_server->port);
	mariadb[2] = test_text("exec mariadb --no-defaults -u root -S '%s' -D %s <'%s'",
			       sql_server->socket, database, file);
	test_run_program(sql_is_postgres() ? psql : mariadb);
}

void test_L1_the_schema_may_be_made_by_an_administrator(void **state)
{
	struct convo_err err;
	convo_store *store;
	char *sql = NULL;

	(void)state;
	sql_needed();
	server_ask(sql_server, "CREATE DATABASE convo_admin");
	sql_must_refuse(CONVO_E_VERSION, sql_url("convo_admin", "schema=check&prefix=a_"),
			"convo schema");
	must_pass(convo_store_schema(&sql, sql_is_postgres() ? "postgres" : "mysql", "a_", &err));
	sql_feed("convo_admin", sql);
	free(sql);
	store = sql_open(sql_url("convo_admin", "schema=check&prefix=a_"));
	sql_create(store, "s");
	must_pass(sql_say(store, "s", &err));
	sql_must_have(store, "s", 1);
	convo_store_close(store);
}

/* ---- L2 to L5 ----------------------------------------------------------------------------- */

void test_L2_a_server_that_hangs_costs_the_timeout_and_no_more(void **state)
{
	struct convo_err err = {0};
	convo_store *store, *other = NULL;
	int64_t begin_us;
	int rc;

	(void)state;
	sql_needed();
	convo_store_close(sql_open(sql_url(NULL, "prefix=hang_")));
	store = sql_open(sql_url(NULL, "prefix=hang_&timeout=300ms"));
	sql_create(store, "s");
	/* The next is sent at once: what is only being prepared is not maybe. */
	must_pass(sql_say(store, "s", &err));
	server_pause(sql_server);
	begin_us = cv_clock_mono_us();
	rc = sql_say(store, "s", &err);
	server_resume(sql_server);
	must_equal(CONVO_E_TIMEOUT, rc);
	must(err.maybe);
	must(cv_clock_mono_us() - begin_us < 800000);
	must(cv_clock_mono_us() - begin_us >= 290000);
	must_pass(sql_say(store, "s", &err));
	server_pause(sql_server);
	begin_us = cv_clock_mono_us();
	rc = convo_store_open(&other, sql_url(NULL, "prefix=hang_&timeout=300ms"), NULL, &err);
	server_resume(sql_server);
	must_equal(CONVO_E_TIMEOUT, rc);
	must(cv_clock_mono_us() - begin_us < 800000);
	convo_store_close(store);
}

void test_L3_a_restart_of_the_server_needs_none_of_ours(void **state)
{
	struct convo_err err;
	convo_store *store;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=restart_"));
	sql_create(store, "s");
	must_pass(sql_say(store, "s", &err));
	server_stop(sql_server);
	server_restart(sql_server);
	must_pass(sql_say(store, "s", &err));
	sql_must_have(store, "s", 2);
	convo_store_close(store);
}

/* A call that is canceled once the server has its request and says nothing. */
struct stopped {
	convo_store *store;
	struct proxy *proxy;
	struct convo_call call;
	int (*run)(convo_store *store, const struct convo_call *call, struct convo_err *err);
};

static int stopped_append(convo_store *store, const struct convo_call *call, struct convo_err *err)
{
	const struct convo_event event = {.message = HELLO};
	struct convo_key key = sql_key("s");

	return convo_store_append(store, &key, NULL, &event, 1, NULL, call, err);
}

static int stopped_rename(convo_store *store, const struct convo_call *call, struct convo_err *err)
{
	struct convo_key key = sql_key("s");

	return convo_store_rename(store, &key, "title", call, err);
}

static int stopped_load(convo_store *store, const struct convo_call *call, struct convo_err *err)
{
	convo_session *session = NULL;
	struct convo_key key = sql_key("s");

	return convo_store_load(&session, store, &key, NULL, call, err);
}

static void stopped_thread(void *ctx, int index)
{
	struct stopped *stopped = ctx;
	struct convo_err err = {0};

	if (index) {
		while (proxy_passed(stopped->proxy, PROXY_REQUEST) == 0)
			nanosleep(&(struct timespec){0, 1000000L}, NULL);
		convo_cancel_request(stopped->call.cancel);
		return;
	}
	must_fail_with(CONVO_E_CANCELED, stopped->run(stopped->store, &stopped->call, &err));
	must(err.maybe);
}

void test_L2_a_cancel_ends_a_call_that_waits_for_the_server(void **state)
{
	static int (*const runs[])(convo_store *, const struct convo_call *, struct convo_err *) = {
		stopped_append, stopped_rename, stopped_load};
	struct stopped stopped = {.call = {.timeout_ms = 60000}};
	struct convo_err err;

	(void)state;
	sql_needed();
	stopped.proxy = proxy_start(sql_server->host, sql_server->port);
	stopped.store = sql_open(sql_by_way_of(stopped.proxy, "prefix=cancel_"));
	must_pass(convo_cancel_new(&stopped.call.cancel, &err));
	sql_create(stopped.store, "s");
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		int64_t begin_us = cv_clock_mono_us();

		stopped.run = runs[i];
		server_pause(sql_server);
		proxy_arm(stopped.proxy, PROXY_NONE, PROXY_REQUEST, 0);
		test_threads(2, stopped_thread, &stopped);
		server_resume(sql_server);
		must(cv_clock_mono_us() - begin_us < 20000000);
		/* Before anything is sent it says so at once. */
		must_fail_with(CONVO_E_CANCELED, runs[i](stopped.store, &stopped.call, &err));
		must(!err.maybe);
		convo_cancel_reset(stopped.call.cancel);
		must_pass(sql_say(stopped.store, "s", &err));
	}
	convo_cancel_free(stopped.call.cancel);
	convo_store_close(stopped.store);
	proxy_end(stopped.proxy);
}

static void sql_look(void *ctx, int index)
{
	(void)index;
	for (int i = 0; i < 20; i++)
		sql_must_have(ctx, "s", 0);
}

void test_L3_a_peer_that_went_without_a_word_costs_one_call(void **state)
{
	struct convo_key key = sql_key("s");
	convo_session *session = NULL;
	struct proxy *proxy;
	struct convo_err err;
	convo_store *store;

	(void)state;
	sql_needed();
	convo_store_close(sql_open(sql_url(NULL, "prefix=silent_")));
	proxy = proxy_start(sql_server->host, sql_server->port);
	store = sql_open(sql_by_way_of(proxy, "prefix=silent_&timeout=1s"));
	sql_create(store, "s");
	while (proxy_links(proxy) < 3)
		test_threads(8, sql_look, store);
	proxy_mute(proxy);
	must_fail_with(CONVO_E_TIMEOUT, convo_store_load(&session, store, &key, NULL, NULL, &err));
	must(session == NULL);
	for (int i = 0; i < 8; i++)
		must_pass(sql_say(store, "s", &err));
	sql_must_have(store, "s", 8);
	convo_store_close(store);
	proxy_end(proxy);
}

static void sql_talk(void *ctx, int index)
{
	struct convo_err err;

	(void)index;
	for (int i = 0; i < 25; i++) {
		must_pass(sql_say(ctx, "shared", &err));
		must_pass(sql_say(ctx, test_text("own%d", index), &err));
	}
}

void test_L4_one_connection_serves_eight_threads(void **state)
{
	convo_store *store;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=one_&pool=1"));
	sql_create(store, "shared");
	for (int i = 0; i < 8; i++)
		sql_create(store, test_text("own%d", i));
	test_threads(8, sql_talk, store);
	sql_must_have(store, "shared", 200);
	sql_must_have(store, "own7", 25);
	convo_store_close(store);
}

void test_L5_a_wrong_password_is_told_without_it(void **state)
{
	const char *url, *at;

	(void)state;
	sql_needed();
	if (!*sql_server->password)
		test_skip("this server trusts everybody");
	url = sql_url(NULL, NULL);
	at = strchr(url, '@');
	sql_must_refuse(CONVO_E_DENIED,
			test_text("%s://convo:open%%20sesame%s",
				  sql_is_postgres() ? "postgres" : "mysql", at),
			"convo");
	sql_must_refuse(CONVO_E_DENIED,
			test_text("%s://convo%s", sql_is_postgres() ? "postgres" : "mysql", at),
			"password");
}

/* ---- P1 ----------------------------------------------------------------------------------- */

void test_P1_round_trips_are_few(void **state)
{
	struct convo_key key = sql_key("s");
	convo_session *session = NULL;
	struct proxy *proxy;
	struct convo_err err;
	convo_store *store;
	size_t turns[3];

	(void)state;
	sql_needed();
	if (strstr(sql_server->url, "ssl") || sql_server->kind == SERVER_MARIADB_TLS)
		test_skip("a proxy does not see through TLS");
	proxy = proxy_start(sql_server->host, sql_server->port);
	store = sql_open(sql_by_way_of(proxy, "prefix=turns_"));
	for (int i = 0; i < 2; i++) {
		key.session = i ? "s" : "first";
		proxy_arm(proxy, PROXY_NONE, PROXY_REQUEST, 0);
		must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
		turns[0] = proxy_turns(proxy);
		proxy_arm(proxy, PROXY_NONE, PROXY_REQUEST, 0);
		must_pass(sql_say(store, key.session, &err));
		turns[1] = proxy_turns(proxy);
		proxy_arm(proxy, PROXY_NONE, PROXY_REQUEST, 0);
		must_pass(convo_store_load(&session, store, &key, NULL, NULL, &err));
		turns[2] = proxy_turns(proxy);
		convo_session_free(session);
		session = NULL;
		test_say("round trips: create %zu, append %zu, load %zu", turns[0], turns[1],
			 turns[2]);
		/* MySQL prepares its statements the first time on a connection. */
		for (int n = 0; n < 3; n++)
			must_equal(i || sql_is_postgres() ? 1 : 2, turns[n]);
	}
	convo_store_close(store);
	proxy_end(proxy);
}

/* ---- memory --------------------------------------------------------------------------------- */

struct oom {
	convo_store *store;
	const char *url;
};

static int oom_open(struct oom *oom, struct convo_err *err)
{
	const struct convo_store_options opts = {.clean_interval_ms = -1};
	convo_store *store = NULL;
	int rc = convo_store_open(&store, oom->url, &opts, err);

	must(rc < 0 ? !store : store != NULL);
	convo_store_close(store);
	return rc;
}

static int oom_create(struct oom *oom, struct convo_err *err)
{
	const struct convo_item item = {.name = "user:n", .json = "[1]"};
	const struct convo_create create = {.title = "t", .state = &item, .state_count = 1};
	const struct convo_key key = {"app", "user", ""};

	return convo_store_create(oom->store, &key, &create, NULL, NULL, err);
}

static int oom_append(struct oom *oom, struct convo_err *err)
{
	const struct convo_event events[2] = {{.message = HELLO, .state = "{\"n\":1}"},
					      {.message = HELLO, .state = "{\"app:n\":1}"}};
	const struct convo_key key = sql_key("s");

	return convo_store_append(oom->store, &key, NULL, events, 2, NULL, NULL, err);
}

static int oom_load(struct oom *oom, struct convo_err *err)
{
	const struct convo_key key = sql_key("s");
	convo_session *session = NULL;
	int rc = convo_store_load(&session, oom->store, &key, NULL, NULL, err);

	must(rc < 0 ? !session : session != NULL);
	convo_session_free(session);
	return rc;
}

static int oom_list(struct oom *oom, struct convo_err *err)
{
	const struct convo_meta *metas;
	convo_cursor *cursor = NULL;
	size_t count;
	int rc = convo_cursor_new(&cursor, "app", "user", CONVO_LIST_LIVE, err);

	if (rc >= 0)
		rc = test_list(oom->store, cursor, 10, &metas, &count, err);
	convo_cursor_free(cursor);
	return rc;
}

static int oom_state(struct oom *oom, struct convo_err *err)
{
	const struct convo_item item = {.name = "n", .json = "[2]"};
	const struct convo_key key = sql_key("s");
	char *value = NULL;
	int rc = convo_store_state_set(oom->store, &key, &item, 1, NULL, err);

	if (rc >= 0)
		rc = convo_store_state_get(&value, oom->store, &key, "n", NULL, err);
	free(value);
	return rc;
}

void test_each_allocation_may_fail(void **state)
{
	static int (*const calls[])(struct oom *, struct convo_err *) = {
		oom_open, oom_create, oom_append, oom_load, oom_list, oom_state};
	struct convo_err err = {0};
	struct oom oom;

	(void)state;
	sql_needed();
	oom.url = sql_url(NULL, "prefix=oom_");
	oom.store = sql_open(oom.url);
	sql_create(oom.store, "s");
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		size_t n;

		must_equal(0, calls[i](&oom, &err));
		for (n = 1; test_oom_at(n); n++) {
			int rc = calls[i](&oom, &err);

			if (test_oom_end())
				must_equal(CONVO_E_NOMEM, rc);
			else if (rc < 0)
				must_not_reach("call %zu: %s", i, err.text);
		}
		must(n > 2);
	}
	convo_store_close(oom.store);
}
