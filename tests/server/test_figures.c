/*
 * What figures are made of: histograms, sketches of how many, hours and days, and their form in a store; and the
 * escapes of Prometheus' text format.
 */
#include <support/test.h>

#include <stdio.h>

#include "metrics/exposition.h"
#include "metrics/figures.h"
#include "metrics/shelf.h"

/* ---- histograms ----------------------------------------------------------------------- */

static void test_histogram__a_time_is_in_the_first_bucket_that_holds_it(void **state)
{
	size_t i;

	(void)state;
	must_equal(0, histogram_bucket(-5));
	must_equal(0, histogram_bucket(0));
	for (i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		must_equal(i, histogram_bucket(histogram_bound_us(i)));
		must_equal(i + 1, histogram_bucket(histogram_bound_us(i) + 1));
		must(i == 0 || histogram_bound_us(i) > histogram_bound_us(i - 1));
	}
	must_equal(HISTOGRAM_BUCKETS - 1, histogram_bucket(INT64_MAX));
}

static void test_histogram__quantiles_lie_between_the_bounds_of_their_bucket(void **state)
{
	struct histogram histogram = {{0}, 0};
	struct histogram_live live = {0};
	int64_t before = 0;
	int i;

	(void)state;
	must_equal(0, histogram_quantile_us(&histogram, 0.5));
	for (i = 1; i <= 1000; i++)
		histogram_note(&live, i * 1000);
	histogram_read(&histogram, &live);
	must_equal(1000, histogram_total(&histogram));
	must_equal(500500000, histogram.sum_us);
	for (i = 1; i <= 100; i++) {
		const int64_t at = histogram_quantile_us(&histogram, i / 100.0);

		must(at >= before);
		before = at;
	}
	must(histogram_quantile_us(&histogram, 0.5) > 200000);
	must(histogram_quantile_us(&histogram, 0.5) <= 500000);
	must(histogram_quantile_us(&histogram, 1) <= 1000000);
	histogram_note(&live, INT64_MAX / 2);
	memset(&histogram, 0, sizeof(histogram));
	histogram_read(&histogram, &live);
	must_equal(200000000, histogram_quantile_us(&histogram, 1));
}

static void test_histogram__what_was_added_can_be_taken_away(void **state)
{
	struct histogram sum = {{0}, 0}, part = {{0}, 0}, empty = {{0}, 0};
	struct histogram_live live = {0};

	(void)state;
	histogram_note(&live, 150);
	histogram_note(&live, 99999999999);
	histogram_read(&part, &live);
	histogram_add(&sum, &part);
	histogram_add(&sum, &part);
	must_equal(4, histogram_total(&sum));
	histogram_subtract(&sum, &part);
	histogram_subtract(&sum, &part);
	must(memcmp(&sum, &empty, sizeof(sum)) == 0);
}

/* ---- sketches ------------------------------------------------------------------------- */

static void note_names(struct sketch *into, int from, int to)
{
	struct sketch_live live = {0};
	char name[32];
	int i;

	for (i = from; i < to; i++) {
		snprintf(name, sizeof(name), "session-%d", i);
		sketch_note(&live, sketch_hash(sketch_hash(0, "convo", 5), name, strlen(name)));
		sketch_note(&live, sketch_hash(sketch_hash(0, "convo", 5), name, strlen(name)));
	}
	sketch_take(into, &live);
}

static void must_be_near(int wanted, uint64_t got)
{
	const double off = ((double)got - wanted) / (wanted ? wanted : 1);

	if (off > 0.08 || off < -0.08)
		must_equal(wanted, got);
}

static void test_sketch__tells_about_how_many_there_were(void **state)
{
	static const int counts[] = {0, 1, 2, 10, 100, 1000, 3000, 5000, 10000, 100000, 1000000};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct sketch sketch = {{0}};

		note_names(&sketch, 0, counts[i]);
		must_be_near(counts[i], sketch_count(&sketch));
	}
}

