/*
 * Building a request; see request.h.
 */
#include <store/redis/request.h>

#include <stdio.h>
#include <string.h>

#include <store/redis/redis.h>

#define ASK_ROOM 1000 /* most requests fit without growing */

void cv_ask_begin(struct redis_ask *ask, enum redis_script_id script, size_t keys)
{
	ask->script = script < REDIS_SCRIPTS ? &cv_redis_scripts[script] : NULL;
	if (cv_buf_room(&ask->bytes, ASK_ROOM))
		ask->bytes.len = REDIS_HEAD_ROOM;
	else
		ask->broken = true;
	if (ask->script) {
		ask->args = 2; /* EVALSHA and the digest, which the head has */
		cv_ask_add_int(ask, (int64_t)keys);
	}
}

/* The digits of a number, in front of `end`: snprintf() would be a tenth of an append. */
static char *digits_before(char *end, uint64_t number)
{
	do {
		*--end = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	return end;
}

char *cv_ask_room(struct redis_ask *ask, size_t len)
{
	char digits[24], *at = digits + sizeof(digits) - 2, *room;
	size_t head;

	memcpy(at, "\r\n", 2);
	at = digits_before(at, len);
	*--at = '$';
	head = (size_t)(digits + sizeof(digits) - at);
	room = !ask->broken && len < SIZE_MAX - sizeof(digits) - 2
		       ? cv_buf_room(&ask->bytes, head + len + 2)
		       : NULL;
	if (!room) {
		ask->broken = true;
		return NULL;
	}
	memcpy(room, at, head);
	memcpy(room + head + len, "\r\n", 2);
	ask->bytes.len += head + len + 2;
	ask->args++;
	return room + head;
}

void cv_ask_add(struct redis_ask *ask, const void *data, size_t len)
{
	char *room = cv_ask_room(ask, len);

	if (room && len)
		memcpy(room, data, len);
}

void cv_ask_add_text(struct redis_ask *ask, const char *text)
{
	cv_ask_add(ask, text, strlen(text));
}

void cv_ask_add_int(struct redis_ask *ask, int64_t number)
{
	char text[24], *end = text + sizeof(text), *at;

	at = digits_before(end, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
	if (number < 0)
		*--at = '-';
	cv_ask_add(ask, at, (size_t)(end - at));
}

void cv_ask_clear(struct redis_ask *ask)
{
	cv_buf_clear(&ask->bytes);
}

void cv_ask_close(const struct redis_store *redis, struct redis_ask *ask)
{
	char head[REDIS_HEAD_ROOM];
	int len;

	if (ask->script)
		len = snprintf(head, sizeof(head), "*%zu\r\n$7\r\nEVALSHA\r\n$40\r\n%s\r\n",
			       ask->args, redis->sha1[ask->script - cv_redis_scripts]);
	else
		len = snprintf(head, sizeof(head), "*%zu\r\n", ask->args);
	ask->head = REDIS_HEAD_ROOM - (size_t)len;
	memcpy(ask->bytes.data + ask->head, head, (size_t)len);
}

int cv_ask_now(const struct redis_store *redis, struct redis_conn *conn, struct redis_ask *ask,
	       const struct redis_until *until, const struct redis_value **answer,
	       struct convo_err *err)
{
	size_t sent = 0;
	int rc;

	if (ask->broken)
		return cv_fail_nomem(err);
	cv_ask_close(redis, ask);
	rc = cv_redis_write(conn, ask->bytes.data + ask->head, ask->bytes.len - ask->head, until,
			    &sent, err);
	if (rc < 0)
		return rc;
	return cv_redis_read(conn, until, answer, err);
}

/* ---- slots ------------------------------------------------------------------------------ */

static unsigned slot_of(const char *data, size_t len)
{
	unsigned crc = 0;
	size_t i;
	int bit;

	for (i = 0; i < len; i++) {
		crc ^= (unsigned)(unsigned char)data[i] << 8;
		for (bit = 0; bit < 8; bit++)
			crc = (crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1) & 0xffff;
	}
	return crc % REDIS_SLOTS;
}

unsigned cv_redis_slot(const char *key)
{
	const char *open = strchr(key, '{'), *close = open ? strchr(open + 1, '}') : NULL;

	if (close && close > open + 1)
		return slot_of(open + 1, (size_t)(close - open - 1));
	return slot_of(key, strlen(key));
}
