/*
 * Counting what there is (E2): over a walk like any caller's, so in small steps.
 */
#include <convo/store.h>

#include <string.h>

#include <base/clock.h>
#include <base/fail.h>
#include <store/front/call.h>
#include <store/front/cursor.h>

#define HOUR_MS INT64_C(3600000)

static void stats_meta(struct convo_stats *stats, const struct convo_meta *meta, int64_t now_ms)
{
	int64_t age_ms = now_ms - meta->updated_ms;

	stats->sessions++;
	stats->active_hour += age_ms < HOUR_MS;
	stats->active_day += age_ms < 24 * HOUR_MS;
	stats->active_week += age_ms < 7 * 24 * HOUR_MS;
	stats->events += meta->count;
}

/* Whether a page is of another user than the one before. */
static bool stats_new_user(char last[2][CONVO_MAX_NAME + 1], const struct convo_key *owner)
{
	if (strcmp(last[0], owner->app) == 0 && strcmp(last[1], owner->user) == 0)
		return false;
	memcpy(last[0], owner->app, strlen(owner->app) + 1);
	memcpy(last[1], owner->user, strlen(owner->user) + 1);
	return true;
}

static int stats_walk(convo_store *store, const struct store_call *call, convo_cursor *cursor,
		      bool trash, struct convo_stats *stats, struct convo_err *err)
{
	char last[2][CONVO_MAX_NAME + 1] = {"", ""};
	size_t count = 0, i;
	int64_t bytes;
	int rc;

	for (;;) {
		rc = cv_cursor_next(cursor, store, call, STORE_WEIGHED, &count, err);
		if (rc < 0 || !count)
			return rc;
		if (trash) {
			stats->trash += (int64_t)count;
			continue;
		}
		stats->users += stats_new_user(last, convo_cursor_owner(cursor));
		for (i = 0; i < count; i++)
			stats_meta(stats, convo_cursor_meta(cursor, i), call->now_ms);
		bytes = 0;
		rc = cv_cursor_weigh(cursor, store, call, &bytes, err);
		if (rc < 0)
			return rc;
		stats->bytes += bytes;
	}
}

static int stats_of(convo_store *store, const struct store_call *call, const char *app,
		    const char *user, enum convo_list_what what, struct convo_stats *stats,
		    struct convo_err *err)
{
	convo_cursor *cursor = NULL;
	int rc = convo_cursor_new(&cursor, app, user, what, err);

	if (rc >= 0)
		rc = stats_walk(store, call, cursor, what == CONVO_LIST_TRASH, stats, err);
	convo_cursor_free(cursor);
	return rc;
}

int convo_store_stats(convo_store *store, const char *app, const char *user,
		      struct convo_stats *out, const struct convo_call *how, struct convo_err *err)
{
	struct convo_stats stats = {0};
	struct store_call call;
	struct convo_err why;
	int rc = cv_call_begin(&call, store, how, err);

	if (rc < 0)
		return rc;
	rc = cv_check_given(out, "where the figures go", err);
	if (rc < 0)
		return rc;
	rc = stats_of(store, &call, app, user, CONVO_LIST_LIVE, &stats, &why);
	if (rc >= 0)
		rc = stats_of(store, &call, app, user, CONVO_LIST_TRASH, &stats, &why);
	if (rc < 0 && (rc != CONVO_E_TIMEOUT || cv_clock_mono_us() < call.deadline_us)) {
		if (err)
			*err = why;
		return rc;
	}
	stats.partial = rc < 0;
	*out = stats;
	return 0;
}
