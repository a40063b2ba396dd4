/*
 * Asking Redis; see ask.h.
 *
 * Asks travel in batches, of one or of what many threads have queued: all requests in one write,
 * then all answers. An ask is done when it is answered; one whose script the server has forgotten
 * goes again with its source, one that came too early (LOADING, BUSY) goes again after a pause, and
 * when the connection is lost the rest goes again on another one, but for what must not run twice.
 */
#include <store/redis/store.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>

#define HEAD_ROOM 96 /* "*<n> $7 EVALSHA $40 <sha1>" with its line ends, or less */
#define PAUSE_US 1000
#define PAUSE_MAX_US 50000
#define LATE_US 100000 /* the pool gives up this much before a deadline, or less */

/* ---- requests --------------------------------------------------------------------------- */

void cv_ask_begin(struct redis_ask *ask, int script, size_t keys)
{
	ask->script = script;
	if (cv_buf_room(&ask->bytes, HEAD_ROOM))
		ask->bytes.len = HEAD_ROOM;
	else
		ask->broken = true;
	if (script != REDIS_SCRIPTS) {
		ask->args = 2; /* EVALSHA and the digest, which the head has */
		cv_ask_add_int(ask, (int64_t)keys);
	}
}

char *cv_ask_room(struct redis_ask *ask, size_t len)
{
	char *room = NULL;

	if (!ask->broken && cv_buf_addf(&ask->bytes, "$%zu\r\n", len) >= 0)
		room = cv_buf_room(&ask->bytes, len + 2);
	if (!room) {
		ask->broken = true;
		return NULL;
	}
	memcpy(room + len, "\r\n", 2);
	ask->bytes.len += len + 2;
	ask->args++;
	return room;
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
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)number);
	cv_ask_add_text(ask, text);
}

void cv_ask_clear(struct redis_ask *ask)
{
	cv_buf_clear(&ask->bytes);
}

/* Put the head in front of the arguments. */
void cv_ask_close(const struct redis_store *redis, struct redis_ask *ask)
{
	char head[HEAD_ROOM];
	int len;

	if (ask->script == REDIS_SCRIPTS)
		len = snprintf(head, sizeof(head), "*%zu\r\n", ask->args);
	else
		len = snprintf(head, sizeof(head), "*%zu\r\n$7\r\nEVALSHA\r\n$40\r\n%s\r\n",
			       ask->args, redis->sha1[ask->script]);
	ask->head = HEAD_ROOM - (size_t)len;
	memcpy(ask->bytes.data + ask->head, head, (size_t)len);
}

/* ---- what the server says ---------------------------------------------------------------- */

/* An error and what it means. Its own text is passed on only where it cannot hold ours. */
struct server_error {
	const char *word;
	int code;
	const char *text;
};

/* What begins so was not done, but may be in a moment. */
static const char *const errors_that_pass[] = {"LOADING", "BUSY", "TRYAGAIN", "MASTERDOWN",
					       "CLUSTERDOWN"};

static const struct server_error errors[] = {
	{"NOAUTH", CONVO_E_DENIED, "it wants a password"},
	{"WRONGPASS", CONVO_E_DENIED, "wrong user or password"},
	{"invalid password", CONVO_E_DENIED, "wrong user or password"},
	{"without any password configured", CONVO_E_DENIED,
	 "it has no password, but one was given"},
	{"no password is set", CONVO_E_DENIED, "it has no password, but one was given"},
	{"NOPERM", CONVO_E_DENIED, "the user may not use this key or command (NOPERM)"},
	{"ACL failure", CONVO_E_DENIED, "the user may not use this key or command (ACL)"},
	{"can't run this command", CONVO_E_DENIED, "the user may not use a command (ACL)"},
	{"for 'auth' command", CONVO_E_DENIED, "it knows no users; version 6 does"},
	{"DENIED", CONVO_E_DENIED, "it runs in protected mode"},
	{"READONLY", CONVO_E_IO, "it is a read-only replica"},
	{"MISCONF", CONVO_E_IO, "it cannot save to its disk and refuses writes (MISCONF)"},
	{"OOM", CONVO_E_IO, "it is out of memory (maxmemory)"},
	{"NOREPLICAS", CONVO_E_IO, "it has too few replicas and refuses writes"},
	{"max number of clients", CONVO_E_IO, "it has too many clients"},
	{"WRONGTYPE", CONVO_E_VERSION, "a key is not what convo made of it (WRONGTYPE)"},
	{"MOVED", CONVO_E_UNSUPPORTED, "it is a node of a cluster"},
	{"CROSSSLOT", CONVO_E_UNSUPPORTED, "it is a node of a cluster"},
	{"DB index", CONVO_E_INVALID, "it has no database of that number"},
	{"unknown command", CONVO_E_UNSUPPORTED, "it lacks a command; version 5 is needed"},
};

