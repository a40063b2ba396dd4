/*
 * Redis, bare: hiredis calling the scripts of the store with the same arguments. Each caller has a
 * connection of its own. "redis" asks and waits; "piped" has many appends in flight on each.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include <base/clock.h>
#include <base/url.h>
#include <store/redis/link.h>

#define IN_FLIGHT 32
#define MAX_ARGS 24

struct raw {
	redisContext *redis;
	char append_sha1[41], load_sha1[41];
	int in_flight; /* appends without an answer yet */
};

static void redis_load_script(struct raw *raw, enum redis_script_id id, char sha1[41])
{
	const struct redis_script *script = &cv_redis_scripts[id];
	redisReply *reply = redisCommand(raw->redis, "SCRIPT LOAD %b", script->source, script->len);

	if (!reply || reply->type != REDIS_REPLY_STRING || reply->len != 40)
		bench_die("cannot load a script");
	memcpy(sha1, reply->str, 41);
	freeReplyObject(reply);
}

static struct raw *redis_raw_open(const char *url, int index)
{
	struct raw *raw = bench_alloc(sizeof(*raw));
	struct cv_url parsed;
	struct convo_err err;

	(void)index;
	if (cv_url_parse(&parsed, url, &err) < 0)
		bench_die("%s", err.text);
	if (parsed.host && *parsed.host)
		raw->redis = redisConnect(parsed.host, parsed.port ? parsed.port : 6379);
	else
		raw->redis = redisConnectUnix(parsed.path);
	cv_url_clear(&parsed);
	if (!raw->redis || raw->redis->err)
		bench_die("cannot connect to Redis");
	raw->in_flight = 0;
	redis_load_script(raw, REDIS_SCRIPT_APPEND, raw->append_sha1);
	redis_load_script(raw, REDIS_SCRIPT_LOAD, raw->load_sha1);
	return raw;
}

static redisReply *redis_reply(struct raw *raw)
{
	void *reply = NULL;

	if (redisGetReply(raw->redis, &reply) != REDIS_OK || !reply)
		bench_die("Redis: %s", raw->redis->errstr);
	if (((redisReply *)reply)->type != REDIS_REPLY_ARRAY)
		bench_die("Redis: %s", ((redisReply *)reply)->str);
	return reply;
}

static void redis_raw_close(struct raw *raw)
{
	for (; raw->in_flight; raw->in_flight--)
		freeReplyObject(redis_reply(raw));
	redisFree(raw->redis);
	free(raw);
}

/* The arguments of a script, built up. */
struct args {
	int count;
	const char *arg[MAX_ARGS];
	size_t len[MAX_ARGS];
	char text[3][1024];
};

static void args_add(struct args *args, const char *data, size_t len)
{
	args->arg[args->count] = data;
	args->len[args->count++] = len;
}

static void args_add_text(struct args *args, const char *text)
{
	args_add(args, text, strlen(text));
}

static void args_begin(struct args *args, const char *sha1, const struct convo_key *key)
{
	args->count = 0;
	snprintf(args->text[0], sizeof(args->text[0]), "convo:{%s:%s}", key->app, key->user);
	snprintf(args->text[1], sizeof(args->text[1]), "convo:{%s}", key->app);
	snprintf(args->text[2], sizeof(args->text[2]), "%lld", (long long)cv_clock_us());
	args_add_text(args, "EVALSHA");
	args_add_text(args, sha1);
	args_add_text(args, "2");
	args_add_text(args, args->text[0]);
	args_add_text(args, args->text[1]);
	args_add_text(args, args->text[2]);
	args_add_text(args, key->session);
}

/* The packed form of store.c of Redis: role, author and message are set. */
static size_t event_pack(char *to, const unsigned char *id, const char *message, size_t len)
{
	char *at = to + snprintf(to, 32, "%016lld", (long long)cv_clock_us() / 1000);

	memcpy(at, id, UUID_BYTES);
	at += UUID_BYTES;
	memcpy(at, "0\5user\5user\0\0\0\0", 15);
	at += 15;
	*at++ = (char)((len + 1) | 0x80);
	*at++ = (char)((len + 1) >> 7);
	memcpy(at, message, len);
	at += len;
	memset(at, 0, 3);
	return (size_t)(at + 3 - to);
}

static void append_send(struct raw *raw, const struct convo_key *key, const unsigned char *id,
			const char *message, size_t len)
{
	struct args args;
	char packed[1024];

	args_begin(&args, raw->append_sha1, key);
	args_add_text(&args, "0");
	args_add_text(&args, "0");
	args_add_text(&args, "");
	args_add_text(&args, "");
	args_add(&args, args.text[2], strlen(args.text[2]) - 3);
	args_add_text(&args, "1");
	args_add(&args, (const char *)id, UUID_BYTES);
	args_add(&args, packed, event_pack(packed, id, message, len));
	args_add_text(&args, "0");
	if (redisAppendCommandArgv(raw->redis, args.count, args.arg, args.len) != REDIS_OK)
		bench_die("Redis: %s", raw->redis->errstr);
}

static void redis_raw_append(struct raw *raw, const struct convo_key *key, const unsigned char *id,
			     const char *message, size_t len)
{
	append_send(raw, key, id, message, len);
	freeReplyObject(redis_reply(raw));
}

static void piped_raw_append(struct raw *raw, const struct convo_key *key, const unsigned char *id,
			     const char *message, size_t len)
{
	append_send(raw, key, id, message, len);
	if (++raw->in_flight < IN_FLIGHT)
		return;
	for (; raw->in_flight; raw->in_flight--)
		freeReplyObject(redis_reply(raw));
}

static size_t redis_raw_load(struct raw *raw, const struct convo_key *key, size_t n)
{
	struct args args;
	char count[16];
	size_t bytes = 0, i;
	redisReply *reply;

	snprintf(count, sizeof(count), "%zu", n);
	args_begin(&args, raw->load_sha1, key);
	args_add_text(&args, "last");
	args_add_text(&args, count);
	args_add_text(&args, "0");
	args_add_text(&args, "#");
	args_add_text(&args, "0");
	args_add_text(&args, "4194304");
	if (redisAppendCommandArgv(raw->redis, args.count, args.arg, args.len) != REDIS_OK)
		bench_die("Redis: %s", raw->redis->errstr);
	reply = redis_reply(raw);
	for (i = 0; reply->elements == 9 && i < reply->element[8]->elements; i++)
		bytes += (size_t)reply->element[8]->element[i]->len;
	freeReplyObject(reply);
	return bytes;
}

static const char *redis_url(const char *dir)
{
	(void)dir;
	bench_die("Redis wants -url");
}

const struct bench_engine bench_redis = {
	.name = "redis",
	.url = redis_url,
	.open = redis_raw_open,
	.close = redis_raw_close,
	.append = redis_raw_append,
	.load = redis_raw_load,
};

const struct bench_engine bench_piped = {
	.name = "piped",
	.url = redis_url,
	.open = redis_raw_open,
	.close = redis_raw_close,
	.append = piped_raw_append,
	.load = redis_raw_load,
};