static void test_sketch__those_of_both_are_counted_once(void **state)
{
	struct sketch one = {{0}}, other = {{0}};

	(void)state;
	note_names(&one, 0, 600);
	note_names(&other, 400, 1000);
	sketch_add(&one, &other);
	must_be_near(1000, sketch_count(&one));
	sketch_add(&one, &one);
	must_be_near(1000, sketch_count(&one));
}

static void test_sketch__the_place_of_a_name_keeps_its_parts_apart(void **state)
{
	(void)state;
	must(sketch_hash(sketch_hash(0, "ab", 2), "c", 1) !=
	     sketch_hash(sketch_hash(0, "a", 1), "bc", 2));
	must(sketch_hash(sketch_hash(0, "", 0), "a", 1) !=
	     sketch_hash(sketch_hash(0, "a", 1), "", 0));
}

static void test_sketch__is_read_as_it_was_written(void **state)
{
	static const int counts[] = {0, 1, 100, 680, 800, 20000};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct sketch sketch = {{0}}, read;
		struct text out = {0};

		note_names(&sketch, 0, counts[i]);
		must(text_adds(&out, "") && sketch_write(&out, &sketch));
		must(out.len <= SKETCH_PLACES);
		must(sketch_read(&read, out.data));
		must(memcmp(&sketch, &read, sizeof(read)) == 0);
		text_clear(&out);
	}
}

static void test_sketch__what_is_none_is_refused(void **state)
{
	static const char *const texts[] = {"A",   "AA",  "AAAA", "A*B", "A\377B",
					    "AB ", "gAB", "AA-",  "__B", "A\"B"};
	char dense[SKETCH_PLACES + 2];
	struct sketch sketch;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		must(!sketch_read(&sketch, texts[i]));
	memset(dense, 'B', sizeof(dense));
	dense[SKETCH_PLACES] = '\0';
	must(sketch_read(&sketch, dense));
	dense[7] = '=';
	must(!sketch_read(&sketch, dense));
	dense[7] = 'B';
	dense[SKETCH_PLACES] = 'B';
	dense[SKETCH_PLACES + 1] = '\0';
	must(!sketch_read(&sketch, dense));
}

/* ---- figures -------------------------------------------------------------------------- */

static const char hostile[] = "a \"model\"\\ with\nlines {x=\"y\"} \xc3\xa9";

static void figures_fill(struct figures *figures, int times)
{
	struct figures_model *model;
	int i;

	for (i = 0; i < times; i++) {
		figures->requests[FIGURES_FINE] += 3;
		figures->requests[FIGURES_FAILED]++;
		figures->events += 2;
		figures->store_failed++;
		model = figures_model(figures, i % 2 ? hostile : "echo");
		must(model != NULL);
		model->turns[CONVO_COMPLETE]++;
		model->tokens[FIGURES_PROMPT] += 11;
		model->tokens[FIGURES_COMPLETION] += 7;
		model->first.count[3]++;
		model->whole.count[4]++;
		model->whole.sum_us += 1500;
	}
	note_names(&figures->sessions, 0, times);
}

static void test_figures__are_read_as_they_were_written(void **state)
{
	struct figures figures = {0}, read = {0};
	struct text out = {0}, again = {0};

	(void)state;
	figures_fill(&figures, 5);
	must(figures_write(&out, &figures));
	must(figures_read(&read, out.data));
	must(figures_write(&again, &read));
	must_equal_str(out.data, again.data);
	must_equal(2, read.count);
	must_equal(2, figures_model(&read, hostile)->turns[CONVO_COMPLETE]);
	must_equal(35, figures_all_models(&read).tokens[FIGURES_COMPLETION]);
	text_clear(&out);
	text_clear(&again);
	figures_clear(&figures);
	figures_clear(&read);
}

