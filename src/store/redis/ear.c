/*
 * Hearing of sessions; see ear.h. Each session has a channel, named like its key, on which every script
 * that changes it says so (script/tell.lua): an empty message, since who hears it looks for himself.
 *
 * In a cluster any node will do: what one of them is told the others are told by it, for users who were
 * announced (announce.h). The channel EARS is
 * subscribed to by every ear, first to see whether that is permitted, then as a sign of life: a server
 * confirms it each time, and no other right is needed for that.
 */
#include <store/redis/ear.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/chain.h>
#include <base/clock.h>
#include <store/redis/announce.h>
#include <store/redis/op.h>
#include <store/redis/refuse.h>
#include <store/redis/route.h>

#define EARS "ears"     /* behind the prefix; no key of a user's is so */
#define TOGETHER 500    /* sessions of one command */
#define STAY_US 5000000 /* for so long silence is no wonder */
#define GREET_SHARE 4   /* of the time to open it, where another server may answer */
#define LOOK_US 1000    /* the shortest wait: what has come already is not late */

/* A session that is heard of. */
struct ear_channel {
	struct chain_node chain; /* first */
	uint64_t tag;
	struct announced_user *user; /* NULL but in a cluster */
	size_t len;
	char name[];
};

/* What the server has not been told yet. */
struct ear_change {
	struct ear_change *next;
	bool on;
	size_t len;
	char name[];
};

struct store_ear {
	struct redis_store *redis;
	struct redis_ask seat; /* holds the node */
	struct redis_conn *conn;
	char ears[48];
	struct cv_chain channels;
	struct announce announce; /* in a cluster */
	struct ear_change *first, **end;
	size_t owed;      /* confirmations that are to come */
	int64_t heard_us; /* when there was the last sign of life, or it was asked for one */
};

/* Who is told. */
struct ear_teller {
	void (*tell)(void *ctx, uint64_t tag);
	void *ctx;
};

/* ---- channels --------------------------------------------------------------------------- */

/* FNV-1a. */
static uint64_t channel_hash(const char *name, size_t len)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	size_t i;

	for (i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
	return hash ^ (hash >> 29);
}

static struct ear_channel *channel_find(const struct store_ear *ear, const char *name, size_t len)
{
	struct chain_node *at = cv_chain_first(&ear->channels, channel_hash(name, len));

	for (; at; at = at->next) {
		struct ear_channel *channel = (struct ear_channel *)at;

		if (channel->len == len && memcmp(channel->name, name, len) == 0)
			return channel;
	}
	return NULL;
}

static bool channel_add(struct store_ear *ear, const char *name, size_t len,
			const struct convo_key *key)
{
	struct ear_channel *channel = cv_alloc(1, sizeof(*channel) + len);

	if (!channel || !cv_chain_reserve(&ear->channels, 1)) {
		free(channel);
		return false;
	}
	if (ear->redis->mode == REDIS_CLUSTER) {
		channel->user = cv_announce_add(&ear->announce, key);
		if (!channel->user) {
			free(channel);
			return false;
		}
	}
	channel->chain.hash = channel_hash(name, len);
	channel->tag = cv_key_tag(key);
	channel->len = len;
	memcpy(channel->name, name, len);
	cv_chain_add(&ear->channels, &channel->chain);
	return true;
}

static void channel_remove(struct store_ear *ear, const char *name, size_t len)
{
	struct ear_channel *channel = channel_find(ear, name, len);

	if (!channel)
		return;
	if (channel->user)
		cv_announce_remove(&ear->announce, channel->user);
	cv_chain_remove(&ear->channels, &channel->chain);
	free(channel);
}

int cv_redis_ear_set(struct store_ear *ear, const struct convo_key *key, bool on,
		     struct convo_err *err)
{
	struct ear_change *change;
	char name[OP_KEY_SIZE];
	size_t len;

	cv_op_session_key(name, &ear->redis->base, key);
	len = strlen(name);
	change = cv_alloc(1, sizeof(*change) + len);
	if (!change)
		return cv_fail_nomem(err);
	change->on = on;
	change->len = len;
	memcpy(change->name, name, len);
	if (!on) {
		channel_remove(ear, name, len);
	} else if (!channel_add(ear, name, len, key)) {
		free(change);
		return cv_fail_nomem(err);
	}
	*ear->end = change;
	ear->end = &change->next;
	return 0;
}

/* ---- asking ----------------------------------------------------------------------------- */

static int64_t ear_timeout_us(const struct store_ear *ear)
{
	return ear->redis->base.opts.timeout_ms * 1000;
}

/* Send a command, and let go of it. */
static int ear_send(struct store_ear *ear, struct redis_ask *ask, const struct redis_until *until,
		    struct convo_err *err)
{
	size_t sent = 0;
	int rc;

