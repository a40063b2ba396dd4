/*
 * Figures; see figures.h.
 */
#include "metrics/figures.h"

#include <stdlib.h>
#include <string.h>

#include "core/json.h"

void figures_clear(struct figures *figures)
{
	size_t i;

	for (i = 0; i < figures->count; i++)
		free(figures->models[i].name);
	free(figures->models);
	memset(figures, 0, sizeof(*figures));
}

struct figures_model *figures_model(struct figures *figures, const char *name)
{
	struct figures_model *list;
	size_t i;

	for (i = 0; i < figures->count; i++)
		if (!strcmp(figures->models[i].name, name))
			return &figures->models[i];
	list = realloc(figures->models, (figures->count + 1) * sizeof(*list));
	if (!list)
		return NULL;
	figures->models = list;
	list += figures->count;
	memset(list, 0, sizeof(*list));
	list->name = strdup(name);
	if (!list->name)
		return NULL;
	figures->count++;
	return list;
}

/* ---- adding up ------------------------------------------------------------------------ */

static void counts_add(uint64_t *into, const uint64_t *more, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		into[i] += more[i];
}

static void counts_subtract(uint64_t *from, const uint64_t *less, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		from[i] -= less[i];
}

static void model_add(struct figures_model *into, const struct figures_model *more)
{
	counts_add(into->turns, more->turns, FIGURES_STATES);
	counts_add(into->tokens, more->tokens, FIGURES_KINDS);
	histogram_add(&into->first, &more->first);
	histogram_add(&into->whole, &more->whole);
}

static void model_subtract(struct figures_model *from, const struct figures_model *less)
{
	counts_subtract(from->turns, less->turns, FIGURES_STATES);
	counts_subtract(from->tokens, less->tokens, FIGURES_KINDS);
	histogram_subtract(&from->first, &less->first);
	histogram_subtract(&from->whole, &less->whole);
}

bool figures_add(struct figures *into, const struct figures *more)
{
	struct figures_model *model;
	size_t i;

	counts_add(into->requests, more->requests, FIGURES_CLASSES);
	into->events += more->events;
	into->store_failed += more->store_failed;
	sketch_add(&into->sessions, &more->sessions);
	for (i = 0; i < more->count; i++) {
		model = figures_model(into, more->models[i].name);
		if (!model)
			return false;
		model_add(model, &more->models[i]);
	}
	return true;
}

void figures_subtract(struct figures *from, const struct figures *less)
{
	struct figures_model *model;
	size_t i;

	counts_subtract(from->requests, less->requests, FIGURES_CLASSES);
	from->events -= less->events;
	from->store_failed -= less->store_failed;
	for (i = 0; i < less->count; i++) {
		model = figures_model(from, less->models[i].name);
		if (model)
			model_subtract(model, &less->models[i]);
	}
}

static bool counts_are_zero(const uint64_t *counts, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (counts[i])
			return false;
	return true;
}

bool figures_are_empty(const struct figures *figures)
{
	size_t i;

	for (i = 0; i < figures->count; i++)
		if (!counts_are_zero(figures->models[i].turns, FIGURES_STATES))
			return false;
	return counts_are_zero(figures->requests, FIGURES_CLASSES) && !figures->events &&
	       !figures->store_failed && !sketch_count(&figures->sessions);
}

struct figures_model figures_all_models(const struct figures *figures)
{
	struct figures_model all = {0};
	size_t i;

	for (i = 0; i < figures->count; i++)
		model_add(&all, &figures->models[i]);
	return all;
}

/* ---- writing -------------------------------------------------------------------------- */

static bool counts_write(struct text *out, const char *name, const uint64_t *counts, size_t count)
{
	size_t i;
	bool ok = text_addf(out, "\"%s\":[", name);

	for (i = 0; ok && i < count; i++)
		ok = text_addf(out, "%s%llu", i ? "," : "", (unsigned long long)counts[i]);
	return ok && text_adds(out, "]");
}

