/*
 * Asks for one server, of one thread or of many, in one go.
 */
#ifndef STORE_REDIS_BATCH_H
#define STORE_REDIS_BATCH_H

#include <store/redis/node.h>
#include <store/redis/request.h>

struct redis_batch {
	struct redis_node *node;
	struct redis_ask **ask; /* none of them done */
	size_t count;
	struct redis_until until; /* ends it for all */
	struct redis_ask *beside; /* for another server, ask->node: asked while this one answers; or
	                             NULL */
};

/**
 * Ask for all that is not done, until each is done or must go elsewhere. What is neither when it
 * ends has failed for now: its job.rc and job.err tell why.
 *
 * @return 0, or what ended it
 */
int cv_batch_run(struct redis_batch *batch);

#endif
