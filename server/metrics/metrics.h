/*
 * What happens in this server since it began, counted without a lock: requests as they end, calls of the store, and
 * what models were asked. Read by who scrapes it (exposition.c), and by what keeps it in the store (usage.h).
 */
#ifndef SERVER_METRICS_METRICS_H
#define SERVER_METRICS_METRICS_H

#include <convo/model.h>
#include <convo/trace.h>

#include "http/http.h"
#include "metrics/figures.h"

/** Thread-safe, but for its beginning and end. */
struct metrics;

/** @return 0, CONVO_E_NOMEM */
int metrics_new(struct metrics **out, struct convo_err *err);

/** Nobody may count any more. NULL is fine. */
void metrics_free(struct metrics *metrics);

/**
 * Say which routes there are, once, before any request. Borrowed until the end.
 *
 * @param of_use rights: requests on routes that want one of them are use, which is kept in the store
 * @return 0, CONVO_E_NOMEM
 */
int metrics_set_routes(struct metrics *metrics, const struct http_api *apis, size_t count,
		       unsigned of_use, struct convo_err *err);

/** Whose load is told from now on; NULL: nobody's. Borrowed until it is another one. */
void metrics_set_server(struct metrics *metrics, struct http_server *server);

/* ---- counting ------------------------------------------------------------------------- */

/** A request ended, as for http_options.done; `metrics` is a struct metrics. */
void metrics_done(void *metrics, const struct http_done *done);

/** A call of the store ended, as for convo_trace.on_call. */
void metrics_store_call(void *metrics, const struct convo_trace_call *call);

/**
 * What hears the askings of a model. Two of the same name are one.
 *
 * @param name copied
 * @param out  set to how it is told
 * @return success; else memory is out
 */
bool metrics_model(void *metrics, const char *name, struct convo_model_trace *out);

/* ---- reading -------------------------------------------------------------------------- */

/** Add what was of use, since the beginning, but for the sessions. @return success; else memory is out */
bool metrics_figures(struct figures *into, struct metrics *metrics);

/** Move the sessions since the last time into a sketch. */
void metrics_take_sessions(struct sketch *into, struct metrics *metrics);

/** Write all of it in Prometheus' text format, 0.0.4. @return success */
bool metrics_write(struct text *out, struct metrics *metrics);

#endif
