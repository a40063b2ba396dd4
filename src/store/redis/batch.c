/*
 * Batches; see batch.h.
 *
 * All requests go in one write, then all answers are read. An ask is done when it is answered; one
 * whose script the server has forgotten goes again with its source, one that came too early
 * (LOADING, BUSY) goes again after a pause, and when the connection is lost the rest goes again on
 * another one, but for what must not run twice. Where there are many servers, what this one does
 * not do is left for who knows the others.
 */
#include <store/redis/batch.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <base/clock.h>
#include <store/redis/redis.h>
#include <store/redis/refuse.h>
#include <store/redis/route.h>

#define PAUSE_US 1000
#define PAUSE_MAX_US 50000
#define BESIDE_SHARE 8 /* of the time of two that are asked at once, for one alone */
/* So long before its deadline replicas are no longer waited for: a server may tell it late. */
#define CONFIRM_US 150000
#define CONFIRM_SHARE 4 /* or this part of the time, where that is less */

/* A batch on a connection. */
struct batch_run {
	struct redis_batch *batch;
	struct redis_conn *conn;
	struct cv_buf out;
	bool confirm;   /* WAIT goes along: replicas are to have it */
	bool read_only; /* the server has told that it takes no writes */
	struct convo_err *err;
};

static bool node_is_one_of_many(const struct redis_node *node)
{
	return node->redis->mode != REDIS_ALONE;
}

static bool ask_is_over(const struct redis_ask *ask)
{
	return ask->done || ask->elsewhere;
}

static void ask_finish(struct redis_ask *ask, int rc)
{
	ask->done = true;
	ask->job.rc = rc;
}

/* Leave it for another server, or for this one at another time. */
static void ask_leave(struct redis_ask *ask, int rc)
{
	ask->elsewhere = true;
	ask->job.rc = rc;
}

/* ---- sending ---------------------------------------------------------------------------- */

/* Add an ask with the source of its script in the place of the digest. */
static int batch_add_source(struct cv_buf *out, const struct redis_ask *ask)
{
	const struct redis_script *script = ask->script;
	int rc = cv_buf_addf(out, "*%zu\r\n$4\r\nEVAL\r\n$%zu\r\n", ask->args, script->len);

	if (rc < 0)
		return rc;
	rc = cv_buf_add(out, script->source, script->len);
	if (rc < 0)
		return rc;
	rc = cv_buf_add(out, "\r\n", 2);
	if (rc < 0)
		return rc;
	return cv_buf_add(out, ask->bytes.data + REDIS_HEAD_ROOM, ask->bytes.len - REDIS_HEAD_ROOM);
}

static int batch_add(struct cv_buf *out, struct redis_ask *ask)
{
	int rc = ask->asking ? cv_buf_adds(out, "*1\r\n$6\r\nASKING\r\n") : 0;

	if (rc < 0)
		return rc;
	if (ask->with_source)
		return batch_add_source(out, ask);
	return cv_buf_add(out, ask->bytes.data + ask->head, ask->bytes.len - ask->head);
}

/* Ask how many replicas have what this connection wrote; the server answers when enough have, or
 * when the time is up. 0 would be for ever. */
static int batch_add_wait(struct batch_run *run)
{
	int64_t left_us = run->batch->until.deadline_us - cv_clock_mono_us();
	int64_t spare_us =
		left_us / CONFIRM_SHARE < CONFIRM_US ? left_us / CONFIRM_SHARE : CONFIRM_US;
	int64_t wait_ms = (left_us - spare_us) / 1000;
	char ms[24];
	int len = snprintf(ms, sizeof(ms), "%lld", (long long)(wait_ms < 1 ? 1 : wait_ms));

	return cv_buf_addf(&run->out, "*3\r\n$4\r\nWAIT\r\n$%d\r\n%d\r\n$%d\r\n%s\r\n",
			   run->batch->node->redis->wait < 10 ? 1 : 2,
			   run->batch->node->redis->wait, len, ms);
}

/* Whether replicas are to confirm what is asked for. */
static bool batch_wants_wait(const struct redis_batch *batch)
{
	size_t i;

	if (!batch->node->redis->wait)
		return false;
	for (i = 0; i < batch->count; i++) {
		if (!ask_is_over(batch->ask[i]) && !batch->ask[i]->reads)
			return true;
	}
	return false;
}

