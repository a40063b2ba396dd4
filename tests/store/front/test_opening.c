/*
 * Opening a store whose server takes the connection and says nothing: it ends by the timeout, and
 * when it is canceled (contract L2), with every backend that has a server.
 */
#include <support/test.h>

#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>
#include <convo/store.h>

#define LATE_US 3000000 /* far from a minute, on a busy machine too */

static const char *const urls[] = {
#ifdef CONVO_WITH_REDIS
	"redis://127.0.0.1:%d",
#endif
#ifdef CONVO_WITH_POSTGRES
	"postgres://u:p@127.0.0.1:%d/chat",
	"postgres://u:p@127.0.0.1:%d/chat?sslmode=require",
#endif
#ifdef CONVO_WITH_MYSQL
	"mysql://u:p@127.0.0.1:%d/chat",
	"mysql://u:p@127.0.0.1:%d/chat?tls=verify",
#endif
	NULL};

struct opening {
	const char *url;
	convo_cancel *cancel;
	atomic_bool begun;
	_Atomic int64_t asked_us;
};

static const char *url_of(const char *form, int port)
{
	const char *at = strstr(form, "%d");

	return test_text("%.*s%d%s", (int)(at - form), form, port, at + 2);
}

static void open_or_cancel(void *ctx, int index)
{
	struct opening *opening = ctx;
	const struct convo_store_options opts = {.timeout_ms = 60000, .cancel = opening->cancel};
	struct timespec soon = {0, 50000000};
	convo_store *store = NULL;
	struct convo_err err;

	if (index == 1) {
		while (!opening->begun)
			nanosleep(&(struct timespec){0, 1000000}, NULL);
		nanosleep(&soon, NULL); /* it waits by then, likely; it need not */
		opening->asked_us = cv_clock_mono_us();
		convo_cancel_request(opening->cancel);
		return;
	}
	opening->begun = true;
	must_fail_with(CONVO_E_CANCELED, convo_store_open(&store, opening->url, &opts, &err));
	must(!store);
	must(cv_clock_mono_us() - opening->asked_us < LATE_US);
}

static void test_L2_a_cancel_ends_the_opening(void **state)
{
	int port, listener = test_listen(&port);

	(void)state;
	for (size_t i = 0; urls[i]; i++) {
		struct opening opening = {.url = url_of(urls[i], port)};
		struct convo_err err;

		must_pass(convo_cancel_new(&opening.cancel, &err));
		test_threads(2, open_or_cancel, &opening);
		convo_cancel_free(opening.cancel);
	}
	close(listener);
}

static void test_L2_the_timeout_ends_the_opening(void **state)
{
	const struct convo_store_options opts = {.timeout_ms = 200};
	int port, listener = test_listen(&port);

	(void)state;
	for (size_t i = 0; urls[i]; i++) {
		int64_t began_us = cv_clock_mono_us();
		convo_store *store = NULL;
		struct convo_err err;

		must_fail_with(CONVO_E_TIMEOUT,
			       convo_store_open(&store, url_of(urls[i], port), &opts, &err));
		must(!store);
		must(cv_clock_mono_us() - began_us < LATE_US);
	}
	close(listener);
}

int main(void)
{
	const struct CMUnitTest opening[] = {
		cmocka_unit_test(test_L2_a_cancel_ends_the_opening),
		cmocka_unit_test(test_L2_the_timeout_ends_the_opening),
	};

	return TEST_RUN(opening);
}
