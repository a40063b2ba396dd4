/*
 * The lying MySQL; see fake_mysql.h.
 */
#include "fake_mysql.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crowd.h"
#include "test.h"

#define QUIET_MS 4 /* the server has no more to say */

struct fake_mysql {
	struct crowd *crowd;
	int server_port;
	pthread_mutex_t lock; /* guards the following */
	enum fake_lie how;
	size_t at, said;
};

static char fake_spoiled(enum fake_lie how, char byte)
{
	switch (how) {
	case FAKE_LIE_ZERO:
		return 0;
	case FAKE_LIE_ONES:
		return (char)0xff;
	case FAKE_LIE_FLIP:
		return (char)(byte ^ 0x80);
	case FAKE_LIE_MORE:
		return (char)(byte + 1);
	default:
		return byte;
	}
}

/* Pass on what the server says. *spoiled is set once a byte of it was spoiled. */
static bool fake_pass(struct fake_mysql *fake, int client, char *data, size_t len, bool *spoiled)
{
	enum fake_lie how;
	size_t at;
	bool here;

	pthread_mutex_lock(&fake->lock);
	here = fake->at >= fake->said && fake->at - fake->said < len;
	at = fake->at - fake->said;
	how = fake->how;
	fake->said += len;
	pthread_mutex_unlock(&fake->lock);
	if (!here)
		return test_send(client, data, len);
	*spoiled = true;
	if (how == FAKE_LIE_CUT)
		return test_send(client, data, at) && false;
	data[at] = fake_spoiled(how, data[at]);
	while (how == FAKE_LIE_ENDLESS) {
		struct pollfd fd = {.fd = client, .events = POLLIN | POLLOUT};

		/* Who leaves with much unread may do so without a word but this. */
		if (poll(&fd, 1, -1) <= 0 || fd.revents & ~POLLOUT)
			return false;
		if (send(client, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
			return false;
	}
	return test_send(client, data, len);
}

static void fake_link(struct fake_mysql *fake, int client, int server)
{
	struct pollfd fd[2] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
	bool spoiled = false;
	char data[65536];
	ssize_t n;

	for (;;) {
		if (poll(fd, 2, spoiled ? QUIET_MS : -1) <= 0)
			return;
		if (fd[0].revents) {
			n = recv(client, data, sizeof(data), 0);
			if (n <= 0 || !test_send(server, data, (size_t)n))
				return;
		}
		if (fd[1].revents) {
			n = recv(server, data, sizeof(data), 0);
			if (n <= 0 || !fake_pass(fake, client, data, (size_t)n, &spoiled))
				return;
		}
	}
}

static void fake_serve(void *ctx, int client)
{
	struct fake_mysql *fake = ctx;
	struct sockaddr_in there = {.sin_family = AF_INET,
				    .sin_port = htons((uint16_t)fake->server_port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (server >= 0 && connect(server, (struct sockaddr *)&there, sizeof(there)) == 0)
		fake_link(fake, client, server);
	if (server >= 0)
		close(server);
}

struct fake_mysql *fake_mysql_start(int port)
{
	struct fake_mysql *fake = calloc(1, sizeof(*fake));

	must(fake);
	fake->server_port = port;
	fake->at = SIZE_MAX;
	pthread_mutex_init(&fake->lock, NULL);
	fake->crowd = crowd_start(fake_serve, fake);
	return fake;
}

int fake_mysql_port(const struct fake_mysql *fake)
{
	return crowd_port(fake->crowd);
}

void fake_mysql_spoil(struct fake_mysql *fake, enum fake_lie how, size_t at)
{
	pthread_mutex_lock(&fake->lock);
	fake->how = how;
	fake->at = at;
	fake->said = 0;
	pthread_mutex_unlock(&fake->lock);
}

size_t fake_mysql_said(struct fake_mysql *fake)
{
	size_t said;

	pthread_mutex_lock(&fake->lock);
	said = fake->said;
	pthread_mutex_unlock(&fake->lock);
	return said;
}

void fake_mysql_end(struct fake_mysql *fake)
{
	crowd_end(fake->crowd);
	pthread_mutex_destroy(&fake->lock);
	free(fake);
}