	if (ask->broken) {
		rc = cv_fail_nomem(err);
	} else {
		cv_ask_close(ear->redis, ask);
		rc = cv_redis_write(ear->conn, ask->bytes.data + ask->head,
				    ask->bytes.len - ask->head, until, &sent, err);
	}
	cv_ask_clear(ask);
	ear->heard_us = cv_clock_mono_us();
	return rc;
}

/* Ask for a sign of life. */
static int ear_ask_life(struct store_ear *ear, const struct redis_until *until,
			struct convo_err *err)
{
	struct redis_ask ask = {0};

	cv_ask_begin(&ask, REDIS_SCRIPTS, 0);
	cv_ask_add_text(&ask, "SUBSCRIBE");
	cv_ask_add_text(&ask, ear->ears);
	ear->owed++;
	return ear_send(ear, &ask, until, err);
}

/* Ask for some changes that are alike, once what was asked for before is confirmed: the server keeps all
 * answers until they are read. */
static int ear_flush(struct store_ear *ear, struct convo_err *err)
{
	const struct redis_until until = {.deadline_us = cv_clock_mono_us() + ear_timeout_us(ear)};
	struct redis_ask ask = {0};
	bool on;

	if (!ear->first || ear->owed)
		return 0;
	on = ear->first->on;
	cv_ask_begin(&ask, REDIS_SCRIPTS, 0);
	cv_ask_add_text(&ask, on ? "SUBSCRIBE" : "UNSUBSCRIBE");
	while (ear->first && ear->first->on == on && ear->owed < TOGETHER) {
		struct ear_change *change = ear->first;

		cv_ask_add(&ask, change->name, change->len);
		ear->owed++;
		ear->first = change->next;
		free(change);
	}
	if (!ear->first)
		ear->end = &ear->first;
	return ear_send(ear, &ask, &until, err);
}

/* Tell of all. */
static void ear_tell_all(const struct store_ear *ear, const struct ear_teller *teller)
{
	size_t i;

	for (i = 0; i < ear->channels.buckets; i++) {
		const struct chain_node *at = ear->channels.bucket[i];

		for (; at; at = at->next)
			teller->tell(teller->ctx, ((const struct ear_channel *)at)->tag);
	}
}

/* In a cluster: see to it that those who write tell; before it is confirmed that we hear. */
static int ear_announce(struct store_ear *ear, const struct ear_teller *teller,
			struct convo_err *err)
{
	int rc;

	if (ear->redis->mode != REDIS_CLUSTER)
		return 0;
	rc = cv_announce_run(&ear->announce, err);
	if (rc == 0 && ear->announce.gap)
		ear_tell_all(ear, teller);
	ear->announce.gap = false;
	return rc;
}

/* Whether it still is where it should be: what has been replaced hears of nothing more. */
static int ear_stay(struct store_ear *ear, struct convo_err *err)
{
	const struct redis_until until = {.deadline_us = cv_clock_mono_us() + ear_timeout_us(ear)};

	if (ear->owed || cv_clock_mono_us() < ear->heard_us + STAY_US)
		return 0;
	if (!cv_route_lists(ear->redis, ear->seat.node))
		return cv_redis_fail(&ear->seat.node->place, CONVO_E_GONE,
				     "another server has taken its place", err);
	return ear_ask_life(ear, &until, err);
}

/* ---- hearing ---------------------------------------------------------------------------- */

static bool value_says(const struct redis_value *value, const char *word)
{
	return value->kind == REDIS_VALUE_STRING && strcmp(value->data, word) == 0;
}

/* Take what the server says: of a session, or that it hears for us now. */
static int ear_take(struct store_ear *ear, const struct redis_value *value,
		    const struct ear_teller *teller, struct convo_err *err)
{
	const struct redis_place *place = &ear->seat.node->place;
	const struct redis_value *item = value->item;
	const struct ear_channel *channel;
	bool begun, ended;

	ear->heard_us = cv_clock_mono_us();
	if (value->kind == REDIS_VALUE_ERROR)
		return cv_redis_refuse(place, value->data, NULL, err);
	if (value->kind != REDIS_VALUE_ARRAY || value->len != 3)
		return cv_redis_fail(place, CONVO_E_IO, "an unexpected answer", err);
	begun = value_says(&item[0], "subscribe");
	ended = value_says(&item[0], "unsubscribe");
	if (!begun && !ended && !value_says(&item[0], "message"))
		return cv_redis_fail(place, CONVO_E_IO, "an unexpected answer", err);
	if ((begun || ended) && ear->owed)
		ear->owed--;
	if (ended || item[1].kind != REDIS_VALUE_STRING)
		return 0;
	channel = channel_find(ear, item[1].data, item[1].len);
	if (channel && teller)
		teller->tell(teller->ctx, channel->tag);
	return 0;
}

