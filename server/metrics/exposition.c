/*
 * Writing what was counted in Prometheus' text format, 0.0.4: for each metric what it is, then a line for each of its
 * labels. What was never counted has no line. Never an application, a user, a session or a key.
 */
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <convo/version.h>

#include "metrics/counts.h"
#include "metrics/exposition.h"
#include "metrics/metrics.h"

/* ---- lines ---------------------------------------------------------------------------- */

static bool expose_head(struct text *out, const char *name, const char *type, const char *help)
{
	return text_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

bool exposition_add_label(struct text *out, const char *name, const char *value)
{
	bool ok = text_addf(out, "%s=\"", name);

	for (; ok && *value; value++) {
		if (*value == '\n')
			ok = text_adds(out, "\\n");
		else if (*value == '"' || *value == '\\')
			ok = text_addf(out, "\\%c", *value);
		else
			ok = text_add(out, value, 1);
	}
	return ok && text_adds(out, "\"");
}

/* The labels of a line, all but `le`: begun empty for each. */
static bool labels_add(struct text *labels, const char *name, const char *value)
{
	return (!labels->len || text_adds(labels, ",")) &&
	       exposition_add_label(labels, name, value);
}

static bool expose_count(struct text *out, const char *name, const struct text *labels,
			 uint64_t count)
{
	return text_adds(out, name) &&
	       (!labels || !labels->len || text_addf(out, "{%s}", labels->data)) &&
	       text_addf(out, " %llu\n", (unsigned long long)count);
}

static bool expose_one(struct text *out, const char *name, const char *type, const char *help,
		       uint64_t count)
{
	return expose_head(out, name, type, help) && expose_count(out, name, NULL, count);
}

bool exposition_add_seconds(struct text *out, int64_t us)
{
	return text_addf(out, "%lld.%06lld", (long long)us / 1000000, (long long)us % 1000000);
}

/* A line for each bound, then sum and count. One of nothing has no lines. */
static bool expose_histogram(struct text *out, const char *name, const struct text *labels,
			     const struct histogram *histogram)
{
	const uint64_t total = histogram_total(histogram);
	uint64_t below = 0;
	bool ok = true;
	size_t i;

	if (!total)
		return true;
	for (i = 0; ok && i < HISTOGRAM_BUCKETS - 1; i++) {
		below += histogram->count[i];
		ok = text_addf(out, "%s_bucket{%s,le=\"%g\"} %llu\n", name, labels->data,
			       (double)histogram_bound_us(i) / 1e6, (unsigned long long)below);
	}
	return ok &&
	       text_addf(out, "%s_bucket{%s,le=\"+Inf\"} %llu\n%s_sum{%s} ", name, labels->data,
			 (unsigned long long)total, name, labels->data) &&
	       exposition_add_seconds(out, (int64_t)histogram->sum_us) &&
	       text_addf(out, "\n%s_count{%s} %llu\n", name, labels->data,
			 (unsigned long long)total);
}

/* ---- requests ------------------------------------------------------------------------- */

static bool labels_route(struct text *labels, const struct metrics *metrics, size_t r)
{
	const bool known = r < metrics->route_count;

	return labels_add(labels, "method", known ? metrics->routes[r].method : "other") &&
	       labels_add(labels, "route", known ? metrics->routes[r].path : "other");
}

static bool expose_statuses(struct text *out, struct metrics *metrics, size_t r)
{
	char code[8];
	bool ok = true;
	size_t s, i;

	for (s = 0; ok && s < STATUSES; s++) {
		struct text labels = {0};
		uint64_t count = 0;

		for (i = 0; i < SHARDS; i++)
			count += counter_read(&metrics->shards[i].routes[r].status[s]);
		if (!count)
			continue;
		snprintf(code, sizeof(code), "%d", status_at(s));
		ok = labels_route(&labels, metrics, r) &&
		     labels_add(&labels, "code", status_at(s) ? code : "other") &&
		     expose_count(out, "convo_requests_total", &labels, count);
		text_clear(&labels);
	}
	return ok;
}

static bool expose_route_times(struct text *out, struct metrics *metrics, const char *name,
			       size_t r, bool first)
{
	struct histogram sum = {{0}, 0};
	struct text labels = {0};
	size_t i;
	bool ok;

	for (i = 0; i < SHARDS; i++) {
		struct route_count *route = &metrics->shards[i].routes[r];

		histogram_read(&sum, first ? &route->first : &route->whole);
	}
	ok = labels_route(&labels, metrics, r) && expose_histogram(out, name, &labels, &sum);
	text_clear(&labels);
	return ok;
}

static bool expose_requests(struct text *out, struct metrics *metrics)
{
	bool ok = expose_head(out, "convo_requests_total", "counter",
			      "Requests that ended, by route and status; 499: the client left "
			      "before a reply.");
	size_t r;

	if (!metrics->routes)
		return ok;
	for (r = 0; ok && r <= metrics->route_count; r++)
		ok = expose_statuses(out, metrics, r);
	ok = ok && expose_head(out, "convo_request_seconds", "histogram",
			       "From the end of a request's head to the end of its reply.");
	for (r = 0; ok && r <= metrics->route_count; r++)
		ok = expose_route_times(out, metrics, "convo_request_seconds", r, false);
	ok = ok && expose_head(out, "convo_first_byte_seconds", "histogram",
			       "From the end of a request's head to the beginning of its reply.");
	for (r = 0; ok && r <= metrics->route_count; r++)
		ok = expose_route_times(out, metrics, "convo_first_byte_seconds", r, true);
	return ok;
}

/* ---- models --------------------------------------------------------------------------- */

static const char *const states[FIGURES_STATES] = {
	[CONVO_COMPLETE] = "complete",
	[CONVO_INTERRUPTED] = "interrupted",
	[CONVO_FAILED] = "failed",
};

static const char *const kinds[FIGURES_KINDS] = {
	[FIGURES_PROMPT] = "prompt",
	[FIGURES_COMPLETION] = "completion",
};

/* A line for each of some counts of a model. */
static bool expose_model_counts(struct text *out, const char *name,
				const struct figures_model *model, const char *label,
				const char *const *words, const uint64_t *counts, size_t count)
{
	bool ok = true;
	size_t i;

	for (i = 0; ok && i < count; i++) {
		struct text labels = {0};

		ok = labels_add(&labels, label, words[i]) &&
		     labels_add(&labels, "model", model->name) &&
		     expose_count(out, name, &labels, counts[i]);
		text_clear(&labels);
	}
	return ok;
}

static bool expose_model_times(struct text *out, const char *name,
			       const struct figures_model *model, const struct histogram *histogram)
{
	struct text labels = {0};
	bool ok = labels_add(&labels, "model", model->name) &&
		  expose_histogram(out, name, &labels, histogram);

	text_clear(&labels);
	return ok;
}

static bool expose_models(struct text *out, const struct figures *figures)
{
	const struct figures_model *models = figures->models;
	const size_t count = figures->count;
	bool ok = expose_head(out, "convo_turns_total", "counter",
			      "Askings of a model, by how the answer ended.");
	size_t i;

	for (i = 0; ok && i < count; i++)
		ok = expose_model_counts(out, "convo_turns_total", &models[i], "state", states,
					 models[i].turns, FIGURES_STATES);
	ok = ok && expose_head(out, "convo_tokens_total", "counter",
			       "Tokens of questions and answers, as the models tell them.");
	for (i = 0; ok && i < count; i++)
		ok = expose_model_counts(out, "convo_tokens_total", &models[i], "kind", kinds,
					 models[i].tokens, FIGURES_KINDS);
	ok = ok && expose_head(out, "convo_model_first_seconds", "histogram",
			       "From asking a model to the first piece of its answer.");
	for (i = 0; ok && i < count; i++)
		ok = expose_model_times(out, "convo_model_first_seconds", &models[i],
					&models[i].first);
	ok = ok && expose_head(out, "convo_model_seconds", "histogram",
			       "From asking a model to the end of its answer, retries included.");
	for (i = 0; ok && i < count; i++)
		ok = expose_model_times(out, "convo_model_seconds", &models[i], &models[i].whole);
	return ok;
}

/* ---- the store ------------------------------------------------------------------------ */

static bool expose_op(struct text *out, struct metrics *metrics, size_t op)
{
	struct histogram sum = {{0}, 0};
	struct text labels = {0};
	size_t i;
	bool ok;

	for (i = 0; i < SHARDS; i++)
		histogram_read(&sum, &metrics->shards[i].ops[op].took);
	ok = labels_add(&labels, "op", op_at(op)) &&
	     expose_histogram(out, "convo_store_seconds", &labels, &sum);
	text_clear(&labels);
	return ok;
}

static bool expose_op_errors(struct text *out, struct metrics *metrics, size_t op)
{
	bool ok = true;
	size_t i;
	int code;

	for (code = 1; ok && code < CODES; code++) {
		struct text labels = {0};
		uint64_t count = 0;

		for (i = 0; i < SHARDS; i++)
			count += counter_read(&metrics->shards[i].ops[op].code[code]);
		if (!count)
			continue;
		ok = labels_add(&labels, "op", op_at(op)) &&
		     labels_add(&labels, "code", code_at(code)) &&
		     expose_count(out, "convo_store_errors_total", &labels, count);
		text_clear(&labels);
	}
	return ok;
}

static bool expose_store(struct text *out, struct metrics *metrics)
{
	uint64_t events = 0, tries = 0;
	bool ok = expose_head(out, "convo_store_seconds", "histogram",
			      "Calls of the store, by kind.");
	size_t i;

	for (i = 0; ok && i < OPS; i++)
		ok = expose_op(out, metrics, i);
	ok = ok && expose_head(out, "convo_store_errors_total", "counter",
			       "Calls of the store that returned a code; some are answers, such "
			       "as not_found.");
	for (i = 0; ok && i < OPS; i++)
		ok = expose_op_errors(out, metrics, i);
	for (i = 0; i < SHARDS; i++) {
		events += counter_read(&metrics->shards[i].events);
		tries += counter_read(&metrics->shards[i].tries);
	}
	return ok &&
	       expose_one(out, "convo_store_retries_total", "counter",
			  "Connections to the store that were lost and replaced within a call.",
			  tries) &&
	       expose_one(out, "convo_events_total", "counter", "Events that were stored.", events);
}

/* ---- the server and its process ------------------------------------------------------- */

static bool expose_lane(struct text *out, const char *name, const struct workers_load *load)
{
	return text_addf(out,
			 "convo_workers{lane=\"%s\",state=\"busy\"} %u\n"
			 "convo_workers{lane=\"%s\",state=\"queued\"} %u\n",
			 name, load->busy, name, load->waiting);
}

static bool expose_load(struct text *out, struct metrics *metrics)
{
	struct http_load load = {0};
	bool known;

	pthread_mutex_lock(&metrics->lock);
	known = metrics->server != NULL;
	if (known)
		http_server_look(&load, metrics->server);
	pthread_mutex_unlock(&metrics->lock);
	if (!known)
		return true;
	return expose_one(out, "convo_connections", "gauge", "Connections.", load.connections) &&
	       expose_one(out, "convo_streams", "gauge", "Streams that are being read.",
			  load.streams) &&
	       expose_head(out, "convo_workers", "gauge",
			   "Threads that wait for a model (long) or a store (quick), and requests "
			   "that wait for one.") &&
	       expose_lane(out, "quick", &load.quick) && expose_lane(out, "long", &load.slow) &&
	       expose_head(out, "convo_workers_limit", "gauge", "Most of these threads.") &&
	       text_addf(out,
			 "convo_workers_limit{lane=\"quick\"} %u\n"
			 "convo_workers_limit{lane=\"long\"} %u\n",
			 load.quick.most, load.slow.most);
}

static int64_t timeval_us(struct timeval time)
{
	return (int64_t)time.tv_sec * 1000000 + time.tv_usec;
}

static uint64_t process_memory(void)
{
	unsigned long long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file)
		return 0;
	if (fscanf(file, "%*s %llu", &pages) != 1)
		pages = 0;
	fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool expose_process(struct text *out, const struct metrics *metrics)
{
	struct rusage usage = {0};
	struct text labels = {0};
	bool ok;

	getrusage(RUSAGE_SELF, &usage);
	ok = expose_head(out, "convo_build_info", "gauge", "1, with the version.") &&
	     labels_add(&labels, "version", convo_version()) &&
	     expose_count(out, "convo_build_info", &labels, 1) &&
	     expose_one(out, "process_start_time_seconds", "gauge",
			"When this server began, in Unix seconds.", (uint64_t)metrics->started_s) &&
	     expose_one(out, "process_resident_memory_bytes", "gauge", "Memory that it has.",
			process_memory()) &&
	     expose_head(out, "process_cpu_seconds_total", "counter", "CPU time that it took.") &&
	     text_adds(out, "process_cpu_seconds_total ") &&
	     exposition_add_seconds(out, timeval_us(usage.ru_utime) + timeval_us(usage.ru_stime)) &&
	     text_adds(out, "\n");
	text_clear(&labels);
	return ok;
}

bool metrics_write(struct text *out, struct metrics *metrics)
{
	struct figures figures = {0};
	bool ok = metrics_figures(&figures, metrics) && expose_requests(out, metrics) &&
		  expose_models(out, &figures) && expose_store(out, metrics) &&
		  expose_load(out, metrics) && expose_process(out, metrics);

	figures_clear(&figures);
	return ok;
}
