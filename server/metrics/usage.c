/*
 * Keeping figures; see usage.h.
 */
#include "metrics/usage.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/fail.h"
#include "metrics/shelf.h"
#include "term/term.h"

#define MINUTE_S 60
#define STORE_MS 5000
#define LAST_MS 2000

/* How often it is looked for what is to be removed. */
#define CLEAN_S (6 * SHELF_HOUR)

/* Hours and days that a store may be away for before the oldest is given up. */
#define WAITING_MOST 128

/* State is removed in steps. */
#define REMOVE_MOST 200

/* What is to be written under a name. */
struct entry {
	struct shelf_place place;
	struct text json;
};

/* An hour or a day that goes on. */
struct period {
	enum shelf_step step;
	int64_t begin_s;
	struct figures before;   /* what was counted when it began, since the server did */
	struct sketch sessions;  /* of it */
	struct text written;     /* as it was written last */
	char listed[SHELF_SIZE]; /* the shelf that is on the list of all */
};

struct usage {
	struct metrics *metrics;
	convo_store *store;
	pthread_t thread;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t wake;
	bool leaving;
	bool told; /* that it cannot be written */
	char writer[17];
	struct period periods[2];
	struct entry waiting[WAITING_MOST]; /* periods that are over, oldest first */
	size_t waiting_count;
};

static int64_t now_s(void)
{
	return (int64_t)time(NULL);
}

/* ---- the store ------------------------------------------------------------------------ */

static int usage_set(struct usage *usage, const char *app, const struct convo_item *items,
		     size_t count, const struct convo_call *call, struct convo_err *err)
{
	const struct convo_key key = {.app = app};

	return convo_store_state_set(usage->store, &key, items, count, call, err);
}

/* Put a shelf on the list, before anything is on the shelf: so all that there is can be found. */
static int usage_list_shelf(struct usage *usage, char listed[SHELF_SIZE],
			    const struct shelf_place *place, const struct convo_call *call,
			    struct convo_err *err)
{
	char name[4 + SHELF_SIZE];
	const struct convo_item item = {.name = name, .json = "1"};
	int rc;

	if (!strcmp(listed, place->shelf))
		return 0;
	snprintf(name, sizeof(name), "app:%s", place->shelf);
	rc = usage_set(usage, SHELF_LIST_APP, &item, 1, call, err);
	if (rc == 0)
		memcpy(listed, place->shelf, SHELF_SIZE);
	return rc;
}

static int usage_put(struct usage *usage, const struct shelf_place *place, const char *json,
		     const struct convo_call *call, struct convo_err *err)
{
	const struct convo_item item = {.name = place->name, .json = json};

	return usage_set(usage, place->app, &item, 1, call, err);
}

/* ---- periods -------------------------------------------------------------------------- */

/* The figures of a period up to now, as JSON. @return success; `out` stays empty for nothing */
static bool period_write(struct text *out, const struct period *period,
			 const struct figures *counted)
{
	struct figures figures = {0};
	bool ok = figures_add(&figures, counted);

	if (ok) {
		figures_subtract(&figures, &period->before);
		figures.sessions = period->sessions;
		ok = figures_are_empty(&figures) || figures_write(out, &figures);
	}
	figures_clear(&figures);
	return ok;
}

/* One more that waits to be written; the oldest goes where there is no room. */
static void usage_wait(struct usage *usage, const struct shelf_place *place, struct text *json)
{
	struct entry *list = usage->waiting;

	if (usage->waiting_count == WAITING_MOST) {
		text_clear(&list[0].json);
		memmove(list, list + 1, (WAITING_MOST - 1) * sizeof(*list));
		usage->waiting_count--;
	}
	list += usage->waiting_count++;
	list->place = *place;
	list->json = *json;
	memset(json, 0, sizeof(*json));
}

/* A new name for what is written. */
static void usage_rename(struct usage *usage)
{
	char uuid[CONVO_UUID_SIZE];

	convo_uuid_make(uuid);
	memcpy(usage->writer, uuid + 24, 13); /* its last part, which is random */
}

/* Begins the hour or the day that it is, if it is another one, or `anew`. */
static bool period_turn(struct usage *usage, struct period *period, const struct figures *counted,
			int64_t at_s, bool anew)
{
	const int64_t begin_s = shelf_begin(period->step, at_s);
	struct figures before = {0};
	struct text json = {0};
	struct shelf_place place;

	if (begin_s == period->begin_s && !anew)
		return true;
	if (!figures_add(&before, counted) || !period_write(&json, period, counted)) {
		figures_clear(&before);
		text_clear(&json);
		return false;
	}
	if (json.len) {
		shelf_place(&place, period->step, period->begin_s, usage->writer);
		usage_wait(usage, &place, &json);
	}
	figures_clear(&period->before);
	period->before = before;
	memset(&period->sessions, 0, sizeof(period->sessions));
	text_clear(&period->written);
	period->begin_s = begin_s;
	return true;
}

