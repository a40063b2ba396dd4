/*
 * Making a runner: what turns work with. A turn is turn.c's.
 */
#include <runner/runner.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/check.h>
#include <base/fail.h>
#include <base/json.h>
#include <runner/cover.h>
#include <runner/keeper.h>
#include <runner/summarizer.h>
#include <runner/tokens.h>

/* As convo_lease_options has it. */
#define LEASE_MS 15000
#define LEASE_LEAST_MS 1000
#define LEASE_MOST_MS 600000

/* A count that params set, or 0. */
static size_t runner_count(struct cv_text params, const char *name)
{
	struct cv_text value = cv_json_find(params, name);
	size_t count = 0;

	if (cv_json_kind(value) != JSON_KIND_NUMBER)
		return 0;
	for (size_t i = 0; i < value.len && i < 9 && value.data[i] >= '0' && value.data[i] <= '9';
	     i++)
		count = count * 10 + (size_t)(value.data[i] - '0');
	return count;
}

/* What params are for the budget: how long the answer may be, and what goes to the model with them. */
static void runner_weigh(struct convo_runner *runner, struct cv_text params)
{
	static const char *const lengths[] = {"max_tokens", "max_completion_tokens"};
	static const char *const told[] = {"tools", "functions", "response_format"};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t count = runner_count(params, lengths[i]);

		if (count > runner->limits.answer)
			runner->limits.answer = count;
	}
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		struct cv_text value = cv_json_find(params, told[i]);

		if (value.data)
			runner->extra += cv_tokens_text(value);
	}
}

/* The members of params that a summary is asked for with: those that shape an answer are not. */
static int runner_strip(char **out, struct cv_text params)
{
	static const char answers[] =
		" tools tool_choice parallel_tool_calls functions function_call response_format n "
		"stop "
		"max_tokens max_completion_tokens logprobs top_logprobs logit_bias stream "
		"stream_options modalities audio prediction ";
	struct cv_text name, value;
	struct cv_buf kept = {0}, word = {0};
	size_t pos = 0;
	int rc = cv_buf_addc(&kept, '{');

	while (rc == 0 && cv_json_member(params, &pos, &name, &value)) {
		cv_buf_reset(&word);
		rc = cv_buf_addf(&word, " %.*s ", (int)name.len, name.data);
		if (rc < 0 || strstr(answers, word.data))
			continue;
		/* the name with its quotes, up to the end of the value */
		rc = cv_buf_adds(&kept, kept.len > 1 ? ",\"" : "\"");
		if (rc == 0)
			rc = cv_buf_add(&kept, name.data,
					(size_t)(value.data + value.len - name.data));
	}
	if (rc == 0)
		rc = cv_buf_addc(&kept, '}');
	*out = rc == 0 ? cv_buf_take(&kept) : NULL;
	cv_buf_clear(&kept);
	cv_buf_clear(&word);
	return *out ? 0 : CONVO_E_NOMEM;
}

static int runner_fill(struct convo_runner *runner, const struct convo_runner_options *opts,
		       struct convo_err *err)
{
	struct cv_text params = cv_text_of(opts->params);
	int rc;

	runner->store = opts->store;
	runner->model = opts->model;
	runner->limits.messages = opts->context_messages;
	runner->limits.tokens = opts->context_tokens;
	runner->alternate = opts->alternate;
	runner->lease_ms = opts->lease_ms ? opts->lease_ms : LEASE_MS;
	if (runner->lease_ms < LEASE_LEAST_MS || runner->lease_ms > LEASE_MOST_MS)
		return cv_fail(err, CONVO_E_INVALID, "lease_ms: not %d to %d", LEASE_LEAST_MS,
			       LEASE_MOST_MS);
	rc = cv_keeper_new(&runner->keeper, opts->store, err);
	if (rc < 0)
		return rc;
	runner->app = cv_memdup(opts->app, strlen(opts->app));
	if (!runner->app)
		return cv_fail_nomem(err);
	if (opts->instruction && opts->instruction[0]) {
		rc = convo_message_make(&runner->instruction, "system", opts->instruction,
					strlen(opts->instruction), err);
		if (rc < 0)
			return rc;
	}
	if (!params.data)
		return 0;
	rc = cv_json_check(params, "params", err);
	if (rc < 0)
		return rc;
	if (rc != JSON_KIND_OBJECT)
		return cv_fail(err, CONVO_E_INVALID, "params: not a JSON object");
	runner_weigh(runner, params);
	runner->params = cv_memdup(params.data, params.len);
	if (!runner->params || runner_strip(&runner->summary_params, params) < 0)
		return cv_fail_nomem(err);
	return 0;
}

/* What makes the summaries, and whether it does so by itself. */
static int runner_sum(struct convo_runner *runner, const struct convo_runner_options *opts,
		      struct convo_err *err)
{
	const char *prompt = opts->summary_prompt;

	runner->summary_model = opts->summary_model;
	runner->summary_events = opts->summary_events;
	if (prompt && prompt[0]) {
		runner->summary_prompt = cv_memdup(prompt, strlen(prompt));
		if (!runner->summary_prompt)
			return cv_fail_nomem(err);
	}
	if (opts->summaries == CONVO_SUMMARIES_OFF)
		return 0;
	if (opts->context_tokens && opts->context_tokens < COVER_LEAST_LIMIT)
		return cv_fail(err, CONVO_E_INVALID,
			       "with less than %d context_tokens nothing can be summed up",
			       COVER_LEAST_LIMIT);
	return cv_summarizer_new(&runner->summarizer, runner, err);
}

int convo_runner_new(convo_runner **out, const struct convo_runner_options *opts,
		     struct convo_err *err)
{
	struct convo_runner *runner;
	int rc = cv_check_given(out, "the place for the runner", err);

	if (rc < 0)
		return rc;
	if (!opts || !opts->store || !opts->model || !opts->app)
		return cv_fail(err, CONVO_E_INVALID, "a runner needs a store, a model and an app");
	rc = CHECK_RESERVED(opts, err);
	if (rc < 0)
		return rc;
	if ((unsigned)opts->alternate > CONVO_ALTERNATE_KEEP)
		return cv_fail(err, CONVO_E_INVALID, "no such way to let messages alternate");
	if ((unsigned)opts->summaries > CONVO_SUMMARIES_ON)
		return cv_fail(err, CONVO_E_INVALID, "no such way to sum up");
	runner = cv_alloc(1, sizeof(*runner));
	if (!runner)
		return cv_fail_nomem(err);
	rc = runner_fill(runner, opts, err);
	if (rc < 0)
		goto out;
	rc = runner_sum(runner, opts, err);
	if (rc < 0)
		goto out;
	*out = runner;
	runner = NULL;
out:
	convo_runner_free(runner);
	return rc;
}

void convo_runner_free(convo_runner *runner)
{
	if (!runner)
		return;
	cv_summarizer_free(runner->summarizer);
	cv_keeper_free(runner->keeper);
	free(runner->app);
	free(runner->instruction);
	free(runner->params);
	free(runner->summary_params);
	free(runner->summary_prompt);
	free(runner);
}
