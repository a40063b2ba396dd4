/*
 * The tool calls of an answer: merging their pieces, telling them, and writing them into its message;
 * see answer.h.
 */
#include <model/answer.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/json.h>

#define MOST_CALLS 128u
#define CALL_FRAME 128u /* bytes of JSON around a call, an id that is made up among them */

void cv_calls_clear(struct answer *answer)
{
	for (size_t i = 0; i < answer->call_count; i++) {
		cv_buf_clear(&answer->calls[i].id);
		cv_buf_clear(&answer->calls[i].name);
		cv_buf_clear(&answer->calls[i].args);
	}
	free(answer->calls);
	answer->calls = NULL;
	answer->call_count = answer->call_cap = 0;
}

/* ---- pieces --------------------------------------------------------------------------- */

/* Whether a piece goes on with a call. Servers differ in what they repeat and what they leave out;
 * a new id always means a new call. */
static bool call_matches(const struct answer_call *call, const struct answer_call_piece *piece)
{
	bool same_id = piece->id.len && piece->id.len == call->id.len &&
		       memcmp(piece->id.data, call->id.data, call->id.len) == 0;

	if (piece->id.len && call->id.len)
		return same_id;
	if (piece->index >= 0 && call->index >= 0)
		return piece->index == call->index;
	return !piece->name.len || !call->name.len;
}

static struct answer_call *call_find(struct answer *answer, const struct answer_call_piece *piece)
{
	for (size_t i = answer->call_count; i > 0; i--) {
		if (call_matches(&answer->calls[i - 1], piece))
			return &answer->calls[i - 1];
	}
	return NULL;
}

static struct answer_call *call_new(struct answer *answer, int64_t index)
{
	struct answer_call *call;

	if (!cv_grow((void **)&answer->calls, &answer->call_cap, answer->call_count + 1,
		     sizeof(*call)))
		return NULL;
	call = &answer->calls[answer->call_count++];
	memset(call, 0, sizeof(*call));
	call->index = index;
	return call;
}

/* Some servers send the id or the name late. */
static bool call_may_begin(const struct answer_call *call)
{
	return call->begun || call->pub.id || (call->id.len && call->name.len);
}

static int call_tell(struct answer *answer, struct answer_call *call, struct convo_err *err)
{
	struct convo_delta delta = {.kind = CONVO_DELTA_TOOL_CALL, .text = ""};

	if (call->begun && call->told == call->args.len)
		return 0;
	delta.call = (size_t)(call - answer->calls);
	delta.call_id = call->begun ? NULL : call->id.data;
	delta.call_name = call->begun ? NULL : cv_buf_str(&call->name);
	delta.arguments = cv_buf_str(&call->args) + call->told;
	delta.arguments_len = call->args.len - call->told;
	call->begun = true;
	call->told = call->args.len;
	return cv_answer_hear(answer, &delta, err);
}

/* Tell what is new. They begin in their order: whoever adds them up by their number relies on it. */
static int calls_tell(struct answer *answer, struct convo_err *err)
{
	int rc = 0;

	for (size_t i = 0; i < answer->call_count && rc == 0; i++) {
		if (!call_may_begin(&answer->calls[i]))
			break;
		rc = call_tell(answer, &answer->calls[i], err);
	}
	return rc;
}

int cv_answer_call(struct answer *answer, const struct answer_call_piece *piece,
		   struct convo_err *err)
{
	struct answer_call *call = call_find(answer, piece);
	int rc;

	if (!call) {
		if (answer->call_count == MOST_CALLS)
			return cv_answer_overflow(answer, err);
		answer->used += CALL_FRAME;
		call = call_new(answer, piece->index);
		if (!call)
			return cv_fail_nomem(err);
	}
	rc = call->id.len ? 0 : cv_answer_extend(answer, &call->id, piece->id, err);
	if (rc < 0)
		return rc;
	rc = call->name.len ? 0 : cv_answer_extend(answer, &call->name, piece->name, err);
	if (rc < 0)
		return rc;
	rc = cv_answer_extend(answer, &call->args, piece->args, err);
	return rc < 0 ? rc : calls_tell(answer, err);
}

/* ---- the end -------------------------------------------------------------------------- */

static int call_complete(struct answer_call *call, struct convo_err *err)
{
	char made_up[CONVO_UUID_SIZE];
	int rc = 0;

	if (!call->id.len) {
		convo_uuid_make(made_up);
		rc = cv_buf_addf(&call->id, "call_%s", made_up);
	}
	if (rc == 0 && !call->args.len)
		rc = cv_buf_adds(&call->args, "{}");
	if (rc < 0)
		return cv_fail_nomem(err);
	call->pub =
		(struct convo_tool_call){call->id.data, cv_buf_str(&call->name), call->args.data};
	return 0;
}

int cv_calls_end(struct answer *answer, struct convo_err *err)
{
	int rc = 0;

	for (size_t i = 0; i < answer->call_count && rc == 0; i++)
		rc = call_complete(&answer->calls[i], err);
	return rc < 0 ? rc : calls_tell(answer, err);
}

static int call_put(struct cv_buf *out, const struct answer_call *call)
{
	int rc = cv_buf_adds(out, "{\"id\":");

	if (rc < 0)
		return rc;
	rc = cv_json_quote_to(out, call->id.data, call->id.len);
	if (rc < 0)
		return rc;
	rc = cv_buf_adds(out, ",\"type\":\"function\",\"function\":{\"name\":");
	if (rc < 0)
		return rc;
	rc = cv_json_quote_to(out, cv_buf_str(&call->name), call->name.len);
	if (rc < 0)
		return rc;
	rc = cv_buf_adds(out, ",\"arguments\":");
	if (rc < 0)
		return rc;
	rc = cv_json_quote_to(out, call->args.data, call->args.len);
	return rc < 0 ? rc : cv_buf_adds(out, "}}");
}

int cv_calls_put(struct cv_buf *out, const struct answer *answer)
{
	int rc = cv_buf_adds(out, ",\"tool_calls\":[");

	for (size_t i = 0; i < answer->call_count; i++) {
		if (rc < 0)
			return rc;
		rc = i ? cv_buf_addc(out, ',') : 0;
		if (rc < 0)
			return rc;
		rc = call_put(out, &answer->calls[i]);
	}
	return rc < 0 ? rc : cv_buf_addc(out, ']');
}

const struct convo_tool_call *convo_answer_call(const struct convo_answer *pub, size_t i)
{
	const struct answer *answer = (const struct answer *)pub;

	return answer && i < answer->call_count ? &answer->calls[i].pub : NULL;
}
