/*
 * Counting; see metrics.h.
 */
#include "metrics/metrics.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/reserved.h"
#include "core/fail.h"
#include "metrics/counts.h"

/* The copy that this thread counts in. */
static struct shard *metrics_shard(struct metrics *metrics)
{
	static atomic_uint threads;
	static _Thread_local unsigned mine; /* its number and 1 */

	if (!mine)
		mine = 1 + atomic_fetch_add(&threads, 1) % SHARDS;
	return &metrics->shards[mine - 1];
}

/* ---- beginning and end ---------------------------------------------------------------- */

int metrics_new(struct metrics **out, struct convo_err *err)
{
	struct metrics *metrics = calloc(1, sizeof(*metrics));

	if (!metrics)
		return fail(err, CONVO_E_NOMEM, "out of memory");
	pthread_mutex_init(&metrics->lock, NULL);
	metrics->started_s = (int64_t)time(NULL);
	*out = metrics;
	return 0;
}

void metrics_free(struct metrics *metrics)
{
	struct model_count *model;
	size_t i;

	if (!metrics)
		return;
	while ((model = metrics->models)) {
		metrics->models = model->next;
		free(model->name);
		free(model);
	}
	for (i = 0; i < SHARDS; i++)
		free(metrics->shards[i].routes);
	free(metrics->routes);
	free(metrics->slots);
	pthread_mutex_destroy(&metrics->lock);
	free(metrics);
}

void metrics_set_server(struct metrics *metrics, struct http_server *server)
{
	pthread_mutex_lock(&metrics->lock);
	metrics->server = server;
	pthread_mutex_unlock(&metrics->lock);
}

/* ---- routes --------------------------------------------------------------------------- */

static size_t route_hash(const char *method, const char *path)
{
	const uint64_t hash = sketch_hash(0, method, strlen(method));

	return (size_t)(sketch_hash(hash, path, strlen(path)) >> 20);
}

/* The place in the table where a route stands, or would. */
static unsigned short *route_slot(const struct metrics *metrics, const char *method,
				  const char *path)
{
	size_t at = route_hash(method, path);

	for (;; at++) {
		unsigned short *slot = &metrics->slots[at & metrics->slot_mask];
		const struct route_known *route = &metrics->routes[*slot - (*slot > 0)];

		if (!*slot || (!strcmp(route->path, path) && !strcmp(route->method, method)))
			return slot;
	}
}

static void route_put(struct metrics *metrics, const struct http_route *from, unsigned of_use)
{
	struct route_known *route = &metrics->routes[metrics->route_count];
	unsigned short *slot;

	route->method = http_method_name(from->method);
	route->path = from->path;
	route->of_use = (from->rights & of_use) != 0;
	slot = route_slot(metrics, route->method, route->path);
	if (!*slot)
		*slot = (unsigned short)++metrics->route_count;
}

int metrics_set_routes(struct metrics *metrics, const struct http_api *apis, size_t count,
		       unsigned of_use, struct convo_err *err)
{
	size_t routes = 0, slots = 64, a, i;
	bool ok = true;

	for (a = 0; a < count; a++)
		routes += apis[a].count;
	while (slots < 2 * routes + 2)
		slots *= 2;
	metrics->routes = calloc(routes + 1, sizeof(*metrics->routes));
	metrics->slots = calloc(slots, sizeof(*metrics->slots));
	metrics->slot_mask = slots - 1;
	for (i = 0; i < SHARDS; i++) {
		metrics->shards[i].routes = calloc(routes + 1, sizeof(struct route_count));
		ok = ok && metrics->shards[i].routes;
	}
	if (!ok || !metrics->routes || !metrics->slots)
		return fail(err, CONVO_E_NOMEM, "out of memory");
	for (a = 0; a < count; a++)
		for (i = 0; i < apis[a].count; i++)
			route_put(metrics, &apis[a].routes[i], of_use);
	return 0;
}

/* ---- counting ------------------------------------------------------------------------- */

/* What ended without a reply, since its client was gone, is 499, as other servers have it. */
#define CLIENT_GONE 499

void metrics_done(void *ctx, const struct http_done *done)
{
	struct metrics *metrics = ctx;
	const char *method = strcmp(done->method, "HEAD") != 0 ? done->method : "GET";
	const unsigned short slot = *route_slot(metrics, method, done->route);
	struct route_count *route =
		&metrics_shard(metrics)->routes[slot ? slot - 1u : metrics->route_count];

	counter_add(&route->status[status_place(done->status ? done->status : CLIENT_GONE)], 1);
	histogram_note(&route->whole, done->total_us);
	if (done->status)
		histogram_note(&route->first, done->first_us);
}

static void metrics_note_session(struct metrics *metrics, const struct convo_key *key)
{
	uint64_t hash = 0;

	if (!key || !key->app || !key->user || !key->session || app_is_reserved(key->app))
		return;
	hash = sketch_hash(hash, key->app, strlen(key->app));
	hash = sketch_hash(hash, key->user, strlen(key->user));
	hash = sketch_hash(hash, key->session, strlen(key->session));
	sketch_note(&metrics->sessions, hash);
}

