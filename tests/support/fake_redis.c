/*
 * The scripted Redis; see fake_redis.h. A connection lives as long as its client; a request is what one
 * recv() returns.
 */
#include "fake_redis.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "crowd.h"
#include "test.h"

#define MAX_LINES 512

struct fake_redis {
	struct crowd *crowd;
	pthread_mutex_t lock; /* guards the following */
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

static void fake_serve(void *ctx, int client)
{
	char request[65536];
	ssize_t n;

	while ((n = recv(client, request, sizeof(request) - 1, 0)) > 0) {
		request[n] = '\0';
		if (!fake_send(client, fake_reply(ctx, request)))
			break;
	}
}

struct fake_redis *fake_redis_start(void)
{
	struct fake_redis *fake = calloc(1, sizeof(*fake));

	must(fake);
	pthread_mutex_init(&fake->lock, NULL);
	fake->crowd = crowd_start(fake_serve, fake);
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
	return crowd_port(fake->crowd);
}

void fake_redis_end(struct fake_redis *fake)
{
	crowd_end(fake->crowd);
	pthread_mutex_destroy(&fake->lock);
	free(fake);
}