bool cv_ask_error_is(const struct redis_value *value, const char *word)
{
	return strncmp(value->data, word, strlen(word)) == 0;
}

const char *cv_ask_error_passes(const struct redis_value *value)
{
	size_t i;

	for (i = 0; i < sizeof(errors_that_pass) / sizeof(errors_that_pass[0]); i++) {
		if (cv_ask_error_is(value, errors_that_pass[i]))
			return errors_that_pass[i];
	}
	return NULL;
}

int cv_ask_fail(const struct redis_store *redis, const struct redis_value *value,
		struct convo_err *err)
{
	size_t i;

	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (strstr(value->data, errors[i].word))
			return cv_fail(err, errors[i].code, "%s: %s", redis->name, errors[i].text);
	}
	return cv_fail(err, CONVO_E_IO, "%s: %.100s", redis->name, value->data);
}

int cv_redis_damaged(const struct redis_store *redis, struct convo_err *err)
{
	return cv_fail(err, CONVO_E_VERSION, "%s: what is stored is not as convo stores it",
		       redis->name);
}

/* ---- batches ----------------------------------------------------------------------------- */

struct redis_batch {
	struct redis_store *redis;
	struct redis_ask **ask;
	size_t count;
	struct cv_buf out;
};

static void ask_finish(struct redis_ask *ask, int rc)
{
	ask->done = true;
	ask->job.rc = rc;
}

static size_t batch_pending(const struct redis_batch *batch)
{
	size_t pending = 0, i;

	for (i = 0; i < batch->count; i++)
		pending += !batch->ask[i]->done;
	return pending;
}

/* Add an ask with the source of its script in the place of the digest. */
static int batch_add_source(struct redis_batch *batch, const struct redis_ask *ask)
{
	const struct redis_script *script = &cv_redis_scripts[ask->script];
	int rc = cv_buf_addf(&batch->out, "*%zu\r\n$4\r\nEVAL\r\n$%zu\r\n", ask->args, script->len);

	if (rc >= 0)
		rc = cv_buf_add(&batch->out, script->source, script->len);
	if (rc >= 0)
		rc = cv_buf_add(&batch->out, "\r\n", 2);
	if (rc >= 0)
		rc = cv_buf_add(&batch->out, ask->bytes.data + HEAD_ROOM,
				ask->bytes.len - HEAD_ROOM);
	return rc;
}

/* Put all that is pending into one piece. A lone request is one already. */
static int batch_gather(struct redis_batch *batch, struct cv_text *out, struct convo_err *err)
{
	struct redis_ask *ask = batch->ask[0];
	size_t i;
	int rc = 0;

	if (batch->count == 1 && !ask->with_source) {
		out->data = ask->bytes.data + ask->head;
		out->len = ask->end = ask->bytes.len - ask->head;
		return 0;
	}
	cv_buf_reset(&batch->out);
	for (i = 0; rc >= 0 && i < batch->count; i++) {
		ask = batch->ask[i];
		if (ask->done)
			continue;
		if (ask->with_source)
			rc = batch_add_source(batch, ask);
		else
			rc = cv_buf_add(&batch->out, ask->bytes.data + ask->head,
					ask->bytes.len - ask->head);
		ask->end = batch->out.len;
	}
	*out = (struct cv_text){batch->out.data, batch->out.len};
	return rc < 0 ? cv_buf_fail(err, rc) : 0;
}