void metrics_store_call(void *ctx, const struct convo_trace_call *call)
{
	struct metrics *metrics = ctx;
	struct shard *shard = metrics_shard(metrics);
	const size_t place = op_place(call->op);
	const unsigned code = call->code > 0 ? 0 : (unsigned)-call->code;

	counter_add(&shard->ops[place].code[code < CODES ? code : (unsigned)-CONVO_E_IO], 1);
	histogram_note(&shard->ops[place].took, call->duration_us);
	if (call->tries > 1)
		counter_add(&shard->tries, (uint64_t)call->tries - 1);
	if (call->code || strcmp(call->op, "append") != 0)
		return;
	counter_add(&shard->events, (uint64_t)call->events);
	metrics_note_session(metrics, call->key);
}

static void metrics_asked(void *ctx, const struct convo_trace_ask *ask)
{
	struct model_count *model = ctx;
	const struct convo_answer *answer = ask->answer;
	enum convo_status state = answer                          ? answer->status
				  : ask->code == CONVO_E_CANCELED ? CONVO_INTERRUPTED
								  : CONVO_FAILED;

	counter_add(&model->turns[state], 1);
	histogram_note(&model->whole, ask->duration_us);
	if (!answer)
		return;
	if (answer->first_ms >= 0)
		histogram_note(&model->first, answer->first_ms * 1000);
	if (answer->prompt_tokens > 0)
		counter_add(&model->tokens[FIGURES_PROMPT], (uint64_t)answer->prompt_tokens);
	if (answer->completion_tokens > 0)
		counter_add(&model->tokens[FIGURES_COMPLETION],
			    (uint64_t)answer->completion_tokens);
}

bool metrics_model(void *ctx, const char *name, struct convo_model_trace *out)
{
	struct metrics *metrics = ctx;
	struct model_count *model;

	pthread_mutex_lock(&metrics->lock);
	for (model = metrics->models; model; model = model->next)
		if (!strcmp(model->name, name))
			break;
	if (!model)
		model = calloc(1, sizeof(*model));
	if (model && !model->name) {
		model->name = strdup(name);
		if (model->name) {
			model->next = metrics->models;
			metrics->models = model;
		} else {
			free(model);
			model = NULL;
		}
	}
	pthread_mutex_unlock(&metrics->lock);
	memset(out, 0, sizeof(*out));
	out->on_ask = metrics_asked;
	out->ctx = model;
	return model != NULL;
}

/* ---- reading -------------------------------------------------------------------------- */

/* What tells that a store is in trouble; the other codes are answers. */
static bool code_is_trouble(int code)
{
	switch (-code) {
	case CONVO_E_NOMEM:
	case CONVO_E_TIMEOUT:
	case CONVO_E_IO:
	case CONVO_E_VERSION:
	case CONVO_E_DENIED:
	case CONVO_E_FULL:
	case CONVO_E_READONLY:
	case CONVO_E_GONE:
		return true;
	default:
		return false;
	}
}

static void figures_read_routes(struct figures *into, const struct metrics *metrics,
				struct shard *shard)
{
	size_t r, s;

	for (r = 0; r < metrics->route_count; r++) {
		if (!metrics->routes[r].of_use)
			continue;
		for (s = 0; s < STATUSES; s++) {
			const int status = status_at(s);
			enum figures_class class = status < 400   ? FIGURES_FINE
						   : status < 500 ? FIGURES_REFUSED
								  : FIGURES_FAILED;

			into->requests[class] += counter_read(&shard->routes[r].status[s]);
		}
	}
}

static void figures_read_calls(struct figures *into, struct shard *shard)
{
	size_t op;
	int code;

	into->events += counter_read(&shard->events);
	for (op = 0; op < OPS; op++)
		for (code = 0; code < CODES; code++)
			if (code_is_trouble(code))
				into->store_failed += counter_read(&shard->ops[op].code[code]);
}

static bool figures_read_model(struct figures *into, struct model_count *model)
{
	struct figures_model *out = figures_model(into, model->name);
	size_t i;

	if (!out)
		return false;
	for (i = 0; i < FIGURES_STATES; i++)
		out->turns[i] += counter_read(&model->turns[i]);
	for (i = 0; i < FIGURES_KINDS; i++)
		out->tokens[i] += counter_read(&model->tokens[i]);
	histogram_read(&out->first, &model->first);
	histogram_read(&out->whole, &model->whole);
	return true;
}

bool metrics_figures(struct figures *into, struct metrics *metrics)
{
	struct model_count *model;
	size_t i;
	bool ok = true;

	for (i = 0; i < SHARDS; i++) {
		figures_read_routes(into, metrics, &metrics->shards[i]);
		figures_read_calls(into, &metrics->shards[i]);
	}
	pthread_mutex_lock(&metrics->lock);
	for (model = metrics->models; ok && model; model = model->next)
		ok = figures_read_model(into, model);
	pthread_mutex_unlock(&metrics->lock);
	return ok;
}

void metrics_take_sessions(struct sketch *into, struct metrics *metrics)
{
	sketch_take(into, &metrics->sessions);
}