static int period_store(struct usage *usage, struct period *period, const struct figures *counted,
			const struct convo_call *call, struct convo_err *err)
{
	struct text json = {0};
	struct shelf_place place;
	int rc = 0;

	if (!period_write(&json, period, counted))
		rc = fail(err, CONVO_E_NOMEM, "out of memory");
	if (rc == 0 && json.len &&
	    (!period->written.len || strcmp(json.data, period->written.data) != 0)) {
		shelf_place(&place, period->step, period->begin_s, usage->writer);
		rc = usage_list_shelf(usage, period->listed, &place, call, err);
		if (rc == 0)
			rc = usage_put(usage, &place, json.data, call, err);
		if (rc == 0) {
			text_clear(&period->written);
			period->written = json;
			return 0;
		}
	}
	text_clear(&json);
	return rc;
}

/* What the store will never take: its shelf is full. */
static bool usage_is_refused(int rc)
{
	return rc == CONVO_E_TOOBIG || rc == CONVO_E_INVALID;
}

static int usage_store_waiting(struct usage *usage, const struct convo_call *call,
			       struct convo_err *err)
{
	char listed[SHELF_SIZE] = "";
	int rc = 0;

	while (rc == 0 && usage->waiting_count) {
		struct entry *first = &usage->waiting[0];

		rc = usage_list_shelf(usage, listed, &first->place, call, err);
		if (rc == 0)
			rc = usage_put(usage, &first->place, first->json.data, call, err);
		if (rc < 0 && !usage_is_refused(rc))
			return rc;
		text_clear(&first->json);
		memmove(first, first + 1, --usage->waiting_count * sizeof(*first));
	}
	return rc;
}

/*
 * With the lock held. A clock that was set back comes to hours that were written: what is counted from now on has
 * another name than they.
 */
static int usage_turn(struct usage *usage, const struct figures *counted, struct convo_err *err)
{
	struct sketch sessions = {{0}};
	const int64_t at_s = now_s();
	const bool back = at_s < usage->periods[0].begin_s;
	bool ok = true;
	size_t i;

	metrics_take_sessions(&sessions, usage->metrics);
	for (i = 0; i < 2; i++)
		sketch_add(&usage->periods[i].sessions, &sessions);
	for (i = 0; i < 2; i++)
		ok = period_turn(usage, &usage->periods[i], counted, at_s, back) && ok;
	if (back)
		usage_rename(usage);
	return ok ? 0 : fail(err, CONVO_E_NOMEM, "out of memory");
}

int usage_flush(struct usage *usage, const struct convo_call *call, struct convo_err *err)
{
	struct figures counted = {0};
	size_t i;
	int rc = 0, one;

	pthread_mutex_lock(&usage->lock);
	if (!metrics_figures(&counted, usage->metrics))
		rc = fail(err, CONVO_E_NOMEM, "out of memory");
	if (rc == 0)
		rc = usage_turn(usage, &counted, err);
	if (rc == 0)
		rc = usage_store_waiting(usage, call, err);
	for (i = 0; (rc == 0 || usage_is_refused(rc)) && i < 2; i++) {
		one = period_store(usage, &usage->periods[i], &counted, call, err);
		rc = one < 0 ? one : rc;
	}
	figures_clear(&counted);
	pthread_mutex_unlock(&usage->lock);
	return rc;
}

/* ---- what is over --------------------------------------------------------------------- */

static int usage_remove(struct usage *usage, const char *app, const convo_state *state, size_t from)
{
	struct convo_item items[REMOVE_MOST];
	const struct convo_call call = {.timeout_ms = STORE_MS};
	const struct convo_item *item;
	size_t count = 0;

	while (count < REMOVE_MOST && (item = convo_state_at(state, from + count))) {
		items[count] = *item;
		items[count++].json = NULL;
	}
	return count ? usage_set(usage, app, items, count, &call, NULL) : 0;
}

/* Empty a shelf, and then take it off the list. */
static void usage_remove_shelf(struct usage *usage, const char *shelf, const char *listed)
{
	const struct convo_call call = {.timeout_ms = STORE_MS};
	const struct convo_item entry = {.name = listed};
	char app[32];
	const struct convo_key key = {.app = app};
	convo_state *state = NULL;
	size_t from;
	int rc;

	snprintf(app, sizeof(app), SHELF_APPS "%s", shelf);
	rc = convo_store_state_list(&state, usage->store, &key, CONVO_SCOPE_APP, &call, NULL);
	for (from = 0; rc == 0 && from < convo_state_count(state); from += REMOVE_MOST)
		rc = usage_remove(usage, app, state, from);
	convo_state_free(state);
	if (rc == 0)
		usage_set(usage, SHELF_LIST_APP, &entry, 1, &call, NULL);
}

