/*
 * Durations as people write them: 1h30m.
 */
#include <convo/text.h>

#include <string.h>

#include <base/check.h>
#include <base/fail.h>

static const struct {
	const char *name;
	int64_t ms;
} units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

#define UNITS (sizeof(units) / sizeof(units[0]))

/* The unit at `text`, from `first` on, so that units come from large to small, each once. */
static size_t duration_unit(const char *text, size_t first, size_t *len)
{
	size_t i;

	*len = strspn(text, "abcdefghijklmnopqrstuvwxyz");
	for (i = first; i < UNITS; i++) {
		if (strlen(units[i].name) == *len && memcmp(units[i].name, text, *len) == 0)
			return i;
	}
	return UNITS;
}

static int duration_fail(struct convo_err *err, const char *text)
{
	return cv_fail(err, CONVO_E_INVALID, "bad duration '%.40s': write 24h, 1h30m, 90s, 7d or 0",
		       text);
}

int convo_duration_parse(int64_t *out_ms, const char *text, struct convo_err *err)
{
	const char *p = text;
	size_t unit = 0, len;
	int64_t total = 0;
	int rc = cv_check_given(out_ms, "where the duration goes", err);

	if (rc < 0)
		return rc;
	rc = cv_check_given(text, "the duration", err);
	if (rc < 0)
		return rc;
	if (strcmp(text, "0") == 0) {
		*out_ms = 0;
		return 0;
	}
	do {
		int64_t number = 0;

		if (*p < '0' || *p > '9')
			return duration_fail(err, text);
		for (; *p >= '0' && *p <= '9'; p++) {
			if (number <= CONVO_MAX_DURATION)
				number = number * 10 + (*p - '0');
		}
		unit = duration_unit(p, unit, &len);
		if (unit == UNITS)
			return duration_fail(err, text);
		if (number > (CONVO_MAX_DURATION - total) / units[unit].ms)
			return cv_fail(err, CONVO_E_INVALID,
				       "bad duration '%.40s': longer than 100 years", text);
		total += number * units[unit].ms;
		unit++;
		p += len;
	} while (*p);
	*out_ms = total;
	return 0;
}
