/*
 * Collecting an answer; see answer.h. Text is kept twice at the end, plain and inside the message's
 * JSON; both are bounded by counting what each piece will take as JSON.
 */
#include <model/answer.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/json.h>
#include <base/utf8.h>

#define FRAME 512u /* JSON around the pieces: member names, quotes */
#define LARGEST_USAGE (64u << 10)

int cv_answer_new(struct answer **out, const struct convo_listener *listener,
		  const convo_cancel *cancel, size_t max, struct convo_err *err)
{
	struct answer *answer = cv_alloc(1, sizeof(*answer));

	if (!answer)
		return cv_fail_nomem(err);
	answer->listener = listener;
	answer->cancel = cancel;
	answer->began_us = cv_clock_mono_us();
	answer->max = max;
	answer->used = FRAME;
	answer->pub.first_ms = -1;
	answer->pub.prompt_tokens = -1;
	answer->pub.completion_tokens = -1;
	answer->pub.attempts = 1;
	for (size_t i = 0; i < ANSWER_KINDS; i++)
		answer->part[i].text.max = max;
	*out = answer;
	return 0;
}

void convo_answer_free(struct convo_answer *pub)
{
	struct answer *answer = (struct answer *)pub;

	if (!answer)
		return;
	for (size_t i = 0; i < ANSWER_KINDS; i++) {
		cv_buf_clear(&answer->part[i].text);
		cv_buf_clear(&answer->part[i].waiting);
	}
	cv_calls_clear(answer);
	cv_buf_clear(&answer->message);
	cv_buf_clear(&answer->model);
	cv_buf_clear(&answer->finish_reason);
	cv_buf_clear(&answer->usage);
	cv_buf_clear(&answer->error);
	free(answer);
}

/* ---- pieces --------------------------------------------------------------------------- */

/* What a byte takes inside a JSON string, at most. */
static size_t answer_cost(char c)
{
	if (c == '"' || c == '\\')
		return 2;
	return (unsigned char)c < 0x20 || c == 0x7f ? 6 : 1;
}

/* Count the bytes of `text` from `from` on; cut it where the answer is full. */
static int answer_charge(struct answer *answer, struct cv_buf *text, size_t from)
{
	for (size_t i = from; i < text->len; i++) {
		size_t cost = answer_cost(text->data[i]);

		if (cost > answer->max || answer->used > answer->max - cost) {
			text->len = i - cv_utf8_tail(text->data + from, i - from);
			text->data[text->len] = '\0';
			return CONVO_E_TOOBIG;
		}
		answer->used += cost;
	}
	return 0;
}

/* The half of a surrogate pair at `data`, as three bytes: 1 the high one, 2 the low one, or 0. */
static int answer_surrogate(const char *data, size_t len)
{
	if (len < 3 || (unsigned char)data[0] != 0xed || ((unsigned char)data[2] & 0xc0) != 0x80)
		return 0;
	switch ((unsigned char)data[1] & 0xf0) {
	case 0xa0:
		return 1;
	case 0xb0:
		return 2;
	}
	return 0;
}

static uint32_t answer_surrogate_bits(const char *half)
{
	return ((unsigned char)half[1] & 0x0fu) << 6 | ((unsigned char)half[2] & 0x3fu);
}

/* Turn pairs of halves into the characters they mean, six bytes into four, and lone halves into
 * U+FFFD; a high one at the very end waits. */
static void answer_join_surrogates(struct cv_buf *buf)
{
	char *at = memchr(buf->data, 0xed, buf->len), *end = buf->data + buf->len;

	for (; at; at = memchr(at + 1, 0xed, (size_t)(end - at - 1))) {
		int half = answer_surrogate(at, (size_t)(end - at));
		uint32_t cp;

		if (!half || (half == 1 && end - at == 3))
			continue;
		if (half == 2 || answer_surrogate(at + 3, (size_t)(end - at - 3)) != 2) {
			memcpy(at, "\xef\xbf\xbd", 3);
			continue;
		}
		cp = 0x10000 + (answer_surrogate_bits(at) << 10 | answer_surrogate_bits(at + 3));
		at[0] = (char)(0xf0 | cp >> 18);
		at[1] = (char)(0x80 | (cp >> 12 & 0x3f));
		at[2] = (char)(0x80 | (cp >> 6 & 0x3f));
		at[3] = (char)(0x80 | (cp & 0x3f));
		memmove(at + 4, at + 6, (size_t)(end - at - 6));
		end -= 2;
	}
	buf->len = (size_t)(end - buf->data);
}

/* How many bytes at the end must wait for more. */
static size_t answer_tail(const struct cv_buf *buf)
{
	if (buf->len >= 3 && answer_surrogate(buf->data + buf->len - 3, 3) == 1)
		return 3;
	return cv_utf8_tail(buf->data, buf->len);
}

