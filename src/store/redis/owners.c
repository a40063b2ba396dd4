/*
 * Owners of sessions, found by the keys of their lists: there is no list of users, which would be one
 * more key for every new one to write, in another slot than the user's.
 *
 * SCAN goes through all keys of a server. What it says is good for one run of the server: a place
 * holds which one that was, and after a restart or a fail-over the server is gone through again. In a
 * cluster the masters follow one another by name, and if the cluster has changed meanwhile (its epoch
 * tells), all of them are gone through again. So owners may be told twice.
 */
#include <store/redis/owners.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <store/redis/op.h>
#include <store/redis/route.h>

#define RUN_ID 40

/* One step. */
struct owners_step {
	const struct redis_op *op;
	const char *app, *ending;
	struct store_owners_place *place; /* a copy, moved on */
	struct store_owners *into;
	char run[RUN_ID + 1]; /* of the server, as far as it tells */
	uint64_t next;
};

/* ---- keys ------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Undo what op.c does to a name. @return its length, 0 for what is no name */
static size_t key_name(char out[CONVO_MAX_NAME + 1], const char *from, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i < len && n < CONVO_MAX_NAME; i++) {
		int high = from[i] == '%' && i + 2 < len ? hex_digit(from[i + 1]) : -1;
		int low = high < 0 ? -1 : hex_digit(from[i + 2]);

		if (from[i] == '%' && low < 0)
			return 0;
		out[n++] = low < 0 ? from[i] : (char)(high * 16 + low);
		i += low < 0 ? 0 : 2;
	}
	out[n] = '\0';
	return i == len && !memchr(out, 0, n) ? n : 0;
}

/* "convo:{app:user}:live": add its owner, if it is such a key and one of the app that is wanted. */
static int owners_add_key(const struct owners_step *step, const struct redis_value *key,
			  struct convo_err *err)
{
	char app[CONVO_MAX_NAME + 1], user[CONVO_MAX_NAME + 1];
	const char *open = strchr(key->data, '{'), *close = open ? strchr(open, '}') : NULL;
	const char *colon = close ? memchr(open, ':', (size_t)(close - open)) : NULL;

	if (!colon || strcmp(close + 1, step->ending) != 0 ||
	    !key_name(app, open + 1, (size_t)(colon - open - 1)) ||
	    !key_name(user, colon + 1, (size_t)(close - colon - 1)))
		return 0;
	if (step->app && strcmp(step->app, app) != 0)
		return 0;
	return cv_owners_add(step->into, cv_text_of(app), cv_text_of(user), err);
}

/* ---- a server --------------------------------------------------------------------------- */

/* The next place in its table, and some keys. */
static int scan_answer(struct redis_ask *ask, const struct redis_value *answer,
		       struct convo_err *err)
{
	struct owners_step *step = ask->ctx;
	const struct redis_value *item = answer->item;
	char *end;
	size_t i;
	int rc = 0;

	cv_owners_reset(step->into);
	if (!op_is_list(answer, 2) || item[0].kind != REDIS_VALUE_STRING ||
	    !op_is_list(&item[1], 0))
		return cv_op_damaged(step->op, err);
	step->next = strtoull(item[0].data, &end, 10);
	if (*end || !item[0].len)
		return cv_op_damaged(step->op, err);
	for (i = 0; i < item[1].len && rc == 0; i++)
		rc = item[1].item[i].kind == REDIS_VALUE_STRING
			     ? owners_add_key(step, &item[1].item[i], err)
			     : cv_op_damaged(step->op, err);
	return rc;
}

static int run_answer(struct redis_ask *ask, const struct redis_value *answer,
		      struct convo_err *err)
{
	struct owners_step *step = ask->ctx;
	const char *id =
		answer->kind == REDIS_VALUE_STRING ? strstr(answer->data, "run_id:") : NULL;

	(void)err;
	if (id)
		snprintf(step->run, sizeof(step->run), "%.*s", RUN_ID, id + strlen("run_id:"));
	return 0;
}

/* Some keys of the server that serves the slot. */
static int step_scan(struct owners_step *step, unsigned slot, size_t n, struct convo_err *err)
{
	const struct redis_op *op = step->op;
	struct redis_ask scan = {
		.answer = scan_answer, .ctx = step, .slot = slot, .repeat = true, .reads = true};
	struct redis_ask info = {.answer = run_answer,
				 .ctx = step,
				 .slot = slot,
				 .repeat = true,
				 .reads = true,
				 .optional = true};
	char text[64];
	int rc;

	cv_ask_begin(&scan, REDIS_SCRIPTS, 0);
	cv_ask_add_text(&scan, "SCAN");
	snprintf(text, sizeof(text), "%llu", (unsigned long long)step->place->step);
	cv_ask_add_text(&scan, text);
	cv_ask_add_text(&scan, "MATCH");
	snprintf(text, sizeof(text), "%s:{*}%s", op->redis->base.prefix, step->ending);
	cv_ask_add_text(&scan, text);
	cv_ask_add_text(&scan, "COUNT");
	cv_ask_add_int(&scan, (int64_t)n * 8); /* a user has that many keys, or more */
	cv_ask_begin(&info, REDIS_SCRIPTS, 0);
	cv_ask_add_text(&info, "INFO");
	cv_ask_add_text(&info, "server");
	rc = cv_ask_run_both(op->redis, op->call, &scan, &info, err);
	cv_ask_clear(&scan);
	cv_ask_clear(&info);
	return rc;
}

