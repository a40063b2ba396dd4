/*
 * The Redis store, for Valkey too: every operation is one script (script/<name>.lua), which is
 * atomic on the server and takes one round trip; docs/backends/redis.md tells the keys. Here are
 * the operations that write; read.c has the others, open.c opens, ask.c asks.
 */
#include <store/redis/op.h>

#include <string.h>

#include <store/redis/ear.h>
#include <store/redis/event.h>
#include <store/redis/notes.h>
#include <store/redis/open.h>
#include <store/redis/owners.h>
#include <store/redis/read.h>
#include <store/redis/turn.h>
#include <store/redis/marks.h>

static struct redis_op op_of(struct convo_store *store, const struct store_call *call,
			     const struct convo_key *key, void *into)
{
	return (struct redis_op){(struct redis_store *)store, call, key, into};
}

/* Scripts take the absence of changes for their absence. */
static void ask_add_changes(struct redis_ask *ask, const struct store_change *changes, size_t count)
{
	size_t i;

	if (!count)
		return;
	cv_ask_add_int(ask, (int64_t)count);
	for (i = 0; i < count; i++)
		cv_op_add_change(ask, &changes[i]);
}

/* Run an ask that is complete and may change the app's state, and let go of it. */
static int run_changes(const struct redis_op *op, struct redis_ask *ask,
		       const struct store_change *changes, size_t count, struct convo_err *err)
{
	bool needed = cv_notes_needed(op, changes, count);
	int64_t last = 0;
	int rc = needed ? cv_notes_check(op, changes, count, &last, err) : 0;

	if (needed)
		cv_ask_add_int(ask, last);
	if (rc == 0 && ask->repeat)
		rc = cv_ask_run_grouped(op->redis, op->call, ask, err);
	else if (rc == 0)
		rc = cv_ask_run(op->redis, op->call, ask, err);
	cv_ask_clear(ask);
	return rc == 0 && needed ? cv_notes_finish(op, err) : rc;
}

/* ---- sessions --------------------------------------------------------------------------- */

static int create_answer(struct redis_ask *ask, const struct redis_value *answer,
			 struct convo_err *err)
{
	const struct redis_op *op = ask->ctx;
	const struct store_create *create = op->into;
	unsigned char generation[UUID_BYTES];

	/* Ours exists when the first try was carried out and its answer lost. */
	if (answer->item[0].integer == CONVO_E_EXISTS && answer->len > 1 &&
	    cv_op_uuid(&answer->item[1], generation) &&
	    memcmp(generation, create->generation, UUID_BYTES) == 0)
		return 0;
	return cv_op_plain(ask, answer, err);
}

static int redis_create(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, const struct store_create *create,
			struct convo_err *err)
{
	struct redis_op op = op_of(store, call, key, (void *)create);
	struct redis_ask ask = {.answer = create_answer, .ctx = &op, .repeat = true};

	cv_op_begin_session(&op, &ask, REDIS_SCRIPT_CREATE);
	cv_ask_add_int(&ask, call->ttl_us);
	cv_op_add_uuid(&ask, create->generation);
	cv_ask_add(&ask, create->title.data, create->title.len);
	ask_add_changes(&ask, create->changes, create->change_count);
	return run_changes(&op, &ask, create->changes, create->change_count, err);
}

/* An append, and what the script said beside seqs. */
struct redis_append {
	struct store_append *append;
	bool in_the_way;
};

static int append_answer(struct redis_ask *ask, const struct redis_value *answer,
			 struct convo_err *err)
{
	const struct redis_op *op = ask->ctx;
	struct redis_append *into = op->into;
	struct store_append *append = into->append;
	const struct redis_value *item = answer->item;
	int64_t seq;
	size_t i;

	into->in_the_way = append->hold && item[0].integer == STORE_IN_THE_WAY;
	if (into->in_the_way)
		return 0;
	if (item[0].integer != 0)
		return cv_op_refusal(op, answer, err);
	if (answer->len != append->count + 1)
		return cv_op_damaged(op, err);
	for (i = 0; i < append->count; i++) {
		if (!cv_op_number(&item[i + 1], &seq) || !seq)
			return cv_op_damaged(op, err);
	}
	for (i = 0; i < append->count; i++)
		(void)cv_op_number(&item[i + 1], &append->events[i].seq);
	return 0;
}

static int redis_append(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, struct store_append *append,
			struct convo_err *err)
{
	struct redis_append into = {append, false};
	struct redis_op op = op_of(store, call, key, &into);
	struct redis_ask ask = {.answer = append_answer, .ctx = &op, .repeat = true};
	size_t i;
	int rc;

	cv_op_begin_session(&op, &ask, REDIS_SCRIPT_APPEND);
	cv_ask_add_int(&ask, call->ttl_us);
	cv_ask_add_int(&ask, call->event_limit);
	cv_op_add_uuid(&ask, append->generation);
	if (append->check_seq)
		cv_ask_add_int(&ask, append->after_seq);
	else
		cv_ask_add_text(&ask, "");
	cv_ask_add_int(&ask, (int64_t)append->count);
	for (i = 0; i < append->count; i++) {
		const struct store_event *event = &append->events[i];
		char *room = cv_ask_room(&ask, cv_event_size(event));

		if (room)
			cv_event_pack(room, event, call->now_ms);
	}
	if (append->hold)
		cv_turn_add_hold(&ask, append->hold);
	ask_add_changes(&ask, append->changes, append->change_count);
	rc = run_changes(&op, &ask, append->changes, append->change_count, err);
	return rc == 0 && into.in_the_way ? STORE_IN_THE_WAY : rc;
}