int cv_answer_hear(struct answer *answer, const struct convo_delta *delta, struct convo_err *err)
{
	if (answer->pub.first_ms < 0)
		answer->pub.first_ms = (cv_clock_mono_us() - answer->began_us) / 1000;
	if (answer->listener && answer->listener->on_delta &&
	    answer->listener->on_delta(answer->listener->ctx, delta))
		return cv_fail(err, CONVO_E_CANCELED, "stopped");
	return 0;
}

static int answer_tell(struct answer *answer, enum convo_delta_kind kind, size_t from,
		       struct convo_err *err)
{
	const struct cv_buf *text = &answer->part[kind].text;
	struct convo_delta delta = {
		.kind = kind, .text = text->data + from, .len = text->len - from};

	return delta.len ? cv_answer_hear(answer, &delta, err) : 0;
}

int cv_answer_overflow(struct answer *answer, struct convo_err *err)
{
	answer->full = true;
	return cv_fail(err, CONVO_E_TOOBIG, "the answer is larger than %zu bytes", answer->max);
}

/* Move `n` waiting bytes to the text and tell the listener. */
static int answer_flush(struct answer *answer, enum convo_delta_kind kind, size_t n,
			struct convo_err *err)
{
	struct answer_part *part = &answer->part[kind];
	size_t from = part->text.len;
	int rc = cv_buf_repair(&part->text, part->waiting.data, n), told, full;

	if (rc == CONVO_E_NOMEM)
		return cv_fail_nomem(err);
	cv_buf_shift(&part->waiting, n);
	full = answer_charge(answer, &part->text, from);
	told = answer_tell(answer, kind, from, err);
	if (told < 0)
		return told;
	return rc < 0 || full < 0 ? cv_answer_overflow(answer, err) : 0;
}

int cv_answer_add(struct answer *answer, enum convo_delta_kind kind, const char *data, size_t len,
		  struct convo_err *err)
{
	struct cv_buf *waiting = &answer->part[kind].waiting;
	size_t ready;

	if (convo_cancel_requested(answer->cancel))
		return cv_fail(err, CONVO_E_CANCELED, "stopped");
	if (!len)
		return 0;
	if (cv_buf_add(waiting, data, len) < 0)
		return cv_fail_nomem(err);
	answer_join_surrogates(waiting);
	ready = waiting->len - answer_tail(waiting);
	return ready ? answer_flush(answer, kind, ready, err) : 0;
}

/* What still waits at the end of a complete answer will never be whole. */
static int answer_flush_rest(struct answer *answer, struct convo_err *err)
{
	int rc = 0;

	for (int kind = 0; kind < ANSWER_KINDS && rc == 0; kind++) {
		struct cv_buf *waiting = &answer->part[kind].waiting;
		size_t rest = waiting->len;

		if (answer_surrogate(cv_buf_str(waiting), rest) == 1)
			memcpy(waiting->data, "\xef\xbf\xbd", 3);
		if (rest)
			rc = answer_flush(answer, (enum convo_delta_kind)kind, rest, err);
	}
	return rc;
}

bool cv_answer_full(const struct answer *answer)
{
	return answer->full;
}

bool cv_answer_heard(const struct answer *answer)
{
	return answer->pub.first_ms >= 0;
}

int cv_answer_extend(struct answer *answer, struct cv_buf *buf, struct cv_text more,
		     struct convo_err *err)
{
	size_t from = buf->len;

	if (!more.len)
		return 0;
	if (cv_buf_add(buf, more.data, more.len) < 0)
		return cv_fail_nomem(err);
	return answer_charge(answer, buf, from) < 0 ? cv_answer_overflow(answer, err) : 0;
}

/* ---- facts ---------------------------------------------------------------------------- */

static int answer_keep(struct cv_buf *buf, struct cv_text text, struct convo_err *err)
{
	cv_buf_reset(buf);
	return cv_buf_add(buf, text.data, text.len) < 0 ? cv_fail_nomem(err) : 0;
}

int cv_answer_set_model(struct answer *answer, struct cv_text name, struct convo_err *err)
{
	return answer_keep(&answer->model, name, err);
}

int cv_answer_set_finish(struct answer *answer, struct cv_text reason, struct convo_err *err)
{
	return answer_keep(&answer->finish_reason, reason, err);
}

int cv_answer_set_usage(struct answer *answer, struct cv_text json, int64_t prompt_tokens,
			int64_t completion_tokens, struct convo_err *err)
{
	if (json.len > LARGEST_USAGE || cv_json_check(json, "usage", NULL) < 0)
		return 0;
	cv_buf_reset(&answer->usage);
	if (cv_buf_add(&answer->usage, json.data, json.len) < 0)
		return cv_fail_nomem(err);
	answer->pub.prompt_tokens = prompt_tokens;
	answer->pub.completion_tokens = completion_tokens;
	return 0;
}

