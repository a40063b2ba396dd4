/*
 * The rules of asking again; see retry.h. They follow what the SDKs of the API's maker do, so that a
 * server sees no stranger in us.
 */
#include <model/retry.h>

#include <string.h>

#define FIRST_MS 500.0
#define LONGEST_MS 8000.0
#define LONGEST_ASKED_S 120.0 /* a server that asks for more means "not now" */
#define LOADING_MS 1000

/* A number like "12" or "0.5" and nothing else; strtod() would ask the locale what a point is. */
static bool retry_number(const char *text, double *out)
{
	double value = 0, unit = 0.1;
	size_t digits = strspn(text, "0123456789");

	if (!digits)
		return false;
	for (; digits; digits--)
		value = value * 10 + (*text++ - '0');
	if (*text == '.') {
		for (text++; *text >= '0' && *text <= '9'; unit /= 10)
			value += unit * (*text++ - '0');
	}
	*out = value;
	return !*text;
}

/* What the server asks for in seconds; 0: nothing. */
static double retry_asked(const struct retry_facts *facts)
{
	double asked;

	if (facts->after_ms && retry_number(facts->after_ms, &asked))
		return asked / 1000;
	if (facts->after && retry_number(facts->after, &asked))
		return asked;
	if (facts->after && facts->after_date >= 0)
		return (double)(facts->after_date - facts->now);
	return 0;
}

static bool retry_wanted(const struct retry_facts *facts)
{
	/* The code counts, not the words: "quota" also stands in messages that will pass. */
	if (strcmp(facts->code, "insufficient_quota") == 0 ||
	    strcmp(facts->type, "insufficient_quota") == 0)
		return false;
	if (facts->should && strcmp(facts->should, "true") == 0)
		return true;
	if (facts->should && strcmp(facts->should, "false") == 0)
		return false;
	if (!facts->status)
		return facts->broken;
	return facts->status == 408 || facts->status == 409 || facts->status == 429 ||
	       facts->status >= 500;
}

/* A server that is still loading its model will be there soon. */
static bool retry_loading(const struct retry_facts *facts)
{
	return facts->status == 503 && (strstr(facts->message, "oading model") ||
					strstr(facts->message, "model is loading"));
}

int cv_retry_wait(const struct retry_facts *facts)
{
	double asked = retry_asked(facts), wait = FIRST_MS;

	if (facts->max_retries <= 0 || asked > LONGEST_ASKED_S || !retry_wanted(facts))
		return -1;
	if (retry_loading(facts) && facts->spent_ms < facts->patience_ms)
		return asked > 0 ? (int)(asked * 1000) : LOADING_MS;
	if (facts->attempt > facts->max_retries)
		return -1;
	if (asked > 0)
		return (int)(asked * 1000);
	for (int i = 1; i < facts->attempt && wait < LONGEST_MS; i++)
		wait *= 2;
	if (wait > LONGEST_MS)
		wait = LONGEST_MS;
	return (int)(wait - wait / 4 * ((double)facts->dice / UINT32_MAX));
}
