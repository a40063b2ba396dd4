/*
 * Where in a store the figures of an hour or a day stand: state of applications that are convo's own. The hours of a
 * day are one application's, "convo:usage/20261126", the days of a month another one's, "convo:usage/202611", so that
 * neither grows beyond what the state of one may hold (N3). Hours and days are those of UTC.
 *
 * Each server writes under a name of its own, "app:05/3f9ac2d17b40", all that it counted in that hour: so nothing is
 * counted twice however often it writes, and no two write the same name. Who reads adds up.
 */
#ifndef SERVER_METRICS_SHELF_H
#define SERVER_METRICS_SHELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What figures are of; its length in seconds. */
enum shelf_step { SHELF_HOUR = 3600, SHELF_DAY = 86400 };

/** How long they are kept. */
#define SHELF_HOURS_S ((int64_t)14 * SHELF_DAY)
#define SHELF_DAYS_S ((int64_t)400 * SHELF_DAY)

/** Its application, that of the list of all shelves, and the longest name of a shelf with its NUL. */
#define SHELF_APPS "convo:usage/"
#define SHELF_LIST_APP "convo:usage"
#define SHELF_SIZE 9

/** Where one stands. */
struct shelf_place {
	char app[32];
	char shelf[SHELF_SIZE]; /* "20261126" or "202611" */
	char name[40];          /* of the state, with "app:" */
};

/** Unix seconds at which the hour or day began. */
int64_t shelf_begin(enum shelf_step step, int64_t at_s);

/**
 * The place of what a server counted in the hour or day that holds a moment.
 *
 * @param at_s   Unix seconds, from 1970 to 9999
 * @param writer letters and digits, at most 16
 */
void shelf_place(struct shelf_place *out, enum shelf_step step, int64_t at_s, const char *writer);

/** When the first hour of the shelf after that of a moment begins. */
int64_t shelf_next(enum shelf_step step, int64_t at_s);

/** When the hour or day of a name began that stands on the shelf of a moment. @return false: it is no such name */
bool shelf_read_name(int64_t *out_s, enum shelf_step step, int64_t shelf_s, const char *name);

/** Of which step a shelf is, and a moment in it. @return false: it is none */
bool shelf_read(enum shelf_step *step, int64_t *out_s, const char *shelf);

/** Whether a shelf holds nothing but what was kept long enough. */
bool shelf_is_over(enum shelf_step step, int64_t shelf_s, int64_t now_s);

#endif
