/*
 * Figures for a person, in a terminal: a line with a small plot for each.
 */
#ifndef SERVER_STATS_SHOW_H
#define SERVER_STATS_SHOW_H

#include "metrics/report.h"
#include "term/text.h"

/** Write a count in at most 5 columns: "999", "12.3k", "1.2M". */
void stats_count(char out[8], uint64_t count);

/** Write a time in at most 6 columns: "0 ms", "12 ms", "1.2 s", "200 s". */
void stats_time(char out[8], int64_t us);

/**
 * Append a plot of some values, a column each, or of the greatest of neighbours where there are more of them than
 * columns: from nothing to the greatest, in eighths. @return success
 */
bool stats_plot(struct text *out, const uint64_t *values, size_t count, size_t columns);

/** Show a report on stdout. @param columns of the terminal */
void stats_show(const struct report *report, const char *store, size_t columns);

#endif
