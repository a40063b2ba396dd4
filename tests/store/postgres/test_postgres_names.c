/*
 * Names of hosts are looked up by the call's deadline, whatever the name server does (L2). The one
 * of this program never answers about the host "silent", and knows "here".
 */
#define _GNU_SOURCE /* RTLD_NEXT */

#include <support/servers.h>
#include <support/test.h>

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <time.h>

#include <convo/store.h>

#include <base/clock.h>

static struct server *server;

static struct {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool over;  /* the tests are, so that nobody needs to be silent any more */
	int asking; /* threads that wait for "silent" */
} names = {.lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};

static void names_be_silent(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 8;
	pthread_mutex_lock(&names.lock);
	names.asking++;
	while (!names.over && pthread_cond_timedwait(&names.ended, &names.lock, &until) == 0)
		;
	names.asking--;
	pthread_cond_broadcast(&names.ended);
	pthread_mutex_unlock(&names.lock);
}

/* In the place of the C library's, for libpq too. */
__attribute__((visibility("default"))) int getaddrinfo(const char *restrict host,
						       const char *restrict port,
						       const struct addrinfo *restrict hints,
						       struct addrinfo **restrict list)
{
	int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	*(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
	if (host && !(hints && hints->ai_flags & AI_NUMERICHOST)) {
		if (strcmp(host, "silent") == 0)
			names_be_silent();
		if (strcmp(host, "here") == 0)
			host = "127.0.0.1";
	}
	return next(host, port, hints, list);
}

static void must_have_server(void)
{
	if (!server)
		test_skip("no server to test with");
}

static void test_L2_a_name_server_that_is_silent_costs_the_timeout_and_no_more(void **state)
{
	const struct convo_store_options opts = {.timeout_ms = 300};
	int64_t begin_us = cv_clock_mono_us();
	convo_store *store = NULL;
	struct convo_err err;

	(void)state;
	must_have_server();
	must_fail_with(CONVO_E_TIMEOUT,
		       convo_store_open(&store, "postgres://convo@silent:5/chat", &opts, &err));
	must(cv_clock_mono_us() - begin_us < 1500000);
	must(strstr(err.text, "silent") != NULL);
}

static void test_L2_the_next_host_is_tried_when_a_name_is_not_found_in_time(void **state)
{
	const struct convo_store_options opts = {.timeout_ms = 2000};
	convo_store *store = NULL;
	struct convo_err err;

	(void)state;
	must_have_server();
	must_pass(convo_store_open(
		&store, test_text("postgres://convo@silent:5,here:%d/postgres", server->port),
		&opts, &err));
	convo_store_close(store);
}

static void test_a_host_that_nobody_knows_is_told(void **state)
{
	convo_store *store = NULL;
	struct convo_err err;

	(void)state;
	must_have_server();
	must_fail_with(CONVO_E_GONE,
		       convo_store_open(&store, "postgres://convo@a%20b/chat", NULL, &err));
	must(strstr(err.text, "unknown host") != NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_L2_a_name_server_that_is_silent_costs_the_timeout_and_no_more),
		cmocka_unit_test(test_L2_the_next_host_is_tried_when_a_name_is_not_found_in_time),
		cmocka_unit_test(test_a_host_that_nobody_knows_is_told),
	};
	int rc;

	server = server_start(SERVER_POSTGRES, SERVER_FAST);
	rc = TEST_RUN(tests);
	server_end(server);
	/* Those who still ask must be done before the program ends, for checkers of memory. */
	pthread_mutex_lock(&names.lock);
	names.over = true;
	pthread_cond_broadcast(&names.ended);
	while (names.asking)
		pthread_cond_wait(&names.ended, &names.lock);
	pthread_mutex_unlock(&names.lock);
	return rc;
}
