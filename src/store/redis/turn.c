/*
 * Leases, drafts and forks; see turn.h. What a lease permits is decided by script/hold.lua and
 * script/draft.lua, in the same step in which it is used.
 */
#include <store/redis/turn.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <store/redis/event.h>
#include <store/redis/many.h>
#include <store/redis/op.h>

#define FORK_BYTES (16 << 20) /* of events that one script takes over, and at most one piece more */

void cv_turn_add_hold(struct redis_ask *ask, const struct store_hold *hold)
{
	static const char *const words[] = {[CONVO_HOLD_TAKE] = "take",
					    [CONVO_HOLD_FORCE] = "force",
					    [CONVO_HOLD_KEEP] = "keep",
					    [CONVO_HOLD_END] = "end"};

	cv_ask_add_text(ask, "hold");
	cv_ask_add_text(ask, words[hold->what]);
	cv_op_add_uuid(ask, hold->lease);
	cv_ask_add_int(ask, hold->us);
	cv_op_add_uuid(ask, hold->settles ? hold->draft : NULL);
	cv_ask_add_int(ask, hold->settles ? hold->draft_len : 0);
}

/* ---- drafts ----------------------------------------------------------------------------- */

/* A draft on its way. */
struct draft_ask {
	struct redis_ask ask;
	struct redis_op op;
	struct store_draft *draft;
	bool in_the_way;
};

static int draft_answer(struct redis_ask *ask, const struct redis_value *answer,
			struct convo_err *err)
{
	const struct redis_op *op = ask->ctx;
	struct draft_ask *self = op->into;

	self->in_the_way = self->draft->pos && answer->item[0].integer == STORE_IN_THE_WAY;
	return self->in_the_way ? 0 : cv_op_plain(ask, answer, err);
}

/* What is new of the message; in front of it, the first time, the event without it. */
static void draft_add(struct redis_ask *ask, const struct store_draft *draft)
{
	const struct cv_text piece = store_draft_piece(draft);
	struct store_event head = draft->event;
	size_t size = 0;
	char *room;

	cv_op_add_uuid(ask, draft->event.id);
	cv_ask_add_int(ask, (int64_t)draft->pos);
	if (draft->pos) {
		cv_ask_add(ask, piece.data, piece.len);
		return;
	}
	head.field[FIELD_MESSAGE] = (struct cv_text){"", 0};
	size = cv_event_size(&head);
	room = cv_ask_room(ask, size + piece.len);
	if (room) {
		cv_event_pack(room, &head, 0);
		memcpy(room + size, piece.data, piece.len);
	}
	cv_ask_add_int(ask, (int64_t)size);
}

/* Replicas have it when they have it (R2). */
static void draft_begin(struct draft_ask *self, struct convo_store *store,
			const struct store_call *call, struct store_draft *draft)
{
	self->draft = draft;
	self->op = (struct redis_op){(struct redis_store *)store, call, draft->key, self};
	self->ask = (struct redis_ask){
		.answer = draft_answer, .ctx = &self->op, .repeat = true, .reads = true};
	cv_op_begin_session(&self->op, &self->ask, REDIS_SCRIPT_DRAFT);
	cv_op_add_uuid(&self->ask, draft->lease);
	cv_ask_add_int(&self->ask, draft->us);
	if (!draft->none)
		draft_add(&self->ask, draft);
}

static void draft_end(struct draft_ask *self, int rc)
{
	self->draft->rc = rc == 0 && self->in_the_way ? STORE_IN_THE_WAY : rc;
	cv_ask_clear(&self->ask);
}

/* One travels with the appends of other threads. */
static void draft_one(struct convo_store *store, const struct store_call *call,
		      struct store_draft *draft)
{
	struct draft_ask self = {.in_the_way = false};

	draft_begin(&self, store, call, draft);
	draft_end(&self, cv_ask_run_grouped(self.op.redis, call, &self.ask, &draft->err));
}

