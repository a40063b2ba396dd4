/*
 * Showing figures; see stats_show.h.
 */
#include "stats_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "term/term.h"

#define LABEL 17 /* columns of what a line is of */
#define NUMBER 8 /* of its number */
#define PLOT_MOST 96

/* ---- numbers and times ---------------------------------------------------------------- */

void stats_count(char out[8], uint64_t count)
{
	static const char units[] = "kMGTPE";
	double value = (double)count;
	size_t unit = 0;

	if (count < 1000) {
		snprintf(out, 8, "%u", (unsigned)count);
		return;
	}
	value /= 1000;
	while (value >= 999.5) {
		value /= 1000;
		unit++;
	}
	snprintf(out, 8, value < 99.95 ? "%.1f%c" : "%.0f%c", value, units[unit]);
}

void stats_time(char out[8], int64_t us)
{
	if (us < 10000 && us > 0)
		snprintf(out, 8, "%.1f ms", (double)us / 1000);
	else if (us < 999500)
		snprintf(out, 8, "%d ms", (int)((us + 500) / 1000));
	else
		snprintf(out, 8, us < 9950000 ? "%.1f s" : "%.0f s", (double)us / 1000000);
}

/* "26 Nov 05:00", or the day alone. */
static void stats_moment(char out[32], enum shelf_step step, int64_t at_s)
{
	const time_t at = (time_t)at_s;
	struct tm tm;

	if (!gmtime_r(&at, &tm) ||
	    !strftime(out, 32, step == SHELF_HOUR ? "%Y-%m-%d %H:%M" : "%Y-%m-%d", &tm))
		*out = '\0';
}

/* ---- plots ---------------------------------------------------------------------------- */

static const char *const blocks[] = {" ",      "\u2581", "\u2582", "\u2583", "\u2584",
				     "\u2585", "\u2586", "\u2587", "\u2588"};

/* Rounded up: what is not nothing is seen. */
static size_t stats_eighths(uint64_t value, uint64_t top)
{
	const double part = top ? (double)value / (double)top * 8 : 0;
	const size_t whole = (size_t)part;

	return whole + (part > (double)whole);
}

bool stats_plot(struct text *out, const uint64_t *values, size_t count, size_t columns)
{
	const size_t width = columns ? (count + columns - 1) / columns : 1;
	uint64_t top = 0;
	size_t i, at;
	bool ok = true;

	for (i = 0; i < count; i++)
		top = values[i] > top ? values[i] : top;
	for (at = 0; ok && at < count; at += width) {
		uint64_t most = 0;

		for (i = at; i < count && i < at + width; i++)
			most = values[i] > most ? values[i] : most;
		ok = text_adds(out, blocks[stats_eighths(most, top)]);
	}
	return ok;
}

/* ---- lines ---------------------------------------------------------------------------- */

struct line {
	const char *label;
	uint64_t (*of)(const struct figures *figures);
	bool time; /* of us */
};

static uint64_t of_turns(const struct figures *figures)
{
	const struct figures_model all = figures_all_models(figures);

	return all.turns[CONVO_COMPLETE] + all.turns[CONVO_INTERRUPTED] + all.turns[CONVO_FAILED];
}

static uint64_t of_failed(const struct figures *figures)
{
	return figures_all_models(figures).turns[CONVO_FAILED];
}

static uint64_t of_prompt(const struct figures *figures)
{
	return figures_all_models(figures).tokens[FIGURES_PROMPT];
}

static uint64_t of_completion(const struct figures *figures)
{
	return figures_all_models(figures).tokens[FIGURES_COMPLETION];
}

static uint64_t of_sessions(const struct figures *figures)
{
	return sketch_count(&figures->sessions);
}

static uint64_t of_first(const struct figures *figures)
{
	const struct figures_model all = figures_all_models(figures);

	return (uint64_t)histogram_quantile_us(&all.first, 0.5);
}

static uint64_t of_first_late(const struct figures *figures)
{
	const struct figures_model all = figures_all_models(figures);

	return (uint64_t)histogram_quantile_us(&all.first, 0.95);
}

static uint64_t of_whole(const struct figures *figures)
{
	const struct figures_model all = figures_all_models(figures);

	return (uint64_t)histogram_quantile_us(&all.whole, 0.5);
}

static uint64_t of_requests(const struct figures *figures)
{
	return figures->requests[FIGURES_FINE] + figures->requests[FIGURES_REFUSED] +
	       figures->requests[FIGURES_FAILED];
}

