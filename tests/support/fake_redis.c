/*
 * The scripted Redis; see fake_redis.h. A connection lives as long as its client; a request is what one
 * recv() returns.
 */
#include "fake_redis.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test.h"

#define MAX_LINES 512
#define MAX_CLIENTS 16384 /* in a fake's life */

struct fake_client {
	struct fake_redis *fake;
	pthread_t thread;
	int fd; /* -1: it has left */
};

struct fake_redis {
	int listener, port;
	pthread_t thread;
	pthread_mutex_t lock; /* guards the following */
	struct fake_client client[MAX_CLIENTS];
	size_t clients;
	struct {
		const char *command;
		struct fake_reply reply;
	} line[MAX_LINES];
	size_t lines;
};

static struct fake_reply reply_of(const char *text)
{
	return (struct fake_reply){.data = text, .len = strlen(text)};
}

/* The reply that was said for a request, or the usual one. */
static struct fake_reply fake_reply(struct fake_redis *fake, const char *request)
{
	struct fake_reply reply = {0};
	size_t i;

	pthread_mutex_lock(&fake->lock);
	for (i = 0; i < fake->lines && !reply.data; i++) {
		if (fake->line[i].command && strstr(request, fake->line[i].command)) {
			reply = fake->line[i].reply;
			fake->line[i].command = NULL;
		}
	}
	pthread_mutex_unlock(&fake->lock);
	if (reply.data)
		return reply;
	return reply_of(strstr(request, "INFO") ? "$19\r\nredis_version:7.0.1\r\n" : "+PONG\r\n");
}

/* Whether the client has taken it and may go on. */
static bool fake_send(int client, struct fake_reply reply)
{
	const char *end = reply.data + reply.len;

	if (reply.len && send(client, reply.data, reply.len, MSG_NOSIGNAL) < 0)
		return false;
	while (reply.again) {
		if (send(client, end - reply.again, reply.again, MSG_NOSIGNAL) < 0)
			return false;
	}
	return !reply.close;
}

static void *fake_serve(void *ctx)
{
	struct fake_client *client = ctx;
	struct fake_redis *fake = client->fake;
	char request[65536];
	int fd = client->fd;
	ssize_t n;

	while ((n = recv(fd, request, sizeof(request) - 1, 0)) > 0) {
		request[n] = '\0';
		if (!fake_send(fd, fake_reply(fake, request)))
			break;
	}
	pthread_mutex_lock(&fake->lock);
	client->fd = -1;
	close(fd);
	pthread_mutex_unlock(&fake->lock);
	return NULL;
}

static void *fake_thread(void *ctx)
{
	struct fake_redis *fake = ctx;
	int fd;

	while ((fd = accept(fake->listener, NULL, NULL)) >= 0) {
		struct fake_client *client = &fake->client[fake->clients];

		must(fake->clients < MAX_CLIENTS);
		pthread_mutex_lock(&fake->lock);
		*client = (struct fake_client){.fake = fake, .fd = fd};
		must(pthread_create(&client->thread, NULL, fake_serve, client) == 0);
		fake->clients++;
		pthread_mutex_unlock(&fake->lock);
	}
	return NULL;
}

struct fake_redis *fake_redis_start(void)
{
	struct fake_redis *fake = calloc(1, sizeof(*fake));

	must(fake);
	pthread_mutex_init(&fake->lock, NULL);
	fake->listener = test_listen(&fake->port);
	must(pthread_create(&fake->thread, NULL, fake_thread, fake) == 0);
	return fake;
}

void fake_redis_reply(struct fake_redis *fake, const char *command, struct fake_reply reply)
{
	pthread_mutex_lock(&fake->lock);
	must(fake->lines < MAX_LINES);
	fake->line[fake->lines].command = command;
	fake->line[fake->lines++].reply = reply;
	pthread_mutex_unlock(&fake->lock);
}

void fake_redis_say(struct fake_redis *fake, const char *command, const char *reply)
{
	fake_redis_reply(fake, command, reply_of(reply));
}

void fake_redis_forget(struct fake_redis *fake)
{
	pthread_mutex_lock(&fake->lock);
	fake->lines = 0;
	pthread_mutex_unlock(&fake->lock);
}

int fake_redis_port(const struct fake_redis *fake)
{
	return fake->port;
}

void fake_redis_end(struct fake_redis *fake)
{
	shutdown(fake->listener, SHUT_RDWR);
	pthread_join(fake->thread, NULL);
	pthread_mutex_lock(&fake->lock);
	for (size_t i = 0; i < fake->clients; i++) {
		if (fake->client[i].fd >= 0)
			shutdown(fake->client[i].fd, SHUT_RDWR);
	}
	pthread_mutex_unlock(&fake->lock);
	for (size_t i = 0; i < fake->clients; i++)
		pthread_join(fake->client[i].thread, NULL);
	close(fake->listener);
	pthread_mutex_destroy(&fake->lock);
	free(fake);
}
