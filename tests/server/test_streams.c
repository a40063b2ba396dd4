/*
 * Streams that no handler runs beside, and what a server does that is full: the HTTP room with routes of its
 * own, by raw sockets.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <netinet/in.h>

#include <cmocka.h>

#include "http/clock.h"
#include "http/http.h"

#define MOST 20000

/* Streams that a handler left behind, for a test to write to. */
static struct {
	pthread_mutex_t lock;
	http_stream *stream[MOST];
	size_t count;
	atomic_size_t gone;
	atomic_bool hold; /* handlers of /wait do */
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void stream_is_gone(void *ctx)
{
	(void)ctx;
	atomic_fetch_add(&kept.gone, 1);
}

static void handle_follow(void *ctx, struct http_request *request)
{
	http_stream *stream = http_reply_stream(request);

	(void)ctx;
	assert_non_null(stream);
	http_stream_on_gone(stream, stream_is_gone, NULL);
	pthread_mutex_lock(&kept.lock);
	kept.stream[kept.count++] = stream;
	pthread_mutex_unlock(&kept.lock);
}

static void nap(void)
{
	const struct timespec pause = {0, 2000000};

	nanosleep(&pause, NULL);
}

static void handle_wait(void *ctx, struct http_request *request)
{
	struct text body = {0};

	(void)ctx;
	while (atomic_load(&kept.hold) && !convo_cancel_requested(request->cancel))
		nap();
	assert_true(text_adds(&body, "done"));
	http_reply(request, 200, "text/plain", &body);
}

static void handle_nothing(void *ctx, struct http_request *request)
{
	(void)ctx;
	(void)request;
}

static bool form(struct text *out, const struct http_refusal *refusal)
{
	return text_addf(out, "%d %s", refusal->status, refusal->message);
}

static const struct http_route routes[] = {
	{HTTP_GET, "/follow/{id}", handle_follow, 0, HTTP_QUICK},
	{HTTP_GET, "/wait", handle_wait, 0, HTTP_LONG},
	{HTTP_GET, "/nothing", handle_nothing, 0, HTTP_QUICK},
};

static const struct http_api api = {
	.prefix = "/",
	.routes = routes,
	.count = 3,
	.form = form,
	.too_slow = "event: error\ndata: slow\n\n",
};

struct fixture {
	struct http_listener listener;
	struct http_server *server;
	uint16_t port;
};

static void start(struct fixture *at, unsigned workers, unsigned queue)
{
	struct http_options options = {.apis = &api, .api_count = 1};
	struct convo_err err = {0};

	kept.count = 0;
	atomic_store(&kept.gone, 0);
	assert_int_equal(http_listen(&at->listener, "127.0.0.1:0", &err), 0);
	at->port = (uint16_t)strtol(strrchr(at->listener.shown.data, ':') + 1, NULL, 10);
	options.listener = &at->listener;
	options.workers = workers;
	options.queue = queue;
	assert_int_equal(http_server_start(&at->server, &options, &err), 0);
}

static void stop(struct fixture *at)
{
	size_t i;

	http_server_stop(at->server);
	http_unlisten(&at->listener);
	for (i = 0; i < kept.count; i++)
		http_stream_end(kept.stream[i]);
}

static int client(const struct fixture *at, const char *path)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(at->port)};
	char request[200];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), n;

	assert_true(fd >= 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	n = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
	assert_int_equal(write(fd, request, (size_t)n), n);
	return fd;
}

/* Reads until the words came, 10 s at most. */
static void expect(int fd, const char *words)
{
	char bytes[8192] = "";
	size_t len = 0;
	struct pollfd ready = {fd, POLLIN, 0};

	while (!strstr(bytes, words)) {
		ssize_t n;

		assert_true(len < sizeof(bytes) - 1);
		assert_int_equal(poll(&ready, 1, 10000), 1);
		n = read(fd, bytes + len, sizeof(bytes) - 1 - len);
		if (n <= 0)
			fail_msg("the end came before '%s': %s", words, bytes);
		len += (size_t)n;
		bytes[len] = '\0';
	}
}