/* Many are one flight to each of the servers that have their sessions. */
static int draft_many(struct convo_store *store, const struct store_call *call,
		      struct store_draft **drafts, size_t count)
{
	struct draft_ask *self = cv_alloc(count, sizeof(*self));
	struct redis_ask **asks = cv_alloc(count, sizeof(struct redis_ask *));
	int rc = self && asks ? 0 : CONVO_E_NOMEM;
	size_t i;

	for (i = 0; rc == 0 && i < count; i++) {
		draft_begin(&self[i], store, call, drafts[i]);
		asks[i] = &self[i].ask;
	}
	if (rc == 0)
		(void)cv_ask_run_many((struct redis_store *)store, call, asks, count, NULL);
	for (i = 0; rc == 0 && i < count; i++) {
		drafts[i]->err = asks[i]->job.err;
		draft_end(&self[i], asks[i]->job.rc);
	}
	free(asks);
	free(self);
	return rc;
}

void cv_redis_drafts(struct convo_store *store, const struct store_call *call,
		     struct store_draft **drafts, size_t count)
{
	size_t i;

	if (count > 1 && draft_many(store, call, drafts, count) == 0)
		return;
	for (i = 0; i < count; i++)
		draft_one(store, call, drafts[i]);
}

/* ---- forks ------------------------------------------------------------------------------ */

/* A fork on its way: where it has stopped, if it has. */
struct redis_fork {
	const struct store_fork *fork;
	const struct convo_key *to;
	bool more;
	unsigned char source[UUID_BYTES];
	int64_t first, next;
};

static int fork_answer(struct redis_ask *ask, const struct redis_value *answer,
		       struct convo_err *err)
{
	const struct redis_op *op = ask->ctx;
	const struct redis_value *item = answer->item;
	struct redis_fork *into = op->into;
	unsigned char generation[UUID_BYTES];

	into->more = false;
	if (item[0].integer == CONVO_E_EXISTS) {
		/* Ours, when the first try was carried out and its answer lost. */
		if (answer->len > 1 && cv_op_uuid(&item[1], generation) &&
		    memcmp(generation, into->fork->generation, UUID_BYTES) == 0)
			return 0;
		return cv_refuse_exists(err, into->to);
	}
	if (item[0].integer || answer->len == 1)
		return cv_op_refusal(op, answer, err);
	if (answer->len < 4 || !cv_op_uuid(&item[1], into->source) ||
	    !cv_op_number(&item[2], &into->first) || !cv_op_number(&item[3], &into->next))
		return cv_op_damaged(op, err);
	into->more = true;
	return 0;
}

static int fork_some(const struct redis_op *op, struct convo_err *err)
{
	struct redis_fork *into = op->into;
	struct redis_ask ask = {.answer = fork_answer, .ctx = (void *)op, .repeat = true};

	cv_op_begin(op, &ask, REDIS_SCRIPT_FORK, op->key->app, op->key->user);
	cv_ask_add_text(&ask, op->key->session);
	cv_op_add_tell(op, &ask);
	cv_ask_add_int(&ask, op->call->ttl_us);
	cv_ask_add_int(&ask, op->call->event_limit);
	cv_ask_add_text(&ask, into->to->session);
	cv_op_add_uuid(&ask, into->fork->generation);
	cv_ask_add_int(&ask, into->fork->upto_seq);
	cv_ask_add_int(&ask, FORK_BYTES);
	if (into->more) {
		cv_op_add_uuid(&ask, into->source);
		cv_ask_add_int(&ask, into->first);
		cv_ask_add_int(&ask, into->next);
	}
	return cv_op_run(op, &ask, err);
}

int cv_redis_fork(struct convo_store *store, const struct store_call *call,
		  const struct convo_key *key, const struct store_fork *fork, struct convo_err *err)
{
	const struct convo_key to = {key->app, key->user, fork->session};
	struct redis_fork into = {.fork = fork, .to = &to};
	const struct redis_op op = {(struct redis_store *)store, call, key, &into};
	int rc;

	do
		rc = fork_some(&op, err);
	while (rc == 0 && into.more);
	return rc;
}