static int redis_rename(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, struct cv_text title, struct convo_err *err)
{
	struct redis_op op = op_of(store, call, key, NULL);
	struct redis_ask ask = {.answer = cv_op_plain, .ctx = &op};

	cv_op_begin_session(&op, &ask, REDIS_SCRIPT_RENAME);
	cv_ask_add_int(&ask, call->ttl_us);
	cv_ask_add(&ask, title.data, title.len);
	return cv_op_run(&op, &ask, err);
}

static int redis_delete(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, struct convo_err *err)
{
	struct redis_op op = op_of(store, call, key, NULL);
	struct redis_ask ask = {.answer = cv_op_plain, .ctx = &op};

	cv_op_begin_session(&op, &ask, REDIS_SCRIPT_DELETE);
	cv_ask_add_int(&ask, call->trash_us);
	return cv_op_run(&op, &ask, err);
}

static int restore_answer(struct redis_ask *ask, const struct redis_value *answer,
			  struct convo_err *err)
{
	const struct redis_op *op = ask->ctx;

	if (answer->item[0].integer == CONVO_E_NOTFOUND)
		return cv_refuse_trash(err, op->key);
	return cv_op_plain(ask, answer, err);
}

static int redis_restore(struct convo_store *store, const struct store_call *call,
			 const struct convo_key *key, const unsigned char *generation,
			 struct convo_err *err)
{
	struct redis_op op = op_of(store, call, key, NULL);
	struct redis_ask ask = {.answer = restore_answer, .ctx = &op};

	cv_op_begin_session(&op, &ask, REDIS_SCRIPT_RESTORE);
	cv_ask_add_int(&ask, call->ttl_us);
	cv_op_add_uuid(&ask, generation);
	return cv_op_run(&op, &ask, err);
}

static int purge_answer(struct redis_ask *ask, const struct redis_value *answer,
			struct convo_err *err)
{
	const struct redis_op *op = ask->ctx;
	bool *more = op->into;
	int64_t left;

	if (answer->item[0].integer)
		return cv_op_refusal(op, answer, err);
	if (answer->len < 2 || !cv_op_number(&answer->item[1], &left) || left > 1)
		return cv_op_damaged(op, err);
	*more = left;
	return 0;
}

static int redis_purge(struct convo_store *store, const struct store_call *call,
		       const struct convo_key *key, const unsigned char *generation,
		       struct convo_err *err)
{
	bool more = true;
	struct redis_op op = op_of(store, call, key, &more);
	int rc;

	while (more) {
		struct redis_ask ask = {.answer = purge_answer, .ctx = &op, .repeat = true};

		cv_op_begin(&op, &ask, REDIS_SCRIPT_PURGE, key->app, key->user);
		cv_ask_add_text(&ask, key->session);
		cv_op_add_uuid(&ask, generation);
		rc = cv_op_run(&op, &ask, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int redis_state_set(struct convo_store *store, const struct store_call *call,
			   const struct convo_key *key, const struct store_change *changes,
			   size_t count, struct convo_err *err)
{
	struct redis_op op = op_of(store, call, key, NULL);
	struct redis_ask ask = {.answer = cv_op_plain, .ctx = &op};
	bool of_session = false, of_user = false;
	size_t i;
	int rc;

	for (i = 0; i < count; i++) {
		of_session = of_session || changes[i].scope == CONVO_SCOPE_SESSION;
		of_user = of_user || changes[i].scope == CONVO_SCOPE_USER;
	}
	/* What the user's calls before this one changed comes before it. */
	if (!of_session && !of_user && cv_op_is_apart(&op) && key->user && *key->user) {
		rc = cv_notes_carry(&op, err);
		if (rc < 0)
			return rc;
	}
	if (of_session || of_user)
		cv_op_begin(&op, &ask, REDIS_SCRIPT_STATE_SET, key->app, key->user);
	else
		cv_op_begin_app(&op, &ask, REDIS_SCRIPT_STATE_SET);
	cv_ask_add_text(&ask, of_session ? key->session : "");
	cv_op_add_tell(&op, &ask);
	cv_ask_add_int(&ask, call->ttl_us);
	ask_add_changes(&ask, changes, count);
	if (of_session || of_user)
		return run_changes(&op, &ask, changes, count, err);
	rc = cv_op_run(&op, &ask, err);
	return rc == 0 && cv_op_is_apart(&op) ? cv_app_settle(&op, err) : rc;
}

/* There is no clean(): the server forgets by itself; see docs/backends/redis.md. */

static const char *const redis_params[] = {
	"db", "ca", "cert", "key", "wait", "sentinel_user", "sentinel_password", NULL};

const struct cv_backend cv_backend_redis = {
	.scheme = "redis",
	.params = redis_params,
	.title = "Redis",
	.size = sizeof(struct redis_store),
	.default_prefix = "convo",
	.open = cv_redis_open,
	.close = cv_redis_close,
	.create = redis_create,
	.load = cv_redis_load,
	.append = redis_append,
	.drafts = cv_redis_drafts,
	.fork = cv_redis_fork,
	.marks = cv_redis_marks,
	.marks_us = CV_REDIS_MARKS_US,
	.ear_open = cv_redis_ear_open,
	.ear_set = cv_redis_ear_set,
	.ear_wait = cv_redis_ear_wait,
	.ear_close = cv_redis_ear_close,
	.weigh = cv_redis_weigh,
	.rename = redis_rename,
	.list = cv_redis_list,
	.owners = cv_redis_owners,
	.owners_twice = true,
	.delete = redis_delete,
	.restore = redis_restore,
	.purge = redis_purge,
	.state_set = redis_state_set,
	.state_list = cv_redis_state_list,
};