/* Put all that is pending into one piece. A lone request is one already. */
static int batch_gather(struct batch_run *run, struct cv_text *out)
{
	struct redis_batch *batch = run->batch;
	struct redis_ask *ask = batch->ask[0];
	size_t i;
	int rc = 0;

	run->confirm = batch_wants_wait(batch);
	if (batch->count == 1 && !ask->with_source && !ask->asking && !run->confirm) {
		out->data = ask->bytes.data + ask->head;
		out->len = ask->end = ask->bytes.len - ask->head;
		return 0;
	}
	cv_buf_reset(&run->out);
	for (i = 0; i < batch->count && rc == 0; i++) {
		ask = batch->ask[i];
		if (ask_is_over(ask))
			continue;
		rc = batch_add(&run->out, ask);
		ask->end = run->out.len;
	}
	if (rc == 0 && run->confirm)
		rc = batch_add_wait(run);
	*out = (struct cv_text){run->out.data, run->out.len};
	return rc < 0 ? cv_buf_fail(run->err, rc) : 0;
}

static int batch_send(struct batch_run *run)
{
	struct redis_batch *batch = run->batch;
	struct cv_text out = {0};
	size_t sent = 0, i;
	int rc = batch_gather(run, &out);

	if (rc == 0)
		rc = cv_redis_write(run->conn, out.data, out.len, &batch->until, &sent, run->err);
	/* The server does nothing with a part of a request. */
	for (i = 0; i < batch->count; i++)
		batch->ask[i]->sent =
			!ask_is_over(batch->ask[i]) && sent && batch->ask[i]->end <= sent;
	return rc;
}

/* ---- taking ----------------------------------------------------------------------------- */

/* An error that tells of other servers, or of another time. */
static bool batch_take_elsewhere(struct batch_run *run, struct redis_ask *ask,
				 const struct redis_value *value)
{
	struct redis_node *node = run->batch->node;
	struct convo_err *err = &ask->job.err;

	if (!node_is_one_of_many(node))
		return false;
	if (cv_route_sent_on(node, ask, value->data)) {
		/* Where the slot moves, the other one's word tells more. */
		if (ask->moving && ask->job.rc < 0)
			ask_leave(ask, ask->job.rc);
		else
			ask_leave(ask, cv_redis_fail(&node->place, CONVO_E_GONE,
						     "it sends us from server to server; redis-cli "
						     "--cluster check tells why",
						     err));
		return true;
	}
	if (cv_redis_error_is(value, "MOVED") || cv_redis_error_is(value, "ASK")) {
		ask_finish(ask, cv_redis_fail(&node->place, CONVO_E_IO,
					      "it sends us to no server that there can be", err));
		return true;
	}
	if (cv_redis_error_is(value, "READONLY")) {
		run->read_only = true;
		ask_leave(ask, cv_redis_refuse(&node->place, value->data, NULL, err));
		return true;
	}
	ask->waits = cv_redis_error_passes(value);
	if (!ask->waits)
		return false;
	if (cv_redis_error_is(value, "CLUSTERDOWN"))
		ask_leave(ask, cv_fail(err, CONVO_E_IO,
				       "%s: slot %u is not served (CLUSTERDOWN): start the nodes "
				       "that are down",
				       node->name, ask->slot));
	else
		ask_leave(ask, cv_fail(err, CONVO_E_IO, "%s: it is not ready in time (%s)",
				       node->name, ask->waits));
	ask->moving = cv_redis_error_is(value, "TRYAGAIN");
	return true;
}

static void batch_take_error(struct batch_run *run, struct redis_ask *ask,
			     const struct redis_value *value)
{
	const struct redis_place *place = &run->batch->node->place;

	if (batch_take_elsewhere(run, ask, value))
		return;
	ask->waits = cv_redis_error_passes(value);
	if (ask->waits)
		return;
	if (ask->script && !ask->with_source && cv_redis_error_is(value, "NOSCRIPT")) {
		ask->with_source = true;
		return;
	}
	ask_finish(ask,
		   ask->optional ? 0 : cv_redis_refuse(place, value->data, NULL, &ask->job.err));
	run->read_only = run->read_only || ask->job.rc == CONVO_E_READONLY;
}

