/*
 * Reports; see report.h.
 */
#include "metrics/report.h"

#include <stdlib.h>
#include <string.h>

#include "core/fail.h"
#include "core/json.h"

/* ---- reading -------------------------------------------------------------------------- */

static void report_choose_step(struct report *report, int64_t from_s, int64_t to_s, int64_t now_s)
{
	const bool hours = to_s - from_s <= REPORT_HOURS_S && from_s >= now_s - SHELF_HOURS_S;

	report->step = hours ? SHELF_HOUR : SHELF_DAY;
	report->from_s = shelf_begin(report->step, from_s);
	report->to_s = shelf_begin(report->step, to_s - 1) + (int64_t)report->step;
}

static int report_make_points(struct report *report, struct convo_err *err)
{
	const size_t count = (size_t)((report->to_s - report->from_s) / (int64_t)report->step);
	size_t i;

	report->points = calloc(count, sizeof(*report->points));
	if (!report->points)
		return fail(err, CONVO_E_NOMEM, "out of memory");
	report->count = count;
	for (i = 0; i < count; i++)
		report->points[i].begin_s = report->from_s + (int64_t)i * (int64_t)report->step;
	return 0;
}

/* What one server wrote. What somebody has put there who is no server is passed over. */
static bool report_add(struct report *report, int64_t shelf_s, const struct convo_item *item)
{
	struct figures figures = {0};
	struct figures *into;
	int64_t at;
	bool ok = true;

	if (!shelf_read_name(&at, report->step, shelf_s, item->name) || at < report->from_s ||
	    at >= report->to_s)
		return true;
	into = &report->points[(at - report->from_s) / (int64_t)report->step].figures;
	if (figures_read(&figures, item->json))
		ok = figures_add(into, &figures) && figures_add(&report->total, &figures);
	figures_clear(&figures);
	return ok;
}

static int report_read_shelf(struct report *report, convo_store *store, int64_t shelf_s,
			     const struct convo_call *call, struct convo_err *err)
{
	struct shelf_place place;
	const struct convo_key key = {.app = place.app};
	const struct convo_item *item;
	convo_state *state = NULL;
	bool ok = true;
	size_t i;
	int rc;

	shelf_place(&place, report->step, shelf_s, "");
	rc = convo_store_state_list(&state, store, &key, CONVO_SCOPE_APP, call, err);
	if (rc < 0)
		return rc;
	for (i = 0; ok && (item = convo_state_at(state, i)); i++)
		ok = report_add(report, shelf_s, item);
	convo_state_free(state);
	return ok ? 0 : fail(err, CONVO_E_NOMEM, "out of memory");
}

int report_read(struct report *out, convo_store *store, int64_t from_s, int64_t to_s, int64_t now_s,
		const struct convo_call *call, struct convo_err *err)
{
	int64_t at;
	int rc;

	memset(out, 0, sizeof(*out));
	if (from_s < 0 || to_s <= from_s || to_s - from_s > SHELF_DAYS_S ||
	    to_s > now_s + SHELF_DAYS_S)
		return fail(err, CONVO_E_INVALID, "figures are of 1 second to 400 days, up to now");
	report_choose_step(out, from_s, to_s, now_s);
	rc = report_make_points(out, err);
	for (at = out->from_s; rc == 0 && at < out->to_s; at = shelf_next(out->step, at))
		rc = report_read_shelf(out, store, at, call, err);
	return rc;
}

void report_clear(struct report *report)
{
	size_t i;

	for (i = 0; i < report->count; i++)
		figures_clear(&report->points[i].figures);
	free(report->points);
	figures_clear(&report->total);
	memset(report, 0, sizeof(*report));
}

/* ---- writing -------------------------------------------------------------------------- */

static bool times_write(struct text *out, const char *name, const struct histogram *histogram)
{
	return text_addf(out, ",\"%s\":{\"p50\":%.1f,\"p95\":%.1f}", name,
			 (double)histogram_quantile_us(histogram, 0.5) / 1000,
			 (double)histogram_quantile_us(histogram, 0.95) / 1000);
}

/* The members of a model, or of all of them. */
static bool model_write(struct text *out, const struct figures_model *model)
{
	return text_addf(out,
			 "\"turns\":{\"complete\":%llu,\"interrupted\":%llu,\"failed\":%llu},"
			 "\"tokens\":{\"prompt\":%llu,\"completion\":%llu}",
			 (unsigned long long)model->turns[CONVO_COMPLETE],
			 (unsigned long long)model->turns[CONVO_INTERRUPTED],
			 (unsigned long long)model->turns[CONVO_FAILED],
			 (unsigned long long)model->tokens[FIGURES_PROMPT],
			 (unsigned long long)model->tokens[FIGURES_COMPLETION]) &&
	       times_write(out, "first_ms", &model->first) &&
	       times_write(out, "whole_ms", &model->whole);
}

static bool members_write(struct text *out, const struct figures *figures)
{
	const struct figures_model all = figures_all_models(figures);
	bool ok = text_addf(out,
			    "\"sessions\":%llu,\"events\":%llu,\"requests\":{\"fine\":%llu,"
			    "\"refused\":%llu,\"failed\":%llu},\"store_failed\":%llu,",
			    (unsigned long long)sketch_count(&figures->sessions),
			    (unsigned long long)figures->events,
			    (unsigned long long)figures->requests[FIGURES_FINE],
			    (unsigned long long)figures->requests[FIGURES_REFUSED],
			    (unsigned long long)figures->requests[FIGURES_FAILED],
			    (unsigned long long)figures->store_failed) &&
		  model_write(out, &all) && text_adds(out, ",\"models\":{");
	size_t i;

	for (i = 0; ok && i < figures->count; i++)
		ok = (!i || text_adds(out, ",")) && json_quotes(out, figures->models[i].name) &&
		     text_adds(out, ":{") && model_write(out, &figures->models[i]) &&
		     text_adds(out, "}");
	return ok && text_adds(out, "}");
}

bool report_write(struct text *out, const struct report *report)
{
	bool ok = text_addf(out, "{\"step\":\"%s\",\"from\":%lld,\"to\":%lld,\"total\":{",
			    report->step == SHELF_HOUR ? "hour" : "day", (long long)report->from_s,
			    (long long)report->to_s) &&
		  members_write(out, &report->total) && text_adds(out, "},\"points\":[");
	size_t i;

	for (i = 0; ok && i < report->count; i++)
		ok = text_addf(out, "%s{\"time\":%lld,", i ? "," : "",
			       (long long)report->points[i].begin_s) &&
		     members_write(out, &report->points[i].figures) && text_adds(out, "}");
	return ok && text_adds(out, "]}");
}
