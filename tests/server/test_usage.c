/*
 * Keeping figures in a store: two servers on one add up, however they write; what is over goes.
 */
#include <support/test.h>

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "metrics/report.h"
#include "metrics/usage.h"
#include "stats_show.h"

/* What a server has, as far as figures go. */
struct counting {
	struct metrics *metrics;
	struct usage *usage;
	struct convo_model_trace model;
};

static void counting_start(struct counting *counting, convo_store *store, const char *model)
{
	struct convo_err err;

	must_pass(metrics_new(&counting->metrics, &err));
	must(metrics_model(counting->metrics, model, &counting->model));
	must_pass(usage_start(&counting->usage, counting->metrics, store, &err));
}

static void counting_stop(struct counting *counting)
{
	usage_stop(counting->usage);
	metrics_free(counting->metrics);
}

/* An answer of 11 and 7 tokens, stored in a session. */
static void count_turn(struct counting *counting, const char *session)
{
	const struct convo_key key = {"convo", "ann", session};
	const struct convo_answer answer = {
		.prompt_tokens = 11, .completion_tokens = 7, .first_ms = 3};
	const struct convo_trace_ask ask = {.answer = &answer, .duration_us = 5000};
	const struct convo_trace_call call = {
		.op = "append", .key = &key, .duration_us = 90, .events = 2};

	counting->model.on_ask(counting->model.ctx, &ask);
	metrics_store_call(counting->metrics, &call);
}

static convo_store *store_open(void)
{
	const struct convo_store_options opts = {.clean_interval_ms = CONVO_OFF};
	convo_store *store = NULL;
	struct convo_err err;

	must_pass(convo_store_open(&store, "memory:", &opts, &err));
	return store;
}

/* Of the last two days, so that a test at midnight loses nothing. */
static void report_now(struct report *report, convo_store *store, int64_t back_s)
{
	const int64_t now_s = (int64_t)time(NULL);
	struct convo_err err;

	must_pass(report_read(report, store, now_s - back_s, now_s + 1, now_s, NULL, &err));
}

static void must_tell(convo_store *store, uint64_t turns, uint64_t sessions)
{
	static const int64_t backs[] = {2 * SHELF_DAY,
					30 * SHELF_DAY}; /* by the hour, by the day */
	size_t i;

	for (i = 0; i < 2; i++) {
		struct report report = {0};
		struct figures_model all;

		report_now(&report, store, backs[i]);
		must(report.step == (i ? SHELF_DAY : SHELF_HOUR));
		all = figures_all_models(&report.total);
		must_equal(turns, all.turns[CONVO_COMPLETE]);
		must_equal(11 * turns, all.tokens[FIGURES_PROMPT]);
		must_equal(7 * turns, all.tokens[FIGURES_COMPLETION]);
		must_equal(turns, histogram_total(&all.whole));
		must_equal(2 * turns, report.total.events);
		must_equal(sessions, sketch_count(&report.total.sessions));
		report_clear(&report);
	}
}

static void test_usage__two_servers_and_their_next_lives_add_up(void **state)
{
	convo_store *store = store_open();
	struct counting one = {0}, other = {0};
	struct convo_err err;
	int i;

	(void)state;
	must_tell(store, 0, 0);
	counting_start(&one, store, "m");
	counting_start(&other, store, "m");
	for (i = 0; i < 5; i++) {
		count_turn(&one, i % 2 ? "a" : "b");
		count_turn(&other, i % 2 ? "b" : "c");
		must_pass(usage_flush(one.usage, NULL, &err));
		must_pass(usage_flush(one.usage, NULL, &err));
	}
	counting_stop(&other); /* writes its own */
	must_tell(store, 10, 3);
	counting_stop(&one);
	must_tell(store, 10, 3);
	counting_start(&one, store, "another");
	count_turn(&one, "d");
	counting_stop(&one);
	must_tell(store, 11, 4);
	convo_store_close(store);
}

struct race {
	struct counting servers[2];
	atomic_int turns;
};

static void race_run(void *ctx, int index)
{
	struct race *race = ctx;
	struct counting *mine = &race->servers[index % 2];
	struct convo_err err;
	int i;

	for (i = 0; i < 50; i++) {
		count_turn(mine, index < 4 ? "a" : "b");
		atomic_fetch_add(&race->turns, 1);
		must_pass(usage_flush(mine->usage, NULL, &err));
	}
}

static void test_usage__who_writes_at_the_same_time_counts_nothing_twice(void **state)
{
	convo_store *store = store_open();
	struct race race = {0};

	(void)state;
	counting_start(&race.servers[0], store, "m");
	counting_start(&race.servers[1], store, "m");
	test_threads(8, race_run, &race);
	must_tell(store, 400, 2);
	counting_stop(&race.servers[0]);
	counting_stop(&race.servers[1]);
	must_tell(store, 400, 2);
	convo_store_close(store);
}

/* ---- what is over --------------------------------------------------------------------- */

static void put(convo_store *store, const char *app, const char *name)
{
	const struct convo_key key = {.app = app};
	const struct convo_item item = {.name = name, .json = "1"};
	struct convo_err err;

	must_pass(convo_store_state_set(store, &key, &item, 1, NULL, &err));
}

static size_t held(convo_store *store, const char *app)
{
	const struct convo_key key = {.app = app};
	convo_state *state = NULL;
	struct convo_err err;
	size_t count;

	must_pass(convo_store_state_list(&state, store, &key, CONVO_SCOPE_APP, NULL, &err));
	count = convo_state_count(state);
	convo_state_free(state);
	return count;
}