/* An answer has come: it ends the ask, or tells how to ask again. */
static void batch_take(struct batch_run *run, struct redis_ask *ask,
		       const struct redis_value *value)
{
	struct convo_err *err = &ask->job.err;

	ask->sent = false;
	ask->waits = NULL;
	if (value->kind == REDIS_VALUE_ERROR)
		batch_take_error(run, ask, value);
	else if (ask->script && (value->kind != REDIS_VALUE_ARRAY || !value->len ||
				 value->item[0].kind != REDIS_VALUE_INTEGER))
		ask_finish(ask, cv_fail(err, CONVO_E_IO, "%s: an unexpected answer",
					run->batch->node->name));
	else
		ask_finish(ask, ask->answer(ask, value, err));
}

static void ask_lost(struct redis_ask *ask)
{
	ask->unknown = true;
	if (ask->work)
		ask->work->lost = true;
}

/* How many replicas have what was written. Too few leave open what will become of it. */
static void batch_take_wait(struct batch_run *run, const struct redis_value *value)
{
	struct redis_batch *batch = run->batch;
	int wanted = batch->node->redis->wait;
	long long have = value->kind == REDIS_VALUE_INTEGER ? (long long)value->integer : 0;
	size_t i;

	if (have >= wanted)
		return;
	for (i = 0; i < batch->count; i++) {
		struct redis_ask *ask = batch->ask[i];

		if (!ask->confirmed || ask->job.rc < 0)
			continue;
		ask->job.rc = cv_fail_maybe(&ask->job.err, CONVO_E_TIMEOUT,
					    "%s: stored, but %lld of %d replicas have it in time",
					    batch->node->name, have, wanted);
		ask_lost(ask);
		if (!ask->repeat || !node_is_one_of_many(batch->node))
			continue;
		ask->done = false;
		ask->elsewhere = true;
	}
}

/* Read what was asked for. Nothing else may be on the connection then. */
static int batch_receive(struct batch_run *run)
{
	struct redis_batch *batch = run->batch;
	const struct redis_value *value;
	size_t i;
	int rc;

	for (i = 0; i < batch->count; i++) {
		struct redis_ask *ask = batch->ask[i];

		ask->confirmed = false;
		if (!ask->sent)
			continue;
		if (ask->asking) { /* what ASKING is answered with */
			rc = cv_redis_read(run->conn, &batch->until, &value, run->err);
			if (rc < 0)
				return rc;
		}
		rc = cv_redis_read(run->conn, &batch->until, &value, run->err);
		if (rc < 0)
			return rc;
		ask->asking = false;
		batch_take(run, ask, value);
		ask->confirmed = ask->done && ask->job.rc == 0 && !ask->reads;
	}
	if (!run->confirm)
		return 0;
	rc = cv_redis_read(run->conn, &batch->until, &value, run->err);
	if (rc == 0)
		batch_take_wait(run, value);
	return rc;
}

/* The server hung up while we wrote: it may have said why, as it does of an argument that is too large
 * for it. */
static void batch_last_words(struct batch_run *run)
{
	struct redis_batch *batch = run->batch;
	const struct redis_value *value;
	struct convo_err ignored;
	size_t i;

	for (i = 0; i < batch->count; i++) {
		if (ask_is_over(batch->ask[i]))
			continue;
		if (batch->ask[i]->asking ||
		    cv_redis_read(run->conn, &batch->until, &value, &ignored) < 0)
			return;
		batch_take(run, batch->ask[i], value);
	}
}

/* If an ask has to wait for the server, sleep; at the deadline, give those up that had to. */
static void batch_pause(struct redis_batch *batch, int64_t *pause_us)
{
	bool late = cv_clock_mono_us() + *pause_us >= batch->until.deadline_us, waits = false;
	struct timespec ts = {0, (long)*pause_us * 1000};
	size_t i;

	for (i = 0; i < batch->count; i++) {
		struct redis_ask *ask = batch->ask[i];

		if (ask_is_over(ask) || !ask->waits)
			continue;
		waits = true;
		if (late)
			ask_finish(ask, cv_fail(&ask->job.err, CONVO_E_IO,
						"%s: it is not ready in time (%s)",
						batch->node->name, ask->waits));
	}
	if (!waits || late)
		return;
	nanosleep(&ts, NULL);
	*pause_us = *pause_us * 2 > PAUSE_MAX_US ? PAUSE_MAX_US : *pause_us * 2;
}