/* ---- the end -------------------------------------------------------------------------- */

static int answer_put_member(struct cv_buf *out, const char *name, const struct cv_buf *text)
{
	int rc = cv_buf_addf(out, ",\"%s\":", name);

	return rc < 0 ? rc : cv_json_quote_to(out, cv_buf_str(text), text->len);
}

static int answer_put_message(struct cv_buf *out, const struct answer *answer)
{
	const struct cv_buf *text = &answer->part[CONVO_DELTA_TEXT].text;
	const struct cv_buf *reasoning = &answer->part[CONVO_DELTA_REASONING].text;
	const struct cv_buf *refusal = &answer->part[CONVO_DELTA_REFUSAL].text;
	bool silent = !text->len && (refusal->len || answer->call_count);
	int rc = cv_buf_adds(out, "{\"role\":\"assistant\"");

	if (rc < 0)
		return rc;
	rc = silent ? cv_buf_adds(out, ",\"content\":null")
		    : answer_put_member(out, "content", text);
	if (rc < 0)
		return rc;
	rc = reasoning->len ? answer_put_member(out, "reasoning_content", reasoning) : 0;
	if (rc < 0)
		return rc;
	rc = refusal->len ? answer_put_member(out, "refusal", refusal) : 0;
	if (rc < 0)
		return rc;
	rc = answer->call_count ? cv_calls_put(out, answer) : 0;
	return rc < 0 ? rc : cv_buf_addc(out, '}');
}

static const char *answer_note(const struct answer *answer)
{
	static const struct {
		const char *reason, *note;
	} notes[] = {
		{"length", "cut by the token limit"},
		{"content_filter", "stopped by the content filter"},
		{"insufficient_system_resource", "cut: the server ran out of resources"},
	};
	const char *reason = cv_buf_str(&answer->finish_reason);

	for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
		if (strcmp(reason, notes[i].reason) == 0)
			return notes[i].note;
	}
	return answer->part[CONVO_DELTA_REFUSAL].text.len ? "the model refused" : NULL;
}

static const char *answer_or_null(const struct cv_buf *buf)
{
	return buf->len ? buf->data : NULL;
}

static int answer_fill(struct answer *answer)
{
	struct convo_answer *pub = &answer->pub;
	const struct cv_buf *text = &answer->part[CONVO_DELTA_TEXT].text;
	int rc = answer_put_message(&answer->message, answer);

	if (rc < 0)
		return rc;
	pub->message = answer->message.data;
	pub->message_len = answer->message.len;
	pub->text = cv_buf_str(text);
	pub->text_len = text->len;
	pub->model = answer_or_null(&answer->model);
	pub->finish_reason = answer_or_null(&answer->finish_reason);
	pub->usage = answer_or_null(&answer->usage);
	pub->error = answer_or_null(&answer->error);
	pub->note = answer_note(answer);
	pub->call_count = answer->call_count;
	pub->total_ms = (cv_clock_mono_us() - answer->began_us) / 1000;
	return 0;
}

static int answer_empty(const struct answer *answer, struct convo_err *err)
{
	const char *reason = cv_buf_str(&answer->finish_reason);

	return cv_fail(err, CONVO_E_REFUSED, "the model sent an empty answer%s%s%s",
		       *reason ? " (finish reason: " : "", reason, *reason ? ")" : "");
}

/* Whether it says anything by itself: half of a tool call does not. */
static bool answer_speaks(const struct answer *answer)
{
	for (size_t i = 0; i < ANSWER_KINDS; i++) {
		if (answer->part[i].text.len)
			return true;
	}
	return false;
}

int cv_answer_end(struct answer *answer, int rc, struct convo_err *err)
{
	bool speaks;

	if (rc == 0)
		rc = answer_flush_rest(answer, err);
	if (rc == 0)
		rc = cv_calls_end(answer, err);
	speaks = answer_speaks(answer);
	if (!speaks && rc < 0)
		return rc;
	if (!speaks && !answer->call_count)
		return answer_empty(answer, err);
	if (rc < 0) {
		cv_calls_clear(answer);
		answer->pub.status = rc == CONVO_E_CANCELED ? CONVO_INTERRUPTED : CONVO_FAILED;
		answer->pub.code = rc;
		if (cv_buf_adds(&answer->error, err->text) < 0)
			return cv_fail_nomem(err);
	}
	return answer_fill(answer) < 0 ? cv_fail_nomem(err) : 0;
}
