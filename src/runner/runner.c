/*
 * The runner: what turns work with, and the appending that turns and taking back share. A turn is
 * turn.c's.
 */
#include <runner/runner.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/check.h>
#include <base/clock.h>
#include <base/fail.h>
#include <base/json.h>
#include <runner/tokens.h>

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
	return runner->params ? 0 : cv_fail_nomem(err);
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
	runner = cv_alloc(1, sizeof(*runner));
	if (!runner)
		return cv_fail_nomem(err);
	rc = runner_fill(runner, opts, err);
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
	free(runner->app);
	free(runner->instruction);
	free(runner->params);
	free(runner);
}

/* Whether what failed may go well at another time, and may have been carried out all the same. */
static bool append_unsure(int rc)
{
	return rc == CONVO_E_IO || rc == CONVO_E_TIMEOUT || rc == CONVO_E_GONE;
}

int cv_runner_append(const struct convo_runner *runner, const struct convo_key *key,
		     const struct convo_expect *expect, const struct convo_event *event,
		     enum append_patience patience, const struct convo_call *call, int64_t *seq,
		     struct convo_err *err)
{
	const convo_cancel *cancel = call ? call->cancel : NULL;
	int64_t until = cv_clock_mono_us() + APPEND_RETRY_MS * 1000;
	int wait_ms = 20, rc;
	bool maybe = false;

	for (;;) {
		err->maybe = false;
		rc = convo_store_append(runner->store, key, expect, event, 1, seq, call, err);
		if (rc >= 0)
			return 0;
		maybe |= err->maybe;
		if (!append_unsure(rc) || convo_cancel_requested(cancel) ||
		    patience == APPEND_ONCE || (patience == APPEND_SETTLE && !maybe) ||
		    cv_clock_mono_us() + wait_ms * 1000 >= until)
			break;
		poll(NULL, 0, wait_ms);
		wait_ms = wait_ms < 500 ? wait_ms * 2 : wait_ms;
	}
	err->maybe = maybe && (append_unsure(rc) || rc == CONVO_E_CANCELED);
	return rc;
}
