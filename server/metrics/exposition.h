/*
 * Parts of Prometheus' text format, for the tests too: metrics_write() writes all of it.
 */
#ifndef SERVER_METRICS_EXPOSITION_H
#define SERVER_METRICS_EXPOSITION_H

#include <stdbool.h>
#include <stdint.h>

#include "term/text.h"

/** Append name="value", with what must be escaped. Values are UTF-8. @return success */
bool exposition_add_label(struct text *out, const char *name, const char *value);

/** Append a time of 0 or more in seconds. @return success */
bool exposition_add_seconds(struct text *out, int64_t us);

#endif
