/*
 * The arithmetic of tokens; see budget.h.
 */
#include <runner/budget.h>

#include <stdint.h>

#include <base/json.h>
#include <runner/tokens.h>

/* Of what is counted beyond an estimate of so many tokens, much may be a template's. */
#define LITTLE_TOKENS 64
#define LEAST_FACTOR 0.5
#define MOST_FACTOR 3.0

/* A quarter of the window is kept for the answer, but no more than this. */
#define ANSWER_TOKENS 8192

/* How much of the rest is filled: an estimate errs, and before an answer told the factor it errs more. */
#define SURE_SHARE 0.95
#define UNSURE_SHARE 0.7

double cv_budget_factor(double counted, double estimate)
{
	double factor = (counted + LITTLE_TOKENS) / (estimate + LITTLE_TOKENS);

	if (factor < LEAST_FACTOR)
		return LEAST_FACTOR;
	return factor > MOST_FACTOR ? MOST_FACTOR : factor;
}

double cv_budget_tokens(const struct budget *budget, double estimate)
{
	return budget->fixed + budget->factor * estimate;
}

/* ---- what is known of the counting ------------------------------------------------------ */

/* A count in an object of facts; 0 when it is not there. */
static double number_in(const char *object, const char *name)
{
	struct cv_text value = cv_json_find(cv_text_of(object), name);
	double number = 0;
	size_t i;

	if (cv_json_kind(value) != JSON_KIND_NUMBER)
		return 0;
	for (i = 0; i < value.len && i < 12 && value.data[i] >= '0' && value.data[i] <= '9'; i++)
		number = number * 10 + (value.data[i] - '0');
	return number;
}

/*
 * What the last answer tells of its own request: an estimate of so many tokens was so many. What the
 * factor does not explain was not in the messages.
 */
static void budget_calibrate(struct budget *budget, const convo_session *session)
{
	size_t i = convo_session_count(session);

	while (i--) {
		const struct convo_event *event = convo_session_event(session, i);
		double counted, estimate;

		if (!event->usage || !event->extra)
			continue;
		counted = number_in(event->usage, "prompt_tokens");
		estimate = number_in(event->extra, "sent_tokens");
		if (counted <= 0 || estimate <= 0)
			continue;
		budget->factor = cv_budget_factor(counted, estimate);
		if (counted > budget->factor * estimate)
			budget->fixed = counted - budget->factor * estimate;
		budget->measured = true;
		return;
	}
}

/* ---- how much may go -------------------------------------------------------------------- */

/* What a window leaves for the request. */
static size_t budget_window(const struct budget *budget, const struct context_limits *limits)
{
	size_t room = limits->window / 4, left;
	double unsure = (double)limits->window * UNSURE_SHARE;

	if (room > ANSWER_TOKENS)
		room = ANSWER_TOKENS;
	if (room < limits->answer)
		room = limits->answer < limits->window ? limits->answer : limits->window;
	left = (size_t)((double)(limits->window - room) * SURE_SHARE);
	if (!budget->measured && left > (size_t)unsure)
		left = (size_t)unsure;
	return left ? left : 1;
}

void cv_budget_make(struct budget *out, const struct context_limits *limits,
		    const struct context_rate *rate, const convo_session *session)
{
	size_t left = 0;

	*out = (struct budget){.factor = 1};
	if (!rate->exact)
		budget_calibrate(out, session);
	if (!out->measured && rate->factor > 0) {
		out->factor = rate->factor;
		out->measured = true;
	}
	out->tokens = limits->tokens;
	if (limits->window)
		left = budget_window(out, limits);
	if (limits->again && (!left || limits->again < left))
		left = limits->again;
	if (!left || (limits->tokens && limits->tokens <= left))
		return;
	out->tokens = left;
	out->by_window = true;
}

size_t cv_budget_reach(const struct context_limits *limits)
{
	size_t reach = SIZE_MAX;

	if (limits->window)
		reach = limits->window / MESSAGE_TOKENS;
	if (limits->tokens && limits->tokens / MESSAGE_TOKENS < reach)
		reach = limits->tokens / MESSAGE_TOKENS;
	if (limits->messages && limits->messages - 1 < reach)
		reach = limits->messages - 1;
	return reach;
}