static bool batch_is_pending(const struct redis_batch *batch)
{
	size_t i = 0;

	while (i < batch->count && ask_is_over(batch->ask[i]))
		i++;
	return i < batch->count;
}

/* What ends an ask that was sent and will not be sent again. */
static int lost_code(int rc, bool canceled)
{
	return canceled || rc != CONVO_E_CANCELED ? rc : CONVO_E_IO;
}

/* The connection is lost. What must not run twice ends here, and what was canceled; the rest is for
 * the next one. */
static int batch_lost(struct batch_run *run, int rc, enum pool_fate *fate)
{
	struct redis_batch *batch = run->batch;
	size_t i;

	*fate = POOL_UNSENT;
	for (i = 0; i < batch->count; i++) {
		struct redis_ask *ask = batch->ask[i];
		bool canceled = rc == CONVO_E_CANCELED && convo_cancel_requested(ask->job.cancel);

		/* Of what was answered, the replicas' word may be missing. */
		if (!ask->sent && !(run->confirm && ask->confirmed))
			continue;
		*fate = POOL_LOST;
		ask_lost(ask);
		ask->done = !ask->repeat || canceled;
		if (ask->done)
			ask->job.rc = cv_fail_maybe(&ask->job.err, lost_code(rc, canceled), "%s",
						    run->err->text);
		ask->sent = ask->confirmed = false;
	}
	return batch_is_pending(batch) ? rc : 0;
}

/* ---- running ---------------------------------------------------------------------------- */

/* Ask for one that is another server's, whose answer is awaited while this one's comes. That one may
 * be silent: then there is time left to take this one's answer, and its connection is not lost. */
static void batch_ask_beside(struct redis_batch *batch)
{
	struct redis_ask *ask = batch->beside;
	struct redis_batch beside = {
		.node = ask->node, .ask = &ask, .count = 1, .until = batch->until};
	int64_t left_us = beside.until.deadline_us - cv_clock_mono_us();

	if (left_us > 0)
		beside.until.deadline_us -= left_us / BESIDE_SHARE;
	batch->beside = NULL;
	ask->work = NULL; /* it costs no round trip of its own */
	(void)cv_batch_run(&beside);
}

static int batch_op(struct convo_store *store, void *conn, const struct store_call *call, void *ctx,
		    enum pool_fate *fate, struct convo_err *err)
{
	struct batch_run *run = ctx;
	struct redis_batch *batch = run->batch;
	int64_t pause_us = PAUSE_US;
	int rc;

	(void)store;
	run->conn = conn;
	run->err = err;
	batch->until.patience = call->patience;
	do {
		store_work_trip(call);
		rc = batch_send(run);
		if (rc == CONVO_E_GONE)
			batch_last_words(run);
		if (rc == 0 && batch->beside)
			batch_ask_beside(batch);
		if (rc == 0)
			rc = batch_receive(run);
		if (rc < 0)
			return batch_lost(run, rc, fate);
		if (batch_is_pending(batch))
			batch_pause(batch, &pause_us);
	} while (batch_is_pending(batch));
	/* It may have been the master until now; who takes its place is at the other end of a new
	 * connection. */
	if (run->read_only) {
		*fate = POOL_UNSENT;
		return cv_redis_fail(&batch->node->place, CONVO_E_READONLY, "read-only", err);
	}
	return 0;
}

static enum pool_twice batch_twice(const struct redis_batch *batch)
{
	size_t i = 0;

	while (i < batch->count && batch->ask[i]->repeat)
		i++;
	return i == batch->count ? POOL_HARMLESS : POOL_HARMFUL;
}

int cv_batch_run(struct redis_batch *batch)
{
	const struct redis_call call = {{.deadline_us = batch->until.deadline_us,
					 .work = batch->ask[0]->work},
					batch->until,
					batch->node};
	const struct pool_stops stops = {batch->until.cancel, batch->until.cancels};
	struct batch_run run = {.batch = batch};
	struct convo_err why = {0};
	size_t i;
	int rc = cv_pool_run_for(batch->node->pool, &call.call, &stops, batch_twice(batch),
				 batch_op, &run, &why);

	for (i = 0; i < batch->count; i++) {
		struct redis_ask *ask = batch->ask[i];

		if (ask_is_over(ask))
			continue;
		ask->job.rc = rc;
		ask->job.err = why;
		ask->job.err.maybe = ask->unknown;
	}
	cv_buf_clear(&run.out);
	return rc;
}