static void test_figures__add_up_and_come_apart(void **state)
{
	struct figures one = {0}, two = {0};

	(void)state;
	must(figures_are_empty(&one));
	figures_fill(&one, 3);
	figures_fill(&two, 5);
	must(!figures_are_empty(&one));
	must(figures_add(&two, &one));
	must_equal(24, two.requests[FIGURES_FINE]);
	must_equal(8, figures_all_models(&two).turns[CONVO_COMPLETE]);
	must_equal(5, sketch_count(&two.sessions)); /* the same sessions */
	figures_subtract(&two, &one);
	figures_subtract(&two, &two);
	memset(&two.sessions, 0, sizeof(two.sessions));
	must(figures_are_empty(&two));
	figures_clear(&one);
	figures_clear(&two);
}

static void test_figures__what_is_none_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"[]",
		"{}",
		"null",
		"{\"requests\":[1,2]}",
		"{\"requests\":[1,2,-3]}",
		"{\"requests\":[1,2,3],\"events\":1,\"store_failed\":1,\"sessions\":\"A\","
		"\"models\":{}}",
		"{\"requests\":[1,2,3],\"events\":1.5,\"store_failed\":1,\"sessions\":\"\","
		"\"models\":{}}",
		"{\"requests\":[1,2,3],\"events\":1,\"store_failed\":1,\"sessions\":\"\","
		"\"models\":[]}",
		"{\"requests\":[1,2,3],\"events\":1,\"store_failed\":1,\"sessions\":\"\","
		"\"models\":{\"a\":1}}",
		"{\"requests\":[1,2,9223372036854775807],\"events\":1,\"store_failed\":1,"
		"\"sessions\":\"\","
		"\"models\":{}}",
	};
	struct figures figures = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		must(!figures_read(&figures, texts[i]));
		figures_clear(&figures);
	}
	must(figures_read(&figures,
			  "{\"requests\":[1,2,3],\"events\":1,\"store_failed\":1,\"sessions\":\"\","
			  "\"models\":{}}"));
	figures_clear(&figures);
}

/* ---- hours and days ------------------------------------------------------------------- */

#define NOV_26_0530 INT64_C(1795671000) /* 2026-11-26 05:30 UTC */

static void test_shelf__hours_stand_by_their_day_and_days_by_their_month(void **state)
{
	struct shelf_place place;
	int64_t at;

	(void)state;
	shelf_place(&place, SHELF_HOUR, NOV_26_0530, "3f9ac2d17b40");
	must_equal_str("convo:usage/20261126", place.app);
	must_equal_str("20261126", place.shelf);
	must_equal_str("app:05/3f9ac2d17b40", place.name);
	must(shelf_read_name(&at, SHELF_HOUR, NOV_26_0530 + 3600, place.name));
	must_equal(NOV_26_0530 - 1800, at);
	must_equal(NOV_26_0530 - 1800, shelf_begin(SHELF_HOUR, NOV_26_0530));
	shelf_place(&place, SHELF_DAY, NOV_26_0530, "w");
	must_equal_str("convo:usage/202611", place.app);
	must_equal_str("app:26/w", place.name);
	must(shelf_read_name(&at, SHELF_DAY, NOV_26_0530 - 9 * 86400, place.name));
	must_equal(shelf_begin(SHELF_DAY, NOV_26_0530), at);
}

/* Each hour and day of 30 years is found again by its place, and a walk over shelves meets each once. */
static void test_shelf__every_hour_and_day_is_found_again(void **state)
{
	static const enum shelf_step steps[] = {SHELF_HOUR, SHELF_DAY};
	const int64_t end = NOV_26_0530 + 30 * 366 * INT64_C(86400);
	struct shelf_place place;
	enum shelf_step step;
	int64_t at, shelf_s, found, walk;
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		walk = shelf_begin(steps[i], NOV_26_0530);
		for (at = walk; at < end; at += steps[i]) {
			if (at == shelf_next(steps[i], walk))
				walk = at;
			must(at < shelf_next(steps[i], walk));
			shelf_place(&place, steps[i], at, "w");
			must(shelf_read(&step, &shelf_s, place.shelf));
			must(step == steps[i] && shelf_s <= at);
			must(shelf_read_name(&found, step, shelf_s, place.name));
			must_equal(at, found);
		}
	}
}

