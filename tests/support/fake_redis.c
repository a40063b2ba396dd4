/*
 * The scripted Redis; see fake_redis.h. It serves one connection at a time, which lives as long as
 * its client; a request is what one recv() returns.
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

struct fake_redis {
	int listener, port;
	pthread_t thread;
	pthread_mutex_t lock; /* guards the following */
	int client;           /* -1: none */
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

static void fake_serve(struct fake_redis *fake, int client)
{
	char request[65536];
	ssize_t n;

	while ((n = recv(client, request, sizeof(request) - 1, 0)) > 0) {
		request[n] = '\0';
		if (!fake_send(client, fake_reply(fake, request)))
			break;
	}
}

static void *fake_thread(void *ctx)
{
	struct fake_redis *fake = ctx;
	int client;

	while ((client = accept(fake->listener, NULL, NULL)) >= 0) {
		pthread_mutex_lock(&fake->lock);
		fake->client = client;
		pthread_mutex_unlock(&fake->lock);
		fake_serve(fake, client);
		pthread_mutex_lock(&fake->lock);
		fake->client = -1;
		close(client);
		pthread_mutex_unlock(&fake->lock);
	}
	return NULL;
}

struct fake_redis *fake_redis_start(void)
{
	struct fake_redis *fake = calloc(1, sizeof(*fake));

	must(fake);
	fake->client = -1;
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
	pthread_mutex_lock(&fake->lock);
	if (fake->client >= 0)
		shutdown(fake->client, SHUT_RDWR);
	pthread_mutex_unlock(&fake->lock);
	pthread_join(fake->thread, NULL);
	close(fake->listener);
	pthread_mutex_destroy(&fake->lock);
	free(fake);
}
