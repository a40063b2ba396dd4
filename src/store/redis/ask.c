/*
 * Asking Redis; see ask.h.
 *
 * Asks travel in batches, of one or of what many threads have queued: all requests in one write,
 * then all answers. An ask is done when it is answered; one whose script the server has forgotten
 * goes again with its source, one that came too early (LOADING, BUSY) goes again after a pause, and
 * when the connection is lost the rest goes again on another one, but for what must not run twice.
 */
#include <store/redis/ask.h>

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <base/clock.h>
#include <store/redis/redis.h>

#define HEAD_ROOM 96  /* "*<n> $7 EVALSHA $40 <sha1>" with its line ends, or less */
#define ASK_ROOM 1000 /* most requests fit without growing */
#define PAUSE_US 1000
#define PAUSE_MAX_US 50000
#define LATE_US 100000 /* the pool gives up this much before a deadline, or less */

/* ---- requests --------------------------------------------------------------------------- */

void cv_ask_begin(struct redis_ask *ask, enum redis_script_id script, size_t keys)
{
	ask->script = script < REDIS_SCRIPTS ? &cv_redis_scripts[script] : NULL;
	if (cv_buf_room(&ask->bytes, ASK_ROOM))
		ask->bytes.len = HEAD_ROOM;
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

/* Put the head in front of the arguments. */
static void ask_close(const struct redis_store *redis, struct redis_ask *ask)
{
	char head[HEAD_ROOM];
	int len;

	if (ask->script)
		len = snprintf(head, sizeof(head), "*%zu\r\n$7\r\nEVALSHA\r\n$40\r\n%s\r\n",
			       ask->args, redis->sha1[ask->script - cv_redis_scripts]);
	else
		len = snprintf(head, sizeof(head), "*%zu\r\n", ask->args);
	ask->head = HEAD_ROOM - (size_t)len;
	memcpy(ask->bytes.data + ask->head, head, (size_t)len);
}

/* ---- what the server says ---------------------------------------------------------------- */

/* What more there is to say of an error than its meaning. */
enum error_more { MORE_NOTHING, MORE_USER, MORE_COMMAND };

/* An error and what it means. Its own text is passed on only where it cannot hold ours. */
struct server_error {
	const char *word;
	int code;
	enum error_more more;
	const char *text;
};

/* What begins so was not done, but may be in a moment. */
static const char *const errors_that_pass[] = {"LOADING", "BUSY", "TRYAGAIN", "MASTERDOWN",
					       "CLUSTERDOWN"};

#define NO_PASSWORD "it has no password, but one was given"
#define NO_RIGHT "the user may not use this key or command"
#define NO_COMMAND "it does not know a command, renamed or newer than it is (version 5 is needed)"
#define DAMAGED "the database is damaged: a key does not hold what convo stored"

static const struct server_error errors[] = {
	{"NOAUTH", CONVO_E_DENIED, MORE_USER, "it wants a password"},
	{"WRONGPASS", CONVO_E_DENIED, MORE_USER, "wrong user or password"},
	{"invalid password", CONVO_E_DENIED, MORE_USER, "wrong user or password"},
	{"without any password configured", CONVO_E_DENIED, MORE_NOTHING, NO_PASSWORD},
	{"no password is set", CONVO_E_DENIED, MORE_NOTHING, NO_PASSWORD},
	{"NOPERM", CONVO_E_DENIED, MORE_COMMAND, NO_RIGHT},
	{"ACL failure", CONVO_E_DENIED, MORE_COMMAND, NO_RIGHT},
	{"can't run this command", CONVO_E_DENIED, MORE_COMMAND, NO_RIGHT},
	{"can't access", CONVO_E_DENIED, MORE_COMMAND, NO_RIGHT},
	{"for 'auth' command", CONVO_E_DENIED, MORE_NOTHING, "it knows no users; version 6 does"},
	{"DENIED", CONVO_E_DENIED, MORE_NOTHING, "it runs in protected mode"},
	{"READONLY", CONVO_E_READONLY, MORE_NOTHING, "it is a read-only replica"},
	{"MISCONF", CONVO_E_IO, MORE_NOTHING,
	 "it cannot save to its disk and refuses writes (MISCONF)"},
	{"OOM", CONVO_E_FULL, MORE_NOTHING,
	 "it is out of memory: maxmemory is reached; purge what is deleted, or raise it"},
	{"NOREPLICAS", CONVO_E_IO, MORE_NOTHING, "it has too few replicas and refuses writes"},
	{"max number of clients", CONVO_E_IO, MORE_NOTHING, "it has too many clients"},
	{"WRONGTYPE", CONVO_E_VERSION, MORE_NOTHING,
	 "a key is not what convo made of it (WRONGTYPE)"},
	{"MOVED", CONVO_E_UNSUPPORTED, MORE_NOTHING, "it is a node of a cluster"},
	{"CROSSSLOT", CONVO_E_UNSUPPORTED, MORE_NOTHING, "it is a node of a cluster"},
	{"DB index", CONVO_E_INVALID, MORE_NOTHING, "it has no database of that number"},
	{"unknown command", CONVO_E_UNSUPPORTED, MORE_COMMAND, NO_COMMAND},
	{"Unknown Redis command", CONVO_E_UNSUPPORTED, MORE_COMMAND, NO_COMMAND},
	/* What scripts stumble over: the first is their own word for it. */
	{"DAMAGED", CONVO_E_IO, MORE_NOTHING, DAMAGED},
	{": attempt to ", CONVO_E_IO, MORE_NOTHING, DAMAGED},
	{": bad argument ", CONVO_E_IO, MORE_NOTHING, DAMAGED},
	{"not an integer", CONVO_E_IO, MORE_NOTHING, DAMAGED},
	{"not a valid float", CONVO_E_IO, MORE_NOTHING, DAMAGED},
	{"not a float", CONVO_E_IO, MORE_NOTHING, DAMAGED},
	{"invalid expire", CONVO_E_IO, MORE_NOTHING, DAMAGED},
	{"arguments must be strings or integers", CONVO_E_IO, MORE_NOTHING, DAMAGED},
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

/* The command that an error names itself, between quotes: unknown command `EVAL`, with ... */
static size_t error_command(const char *error, const char **command)
{
	const char *at = strstr(error, "unknown command ");

	if (!at || !strchr("`'", at[16]) || !at[16])
		return 0;
	*command = at + 17;
	return strcspn(*command, "`'");
}

/* What is known no better is passed on, as one line. */
static int error_unknown(const struct redis_store *redis, const char *error, struct convo_err *err)
{
	char line[sizeof(err->text)];
	size_t i;

	snprintf(line, sizeof(line), "%s", error);
	for (i = 0; line[i]; i++) {
		if (line[i] == '\n' || line[i] == '\r')
			line[i] = ' ';
	}
	return cv_fail(err, CONVO_E_IO, "%s: %s", redis->name, line);
}

int cv_ask_refused(const struct redis_store *redis, const char *error, const char *command,
		   struct convo_err *err)
{
	const struct server_error *known = errors, *end = errors + sizeof(errors) / sizeof(*errors);
	size_t len = command ? strlen(command) : 0;

	while (known < end && !strstr(error, known->word))
		known++;
	if (known == end)
		return error_unknown(redis, error, err);
	if (known->more == MORE_USER)
		return cv_fail(
			err, known->code,
			"%s: %s (user '%.60s'; the URL says both, redis://user:password@host)",
			redis->name, known->text, redis->user ? redis->user : "default");
	if (known->more == MORE_COMMAND && !len)
		len = error_command(error, &command);
	if (known->more == MORE_COMMAND && len)
		return cv_fail(err, known->code, "%s: %s: %.*s", redis->name, known->text,
			       len > 40 ? 40 : (int)len, command);
	return cv_fail(err, known->code, "%s: %s", redis->name, known->text);
}

int cv_ask_damaged(const struct redis_store *redis, struct convo_err *err)
{
	return cv_fail(err, CONVO_E_IO, "%s: " DAMAGED, redis->name);
}

/* ---- batches ----------------------------------------------------------------------------- */

struct redis_batch {
	struct redis_store *redis;
	struct redis_ask **ask;
	size_t count;
	struct redis_until until; /* ends it for all */
	struct cv_buf out;
	bool read_only; /* the server has told that it takes no writes */
};

static void ask_finish(struct redis_ask *ask, int rc)
{
	ask->done = true;
	ask->job.rc = rc;
}

/* Add an ask with the source of its script in the place of the digest. */
static int batch_add_source(struct redis_batch *batch, const struct redis_ask *ask)
{
	const struct redis_script *script = ask->script;
	int rc = cv_buf_addf(&batch->out, "*%zu\r\n$4\r\nEVAL\r\n$%zu\r\n", ask->args, script->len);

	if (rc < 0)
		return rc;
	rc = cv_buf_add(&batch->out, script->source, script->len);
	if (rc < 0)
		return rc;
	rc = cv_buf_add(&batch->out, "\r\n", 2);
	if (rc < 0)
		return rc;
	return cv_buf_add(&batch->out, ask->bytes.data + HEAD_ROOM, ask->bytes.len - HEAD_ROOM);
}

/* Put all that is pending into one piece. A lone request is one already. */
static int batch_gather(struct redis_batch *batch, struct cv_text *out, struct convo_err *err)
{
	struct redis_ask *ask = batch->ask[0];
	size_t i;
	int rc;

	if (batch->count == 1 && !ask->with_source) {
		out->data = ask->bytes.data + ask->head;
		out->len = ask->end = ask->bytes.len - ask->head;
		return 0;
	}
	cv_buf_reset(&batch->out);
	for (i = 0; i < batch->count; i++) {
		ask = batch->ask[i];
		if (ask->done)
			continue;
		if (ask->with_source)
			rc = batch_add_source(batch, ask);
		else
			rc = cv_buf_add(&batch->out, ask->bytes.data + ask->head,
					ask->bytes.len - ask->head);
		if (rc < 0)
			return cv_buf_fail(err, rc);
		ask->end = batch->out.len;
	}
	*out = (struct cv_text){batch->out.data, batch->out.len};
	return 0;
}

static int batch_send(struct redis_batch *batch, struct redis_conn *conn, struct convo_err *err)
{
	struct cv_text out = {0};
	size_t sent = 0, i;
	int rc = batch_gather(batch, &out, err);

	if (rc < 0)
		goto out;
	rc = cv_redis_write(conn, out.data, out.len, &batch->until, &sent, err);
out:
	/* The server does nothing with a part of a request. */
	for (i = 0; i < batch->count; i++)
		batch->ask[i]->sent = !batch->ask[i]->done && sent && batch->ask[i]->end <= sent;
	return rc;
}

/* An answer has come: it ends the ask, or tells how to ask again. */
static void batch_take(struct redis_batch *batch, struct redis_ask *ask,
		       const struct redis_value *value)
{
	const struct redis_store *redis = batch->redis;
	struct convo_err *err = &ask->job.err;

	ask->sent = false;
	ask->waits = NULL;
	if (value->kind == REDIS_VALUE_ERROR) {
		ask->waits = cv_ask_error_passes(value);
		if (ask->waits)
			return;
		if (ask->script && !ask->with_source && cv_ask_error_is(value, "NOSCRIPT")) {
			ask->with_source = true;
			return;
		}
		ask_finish(ask, ask->optional ? 0 : cv_ask_refused(redis, value->data, NULL, err));
		batch->read_only = batch->read_only || ask->job.rc == CONVO_E_READONLY;
		return;
	}
	if (ask->script && (value->kind != REDIS_VALUE_ARRAY || !value->len ||
			    value->item[0].kind != REDIS_VALUE_INTEGER))
		ask_finish(ask, cv_fail(err, CONVO_E_IO, "%s: an unexpected answer", redis->name));
	else
		ask_finish(ask, ask->answer(ask, value, err));
}

/* If an ask has to wait for the server, sleep; at the deadline, give those up that had to. */
static void batch_pause(struct redis_batch *batch, int64_t *pause_us)
{
	bool late = cv_clock_mono_us() + *pause_us >= batch->until.deadline_us, waits = false;
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

/* The connection is lost. What must not run twice ends here, and what was canceled; the rest is for
 * the next one. */
static int batch_lost(struct redis_batch *batch, int rc, enum pool_fate *fate,
		      struct convo_err *err)
{
	int pending = 0;
	size_t i;

	*fate = POOL_UNSENT;
	for (i = 0; i < batch->count; i++) {
		struct redis_ask *ask = batch->ask[i];
		bool canceled = rc == CONVO_E_CANCELED && convo_cancel_requested(ask->job.cancel);

		if (!ask->done && ask->sent) {
			*fate = POOL_LOST;
			ask->sent = false;
			ask->unknown = true;
			if (!ask->repeat || canceled)
				ask_finish(ask, cv_fail_maybe(&ask->job.err,
							      canceled || rc != CONVO_E_CANCELED
								      ? rc
								      : CONVO_E_IO,
							      "%s", err->text));
		}
		pending += !ask->done;
	}
	return pending ? rc : 0;
}

/* What a silent server is given up for. What must not run twice waits to the end. */
static struct store_patience batch_patience(const struct redis_batch *batch,
					    const struct store_call *call)
{
	size_t i;

	for (i = 0; i < batch->count; i++) {
		if (!batch->ask[i]->done && !batch->ask[i]->repeat)
			return (struct store_patience){0};
	}
	return call->patience;
}

/* Ask for all that is not done, until all is; on one connection. */
static int batch_op(struct convo_store *store, void *ctx_conn, const struct store_call *call,
		    void *ctx, enum pool_fate *fate, struct convo_err *err)
{
	struct redis_batch *batch = ctx;
	struct redis_conn *conn = ctx_conn;
	int64_t pause_us = PAUSE_US;
	const struct redis_value *value;
	bool pending;
	size_t i;
	int rc;

	(void)store;
	batch->until.patience = batch_patience(batch, call);
	do {
		store_work_trip(call);
		rc = batch_send(batch, conn, err);
		if (rc < 0)
			return batch_lost(batch, rc, fate, err);
		pending = false;
		for (i = 0; i < batch->count; i++) {
			if (!batch->ask[i]->sent)
				continue;
			rc = cv_redis_read(conn, &batch->until, &value, err);
			if (rc < 0)
				return batch_lost(batch, rc, fate, err);
			batch_take(batch, batch->ask[i], value);
			pending = pending || !batch->ask[i]->done;
		}
		if (pending)
			batch_pause(batch, &pause_us);
		for (i = 0, pending = false; i < batch->count && !pending; i++)
			pending = !batch->ask[i]->done;
	} while (pending);
	/* It may have been the master until now; who takes its place is at the other end of a new
	 * connection. */
	if (batch->read_only) {
		*fate = POOL_UNSENT;
		return cv_redis_fail(&batch->redis->place, CONVO_E_READONLY, "read-only", err);
	}
	return 0;
}

/* Run a batch. What is not done when it ends has failed, for now. */
static int batch_run(struct redis_batch *batch)
{
	const struct redis_call call = {{.deadline_us = batch->until.deadline_us,
					 .work = batch->ask[0]->work},
					batch->until};
	const struct pool_stops stops = {batch->until.cancel, batch->until.cancels};
	struct convo_err why = {0};
	int rc = cv_pool_run_for(batch->redis->pool, &call.call, &stops, true, batch_op, batch,
				 &why);
	size_t i;

	for (i = 0; i < batch->count; i++) {
		struct redis_ask *ask = batch->ask[i];

		if (ask->done)
			continue;
		ask->job.rc = rc;
		ask->job.err = why;
		ask->job.err.maybe = ask->unknown;
	}
	cv_buf_clear(&batch->out);
	return rc;
}

static int ask_prepare(struct redis_store *redis, struct redis_ask *ask,
		       const struct store_call *call, struct convo_err *err)
{
	if (ask->broken)
		return cv_fail_nomem(err);
	ask->job.deadline_us = call->deadline_us;
	ask->job.cancel = call->cancel;
	ask->job.weight = ask->bytes.len;
	ask->job.cancel = call->cancel;
	ask->work = call->work;
	ask_close(redis, ask);
	return 0;
}

/* What became of an ask. A server that refuses to do it again does not tell whether it has done it
 * the first time, when its answer was lost (A8). */
static int ask_outcome(const struct redis_ask *ask, struct convo_err *err)
{
	struct convo_err why = ask->job.err;

	if (ask->job.rc == 0)
		return 0;
	why.code = ask->job.rc;
	if (ask->unknown) {
		switch (why.code) {
		case CONVO_E_NOMEM:
		case CONVO_E_VERSION:
		case CONVO_E_DENIED:
		case CONVO_E_UNSUPPORTED:
		case CONVO_E_FULL:
		case CONVO_E_READONLY:
			why.code = CONVO_E_IO;
			/* fallthrough */
		case CONVO_E_TIMEOUT:
		case CONVO_E_IO:
		case CONVO_E_GONE:
		case CONVO_E_CANCELED:
			why.maybe = true;
		}
	}
	if (err)
		*err = why;
	return why.code;
}

int cv_ask_run(struct redis_store *redis, const struct store_call *call, struct redis_ask *ask,
	       struct convo_err *err)
{
	struct redis_batch batch = {.redis = redis, .ask = &ask, .count = 1};
	int rc = ask_prepare(redis, ask, call, err);

	if (rc < 0)
		return rc;
	batch.until = (struct redis_until){.deadline_us = call->deadline_us,
					   .cancel = &call->cancel,
					   .cancels = call->cancel ? 1 : 0};
	batch_run(&batch);
	return ask_outcome(ask, err);
}

/* A round of the group ends with the first deadline of its calls, or when one is canceled, so that
 * none is held up by those that have more time: they queue again. */
void cv_ask_round(void *ctx, struct group_job **jobs, size_t count)
{
	struct redis_ask *ask[REDIS_GROUP_JOBS];
	const convo_cancel *cancel[REDIS_GROUP_JOBS];
	struct redis_batch batch = {.redis = ctx, .ask = ask, .count = count};
	size_t i;
	bool early;

	assert(count > 0 && count <= REDIS_GROUP_JOBS);
	batch.until = (struct redis_until){.deadline_us = jobs[0]->deadline_us, .cancel = cancel};
	for (i = 0; i < count; i++) {
		ask[i] = (struct redis_ask *)jobs[i];
		if (jobs[i]->deadline_us < batch.until.deadline_us)
			batch.until.deadline_us = jobs[i]->deadline_us;
		if (ask[i]->job.cancel)
			cancel[batch.until.cancels++] = ask[i]->job.cancel;
	}
	early = batch_run(&batch) == CONVO_E_CANCELED ||
		cv_clock_mono_us() + LATE_US >= batch.until.deadline_us;
	for (i = 0; i < count; i++)
		ask[i]->again = !ask[i]->done && early;
}

int cv_ask_run_grouped(struct redis_store *redis, const struct store_call *call,
		       struct redis_ask *ask, struct convo_err *err)
{
	int rc = ask_prepare(redis, ask, call, err);

	if (rc < 0)
		return rc;
	do {
		ask->again = false;
		(void)cv_group_run(redis->group, &ask->job, NULL);
	} while (ask->again && cv_clock_mono_us() < call->deadline_us &&
		 !convo_cancel_requested(call->cancel));
	return ask_outcome(ask, err);
}

/* ---- a step below ----------------------------------------------------------------------- */

int cv_ask_now(struct redis_store *redis, struct redis_conn *conn, struct redis_ask *ask,
	       const struct redis_until *until, const struct redis_value **answer,
	       struct convo_err *err)
{
	size_t sent = 0;
	int rc;

	if (ask->broken)
		return cv_fail_nomem(err);
	ask_close(redis, ask);
	rc = cv_redis_write(conn, ask->bytes.data + ask->head, ask->bytes.len - ask->head, until,
			    &sent, err);
	if (rc < 0)
		return rc;
	return cv_redis_read(conn, until, answer, err);
}