static void test_shelf__what_is_no_name_is_refused(void **state)
{
	static const char *const shelves[] = {"",          "2026112", "20261132", "20260229",
					      "202613",    "202600",  "2026112x", "key",
					      "202611266", "-0261126"};
	static const char *const names[] = {"",         "app:", "app:5/w", "app:24/w",
					    "app:-1/w", "05/w", "app:05w", "app:0x/w"};
	enum shelf_step step;
	int64_t at;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(shelves) / sizeof(shelves[0]); i++)
		must(!shelf_read(&step, &at, shelves[i]));
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		must(!shelf_read_name(&at, SHELF_HOUR, NOV_26_0530, names[i]));
	must(!shelf_read_name(&at, SHELF_DAY, NOV_26_0530, "app:31/w"));
	must(!shelf_read_name(&at, SHELF_DAY, NOV_26_0530, "app:00/w"));
	must(shelf_read(&step, &at, "20280229"));
}

static void test_shelf__is_over_when_its_last_hour_was_kept_long_enough(void **state)
{
	const int64_t day = shelf_begin(SHELF_DAY, NOV_26_0530), over = day + 15 * SHELF_DAY;

	(void)state;
	must(!shelf_is_over(SHELF_HOUR, day, over));
	must(shelf_is_over(SHELF_HOUR, day, over + 1));
	must(!shelf_is_over(SHELF_DAY, day, day + SHELF_DAYS_S));
	must(shelf_is_over(SHELF_DAY, day, day + SHELF_DAYS_S + 6 * SHELF_DAY));
}

/* ---- Prometheus' text ----------------------------------------------------------------- */

static void test_exposition__labels_are_escaped(void **state)
{
	struct text out = {0};

	(void)state;
	must(exposition_add_label(&out, "model", hostile));
	must_equal_str("model=\"a \\\"model\\\"\\\\ with\\nlines {x=\\\"y\\\"} \xc3\xa9\"",
		       out.data);
	text_clear(&out);
	must(exposition_add_seconds(&out, 100) && text_adds(&out, " ") &&
	     exposition_add_seconds(&out, 200000000) && text_adds(&out, " ") &&
	     exposition_add_seconds(&out, 1234567));
	must_equal_str("0.000100 200.000000 1.234567", out.data);
	text_clear(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_histogram__a_time_is_in_the_first_bucket_that_holds_it),
		cmocka_unit_test(test_histogram__quantiles_lie_between_the_bounds_of_their_bucket),
		cmocka_unit_test(test_histogram__what_was_added_can_be_taken_away),
		cmocka_unit_test(test_sketch__tells_about_how_many_there_were),
		cmocka_unit_test(test_sketch__those_of_both_are_counted_once),
		cmocka_unit_test(test_sketch__the_place_of_a_name_keeps_its_parts_apart),
		cmocka_unit_test(test_sketch__is_read_as_it_was_written),
		cmocka_unit_test(test_sketch__what_is_none_is_refused),
		cmocka_unit_test(test_figures__are_read_as_they_were_written),
		cmocka_unit_test(test_figures__add_up_and_come_apart),
		cmocka_unit_test(test_figures__what_is_none_is_refused),
		cmocka_unit_test(test_shelf__hours_stand_by_their_day_and_days_by_their_month),
		cmocka_unit_test(test_shelf__every_hour_and_day_is_found_again),
		cmocka_unit_test(test_shelf__what_is_no_name_is_refused),
		cmocka_unit_test(test_shelf__is_over_when_its_last_hour_was_kept_long_enough),
		cmocka_unit_test(test_exposition__labels_are_escaped),
	};

	return TEST_RUN(tests);
}
