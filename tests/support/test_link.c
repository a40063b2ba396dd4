/*
 * The bad network: what it does to a connection to a server that echoes.
 */
#include <support/link.h>
#include <support/test.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/clock.h>

static struct link *bad;
static const char *link_why;

struct echo {
	int listener, port;
	pthread_t thread;
};

static void *echo_one(void *ctx)
{
	int fd = (int)(intptr_t)ctx;
	char data[4096];
	ssize_t n;

	while ((n = recv(fd, data, sizeof(data), 0)) > 0 && test_send(fd, data, (size_t)n))
		;
	close(fd);
	return NULL;
}

static void *echo_run(void *ctx)
{
	const struct echo *echo = ctx;
	pthread_t thread;
	int fd;

	while ((fd = accept(echo->listener, NULL, NULL)) >= 0) {
		must(pthread_create(&thread, NULL, echo_one, (void *)(intptr_t)fd) == 0);
		pthread_detach(thread);
	}
	return NULL;
}

static int link_setup(void **state)
{
	struct echo *echo = calloc(1, sizeof(*echo));

	must(echo);
	*state = echo;
	if (!bad)
		return 0;
	link_heal(bad);
	echo->listener = test_listen(&echo->port);
	must(pthread_create(&echo->thread, NULL, echo_run, echo) == 0);
	return 0;
}

static int link_teardown(void **state)
{
	struct echo *echo = *state;

	if (bad) {
		shutdown(echo->listener, SHUT_RDWR);
		pthread_join(echo->thread, NULL);
		close(echo->listener);
	}
	free(echo);
	return 0;
}

/* A socket that connects to the echo over the link; never blocks. */
static int echo_begin(void **state)
{
	const struct echo *echo = *state;
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)echo->port)};
	const char *url;
	int fd;

	if (!bad)
		test_skip("no link: %s", link_why);
	url = link_url(bad, test_text("x://127.0.0.1:%d/", echo->port));
	must(inet_pton(AF_INET, test_text("%.*s", (int)strcspn(url + 4, ":"), url + 4),
		       &at.sin_addr) == 1);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	must(fd >= 0);
	must(connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0 || errno == EINPROGRESS);
	return fd;
}

static bool echo_waits(int fd, short events, int ms)
{
	struct pollfd poller = {.fd = fd, .events = events};

	return poll(&poller, 1, ms) == 0;
}

/* A round trip of one byte. @return µs; -1 when it does not come back in time */
static int64_t echo_trip(int fd, int ms)
{
	int64_t begin_us = cv_clock_mono_us();
	char byte = 'x';

	must(send(fd, &byte, 1, MSG_NOSIGNAL) == 1);
	if (echo_waits(fd, POLLIN, ms) || recv(fd, &byte, 1, 0) != 1)
		return -1;
	return cv_clock_mono_us() - begin_us;
}

static int echo_connect(void **state)
{
	int fd = echo_begin(state);

	must(!echo_waits(fd, POLLOUT, 5000));
	must(echo_trip(fd, 5000) >= 0);
	return fd;
}

static void test_packets_are_late_each_way(void **state)
{
	int fd = echo_connect(state);
	int64_t took_us;

	must(echo_trip(fd, 1000) < 20000);
	link_delay(bad, 20);
	took_us = echo_trip(fd, 1000);
	must(took_us >= 40000 && took_us < 60000);
	close(fd);
}

static void test_what_is_lost_is_sent_again(void **state)
{
	int fd = echo_connect(state);
	size_t lost = link_lost(bad);
	int slow = 0;

	link_loss(bad, 100);
	for (int i = 0; i < 100; i++)
		slow += echo_trip(fd, 20000) > 100000;
	must(link_lost(bad) > lost);
	must(slow > 0 && slow < 60);
	close(fd);
}

static void test_a_rate_holds_up_what_is_large(void **state)
{
	static char data[32 << 10];
	int fd = echo_connect(state);
	int64_t begin_us = cv_clock_mono_us();
	size_t got = 0;
	ssize_t n = 1;

	link_rate(bad, 64 << 10);
	must(send(fd, data, sizeof(data), MSG_NOSIGNAL) == sizeof(data));
	while (got < sizeof(data) && n > 0 && !echo_waits(fd, POLLIN, 5000)) {
		n = recv(fd, data, sizeof(data), 0);
		got += n > 0 ? (size_t)n : 0;
	}
	must_equal(sizeof(data), got);
	must(cv_clock_mono_us() - begin_us > 400000);
	close(fd);
}

static void test_silence_swallows_and_heals(void **state)
{
	static const enum link_ways ways[] = {LINK_REQUESTS, LINK_REPLIES, LINK_BOTH};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		int fd = echo_connect(state), other;
		char byte;

		link_silence(bad, ways[i]);
		must_equal(-1, echo_trip(fd, 300));
		other = echo_begin(state);
		must(echo_waits(other, POLLOUT, 100));
		link_heal(bad);
		must(!echo_waits(fd, POLLIN, 5000));
		must_equal(1, recv(fd, &byte, 1, 0));
		must(!echo_waits(other, POLLOUT, 5000));
		close(fd);
		close(other);
	}
}

static void test_one_server_may_be_silent(void **state)
{
	const struct echo *echo = *state;
	int fd = echo_connect(state);

	link_silence_port(bad, echo->port + 1);
	must(echo_trip(fd, 1000) >= 0);
	link_silence_port(bad, echo->port);
	must_equal(-1, echo_trip(fd, 300));
	close(fd);
}

static void test_a_firewall_forgets_what_there_is(void **state)
{
	int fd = echo_connect(state), other;

	link_forget(bad);
	must_equal(-1, echo_trip(fd, 300));
	other = echo_connect(state);
	must(echo_trip(other, 1000) >= 0);
	must_equal(-1, echo_trip(fd, 100));
	close(fd);
	close(other);
}

static void test_a_reset_ends_what_there_is(void **state)
{
	int fd = echo_connect(state), other;
	char byte = 'x';

	link_reset(bad);
	must(send(fd, &byte, 1, MSG_NOSIGNAL) == 1);
	must(!echo_waits(fd, POLLIN, 1000));
	must_equal(-1, recv(fd, &byte, 1, 0));
	must_equal(ECONNRESET, errno);
	other = echo_connect(state);
	must(echo_trip(other, 1000) >= 0);
	close(fd);
	close(other);
}

#define LINK_TEST(name) cmocka_unit_test_setup_teardown(name, link_setup, link_teardown)

int main(void)
{
	const struct CMUnitTest links[] = {
		LINK_TEST(test_packets_are_late_each_way),
		LINK_TEST(test_what_is_lost_is_sent_again),
		LINK_TEST(test_a_rate_holds_up_what_is_large),
		LINK_TEST(test_silence_swallows_and_heals),
		LINK_TEST(test_one_server_may_be_silent),
		LINK_TEST(test_a_firewall_forgets_what_there_is),
		LINK_TEST(test_a_reset_ends_what_there_is),
	};
	int rc;

	bad = link_start(&link_why);
	rc = TEST_RUN(links);
	link_end(bad);
	return rc;
}