static void test_usage__old_shelves_are_emptied_and_young_ones_are_not(void **state)
{
	convo_store *store = store_open();
	struct counting counting = {0};
	const struct timespec pause = {0, 5000000};
	struct shelf_place young;
	char name[24];
	int i;

	(void)state;
	for (i = 0; i < 450; i++) {
		snprintf(name, sizeof(name), "app:%02d/w%d", i % 24, i);
		put(store, "convo:usage/20200229", name);
	}
	put(store, "convo:usage/201912", "app:31/w");
	shelf_place(&young, SHELF_HOUR, (int64_t)time(NULL) - 10 * SHELF_DAY, "w");
	put(store, young.app, young.name);
	put(store, SHELF_LIST_APP, "app:20200229");
	put(store, SHELF_LIST_APP, "app:201912");
	put(store, SHELF_LIST_APP, "app:nothing");
	snprintf(name, sizeof(name), "app:%s", young.shelf);
	put(store, SHELF_LIST_APP, name);
	counting_start(&counting, store, "m");
	for (i = 0; i < 2000 && held(store, SHELF_LIST_APP) > 2; i++)
		nanosleep(&pause, NULL);
	must_equal(2, held(store, SHELF_LIST_APP));
	must_equal(0, held(store, "convo:usage/20200229"));
	must_equal(0, held(store, "convo:usage/201912"));
	must_equal(1, held(store, young.app));
	counting_stop(&counting);
	convo_store_close(store);
}

static void test_report__what_is_no_figure_is_passed_over(void **state)
{
	convo_store *store = store_open();
	struct counting counting = {0};
	struct shelf_place place;
	int i;

	(void)state;
	counting_start(&counting, store, "m");
	count_turn(&counting, "a");
	counting_stop(&counting);
	for (i = 0; i < 2; i++) {
		shelf_place(&place, i ? SHELF_DAY : SHELF_HOUR, (int64_t)time(NULL), "odd");
		put(store, place.app, place.name);
		put(store, place.app, "app:99/w");
		put(store, place.app, "app:x");
	}
	must_tell(store, 1, 1);
	convo_store_close(store);
}

static void test_report__times_that_are_none_are_refused(void **state)
{
	const int64_t now = (int64_t)time(NULL);
	const struct {
		int64_t from_s, to_s;
	} wrong[] = {{-1, 5},
		     {now, now},
		     {now, now - 1},
		     {now - 401 * SHELF_DAY, now},
		     {now, now + 401 * SHELF_DAY}};
	convo_store *store = store_open();
	struct report report = {0};
	struct convo_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		must_fail_with(CONVO_E_INVALID, report_read(&report, store, wrong[i].from_s,
							    wrong[i].to_s, now, NULL, &err));
		report_clear(&report);
	}
	must_pass(report_read(&report, store, now - 400 * SHELF_DAY, now, now, NULL, &err));
	must(report.count >= 400 && report.count <= 401);
	report_clear(&report);
	/* Hours that are not kept any more come by the day. */
	must_pass(report_read(&report, store, now - 20 * SHELF_DAY, now - 19 * SHELF_DAY, now, NULL,
			      &err));
	must(report.step == SHELF_DAY && report.count == 2);
	report_clear(&report);
	convo_store_close(store);
}

/* ---- as a person sees them ------------------------------------------------------------ */

static void must_plot(const char *wanted, const uint64_t *values, size_t count, size_t columns)
{
	struct text out = {0};

	must(text_adds(&out, "") && stats_plot(&out, values, count, columns));
	must_equal_str(wanted, out.data);
	text_clear(&out);
}

static void test_stats__plots_go_from_nothing_to_the_greatest(void **state)
{
	static const uint64_t values[] = {0, 1, 50, 100, 0, 800};
	static const uint64_t huge[] = {UINT64_MAX, 1, 0};

	(void)state;
	must_plot(" \u2581\u2581\u2581 \u2588", values, 6, 80);
	must_plot("\u2581\u2581\u2588", values, 6, 3);
	must_plot("\u2581\u2588", values, 6, 2);
	must_plot(" ", values, 1, 80);
	must_plot("\u2588\u2581 ", huge, 3, 80);
	must_plot("", values, 0, 10);
}

static void test_stats__numbers_are_short(void **state)
{
	static const struct {
		uint64_t count;
		const char *text;
	} counts[] = {{0, "0"},         {999, "999"},         {1000, "1.0k"},
		      {99949, "99.9k"}, {99951, "100k"},      {999499, "999k"},
		      {999500, "1.0M"}, {1234567890, "1.2G"}, {UINT64_MAX, "18.4E"}};
	static const struct {
		int64_t us;
		const char *text;
	} times[] = {{0, "0 ms"},        {100, "0.1 ms"},     {9900, "9.9 ms"},
		     {10000, "10 ms"},   {999499, "999 ms"},  {999500, "1.0 s"},
		     {9940000, "9.9 s"}, {200000000, "200 s"}};
	char out[8];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		stats_count(out, counts[i].count);
		must_equal_str(counts[i].text, out);
	}
	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		stats_time(out, times[i].us);
		must_equal_str(times[i].text, out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usage__two_servers_and_their_next_lives_add_up),
		cmocka_unit_test(test_usage__who_writes_at_the_same_time_counts_nothing_twice),
		cmocka_unit_test(test_usage__old_shelves_are_emptied_and_young_ones_are_not),
		cmocka_unit_test(test_report__what_is_no_figure_is_passed_over),
		cmocka_unit_test(test_report__times_that_are_none_are_refused),
		cmocka_unit_test(test_stats__plots_go_from_nothing_to_the_greatest),
		cmocka_unit_test(test_stats__numbers_are_short),
	};

	return TEST_RUN(tests);
}
