/*
 * A server that lies cannot hurt: bytes of what it says are spoiled in turn, at every place of every
 * call. The call fails with a code, or succeeds, by its deadline; the rest is for the sanitizers.
 */
#define _GNU_SOURCE /* dladdr() */

#include "store/shared/sql_suite.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <base/clock.h>
#include <support/fake_mysql.h>

#include "store/shared/calls.h"

static const struct convo_store_options opts = {
	.clean_interval_ms = CONVO_OFF, .timeout_ms = 300, .max_connections = 1};

#define LIES 60 /* that one process tells: it has a minute */

static struct fake_mysql *fake;

static const char *fake_url(void)
{
	const char *url = sql_url(NULL, "prefix=lies_"),
		   *port = test_text(":%d/", sql_server->port);

	return test_text("%.*s:%d/%s", (int)(strstr(url, port) - url), url, fake_mysql_port(fake),
			 strstr(url, port) + strlen(port));
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

static int call_clean(convo_store *store, struct convo_err *err)
{
	return convo_store_clean(store, NULL, NULL, err);
}

/* A turn: its question, a draft, a load that has it, its end; or the last of them that can be had. */
static int call_turn(convo_store *store, struct convo_err *err)
{
	const struct convo_event event = {.id = "0191e2a4-7b2c-7000-8000-0123456789ab",
					  .message = "{\"role\":\"user\",\"content\":\"x\"}"};
	const struct convo_window window = {.kind = CONVO_WINDOW_NONE, .with = CONVO_WITH_DRAFT};
	const struct convo_key key = {"app", "user", "s"};
	struct convo_expect expect = {.hold = CONVO_HOLD_FORCE};
	convo_session *session = NULL;
	convo_lease *lease = NULL;
	int rc = convo_lease_new(&lease, NULL, err);

	expect.lease = lease;
	if (rc == 0)
		rc = convo_store_append(store, &key, &expect, NULL, 0, NULL, NULL, err);
	if (rc == 0)
		rc = convo_store_draft(store, &key, lease, &event, NULL, err);
	if (rc == 0)
		rc = convo_store_load(&session, store, &key, &window, NULL, err);
	expect.hold = CONVO_HOLD_END;
	if (rc == 0)
		rc = convo_store_append(store, &key, &expect, NULL, 0, NULL, NULL, err);
	convo_session_free(session);
	convo_lease_free(lease);
	return rc;
}

static int call_fork(convo_store *store, struct convo_err *err)
{
	const struct convo_key key = {"app", "user", "s"};

	return convo_store_fork(store, &key, NULL, NULL, NULL, err);
}

static int call_stats(convo_store *store, struct convo_err *err)
{
	struct convo_stats stats;

	return convo_store_stats(store, "app", "user", &stats, NULL, err);
}

static const struct call calls[] = {
	{"open", call_open},      {"create", call_create},       {"append", call_append},
	{"load", call_load_last}, {"load all", call_load},       {"list", call_list},
	{"rename", call_rename},  {"state set", call_state_set}, {"state list", call_state_list},
	{"turn", call_turn},      {"fork", call_fork},           {"stats", call_stats},
	{"delete", call_delete},  {"restore", call_restore},     {"clean", call_clean},
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

static convo_store *fake_open(void)
{
	convo_store *store = NULL;
	struct convo_err err;
	int rc = CONVO_E_TIMEOUT;

	/* The short timeout is for the lies; a machine that is busy may need longer to connect. */
	for (int tries = 0; rc == CONVO_E_TIMEOUT && tries < 20; tries++)
		rc = convo_store_open(&store, fake_url(), &opts, &err);
	if (rc < 0)
		must_not_reach("open: %s", err.text);
	return store;
}

/* How many bytes the server says to a call on a new connection. */
static size_t bytes_of(const struct call *call)
{
	struct convo_err err = {0};
	convo_store *store;
	size_t said;

	fake_mysql_spoil(fake, FAKE_LIE_CUT, SIZE_MAX);
	store = fake_open();
	call->run(store, &err);
	said = fake_mysql_said(fake);
	convo_store_close(store);
	return said;
}

static void spoil(const struct call *call, convo_store *store, enum fake_lie how, size_t at)
{
	int64_t begin_us = cv_clock_mono_us();
	struct convo_err err = {0};
	int rc;

	fake_mysql_spoil(fake, how, at);
	rc = call->run(store, &err);
	if (rc > 0 || (rc < 0 && !*err.text))
		must_not_reach("%s, byte %zu, lie %d: %d '%s'", call->name, at, (int)how, rc,
			       err.text);
	if (cv_clock_mono_us() - begin_us > 3000000)
		must_not_reach("%s, byte %zu, lie %d: took %lld us", call->name, at, (int)how,
			       (long long)(cv_clock_mono_us() - begin_us));
}

/*
 * The client library believes the server in places, and can crash by it; with a lie that has it do
 * so, the process of the lies ends, and the next one goes on behind it. Any other crash is ours.
 */
static struct progress {
	const struct call *call;
	size_t step, how, at;
	bool crashed;
} * progress; /* shared with the process of the lies */

/* Is the code at an address one that only passes a fault on? */
static bool passes_on(const char *file)
{
	static const char *const passing[] = {"/libc.so", "/libasan", "/libubsan", "/libtsan"};

	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
		if (strstr(file, passing[i]))
			return true;
	}
	return false;
}

/* For a signal's handler, and the sanitizer's: did the client library do it? */
static __attribute__((noinline)) bool client_did_it(void)
{
	void *frames[32];
	int own = 2; /* this function and the handler */
	int count = backtrace(frames, 32);
	Dl_info info;

	for (int i = 0; i < count; i++) {
		if (!dladdr(frames[i], &info) || !info.dli_fname)
			break;
		if (!passes_on(info.dli_fname) && own-- == 0)
			return strstr(info.dli_fname, "/libmariadb") != NULL;
	}
	backtrace_symbols_fd(frames, count, STDERR_FILENO);
	return false;
}

static void on_fault(int sig)
{
	progress->crashed = client_did_it();
	if (progress->crashed)
		_exit(0);
	signal(sig, SIG_DFL);
	raise(sig);
}

void __asan_on_error(void);

void __asan_on_error(void)
{
	progress->crashed = client_did_it();
	if (progress->crashed)
		_exit(0);
}

/* A process: tell lies from *progress on, as many as there is time for. */
static void lie(void *ctx, int index)
{
	const struct call *call = progress->call;
	size_t bytes, left = LIES;
	convo_store *store;

	(void)index;
	(void)ctx;
	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	signal(SIGFPE, on_fault);
	fake = fake_mysql_start(sql_server->port);
	bytes = bytes_of(call);
	while (left && progress->how < FAKE_LIES) {
		fake_mysql_spoil(fake, FAKE_LIE_CUT, SIZE_MAX);
		store = fake_open();
		for (; progress->at < bytes && left; progress->at += progress->step, left--)
			spoil(call, store, (enum fake_lie)progress->how, progress->at);
		fake_mysql_spoil(fake, FAKE_LIE_CUT, SIZE_MAX);
		convo_store_close(store);
		if (progress->at >= bytes)
			progress->at = ++progress->how * 5 % progress->step;
	}
	fake_mysql_end(fake);
}

/* Every so many bytes are spoiled: fewer where most lies end with the time, a server that is to say more
 * and does not; fewest where a list comes first, which has lies of its own. */
static size_t step_of(const struct call *call)
{
	if (call->run == call_stats)
		return 1009;
	if (call->run == call_turn)
		return 193;
	return call->run == call_open || call->run == call_load ? 97 : 31;
}

/* The primes leave no place out for good: another lie comes there. All of them take hours. */
static void spoil_all(const struct call *call)
{
	const bool all = getenv("CONVO_TEST_FAULTS") != NULL;

	progress->call = call;
	progress->step = all ? 1 : step_of(call);
	progress->how = progress->at = 0;
	do {
		progress->crashed = false;
		test_processes(1, lie, NULL);
		if (!progress->crashed)
			continue;
		printf("the client library crashes: %s, byte %zu, lie %zu\n", call->name,
		       progress->at, progress->how);
		progress->at += progress->step;
	} while (progress->how < FAKE_LIES);
}

static void test_L2_a_server_that_lies_cannot_hurt(void **state)
{
	convo_store *store;
	struct convo_err err;

	(void)state;
	sql_needed();
	progress = test_shared(sizeof(*progress));
	store = sql_open(sql_url(NULL, "prefix=lies_"));
	sql_create(store, "s");
	must_pass(call_state_set(store, &err));
	must_pass(call_append(store, &err));
	convo_store_close(store);
	for (size_t i = 0; i < CALLS; i++)
		spoil_all(&calls[i]);
	/* And afterwards all is well. */
	store = sql_open(sql_url(NULL, "prefix=lies_"));
	sql_create(store, "after");
	must_pass(sql_say(store, "after", &err));
	sql_must_have(store, "after", 1);
	convo_store_close(store);
	test_shared_free(progress, sizeof(*progress));
}

int main(void)
{
	const struct CMUnitTest lies[] = {
		cmocka_unit_test(test_L2_a_server_that_lies_cannot_hurt),
	};
	int rc;

	sql_server = server_start(SERVER_MARIADB, SERVER_FAST);
	rc = TEST_RUN(lies);
	server_end(sql_server);
	return rc;
}