/* What fails is done the next time, here or by another server. */
static void usage_clean(struct usage *usage)
{
	const struct convo_key key = {.app = SHELF_LIST_APP};
	const struct convo_call call = {.timeout_ms = STORE_MS};
	const struct convo_item *item;
	convo_state *state = NULL;
	enum shelf_step step;
	int64_t shelf_s;
	size_t i;

	if (convo_store_state_list(&state, usage->store, &key, CONVO_SCOPE_APP, &call, NULL) < 0)
		return;
	for (i = 0; (item = convo_state_at(state, i)); i++)
		if (!strncmp(item->name, "app:", 4) &&
		    shelf_read(&step, &shelf_s, item->name + 4) &&
		    shelf_is_over(step, shelf_s, now_s()))
			usage_remove_shelf(usage, item->name + 4, item->name);
	convo_state_free(state);
}

/* ---- the thread ----------------------------------------------------------------------- */

/* Waits until a minute has gone by on the clock. @return false: leave */
static bool usage_sleep(struct usage *usage)
{
	const int64_t until_s = (now_s() / MINUTE_S + 1) * MINUTE_S;
	const struct timespec until = {.tv_sec = (time_t)until_s};
	bool stays;

	pthread_mutex_lock(&usage->lock);
	while (!usage->leaving &&
	       pthread_cond_timedwait(&usage->wake, &usage->lock, &until) != ETIMEDOUT)
		;
	stays = !usage->leaving;
	pthread_mutex_unlock(&usage->lock);
	return stays;
}

/* Says once that figures cannot be written. */
static void usage_tell(struct usage *usage, int rc, const struct convo_err *err)
{
	if (rc < 0 && !usage->told)
		term_error("figures are not written: %s", err->text);
	usage->told = rc < 0;
}

static void *usage_main(void *ctx)
{
	struct usage *usage = ctx;
	const struct convo_call call = {.timeout_ms = STORE_MS};
	int64_t cleaned_s = 0;

	do {
		struct convo_err err = {0};

		usage_tell(usage, usage_flush(usage, &call, &err), &err);
		if (now_s() - cleaned_s >= CLEAN_S) {
			usage_clean(usage);
			cleaned_s = now_s();
		}
	} while (usage_sleep(usage));
	return NULL;
}

/* ---- beginning and end ---------------------------------------------------------------- */

static void usage_free(struct usage *usage)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		figures_clear(&usage->periods[i].before);
		text_clear(&usage->periods[i].written);
	}
	for (i = 0; i < usage->waiting_count; i++)
		text_clear(&usage->waiting[i].json);
	pthread_cond_destroy(&usage->wake);
	pthread_mutex_destroy(&usage->lock);
	free(usage);
}

int usage_start(struct usage **out, struct metrics *metrics, convo_store *store,
		struct convo_err *err)
{
	struct usage *usage = calloc(1, sizeof(*usage));
	int rc;

	if (!usage)
		return fail(err, CONVO_E_NOMEM, "out of memory");
	usage->metrics = metrics;
	usage->store = store;
	pthread_mutex_init(&usage->lock, NULL);
	pthread_cond_init(&usage->wake, NULL);
	usage_rename(usage);
	usage->periods[0].step = SHELF_HOUR;
	usage->periods[1].step = SHELF_DAY;
	usage->periods[0].begin_s = shelf_begin(SHELF_HOUR, now_s());
	usage->periods[1].begin_s = shelf_begin(SHELF_DAY, now_s());
	rc = pthread_create(&usage->thread, NULL, usage_main, usage);
	if (rc == 0) {
		*out = usage;
		return 0;
	}
	usage_free(usage);
	return fail(err, CONVO_E_IO, "figures: %s", strerror(rc));
}

void usage_stop(struct usage *usage)
{
	const struct convo_call call = {.timeout_ms = LAST_MS};
	struct convo_err err = {0};

	if (!usage)
		return;
	pthread_mutex_lock(&usage->lock);
	usage->leaving = true;
	pthread_cond_signal(&usage->wake);
	pthread_mutex_unlock(&usage->lock);
	pthread_join(usage->thread, NULL);
	usage_tell(usage, usage_flush(usage, &call, &err), &err);
	usage_free(usage);
}
