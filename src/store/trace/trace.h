/*
 * A backend around a backend: it passes each call on and tells a listener how it went.
 */
#ifndef STORE_TRACE_TRACE_H
#define STORE_TRACE_TRACE_H

#include <store/backend.h>

/**
 * Put a tracing store around one that is not open yet.
 *
 * @param inner given away on success: the outer store's close() closes and frees it
 * @return the outer store, which the front opens, closes and frees like any other; NULL without
 *         memory
 */
struct convo_store *cv_trace_wrap(struct convo_store *inner, const struct convo_trace *trace);

#endif
