/*
 * Redis, bare: hiredis, and the least script that numbers an event and stores it. Each caller has a
 * connection of its own, asks and waits.
 */
#include "bench.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include <base/url.h>

struct raw {
	redisContext *redis;
	char append_sha1[41];
	bool listed; /* the sessions of a list are there */
};

static const char append_lua[] = "local n = redis.call('HINCRBY', KEYS[1], 'n', 1) "
				 "redis.call('HSET', KEYS[1], n, ARGV[1] .. ARGV[2]) return n";

static redisReply *redis_take(struct raw *raw, redisReply *reply, int type)
{
	if (!reply)
		bench_die("Redis: %s", raw->redis->errstr);
	if (reply->type != type)
		bench_die("Redis: %s", reply->str ? reply->str : "an odd answer");
	return reply;
}

static struct raw *redis_raw_open(const char *url, int index)
{
	struct raw *raw = bench_alloc(sizeof(*raw));
	struct cv_url parsed;
	struct convo_err err;
	redisReply *reply;

	(void)index;
	if (cv_url_parse(&parsed, url, &err) < 0)
		bench_die("%s", err.text);
	if (parsed.host && *parsed.host)
		raw->redis = redisConnect(parsed.host, parsed.port ? parsed.port : 6379);
	else
		raw->redis = redisConnectUnix(parsed.path);
	if (!raw->redis || raw->redis->err)
		bench_die("cannot connect to Redis");
	if (parsed.host && *parsed.host && strlen(parsed.path ? parsed.path : "") > 1)
		freeReplyObject(redis_take(raw,
					   redisCommand(raw->redis, "SELECT %s", parsed.path + 1),
					   REDIS_REPLY_STATUS));
	cv_url_clear(&parsed);
	reply = redis_take(raw, redisCommand(raw->redis, "SCRIPT LOAD %s", append_lua),
			   REDIS_REPLY_STRING);
	snprintf(raw->append_sha1, sizeof(raw->append_sha1), "%s", reply->str);
	freeReplyObject(reply);
	return raw;
}

static void redis_raw_close(struct raw *raw)
{
	redisFree(raw->redis);
	free(raw);
}

static void redis_raw_append(struct raw *raw, const struct convo_key *key, const unsigned char *id,
			     const char *message, size_t len)
{
	freeReplyObject(
		redis_take(raw,
			   redisCommand(raw->redis, "EVALSHA %s 1 raw:%s %b %b", raw->append_sha1,
					key->session, id, (size_t)UUID_BYTES, message, len),
			   REDIS_REPLY_INTEGER));
}

static void redis_raw_fill(struct raw *raw, const struct convo_key *key, size_t n,
			   const char *message, size_t len)
{
	unsigned char id[UUID_BYTES];
	size_t i, batch, done;

	for (done = 0; done < n; done += batch) {
		batch = n - done < 1000 ? n - done : 1000;
		for (i = 0; i < batch; i++) {
			cv_uuid_new(id);
			redisAppendCommand(raw->redis, "EVALSHA %s 1 raw:%s %b %b",
					   raw->append_sha1, key->session, id, (size_t)UUID_BYTES,
					   message, len);
		}
		for (i = 0; i < batch; i++) {
			void *reply = NULL;

			redisGetReply(raw->redis, &reply);
			freeReplyObject(redis_take(raw, reply, REDIS_REPLY_INTEGER));
		}
	}
}

/* The newest n by number, in one script as a store must, since it does not know the last one. */
static size_t redis_raw_load(struct raw *raw, const struct convo_key *key, size_t n)
{
	static const char lua[] =
		"local n = tonumber(redis.call('HGET', KEYS[1], 'n')) local t = {} "
		"for i = math.max(1, n - ARGV[1] + 1), n do t[#t + 1] = i end "
		"return redis.call('HMGET', KEYS[1], unpack(t))";
	redisReply *reply = redis_take(
		raw, redisCommand(raw->redis, "EVAL %s 1 raw:%s %d", lua, key->session, (int)n),
		REDIS_REPLY_ARRAY);
	size_t bytes = 0, i;

	for (i = 0; i < reply->elements; i++)
		bytes += (size_t)reply->element[i]->len;
	freeReplyObject(reply);
	return bytes;
}

static void redis_list_make(struct raw *raw)
{
	static const char lua[] =
		"for i = 1, ARGV[1] do local s = 's' .. i redis.call('ZADD', 'raw:live', i, s) "
		"redis.call('HSET', 'raw:s:' .. s, 'generation', string.rep('g', 36), 'expires', "
		"'0', "
		"'title', '', 'created', '1700000000000000', 'updated', '1700000000000000', "
		"'first', '1', 'last', '1') end return 1";

	raw->listed = true;
	freeReplyObject(redis_take(raw,
				   redisCommand(raw->redis, "EVAL %s 0 %d", lua, BENCH_SESSIONS),
				   REDIS_REPLY_INTEGER));
}

/* The newest n sessions in one script: an index, and a hash for each. */
static size_t redis_raw_list(struct raw *raw, size_t n)
{
	static const char lua[] =
		"local t = {} for i, s in ipairs(redis.call('ZREVRANGE', 'raw:live', 0, ARGV[1] - "
		"1)) do "
		"t[i] = redis.call('HMGET', 'raw:s:' .. s, 'generation', 'expires', 'title', "
		"'created', 'updated', 'first', 'last') end return t";
	redisReply *reply;
	size_t count;

	if (!raw->listed)
		redis_list_make(raw);
	reply = redis_take(raw, redisCommand(raw->redis, "EVAL %s 0 %d", lua, (int)n),
			   REDIS_REPLY_ARRAY);
	count = reply->elements;
	freeReplyObject(reply);
	return count;
}

const struct bench_engine bench_redis = {
	.name = "redis",
	.bare = "least script, asked and awaited",
	.server = "redis",
	.open = redis_raw_open,
	.close = redis_raw_close,
	.append = redis_raw_append,
	.load = redis_raw_load,
	.list = redis_raw_list,
	.fill = redis_raw_fill,
};