/* The same behind megabytes of other things. */
static void expect_at_last(int fd, const char *words)
{
	char bytes[4096 + 64] = "";
	size_t kept_len = 0;
	ssize_t n;

	while (!strstr(bytes, words)) {
		if (kept_len > 60) {
			memmove(bytes, bytes + kept_len - 60, 60);
			kept_len = 60;
		}
		n = read(fd, bytes + kept_len, 4096);
		assert_true(n > 0);
		kept_len += (size_t)n;
		bytes[kept_len] = '\0';
	}
}

static bool within(int64_t ms, bool (*holds)(size_t), size_t value)
{
	int64_t end = clock_ms() + ms;

	while (!holds(value)) {
		if (clock_ms() > end)
			return false;
		nap();
	}
	return true;
}

static bool are_kept(size_t count)
{
	bool yes;

	pthread_mutex_lock(&kept.lock);
	yes = kept.count == count;
	pthread_mutex_unlock(&kept.lock);
	return yes;
}

static bool are_gone(size_t count)
{
	return atomic_load(&kept.gone) == count;
}

static long resident_kb(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long pages = 0;

	if (!file || fscanf(file, "%*s %ld", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* CONVO_TEST_STREAMS sets how many: 10,000 are what the page of the server speaks of. */
static size_t stream_count(void)
{
	const char *value = getenv("CONVO_TEST_STREAMS");
	size_t count = value ? strtoul(value, NULL, 10) : 400;
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (count > MOST)
		count = MOST;
	return 2 * count + 600 < limit.rlim_cur ? count : (limit.rlim_cur - 600) / 2;
}

static void test_idle_streams_need_no_thread_and_an_event_reaches_all(void **state)
{
	struct fixture at;
	size_t i, count = stream_count();
	int *fd = calloc(count, sizeof(*fd));
	int64_t begin;
	long before;

	(void)state;
	assert_non_null(fd);
	start(&at, 1, 4096);
	before = resident_kb();
	for (i = 0; i < count; i++)
		fd[i] = client(&at, "/follow/a%2Fb");
	assert_true(within(30000, are_kept, count));
	for (i = 0; i < count; i++)
		expect(fd[i], "text/event-stream");
	print_message("%zu streams: %ld MB, %ld bytes each\n", count, resident_kb() / 1024,
		      (resident_kb() - before) * 1024 / (long)count);
	begin = clock_ms();
	for (i = 0; i < count; i++)
		assert_true(http_stream_write(kept.stream[i], "data: news\n\n", 12));
	for (i = 0; i < count; i++)
		expect(fd[i], "data: news\n\n");
	print_message("one event to all: %lld ms\n", (long long)(clock_ms() - begin));
	for (i = 0; i < count; i++)
		close(fd[i]);
	assert_true(within(10000, are_gone, count));
	for (i = 0; i < count; i++)
		assert_false(http_stream_write(kept.stream[i], "x", 1));
	stop(&at);
	free(fd);
}

static void test_a_drain_ends_streams_that_no_handler_runs_beside(void **state)
{
	struct fixture at;
	int fd;

	(void)state;
	start(&at, 1, 16);
	fd = client(&at, "/follow/x");
	assert_true(within(10000, are_kept, 1));
	http_server_drain(at.server);
	expect(fd, "\r\n0\r\n\r\n");
	assert_true(are_gone(1));
	assert_true(http_server_wait(at.server, 5000));
	close(fd);
	stop(&at);
}

static void count_taken(void *ctx)
{
	atomic_fetch_add((atomic_size_t *)ctx, 1);
}

static bool is_one(size_t counter)
{
	return atomic_load((atomic_size_t *)(uintptr_t)counter) == 1;
}

static void test_a_writer_is_told_once_that_all_was_taken(void **state)
{
	static char bytes[200 << 10];
	atomic_size_t taken = 0, none = 0;
	struct fixture at;
	char dropped[8192];
	bool told;
	int fd;
	size_t i;

	(void)state;
	start(&at, 1, 16);
	fd = client(&at, "/follow/x");
	assert_true(within(10000, are_kept, 1));
	/* Nothing waits: it is told at once. */
	http_stream_on_taken(kept.stream[0], count_taken, &taken);
	assert_int_equal(atomic_load(&taken), 1);
	memset(bytes, 'x', sizeof(bytes));
	/* Until the system takes no more for a reader who sleeps. */
	for (i = 0; i < 20; i++) {
		nap();
		if (http_stream_waiting(kept.stream[0]) >= sizeof(bytes) / 2)
			continue;
		assert_true(http_stream_write(kept.stream[0], bytes, sizeof(bytes) / 2));
		i = 0;
	}
	atomic_store(&taken, 0);
	http_stream_on_taken(kept.stream[0], count_taken, &taken);
	for (i = 0; i < 20; i++) {
		told = atomic_load(&taken) > 0;
		assert_true(!told || !http_stream_waiting(kept.stream[0]));
		nap();
	}
	while (!is_one((size_t)&taken))
		assert_true(read(fd, dropped, sizeof(dropped)) > 0);
	assert_int_equal(http_stream_waiting(kept.stream[0]), 0);
	assert_true(http_stream_write(kept.stream[0], "data: more\n\n", 12));
	expect_at_last(fd, "data: more\n\n");
	assert_int_equal(atomic_load(&taken), 1);
	/* After its end it tells nothing. */
	http_stream_on_taken(kept.stream[0], count_taken, &none);
	atomic_store(&none, 0);
	http_stream_on_gone(kept.stream[0], count_taken, &none);
	http_stream_end(kept.stream[0]);
	kept.count = 0;
	close(fd);
	stop(&at);
	assert_int_equal(atomic_load(&none), 0);
}

static void test_what_finds_no_room_in_the_queue_is_told_so(void **state)
{
	struct fixture at;
	int fd[4];
	size_t i;

	(void)state;
	atomic_store(&kept.hold, true);
	start(&at, 1, 1);
	for (i = 0; i < 4; i++) {
		const struct timespec pause = {0, 50000000};

		fd[i] = client(&at, "/wait");
		nanosleep(&pause, NULL);
	}
	expect(fd[2], "503 Service Unavailable");
	expect(fd[3], "Retry-After: 2");
	atomic_store(&kept.hold, false);
	expect(fd[0], "done");
	expect(fd[1], "done");
	for (i = 0; i < 4; i++)
		close(fd[i]);
	stop(&at);
}

static void test_an_end_cancels_what_runs_and_what_waits(void **state)
{
	struct fixture at;
	struct http_load load;
	int fd[3];
	size_t i;

	(void)state;
	atomic_store(&kept.hold, true);
	start(&at, 1, 8);
	for (i = 0; i < 3; i++)
		fd[i] = client(&at, "/wait");
	do { /* who has not been read by then finds nobody there */
		nap();
		http_server_look(&load, at.server);
	} while (load.slow.busy < 1 || load.slow.waiting < 2);
	http_server_drain(at.server);
	http_server_cancel(at.server);
	/* Each is answered: by its handler, or as one that came too late. */
	for (i = 0; i < 3; i++) {
		expect(fd[i], "HTTP/1.1 ");
		close(fd[i]);
	}
	stop(&at);
}

static void test_a_handler_that_says_nothing_is_answered_for(void **state)
{
	struct fixture at;
	int fd;

	(void)state;
	start(&at, 1, 8);
	fd = client(&at, "/nothing");
	expect(fd, "HTTP/1.1 500");
	close(fd);
	stop(&at);
}

static void test_percent_encoding_is_strict(void **state)
{
	static const char *const wrong[] = {"%", "%0", "%00", "a%zz", "%4"};
	char text[16];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(text, sizeof(text), "%s", wrong[i]);
		assert_false(http_percent_decode(text, false));
	}
	snprintf(text, sizeof(text), "a%%2Fb+%%fF");
	assert_true(http_percent_decode(text, false));
	assert_string_equal(text, "a/b+\xff");
	snprintf(text, sizeof(text), "a+%%2B");
	assert_true(http_percent_decode(text, true));
	assert_string_equal(text, "a +");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle_streams_need_no_thread_and_an_event_reaches_all),
		cmocka_unit_test(test_a_drain_ends_streams_that_no_handler_runs_beside),
		cmocka_unit_test(test_a_writer_is_told_once_that_all_was_taken),
		cmocka_unit_test(test_what_finds_no_room_in_the_queue_is_told_so),
		cmocka_unit_test(test_an_end_cancels_what_runs_and_what_waits),
		cmocka_unit_test(test_a_handler_that_says_nothing_is_answered_for),
		cmocka_unit_test(test_percent_encoding_is_strict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
