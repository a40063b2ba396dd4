/*
 * Leases, drafts and forks; see turn.h. What a lease permits is decided by script/hold.lua and
 * script/draft.lua, in the same step in which it is used.
 */
#include <store/redis/turn.h>

#include <string.h>

#include <store/redis/event.h>
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

struct draft_op {
	const struct store_draft *draft;
	bool in_the_way;
};

static int draft_answer(struct redis_ask *ask, const struct redis_value *answer,
			struct convo_err *err)
{
	const struct redis_op *op = ask->ctx;
	struct draft_op *into = op->into;

	into->in_the_way = into->draft->pos && answer->item[0].integer == STORE_IN_THE_WAY;
	return into->in_the_way ? 0 : cv_op_plain(ask, answer, err);
}

/* What is new of the message; in front of it, the first time, the event without it. */
static void draft_add(struct redis_ask *ask, const struct store_draft *draft)
{
	const struct cv_text *message = &draft->event.field[FIELD_MESSAGE];
	struct store_event head = draft->event;
	size_t size = 0;
	char *room;

	if (draft->pos) {
		cv_ask_add(ask, message->data + draft->pos, message->len - draft->pos);
		return;
	}
	head.field[FIELD_MESSAGE] = (struct cv_text){"", 0};
	size = cv_event_size(&head);
	room = cv_ask_room(ask, size + message->len);
	if (room) {
		cv_event_pack(room, &head, 0);
		memcpy(room + size, message->data, message->len);
	}
	cv_ask_add_int(ask, (int64_t)size);
}

/* It travels with the appends of other threads. Replicas have it when they have it (R2). */
int cv_redis_draft(struct convo_store *store, const struct store_call *call,
		   const struct convo_key *key, const struct store_draft *draft,
		   struct convo_err *err)
{
	struct draft_op into = {draft, false};
	struct redis_op op = {(struct redis_store *)store, call, key, &into};
	struct redis_ask ask = {.answer = draft_answer, .ctx = &op, .repeat = true, .reads = true};
	int rc;

	cv_op_begin_session(&op, &ask, REDIS_SCRIPT_DRAFT);
	cv_op_add_uuid(&ask, draft->lease);
	cv_ask_add_int(&ask, draft->us);
	cv_op_add_uuid(&ask, draft->event.id);
	cv_ask_add_int(&ask, (int64_t)draft->pos);
	draft_add(&ask, draft);
	rc = cv_ask_run_grouped(op.redis, call, &ask, err);
	cv_ask_clear(&ask);
	return rc == 0 && into.in_the_way ? STORE_IN_THE_WAY : rc;
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
