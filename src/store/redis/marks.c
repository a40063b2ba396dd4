/*
 * Marks and weights of many sessions; see marks.h. A script can look at the sessions of one user, so
 * marks are asked for with one for each user, all of them in one go.
 */
#include <store/redis/marks.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <store/redis/many.h>
#include <store/redis/op.h>

#define WEIGH_BYTES (16 << 20) /* of events that one script looks at, and at most one piece more */

/* ---- marks ------------------------------------------------------------------------------ */

struct mark_place {
	const struct convo_key *key;
	uint64_t *mark;
};

/* The sessions of one user: an ask and its operation. */
struct mark_user {
	struct redis_op op;
	struct redis_ask ask;
	const struct mark_place *place;
	size_t count;
};

static int place_compare(const void *left, const void *right)
{
	const struct convo_key *a = ((const struct mark_place *)left)->key;
	const struct convo_key *b = ((const struct mark_place *)right)->key;
	int order = strcmp(a->app, b->app);

	return order ? order : strcmp(a->user, b->user);
}

/* 16 digits, or nothing for a session that is absent. */
static bool mark_read(const struct redis_value *item, uint64_t *mark)
{
	char *end;

	if (item->kind != REDIS_VALUE_STRING)
		return false;
	*mark = 0;
	if (!item->len)
		return true;
	*mark = strtoull(item->data, &end, 16);
	if (!*mark)
		*mark = 1;
	return item->len == 16 && end == item->data + item->len;
}

static int marks_answer(struct redis_ask *ask, const struct redis_value *answer,
			struct convo_err *err)
{
	const struct mark_user *user = ask->ctx;
	const struct redis_value *item = answer->item;
	size_t i;

	if (item[0].integer || answer->len != user->count + 1)
		return cv_op_damaged(&user->op, err);
	for (i = 0; i < user->count; i++) {
		if (!mark_read(&item[1 + i], user->place[i].mark))
			return cv_op_damaged(&user->op, err);
	}
	return 0;
}

static void mark_user_begin(struct mark_user *user, struct redis_store *redis,
			    const struct store_call *call, const struct mark_place *place)
{
	*user = (struct mark_user){.op = {.redis = redis, .call = call, .key = place->key},
				   .ask = {.answer = marks_answer, .repeat = true, .reads = true},
				   .place = place};
	user->ask.ctx = user;
	cv_op_begin(&user->op, &user->ask, REDIS_SCRIPT_MARKS, place->key->app, place->key->user);
}

/* Add all users' asks. @return how many there are */
static size_t marks_begin(struct redis_store *redis, const struct store_call *call,
			  const struct mark_place *place, size_t count, struct mark_user *users,
			  struct redis_ask **asks)
{
	size_t n = 0, i;

	for (i = 0; i < count; i++) {
		if (!i || place_compare(&place[i - 1], &place[i]) != 0) {
			mark_user_begin(&users[n], redis, call, &place[i]);
			asks[n] = &users[n].ask;
			n++;
		}
		cv_ask_add_text(asks[n - 1], place[i].key->session);
		users[n - 1].count++;
	}
	return n;
}

int cv_redis_marks(struct convo_store *store, const struct store_call *call,
		   const struct convo_key *const *keys, size_t count, uint64_t *marks,
		   struct convo_err *err)
{
	struct mark_place *place = cv_alloc(count, sizeof(*place));
	struct mark_user *users = cv_alloc(count, sizeof(*users));
	struct redis_ask **asks = cv_alloc(count, sizeof(struct redis_ask *));
	size_t n = 0, i;
	int rc;

	if (!place || !users || !asks) {
		rc = cv_fail_nomem(err);
		goto out;
	}
	for (i = 0; i < count; i++)
		place[i] = (struct mark_place){keys[i], &marks[i]};
	qsort(place, count, sizeof(*place), place_compare);
	n = marks_begin((struct redis_store *)store, call, place, count, users, asks);
	rc = cv_ask_run_many((struct redis_store *)store, call, asks, n, err);
	for (i = 0; i < n; i++)
		cv_ask_clear(asks[i]);
out:
	free(place);
	free(users);
	free(asks);
	return rc;
}

/* ---- weights ---------------------------------------------------------------------------- */

/* Sessions that are being weighed: how far it has come. */
struct redis_weigh {
	const struct store_weighed *sessions;
	size_t count;
	size_t from; /* the first one that is left, */
	int64_t seq; /* and its seq to go on with */
	int64_t bytes;
	bool more;
};

static int weigh_answer(struct redis_ask *ask, const struct redis_value *answer,
			struct convo_err *err)
{
	const struct redis_op *op = ask->ctx;
	const struct redis_value *item = answer->item;
	struct redis_weigh *weigh = op->into;
	int64_t bytes, at, seq;

	if (item[0].integer || answer->len != 4 || !cv_op_number(&item[1], &bytes) ||
	    !cv_op_number(&item[2], &at) || !cv_op_number(&item[3], &seq) ||
	    (size_t)at >= weigh->count - weigh->from || (seq && !at && seq <= weigh->seq))
		return cv_op_damaged(op, err);
	weigh->more = seq > 0;
	weigh->bytes += bytes;
	weigh->from += (size_t)at;
	weigh->seq = seq;
	return 0;
}

static int weigh_some(const struct redis_op *op, struct convo_err *err)
{
	struct redis_weigh *weigh = op->into;
	struct redis_ask ask = {
		.answer = weigh_answer, .ctx = (void *)op, .repeat = true, .reads = true};
	size_t i;

	cv_op_begin(op, &ask, REDIS_SCRIPT_WEIGH, op->key->app, op->key->user);
	cv_ask_add_int(&ask, WEIGH_BYTES);
	for (i = weigh->from; i < weigh->count; i++) {
		const struct store_weighed *session = &weigh->sessions[i];

		cv_ask_add_text(&ask, session->session);
		cv_op_add_uuid(&ask, session->generation);
		cv_ask_add_int(&ask, i == weigh->from ? weigh->seq : session->first_seq);
		cv_ask_add_int(&ask, session->last_seq);
	}
	return cv_op_run(op, &ask, err);
}

int cv_redis_weigh(struct convo_store *store, const struct store_call *call, const char *app,
		   const char *user, const struct store_weighed *sessions, size_t count,
		   int64_t *bytes, struct convo_err *err)
{
	struct redis_weigh weigh = {.sessions = sessions, .count = count};
	const struct convo_key key = {.app = app, .user = user};
	const struct redis_op op = {(struct redis_store *)store, call, &key, &weigh};
	int rc = 0;

	if (!count) {
		*bytes = 0;
		return 0;
	}
	weigh.seq = sessions[0].first_seq;
	do
		rc = weigh_some(&op, err);
	while (rc == 0 && weigh.more);
	if (rc == 0)
		*bytes = weigh.bytes;
	return rc;
}
