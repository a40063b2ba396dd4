/*
 * What every API works with.
 */
#ifndef SERVER_CORE_SERVICE_H
#define SERVER_CORE_SERVICE_H

#include <stdatomic.h>

#include <convo/store.h>

#include "core/models.h"

struct auth;    /* auth/auth.h */
struct live;    /* api/live.h */
struct metrics; /* metrics/metrics.h */
struct usage;   /* metrics/usage.h */

struct service {
	convo_store *store;
	struct models *models;
	struct auth *auth; /* whose limits answers count against */
	struct live *live; /* of the native API */
	struct metrics *metrics;
	struct usage *usage;
	atomic_bool draining; /* it shuts down: others should get the next requests */
};

/** Ask the store for an answer, for a second. @return 0, or why there is none */
int service_ask_store(const struct service *service, convo_cancel *cancel, struct convo_err *err);

#endif
