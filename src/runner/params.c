/*
 * Params; see params.h.
 */
#include <runner/params.h>

#include <stdlib.h>
#include <string.h>

#include <convo/event.h>

#include <base/alloc.h>
#include <base/fail.h>
#include <base/json.h>
#include <runner/tokens.h>

void cv_params_clear(struct params *params)
{
	free(params->json);
	*params = (struct params){0};
}

/* A count that params set, or 0. */
static size_t params_count(struct cv_text params, const char *name)
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
static void params_weigh(struct params *out)
{
	static const char *const lengths[] = {"max_tokens", "max_completion_tokens"};
	static const char *const told[] = {"tools", "functions", "response_format"};
	struct cv_text params = cv_text_of(out->json);

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t count = params_count(params, lengths[i]);

		if (count > out->answer)
			out->answer = count;
	}
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		struct cv_text value = cv_json_find(params, told[i]);

		if (value.data)
			out->extra += cv_tokens_text(value);
	}
}

static int params_check(struct cv_text params, struct convo_err *err)
{
	int rc = cv_json_check(params, "params", err);

	if (rc < 0)
		return rc;
	return rc == JSON_KIND_OBJECT ? 0
				      : cv_fail(err, CONVO_E_INVALID, "params: not a JSON object");
}

int cv_params_read(struct params *out, const char *json, struct convo_err *err)
{
	struct cv_text params = cv_text_of(json);
	int rc;

	if (!json)
		return 0;
	rc = params_check(params, err);
	if (rc < 0)
		return rc;
	out->json = cv_memdup(params.data, params.len);
	if (!out->json)
		return cv_fail_nomem(err);
	params_weigh(out);
	return 0;
}

/* ---- one over the other ----------------------------------------------------------------- */

static int params_refuse(struct cv_text params, struct convo_err *err)
{
	static const char *const others[] = {"messages", "model", "stream"};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (cv_json_find(params, others[i]).data)
			return cv_fail(err, CONVO_E_INVALID,
				       "params: \"%s\" is not theirs to set in a turn", others[i]);
	}
	return 0;
}

static int params_put(struct cv_buf *out, struct cv_text name, struct cv_text value)
{
	int rc = cv_buf_adds(out, out->len ? ",\"" : "{\"");

	if (rc < 0)
		return rc;
	/* the name's second quote, up to the end of the value */
	return cv_buf_add(out, name.data, (size_t)(value.data + value.len - name.data));
}

/* Whether an object has a member of this name, raw as it stands in another one. */
static int params_has(struct cv_text params, struct cv_text name)
{
	struct cv_buf plain = {0};
	int rc = cv_json_unescape(&plain, name);

	if (rc == 0)
		rc = cv_json_find(params, cv_buf_str(&plain)).data != NULL;
	cv_buf_clear(&plain);
	return rc;
}

static int params_lay(struct cv_buf *out, struct cv_text under, struct cv_text over)
{
	struct cv_text name, value;
	size_t pos = 0;
	int rc = 0;

	while (rc >= 0 && under.data && cv_json_member(under, &pos, &name, &value)) {
		rc = params_has(over, name);
		if (rc == 0)
			rc = params_put(out, name, value);
	}
	pos = 0;
	while (rc >= 0 && cv_json_member(over, &pos, &name, &value)) {
		if (cv_json_kind(value) != JSON_KIND_NULL)
			rc = params_put(out, name, value);
	}
	if (rc >= 0)
		rc = cv_buf_adds(out, out->len ? "}" : "{}");
	return rc < 0 ? rc : 0;
}

int cv_params_merge(struct params *out, const struct params *under, const char *json,
		    struct convo_err *err)
{
	struct cv_text over = cv_text_of(json);
	struct cv_buf merged = {0};
	int rc;

	if (over.len > CONVO_MAX_EVENT)
		return cv_fail(err, CONVO_E_TOOBIG, "params: more than %u bytes", CONVO_MAX_EVENT);
	rc = params_check(over, err);
	if (rc < 0)
		return rc;
	rc = params_refuse(over, err);
	if (rc < 0)
		return rc;
	rc = params_lay(&merged, cv_text_of(under->json), over);
	if (rc < 0) {
		rc = cv_buf_fail(err, rc);
		goto out;
	}
	out->json = cv_buf_take(&merged);
	params_weigh(out);
out:
	cv_buf_clear(&merged);
	return rc;
}

/* ---- for summaries ---------------------------------------------------------------------- */

int cv_params_strip(char **out, const struct params *params)
{
	static const char answers[] =
		" tools tool_choice parallel_tool_calls functions function_call response_format n "
		"stop "
		"max_tokens max_completion_tokens logprobs top_logprobs logit_bias stream "
		"stream_options modalities audio prediction ";
	struct cv_text name, value;
	struct cv_buf kept = {0}, word = {0};
	size_t pos = 0;
	int rc = 0;

	while (rc == 0 && cv_json_member(cv_text_of(params->json), &pos, &name, &value)) {
		cv_buf_reset(&word);
		rc = cv_buf_addf(&word, " %.*s ", (int)name.len, name.data);
		if (rc == 0 && !strstr(answers, word.data))
			rc = params_put(&kept, name, value);
	}
	if (rc == 0)
		rc = cv_buf_adds(&kept, kept.len ? "}" : "{}");
	*out = rc == 0 ? cv_buf_take(&kept) : NULL;
	cv_buf_clear(&kept);
	cv_buf_clear(&word);
	return *out ? 0 : CONVO_E_NOMEM;
}