/* The same, and move the place on. After a restart its number makes no sense there. */
static int step_server(struct owners_step *step, unsigned slot, size_t n, struct convo_err *err)
{
	struct store_owners_place *place = step->place;
	int rc = step_scan(step, slot, n, err);

	if (rc == 0 && place->step && strcmp(place->server, step->run) != 0) {
		place->step = 0;
		rc = step_scan(step, slot, n, err);
	}
	if (rc < 0)
		return rc;
	place->step = step->next;
	snprintf(place->server, sizeof(place->server), "%s", step->run);
	return 0;
}

/* ---- the cluster ------------------------------------------------------------------------ */

static int epoch_answer(struct redis_ask *ask, const struct redis_value *answer,
			struct convo_err *err)
{
	const char *found = answer->kind == REDIS_VALUE_STRING
				    ? strstr(answer->data, "cluster_current_epoch:")
				    : NULL;
	long long *epoch = ask->ctx;

	(void)err;
	if (found)
		*epoch = strtoll(found + strlen("cluster_current_epoch:"), NULL, 10);
	return 0;
}

static int cluster_epoch(const struct redis_op *op, long long *epoch, struct convo_err *err)
{
	struct redis_ask ask = {
		.answer = epoch_answer, .ctx = epoch, .repeat = true, .reads = true};
	int rc;

	cv_ask_begin(&ask, REDIS_SCRIPTS, 0);
	cv_ask_add_text(&ask, "CLUSTER");
	cv_ask_add_text(&ask, "INFO");
	rc = cv_ask_run(op->redis, op->call, &ask, err);
	cv_ask_clear(&ask);
	return rc;
}

/* Turn to the master behind the one that is done with; a place's app is its name, its user the epoch
 * at the beginning. @return 1, or 0 behind the last */
static int cluster_turn(struct owners_step *step, unsigned *slot, struct convo_err *err)
{
	struct store_owners_place *place = step->place;
	struct redis_store *redis = step->op->redis;
	char name[sizeof(place->app)];
	long long epoch = 0;
	int rc;

	if (!*place->app) {
		rc = cluster_epoch(step->op, &epoch, err);
		if (rc < 0)
			return rc;
		snprintf(place->user, sizeof(place->user), "%lld", epoch);
	}
	if (!cv_route_after(redis, place->app, name, sizeof(name), slot))
		return 0;
	snprintf(place->app, sizeof(place->app), "%s", name);
	place->step = 0;
	return 1;
}

/* All were gone through: again, if they have changed meanwhile. */
static int cluster_end(struct owners_step *step, bool *more, struct convo_err *err)
{
	long long epoch = 0;
	int rc = cluster_epoch(step->op, &epoch, err);

	*more = rc == 0 && strtoll(step->place->user, NULL, 10) != epoch;
	*step->place = (struct store_owners_place){0};
	return rc;
}

static int cluster_step(struct owners_step *step, size_t n, bool *more, struct convo_err *err)
{
	struct store_owners_place *place = step->place;
	unsigned slot = 0;
	int rc = 1;

	/* A server that is no master any more is left; the end tells that there was a change. */
	if (!place->step || !cv_route_slot_of(step->op->redis, place->app, &slot))
		rc = cluster_turn(step, &slot, err);
	if (rc < 0)
		return rc;
	if (rc == 0)
		return cluster_end(step, more, err);
	*more = true;
	return step_server(step, slot, n, err);
}

int cv_redis_owners(struct convo_store *store, const struct store_call *call, const char *app,
		    bool trash, size_t n, struct store_owners_place *place,
		    struct store_owners *into, bool *more, struct convo_err *err)
{
	const struct convo_key key = {.app = app};
	const struct redis_op op = {(struct redis_store *)store, call, &key, NULL};
	struct store_owners_place at = *place;
	struct owners_step step = {.op = &op,
				   .app = app,
				   .ending = trash ? ":trash" : ":live",
				   .place = &at,
				   .into = into};
	int rc;

	cv_owners_reset(into);
	if (cv_op_is_apart(&op)) {
		rc = cluster_step(&step, n, more, err);
	} else {
		rc = step_server(&step, 0, n, err);
		*more = at.step != 0;
	}
	if (rc == 0)
		*place = at;
	return rc;
}