static uint64_t of_errors(const struct figures *figures)
{
	return figures->requests[FIGURES_FAILED];
}

static uint64_t of_store(const struct figures *figures)
{
	return figures->store_failed;
}

static const struct line lines[] = {
	{"turns", of_turns, false},
	{"of them failed", of_failed, false},
	{"tokens in", of_prompt, false},
	{"tokens out", of_completion, false},
	{"active sessions", of_sessions, false},
	{"first piece", of_first, true},
	{"  95 % within", of_first_late, true},
	{"whole answer", of_whole, true},
	{"requests", of_requests, false},
	{"of them failed", of_errors, false},
	{"store failures", of_store, false},
};

static void stats_number(char out[8], uint64_t value, bool time)
{
	if (time)
		stats_time(out, (int64_t)value);
	else
		stats_count(out, value);
}

static void stats_show_line(const struct report *report, const struct line *line, uint64_t *values,
			    size_t columns)
{
	struct text plot = {0};
	char number[8];
	size_t i;

	for (i = 0; i < report->count; i++)
		values[i] = line->of(&report->points[i].figures);
	stats_number(number, line->of(&report->total), line->time);
	term_say("  %-*s", LABEL, line->label);
	term_style(STYLE_BOLD);
	term_say("%*s", NUMBER, number);
	term_style(STYLE_PLAIN);
	if (columns && stats_plot(&plot, values, report->count, columns)) {
		term_say("  ");
		term_style(STYLE_CODE);
		term_say("%s", plot.data ? plot.data : "");
		term_style(STYLE_PLAIN);
	}
	term_say("\n");
	text_clear(&plot);
}

/* ---- models --------------------------------------------------------------------------- */

static void stats_show_model(const struct figures_model *model, size_t columns)
{
	char turns[8], failed[8], in[8], out[8], first[8];
	const size_t numbers = 5 * NUMBER;
	const size_t room = columns > numbers + 12 ? columns - numbers - 2 : 10;
	const size_t width = text_width(model->name, strlen(model->name));
	const size_t shown = width > room ? room : width;

	stats_count(turns, model->turns[CONVO_COMPLETE] + model->turns[CONVO_INTERRUPTED] +
				   model->turns[CONVO_FAILED]);
	stats_count(failed, model->turns[CONVO_FAILED]);
	stats_count(in, model->tokens[FIGURES_PROMPT]);
	stats_count(out, model->tokens[FIGURES_COMPLETION]);
	stats_time(first, histogram_quantile_us(&model->first, 0.5));
	term_say("%*s%*s%*s%*s%*s  ", NUMBER, turns, NUMBER, failed, NUMBER, in, NUMBER, out,
		 NUMBER, first);
	term_show_line(model->name, shown);
	term_say("\n");
}

static int model_order(const void *a, const void *b)
{
	const struct figures_model *one = a, *other = b;

	return strcmp(one->name, other->name);
}

static void stats_show_models(const struct report *report, size_t columns)
{
	const struct figures *total = &report->total;
	size_t i;

	if (!total->count)
		return;
	qsort(total->models, total->count, sizeof(*total->models), model_order);
	term_say("\n");
	term_style(STYLE_DIM);
	term_say("%*s%*s%*s%*s%*s  model\n", NUMBER, "turns", NUMBER, "failed", NUMBER, "in",
		 NUMBER, "out", NUMBER, "first");
	term_style(STYLE_PLAIN);
	for (i = 0; i < total->count; i++)
		stats_show_model(&total->models[i], columns);
}

void stats_show(const struct report *report, const char *store, size_t columns)
{
	const size_t used = 2 + LABEL + NUMBER + 2;
	size_t room = columns > used + 8 ? columns - used : 0;
	uint64_t *values = calloc(report->count, sizeof(*values));
	char from[32], to[32];
	size_t i;

	if (!values) {
		term_error("out of memory");
		return;
	}
	room = room < PLOT_MOST ? room : PLOT_MOST;
	stats_moment(from, report->step, report->from_s);
	stats_moment(to, report->step, report->to_s - (report->step == SHELF_DAY ? SHELF_DAY : 0));
	term_style(STYLE_DIM);
	term_say("%s to %s UTC by the %s, ", from, to, report->step == SHELF_HOUR ? "hour" : "day");
	term_show_line(store, 0);
	term_say("\n\n");
	term_style(STYLE_PLAIN);
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		stats_show_line(report, &lines[i], values, room);
	stats_show_models(report, columns);
	free(values);
}
