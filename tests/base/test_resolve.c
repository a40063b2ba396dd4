/*
 * Host names to addresses, by a deadline.
 */
#include <support/test.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <time.h>

#include <base/clock.h>
#include <base/resolve.h>

static int64_t in_ms(int ms)
{
	return cv_clock_mono_us() + ms * 1000;
}

static void must_be_port(const struct addrinfo *at, int port)
{
	const struct sockaddr_in *in4 = (const void *)at->ai_addr;
	const struct sockaddr_in6 *in6 = (const void *)at->ai_addr;

	must_equal(port, ntohs(at->ai_family == AF_INET6 ? in6->sin6_port : in4->sin_port));
}

static void test_addresses_and_names(void **state)
{
	static const char *const hosts[] = {"127.0.0.1", "::1", "localhost"};

	(void)state;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		struct addrinfo *list = NULL;
		struct convo_err err;

		must_pass(cv_resolve(&list, hosts[i], 6379, in_ms(5000), &err));
		must(list != NULL);
		for (struct addrinfo *at = list; at; at = at->ai_next)
			must_be_port(at, 6379);
		freeaddrinfo(list);
	}
}

static void test_an_unknown_host_is_told(void **state)
{
	struct addrinfo *list = NULL;
	struct convo_err err;

	(void)state;
	must_fail_with(CONVO_E_IO, cv_resolve(&list, "a b", 1, in_ms(5000), &err));
	must(list == NULL);
}

static void test_L2_a_name_that_takes_too_long_is_given_up(void **state)
{
	struct addrinfo *list = NULL;
	struct convo_err err;

	(void)state;
	must_fail_with(CONVO_E_TIMEOUT, cv_resolve(&list, "localhost", 1, in_ms(-1), &err));
	must(list == NULL);
	/* Whoever is first, the answer or the deadline, nothing is lost or freed twice. */
	for (int us = 0; us < 400; us += 4) {
		int rc = cv_resolve(&list, "localhost", 1, cv_clock_mono_us() + us, &err);

		must_equal(rc == 0 ? 0 : CONVO_E_TIMEOUT, rc);
		must(rc == 0 ? list != NULL : !list);
		if (list)
			freeaddrinfo(list);
		list = NULL;
	}
	/* Those who still ask must be done before the program ends, for checkers of memory. */
	nanosleep(&(struct timespec){0, 300000000L}, NULL);
	/* An address needs nobody to ask. */
	must_pass(cv_resolve(&list, "127.0.0.1", 1, in_ms(-1), &err));
	freeaddrinfo(list);
}

int main(void)
{
	const struct CMUnitTest resolve[] = {
		cmocka_unit_test(test_addresses_and_names),
		cmocka_unit_test(test_an_unknown_host_is_told),
		cmocka_unit_test(test_L2_a_name_that_takes_too_long_is_given_up),
	};

	return TEST_RUN(resolve);
}
