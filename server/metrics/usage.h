/*
 * Keeping figures: what this server counted is written to the store once a minute, and at its end, for the hour and
 * the day that it is (shelf.h). A server that is killed loses what it counted since then. What is kept long enough
 * is removed, by whichever server finds it.
 */
#ifndef SERVER_METRICS_USAGE_H
#define SERVER_METRICS_USAGE_H

#include <convo/store.h>

#include "metrics/metrics.h"

struct usage;

/** Begin: a thread writes. Both are borrowed until usage_stop(). @return 0, CONVO_E_NOMEM, CONVO_E_IO */
int usage_start(struct usage **out, struct metrics *metrics, convo_store *store,
		struct convo_err *err);

/** Write what is new at once. Blocks as the store does. Thread-safe. @return 0, or as convo_store_state_set() */
int usage_flush(struct usage *usage, const struct convo_call *call, struct convo_err *err);

/** Write the last, for two seconds at most for each, and end the thread. NULL is fine. */
void usage_stop(struct usage *usage);

#endif
