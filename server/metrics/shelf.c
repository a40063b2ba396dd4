/*
 * Shelves; see shelf.h.
 */
#include "metrics/shelf.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define NAME_SCOPE "app:"
#define NAME_SCOPE_LEN (sizeof(NAME_SCOPE) - 1)

static struct tm shelf_tm(int64_t at_s)
{
	const time_t at = (time_t)at_s;
	struct tm tm;

	if (!gmtime_r(&at, &tm))
		memset(&tm, 0, sizeof(tm));
	return tm;
}

int64_t shelf_begin(enum shelf_step step, int64_t at_s)
{
	const int64_t over = at_s % (int64_t)step;

	return at_s - over - (over < 0 ? (int64_t)step : 0);
}

void shelf_place(struct shelf_place *out, enum shelf_step step, int64_t at_s, const char *writer)
{
	const struct tm tm = shelf_tm(at_s);
	const bool hours = step == SHELF_HOUR;

	memset(out, 0, sizeof(*out));
	strftime(out->shelf, sizeof(out->shelf), hours ? "%Y%m%d" : "%Y%m", &tm);
	snprintf(out->app, sizeof(out->app), SHELF_APPS "%s", out->shelf);
	snprintf(out->name, sizeof(out->name), NAME_SCOPE "%02d/%.16s",
		 hours ? tm.tm_hour : tm.tm_mday, writer);
}

/* When the shelf of a moment begins. */
static int64_t shelf_first(enum shelf_step step, int64_t at_s)
{
	const int64_t day = shelf_begin(SHELF_DAY, at_s);

	return step == SHELF_HOUR ? day : day - (int64_t)(shelf_tm(at_s).tm_mday - 1) * SHELF_DAY;
}

int64_t shelf_next(enum shelf_step step, int64_t at_s)
{
	/* 31 days after its first no month goes on, and the next one has not ended. */
	return shelf_first(step,
			   shelf_first(step, at_s) + (step == SHELF_HOUR ? 1 : 31) * SHELF_DAY);
}

/* So many digits, and no more. @return their value, or -1 */
static int digits_read(const char *text, size_t count)
{
	int value = 0;
	size_t i;

	for (i = 0; i < count; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		value = value * 10 + (text[i] - '0');
	}
	return value;
}

bool shelf_read_name(int64_t *out_s, enum shelf_step step, int64_t shelf_s, const char *name)
{
	const char *slot = name + NAME_SCOPE_LEN;
	int number;

	if (strncmp(name, NAME_SCOPE, NAME_SCOPE_LEN) != 0)
		return false;
	number = digits_read(slot, 2) - (step == SHELF_DAY);
	*out_s = shelf_first(step, shelf_s) + number * (int64_t)step;
	return number >= 0 && slot[2] == '/' && *out_s < shelf_next(step, shelf_s);
}

bool shelf_read(enum shelf_step *step, int64_t *out_s, const char *shelf)
{
	const size_t len = strlen(shelf);
	struct shelf_place same;
	struct tm tm = {0};

	if (len != 6 && len != 8)
		return false;
	tm.tm_year = digits_read(shelf, 4) - 1900;
	tm.tm_mon = digits_read(shelf + 4, 2) - 1;
	tm.tm_mday = len == 8 ? digits_read(shelf + 6, 2) : 1;
	*step = len == 8 ? SHELF_HOUR : SHELF_DAY;
	*out_s = (int64_t)timegm(&tm);
	/* What is no date became another one. */
	shelf_place(&same, *step, *out_s, "");
	return !strcmp(same.shelf, shelf);
}

bool shelf_is_over(enum shelf_step step, int64_t shelf_s, int64_t now_s)
{
	return shelf_next(step, shelf_s) <
	       now_s - (step == SHELF_HOUR ? SHELF_HOURS_S : SHELF_DAYS_S);
}
