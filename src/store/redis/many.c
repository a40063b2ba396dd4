/*
 * Asking many things at once; see many.h. A first go takes all that a server serves in one batch; what
 * that leaves goes its own way, as any ask does.
 */
#include <store/redis/many.h>

#include <base/alloc.h>
#include <store/redis/batch.h>
#include <store/redis/redis.h>
#include <store/redis/route.h>

struct many {
	struct redis_store *redis;
	const struct store_call *call;
	struct redis_ask **ask;
	size_t count;
	struct redis_until until;
};

static void many_take(const struct many *many)
{
	size_t i;

	for (i = 0; i < many->count; i++) {
		struct redis_ask *ask = many->ask[i];
		struct convo_err why;

		ask->job.deadline_us = many->call->deadline_us;
		ask->job.cancel = many->call->cancel;
		ask->work = many->call->work;
		if (!ask->broken)
			cv_ask_close(many->redis, ask);
		if (ask->broken || cv_route_take(many->redis, ask, &many->until, &why) < 0)
			ask->node = NULL;
	}
}

/* Ask the server of the first of those that are left. `some` has room for all. */
static void many_batch(const struct many *many, size_t first, struct redis_ask **some)
{
	struct redis_node *node = many->ask[first]->node;
	struct redis_batch batch = {.node = node, .ask = some, .until = many->until};
	size_t i;

	for (i = first; i < many->count; i++) {
		if (many->ask[i]->node == node)
			some[batch.count++] = many->ask[i];
	}
	(void)cv_batch_run(&batch);
	for (i = 0; i < batch.count; i++)
		cv_route_give(many->redis, some[i]);
	for (i = 0; i < batch.count; i++)
		some[i]->node = NULL; /* alone, giving leaves it */
}

static void many_first_go(const struct many *many)
{
	struct redis_ask **some = cv_alloc(many->count, sizeof(struct redis_ask *));
	size_t i;

	if (!some)
		return; /* one after the other, then */
	many_take(many);
	for (i = 0; i < many->count; i++) {
		if (many->ask[i]->node)
			many_batch(many, i, some);
	}
	free(some);
}

int cv_ask_run_many(struct redis_store *redis, const struct store_call *call,
		    struct redis_ask **asks, size_t count, struct convo_err *err)
{
	struct many many = {redis, call, asks, count, {.deadline_us = call->deadline_us}};
	int first = 0;
	size_t i;

	if (call->cancel) {
		many.until.cancel = &call->cancel;
		many.until.cancels = 1;
	}
	if (count > 1)
		many_first_go(&many);
	for (i = 0; i < count; i++) {
		struct convo_err why = {0};
		int rc = cv_ask_run(redis, call, asks[i], &why);

		asks[i]->job.rc = rc;
		asks[i]->job.err = why;
		if (rc < 0 && first == 0) {
			first = rc;
			if (err)
				*err = why;
		}
	}
	return first;
}
