/*
 * Reading figures that are kept: what all servers on a store counted together, hour by hour or day by day.
 */
#ifndef SERVER_METRICS_REPORT_H
#define SERVER_METRICS_REPORT_H

#include <convo/store.h>

#include "metrics/figures.h"
#include "metrics/shelf.h"

/** Longest time that is told by the hour. */
#define REPORT_HOURS_S ((int64_t)8 * SHELF_DAY)

struct report_point {
	int64_t begin_s;
	struct figures figures;
};

/** All-zero is of nothing. */
struct report {
	enum shelf_step step;
	int64_t from_s, to_s;        /* of whole hours or days */
	struct report_point *points; /* of each of them, in order */
	size_t count;
	struct figures total;
};

/**
 * Read what was counted from one moment to another, of the hours or days that hold them. By the hour where
 * that is not too long and the hours are still kept, else by the day.
 *
 * @param from_s, to_s Unix seconds, the first before the second
 * @param now_s        what the time is
 * @return 0, CONVO_E_INVALID when it is longer than figures are kept, CONVO_E_NOMEM, or as
 *         convo_store_state_list(); to be cleared in any case
 */
int report_read(struct report *out, convo_store *store, int64_t from_s, int64_t to_s, int64_t now_s,
		const struct convo_call *call, struct convo_err *err);

void report_clear(struct report *report);

/** Write it as JSON (docs/monitoring.md). @return success */
bool report_write(struct text *out, const struct report *report);

#endif