/* Wait until something comes, or something is to be done. */
static int ear_hear(struct store_ear *ear, const struct store_call *call,
		    const struct ear_teller *teller, struct convo_err *err)
{
	int64_t now_us = cv_clock_mono_us();
	int64_t late_us = ear->heard_us + (ear->owed ? ear_timeout_us(ear) : STAY_US);
	struct redis_until until = {.deadline_us = call->deadline_us,
				    .cancel = &call->cancel,
				    .cancels = call->cancel != NULL};
	const struct redis_value *value;
	int rc;

	if (until.deadline_us > late_us)
		until.deadline_us = late_us;
	if (ear->announce.users.count && until.deadline_us > ear->announce.at_us)
		until.deadline_us = ear->announce.at_us;
	if (until.deadline_us < now_us + LOOK_US)
		until.deadline_us = now_us + LOOK_US;
	rc = cv_redis_read(ear->conn, &until, &value, err);
	if (rc == CONVO_E_TIMEOUT)
		return ear->owed && cv_clock_mono_us() >= late_us ? rc : 0;
	return rc < 0 ? rc : ear_take(ear, value, teller, err);
}

int cv_redis_ear_wait(struct store_ear *ear, const struct store_call *call,
		      void (*tell)(void *ctx, uint64_t tag), void *ctx, struct convo_err *err)
{
	const struct ear_teller teller = {tell, ctx};
	int rc;

	do {
		rc = ear_announce(ear, &teller, err);
		if (rc == 0)
			rc = ear_flush(ear, err);
		if (rc == 0)
			rc = ear_stay(ear, err);
		if (rc == 0)
			rc = ear_hear(ear, call, &teller, err);
	} while (rc == 0 && cv_clock_mono_us() < call->deadline_us);
	return rc;
}

/* ---- its beginning and end -------------------------------------------------------------- */

/* Whether the server lets us hear. What it refuses for good it will refuse again. */
static int ear_begin(struct store_ear *ear, const struct redis_until *until, struct convo_err *err)
{
	const struct redis_place *place = &ear->seat.node->place;
	const struct redis_value *value;
	int rc = ear_ask_life(ear, until, err);

	if (rc < 0)
		return rc;
	rc = cv_redis_read(ear->conn, until, &value, err);
	if (rc < 0)
		return rc;
	if (value->kind == REDIS_VALUE_ERROR && !cv_redis_error_passes(value))
		return cv_redis_fail(place, CONVO_E_UNSUPPORTED, "it does not let us subscribe",
				     err);
	return ear_take(ear, value, NULL, err);
}

static int ear_connect(struct store_ear *ear, const struct store_call *call, struct convo_err *err)
{
	struct redis_store *redis = ear->redis;
	struct redis_until until = {.deadline_us = call->deadline_us,
				    .cancel = &call->cancel,
				    .cancels = call->cancel != NULL};
	int rc = cv_route_take(redis, &ear->seat, &until, err);

	if (rc < 0)
		return rc;
	if (redis->mode != REDIS_ALONE)
		until.deadline_us -=
			(until.deadline_us - cv_clock_mono_us()) / GREET_SHARE * (GREET_SHARE - 1);
	rc = cv_node_connect(&ear->conn, redis, &ear->seat.node->place, &until, err);
	if (rc == 0)
		rc = ear_begin(ear, &until, err);
	if (rc < 0 && rc != CONVO_E_CANCELED && rc != CONVO_E_UNSUPPORTED)
		cv_route_doubt(redis, ear->seat.node);
	return rc;
}

int cv_redis_ear_open(struct convo_store *store, const struct store_call *call,
		      struct store_ear **out, struct convo_err *err)
{
	struct redis_store *redis = (struct redis_store *)store;
	struct store_ear *ear;
	int rc;

	/* Who may not tell is not told either: most programs of a store are one user. */
	if (!redis->tells)
		return cv_fail(err, CONVO_E_UNSUPPORTED, "%s: it does not let us publish",
			       redis->name);
	ear = cv_alloc(1, sizeof(*ear));
	if (!ear)
		return cv_fail_nomem(err);
	ear->redis = redis;
	ear->announce.redis = redis;
	ear->end = &ear->first;
	snprintf(ear->ears, sizeof(ear->ears), "%s:" EARS, store->prefix);
	/* In a cluster any server: each time another one, and not all handles one and the same. */
	ear->seat.slot = (unsigned)((uint64_t)call->now_us % REDIS_SLOTS);
	rc = ear_connect(ear, call, err);
	if (rc < 0)
		cv_redis_ear_close(ear);
	else
		*out = ear;
	return rc;
}

void cv_redis_ear_close(struct store_ear *ear)
{
	size_t i;

	while (ear->first) {
		struct ear_change *change = ear->first;

		ear->first = change->next;
		free(change);
	}
	for (i = 0; i < ear->channels.buckets; i++) {
		while (ear->channels.bucket[i]) {
			struct chain_node *node = ear->channels.bucket[i];

			ear->channels.bucket[i] = node->next;
			free(node);
		}
	}
	cv_chain_clear(&ear->channels);
	cv_announce_clear(&ear->announce);
	cv_redis_disconnect(ear->conn);
	cv_route_give(ear->redis, &ear->seat);
	free(ear);
}
