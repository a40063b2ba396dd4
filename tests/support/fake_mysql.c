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

#include "test.h"

#define QUIET_MS 4 /* the server has no more to say */

#define CLIENTS 16 /* at once: a store that is open, and one that is being opened */

struct fake_mysql {
	int listener, port, server_port;
	pthread_t thread;
	pthread_mutex_t lock; /* guards the following */
	pthread_cond_t gone;  /* a client is */
	int client[CLIENTS];  /* -1: none */
	enum fake_lie how;
	size_t at, said;
};

/* One connection. */
struct fake_link {
	struct fake_mysql *fake;
	int client, slot;
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

static void fake_serve(struct fake_mysql *fake, int client, int server)
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

/* A place for a client; -1 when all are taken. */
static int fake_take(struct fake_mysql *fake, int client)
{
	int slot = -1;

	pthread_mutex_lock(&fake->lock);
	for (int i = 0; i < CLIENTS && slot < 0; i++) {
		if (fake->client[i] < 0)
			slot = i;
	}
	if (slot >= 0)
		fake->client[slot] = client;
	pthread_mutex_unlock(&fake->lock);
	return slot;
}

static void fake_give(struct fake_mysql *fake, int slot)
{
	pthread_mutex_lock(&fake->lock);
	close(fake->client[slot]);
	fake->client[slot] = -1;
	pthread_cond_broadcast(&fake->gone);
	pthread_mutex_unlock(&fake->lock);
}

static void *fake_link_thread(void *ctx)
{
	struct fake_link link = *(struct fake_link *)ctx;
	struct sockaddr_in there = {.sin_family = AF_INET,
				    .sin_port = htons((uint16_t)link.fake->server_port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	free(ctx);
	if (server >= 0 && connect(server, (struct sockaddr *)&there, sizeof(there)) == 0)
		fake_serve(link.fake, link.client, server);
	if (server >= 0)
		close(server);
	fake_give(link.fake, link.slot);
	return NULL;
}

static void *fake_thread(void *ctx)
{
	struct fake_mysql *fake = ctx;
	pthread_t thread;
	int client;

	while ((client = accept(fake->listener, NULL, NULL)) >= 0) {
		struct fake_link *link = malloc(sizeof(*link));
		int slot = fake_take(fake, client);

		must(link && slot >= 0);
		*link = (struct fake_link){fake, client, slot};
		must(pthread_create(&thread, NULL, fake_link_thread, link) == 0);
		pthread_detach(thread);
	}
	return NULL;
}

struct fake_mysql *fake_mysql_start(int port)
{
	struct fake_mysql *fake = calloc(1, sizeof(*fake));

	must(fake);
	for (int i = 0; i < CLIENTS; i++)
		fake->client[i] = -1;
	fake->server_port = port;
	fake->at = SIZE_MAX;
	pthread_mutex_init(&fake->lock, NULL);
	pthread_cond_init(&fake->gone, NULL);
	fake->listener = test_listen(&fake->port);
	must(pthread_create(&fake->thread, NULL, fake_thread, fake) == 0);
	return fake;
}

int fake_mysql_port(const struct fake_mysql *fake)
{
	return fake->port;
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
	shutdown(fake->listener, SHUT_RDWR);
	pthread_join(fake->thread, NULL);
	pthread_mutex_lock(&fake->lock);
	for (int i = 0; i < CLIENTS; i++) {
		if (fake->client[i] >= 0)
			shutdown(fake->client[i], SHUT_RDWR);
		while (fake->client[i] >= 0)
			pthread_cond_wait(&fake->gone, &fake->lock);
	}
	pthread_mutex_unlock(&fake->lock);
	close(fake->listener);
	pthread_cond_destroy(&fake->gone);
	pthread_mutex_destroy(&fake->lock);
	free(fake);
}