static int batch_send(struct redis_batch *batch, struct redis_conn *conn, int64_t deadline_us,
		      struct convo_err *err)
{
	struct cv_text out;
	size_t sent = 0, i;
	int rc = batch_gather(batch, &out, err);

	if (rc >= 0)
		rc = cv_redis_write(conn, out.data, out.len, deadline_us, &sent, err);
	/* The server does nothing with a part of a request. */
	for (i = 0; i < batch->count; i++)
		batch->ask[i]->sent = !batch->ask[i]->done && sent && batch->ask[i]->end <= sent;
	return rc;
}

static int ask_take(const struct redis_store *redis, struct redis_ask *ask,
		    const struct redis_value *value)
{
	bool list = value->kind == REDIS_VALUE_ARRAY && value->len > 0 &&
		    value->item[0].kind == REDIS_VALUE_INTEGER;

	if (value->kind == REDIS_VALUE_ERROR)
		return cv_ask_fail(redis, value, &ask->job.err);
	if (ask->script != REDIS_SCRIPTS && !list)
		return cv_fail(&ask->job.err, CONVO_E_IO, "%s: an unexpected answer", redis->name);
	return ask->answer(ask, value, &ask->job.err);
}

static void ask_receive(const struct redis_store *redis, struct redis_ask *ask,
			const struct redis_value *value)
{
	ask->sent = false;
	ask->waits = NULL;
	if (value->kind == REDIS_VALUE_ERROR && cv_ask_error_is(value, "NOSCRIPT") &&
	    !ask->with_source) {
		ask->with_source = true;
		return;
	}
	if (value->kind == REDIS_VALUE_ERROR)
		ask->waits = cv_ask_error_passes(value);
	if (!ask->waits)
		ask_finish(ask, ask_take(redis, ask, value));
}

static int batch_receive(struct redis_batch *batch, struct redis_conn *conn, int64_t deadline_us,
			 struct convo_err *err)
{
	const struct redis_value *value;
	size_t i;
	int rc = 0;

	for (i = 0; rc >= 0 && i < batch->count; i++) {
		if (!batch->ask[i]->sent)
			continue;
		rc = cv_redis_read(conn, deadline_us, &value, err);
		if (rc >= 0)
			ask_receive(batch->redis, batch->ask[i], value);
	}
	return rc;
}

/* If an ask has to wait for the server, sleep; at the deadline, give those up that had to. */
static void batch_pause(struct redis_batch *batch, int64_t *pause_us, int64_t deadline_us)
{
	bool late = cv_clock_mono_us() + *pause_us >= deadline_us, waits = false;
	struct timespec ts = {0, (long)*pause_us * 1000};
	size_t i;

	for (i = 0; i < batch->count; i++) {
		struct redis_ask *ask = batch->ask[i];

		if (ask->done || !ask->waits)
			continue;
		waits = true;
		if (late)
			ask_finish(ask, cv_fail(&ask->job.err, CONVO_E_IO,
						"%s: it is not ready in time (%s)",
						batch->redis->name, ask->waits));
	}
	if (!waits || late)
		return;
	nanosleep(&ts, NULL);
	*pause_us = *pause_us * 2 > PAUSE_MAX_US ? PAUSE_MAX_US : *pause_us * 2;
}

/* The connection is lost. What must not run twice ends here, the rest is for the next one. */
static int batch_lost(struct redis_batch *batch, int rc, enum pool_fate *fate,
		      struct convo_err *err)
{
	size_t i;

