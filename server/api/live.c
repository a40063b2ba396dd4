/*
 * What is alive; see live.h.
 */
#include "api/live.h"

#include <stdlib.h>

#include "api/hub.h"
#include "api/running.h"
#include "core/fail.h"

int live_open(struct live **out, convo_store *store, struct convo_err *err)
{
	struct live *live = calloc(1, sizeof(*live));

	if (live) {
		live->running = running_new();
		live->hub = hub_new(store);
	}
	if (!live || !live->running || !live->hub) {
		live_close(live);
		return fail(err, CONVO_E_NOMEM, "out of memory");
	}
	*out = live;
	return 0;
}

void live_close(struct live *live)
{
	if (!live)
		return;
	hub_free(live->hub);
	running_free(live->running);
	free(live);
}