static bool histogram_write(struct text *out, const char *name, const struct histogram *histogram)
{
	return text_adds(out, ",") &&
	       counts_write(out, name, histogram->count, HISTOGRAM_BUCKETS) &&
	       text_addf(out, ",\"%s_us\":%llu", name, (unsigned long long)histogram->sum_us);
}

static bool model_write(struct text *out, const struct figures_model *model)
{
	return json_quotes(out, model->name) && text_adds(out, ":{") &&
	       counts_write(out, "turns", model->turns, FIGURES_STATES) && text_adds(out, ",") &&
	       counts_write(out, "tokens", model->tokens, FIGURES_KINDS) &&
	       histogram_write(out, "first", &model->first) &&
	       histogram_write(out, "whole", &model->whole) && text_adds(out, "}");
}

bool figures_write(struct text *out, const struct figures *figures)
{
	bool ok = text_adds(out, "{") &&
		  counts_write(out, "requests", figures->requests, FIGURES_CLASSES) &&
		  text_addf(out, ",\"events\":%llu,\"store_failed\":%llu,\"sessions\":\"",
			    (unsigned long long)figures->events,
			    (unsigned long long)figures->store_failed) &&
		  sketch_write(out, &figures->sessions) && text_adds(out, "\",\"models\":{");
	size_t written = 0, i;

	for (i = 0; ok && i < figures->count; i++)
		if (!counts_are_zero(figures->models[i].turns, FIGURES_STATES))
			ok = (!written++ || text_adds(out, ",")) &&
			     model_write(out, &figures->models[i]);
	return ok && text_adds(out, "}}");
}

/* ---- reading -------------------------------------------------------------------------- */

/* A count that is one: what is negative, or so big that sums of some thousands overflow, is not. */
static bool count_read(uint64_t *into, const json_t *value)
{
	const json_int_t count = json_integer_value(value);

	if (!json_is_integer(value) || count < 0 || count > (json_int_t)1 << 50)
		return false;
	*into += (uint64_t)count;
	return true;
}

static bool counts_read(uint64_t *into, size_t count, const json_t *list)
{
	size_t i;

	if (json_array_size(list) != count)
		return false;
	for (i = 0; i < count; i++)
		if (!count_read(&into[i], json_array_get(list, i)))
			return false;
	return true;
}

static bool model_read(struct figures_model *into, const json_t *object)
{
	return counts_read(into->turns, FIGURES_STATES, json_object_get(object, "turns")) &&
	       counts_read(into->tokens, FIGURES_KINDS, json_object_get(object, "tokens")) &&
	       counts_read(into->first.count, HISTOGRAM_BUCKETS,
			   json_object_get(object, "first")) &&
	       count_read(&into->first.sum_us, json_object_get(object, "first_us")) &&
	       counts_read(into->whole.count, HISTOGRAM_BUCKETS,
			   json_object_get(object, "whole")) &&
	       count_read(&into->whole.sum_us, json_object_get(object, "whole_us"));
}

static bool models_read(struct figures *into, json_t *models)
{
	void *at;

	if (!json_is_object(models))
		return false;
	for (at = json_object_iter(models); at; at = json_object_iter_next(models, at)) {
		struct figures_model *model = figures_model(into, json_object_iter_key(at));

		if (!model || !model_read(model, json_object_iter_value(at)))
			return false;
	}
	return true;
}

bool figures_read(struct figures *into, const char *json)
{
	json_t *object = json_read(json, strlen(json), NULL);
	const char *sessions = json_string_at(object, "sessions");
	struct sketch sketch;
	bool ok =
		counts_read(into->requests, FIGURES_CLASSES, json_object_get(object, "requests")) &&
		count_read(&into->events, json_object_get(object, "events")) &&
		count_read(&into->store_failed, json_object_get(object, "store_failed")) &&
		sessions && sketch_read(&sketch, sessions) &&
		models_read(into, json_object_get(object, "models"));

	if (ok)
		sketch_add(&into->sessions, &sketch);
	json_decref(object);
	return ok;
}