	*fate = POOL_UNSENT;
	for (i = 0; i < batch->count; i++) {
		struct redis_ask *ask = batch->ask[i];

		if (ask->done || !ask->sent)
			continue;
		*fate = POOL_LOST;
		ask->sent = false;
		ask->unknown = true;
		if (!ask->repeat)
			ask_finish(ask, cv_fail_maybe(&ask->job.err,
						      rc == CONVO_E_TIMEOUT ? rc : CONVO_E_IO, "%s",
						      err->text));
	}
	return batch_pending(batch) ? rc : 0;
}

static int batch_op(struct convo_store *store, void *conn, const struct store_call *call, void *ctx,
		    enum pool_fate *fate, struct convo_err *err)
{
	struct redis_batch *batch = ctx;
	int64_t pause_us = PAUSE_US;
	int rc;

	(void)store;
	while (batch_pending(batch)) {
		rc = batch_send(batch, conn, call->deadline_us, err);
		if (rc >= 0)
			rc = batch_receive(batch, conn, call->deadline_us, err);
		if (rc < 0)
			return batch_lost(batch, rc, fate, err);
		batch_pause(batch, &pause_us, call->deadline_us);
	}
	return 0;
}

/* Run a batch until its first deadline. What is not done then has failed, for now. */
static void batch_run(struct redis_batch *batch, int64_t deadline_us)
{
	struct store_call call = {.deadline_us = deadline_us};
	struct convo_err why = {0};
	int rc = cv_pool_run(batch->redis->pool, &call, true, batch_op, batch, &why);
	size_t i;

	for (i = 0; i < batch->count; i++) {
		struct redis_ask *ask = batch->ask[i];

		if (ask->done)
			continue;
		ask->job.rc = rc;
		ask->job.err = why;
		ask->job.err.maybe = ask->unknown;
	}
}

static void ask_prepare(struct redis_store *redis, struct redis_ask *ask,
			const struct store_call *call)
{
	ask->job.deadline_us = call->deadline_us;
	ask->job.weight = ask->bytes.len;
	cv_ask_close(redis, ask);
}

int cv_ask_run(struct redis_store *redis, const struct store_call *call, struct redis_ask *ask,
	       struct convo_err *err)
{
	struct redis_batch batch = {.redis = redis, .ask = &ask, .count = 1};

	if (ask->broken)
		return cv_fail_nomem(err);
	ask_prepare(redis, ask, call);
	batch_run(&batch, call->deadline_us);
	cv_buf_clear(&batch.out);
	if (ask->job.rc < 0 && err)
		*err = ask->job.err;
	return ask->job.rc;
}

/* A round of the group ends with the first deadline of its calls, so that none is held up by those
 * that have more time: they queue again. */
void cv_ask_round(void *ctx, struct group_job **jobs, size_t count)
{
	struct redis_ask *ask[REDIS_GROUP_JOBS];
	struct redis_batch batch = {.redis = ctx, .ask = ask, .count = count};
	int64_t deadline_us = jobs[0]->deadline_us;
	size_t i;

	for (i = 0; i < count; i++) {
		ask[i] = (struct redis_ask *)jobs[i];
		if (jobs[i]->deadline_us < deadline_us)
			deadline_us = jobs[i]->deadline_us;
	}
	batch_run(&batch, deadline_us);
	for (i = 0; i < count; i++)
		ask[i]->again = !ask[i]->done && cv_clock_mono_us() + LATE_US >= deadline_us;
	cv_buf_clear(&batch.out);
}

int cv_ask_run_grouped(struct redis_store *redis, const struct store_call *call,
		       struct redis_ask *ask, struct convo_err *err)
{
	struct convo_err why = {0};
	int rc;

	if (ask->broken)
		return cv_fail_nomem(err);
	ask_prepare(redis, ask, call);
	do {
		ask->again = false;
		rc = cv_group_run(redis->group, &ask->job, &why);
	} while (ask->again && cv_clock_mono_us() < call->deadline_us);
	if (rc == CONVO_E_TIMEOUT || rc == CONVO_E_IO)
		why.maybe = why.maybe || ask->unknown;
	if (rc < 0 && err)
		*err = why;
	return rc;
}
