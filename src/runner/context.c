/*
 * From a session to the messages of a request. Messages go out as the bytes that were stored; all
 * that is decided here is which of them, and what to tell of the others.
 */
#include <runner/context.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/json.h>
#include <runner/conversation.h>
#include <runner/join.h>

/* What a message costs beside its text, and where no answer has told better: 4 bytes a token. */
#define MESSAGE_TOKENS 4
#define BYTES_PER_TOKEN 4.0

enum fate { SENT, OLDER, NO_QUESTION, NO_RESULTS, NO_CALL, FATES };

struct item {
	const struct convo_event *event;
	struct message_facts facts;
	enum fate fate;
};

struct draft {
	struct item *items;
	size_t count;
	const char *bound;     /* which limit cut it, for the report */
	size_t bound_value;    /* and what that is */
	size_t unseen;         /* older events the window did not load */
	double token_per_byte; /* of this model, as far as it is known */
	double fixed_tokens;   /* what a request costs beside its messages: tools, a template */
};

static bool item_is(const struct item *item, const char *role)
{
	return strcmp(item->event->role, role) == 0;
}

/* Roles that answer something; "function" is what "tool" was called before. */
static bool item_answers(const struct item *item)
{
	return item_is(item, "assistant") || item_is(item, "tool") || item_is(item, "function");
}

static bool item_is_result(const struct item *item)
{
	return item_is(item, "tool") || item_is(item, "function");
}

static size_t item_bytes(const struct item *item)
{
	return item->event->message_len - item->facts.thinking;
}

/* ---- calls and their results ---------------------------------------------------------- */

/* The ids are compared as they are written: who escapes one does it the same way twice. */
struct call {
	struct cv_text id;
	size_t taken; /* in the first of equal ids: how many of them have a result */
};

struct calls {
	struct call *call;
	size_t count, cap;
};

static int call_order(const void *a, const void *b)
{
	const struct call *left = a, *right = b;
	size_t len = left->id.len < right->id.len ? left->id.len : right->id.len;
	int order = len ? memcmp(left->id.data, right->id.data, len) : 0;

	if (order != 0)
		return order;
	return left->id.len < right->id.len ? -1 : left->id.len > right->id.len;
}

/* The calls of a message, sorted by id. */
static int calls_read(struct calls *calls, const struct convo_event *event)
{
	struct cv_text message = {event->message, event->message_len}, value;
	struct cv_text list = cv_json_find(message, "tool_calls");
	size_t pos = 0;

	calls->count = 0;
	while (cv_json_element(list, &pos, &value)) {
		if (!cv_grow((void **)&calls->call, &calls->cap, calls->count + 1,
			     sizeof(*calls->call)))
			return CONVO_E_NOMEM;
		calls->call[calls->count].taken = 0;
		calls->call[calls->count].id = cv_json_kind(value) == JSON_KIND_OBJECT
						       ? cv_json_find(value, "id")
						       : (struct cv_text){0};
		calls->count++;
	}
	if (calls->count)
		qsort(calls->call, calls->count, sizeof(*calls->call), call_order);
	return 0;
}

/* Give a result to a call that waits for it. */
static bool calls_take(struct calls *calls, const struct convo_event *result)
{
	struct cv_text message = {result->message, result->message_len};
	struct call wanted = {.id = cv_json_find(message, "tool_call_id")};
	size_t low = 0, high = calls->count, at;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (call_order(&calls->call[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (!wanted.id.data || low == calls->count)
		return false;
	at = low + calls->call[low].taken;
	if (at >= calls->count || call_order(&calls->call[at], &wanted) != 0)
		return false;
	calls->call[low].taken++;
	return true;
}

/* Judge the call at `i` and the results right after it; returns where they end. */
static size_t draft_judge(struct draft *draft, struct calls *calls, size_t i)
{
	size_t end = i + 1, taken = 0, j;

	for (; end < draft->count && item_is_result(&draft->items[end]); end++) {
		bool wanted = calls_take(calls, draft->items[end].event);

		draft->items[end].fate = wanted ? SENT : NO_CALL;
		taken += wanted;
	}
	if (taken == calls->count)
		return end;
	draft->items[i].fate = NO_RESULTS;
	for (j = i + 1; j < end; j++)
		draft->items[j].fate = NO_CALL;
	return end;
}

static int draft_pair(struct draft *draft)
{
	struct calls calls = {0};
	size_t i = 0;
	int rc = 0;

	while (i < draft->count) {
		struct item *item = &draft->items[i];

		if (!item->facts.calls) {
			item->fate = item_is_result(item) ? NO_CALL : SENT;
			i++;
			continue;
		}
		rc = calls_read(&calls, item->event);
		if (rc < 0)
			break;
		i = draft_judge(draft, &calls, i);
	}
	free(calls.call);
	return rc;
}

/* ---- limits --------------------------------------------------------------------------- */

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
 * What the last answer tells of its own request: so many messages of so many bytes were so many
 * tokens. No text has more tokens than bytes; what is beyond that was not in the messages.
 */
static void draft_calibrate(struct draft *draft, const convo_session *session)
{
	size_t i = convo_session_count(session);

	while (i--) {
		const struct convo_event *event = convo_session_event(session, i);
		double tokens, bytes, messages;

		if (!event->usage || !event->extra)
			continue;
		tokens = number_in(event->usage, "prompt_tokens");
		bytes = number_in(event->extra, "sent_bytes");
		messages = number_in(event->extra, "sent_messages");
		tokens -= messages * MESSAGE_TOKENS;
		if (tokens <= 0 || bytes <= 0)
			continue;
		draft->token_per_byte = tokens / bytes < 1 ? tokens / bytes : 1;
		draft->fixed_tokens = tokens - draft->token_per_byte * bytes;
		return;
	}
}

static double draft_tokens(const struct draft *draft, size_t bytes)
{
	return MESSAGE_TOKENS + (double)bytes * draft->token_per_byte;
}

/* Whether the newest messages, going back, may take one more. */
static bool draft_fits(struct draft *draft, const struct context_limits *limits, size_t messages,
		       double tokens)
{
	if (limits->messages && messages > limits->messages) {
		draft->bound = "message";
		draft->bound_value = limits->messages;
		return false;
	}
	if (limits->tokens && tokens > (double)limits->tokens) {
		draft->bound = "token";
		draft->bound_value = limits->tokens;
		return false;
	}
	return true;
}

/* Keep the newest messages that the limits let pass. `tokens` is what the rest costs. */
static void draft_cut(struct draft *draft, const struct context_limits *limits, double tokens)
{
	size_t i = draft->count, messages = 1;
	bool fits = true;

	while (i--) {
		struct item *item = &draft->items[i];

		if (item->fate != SENT)
			continue;
		if (fits) {
			tokens += draft_tokens(draft, item_bytes(item));
			fits = draft_fits(draft, limits, ++messages, tokens);
		}
		if (!fits)
			item->fate = OLDER;
	}
	if (draft->unseen && !draft->bound)
		draft_fits(draft, limits, SIZE_MAX, (double)SIZE_MAX);
}

/* A conversation begins with a question: models trip over an answer to nothing. */
static void draft_behead(struct draft *draft)
{
	size_t i;

	for (i = 0; i < draft->count; i++) {
		struct item *item = &draft->items[i];

		if (item->fate == SENT && item_is(item, "user"))
			return;
		if (item->fate == SENT && item_answers(item))
			item->fate = draft->bound ? OLDER : NO_QUESTION;
	}
}

/* ---- telling -------------------------------------------------------------------------- */

static int why_add(struct cv_buf *why, size_t n, const char *one, const char *more)
{
	if (!n)
		return 0;
	return cv_buf_addf(why, "%s%zu %s left out", why->len ? "; " : "", n, n == 1 ? one : more);
}

/* Which limit it was that cut the conversation. */
static int why_bound(struct cv_buf *why, const struct draft *draft)
{
	if (!why->len || !draft->bound)
		return 0;
	return cv_buf_addf(why, ": the context is %zu %s%s", draft->bound_value, draft->bound,
			   draft->bound_value == 1 ? "" : "s");
}

static int draft_explain(const struct draft *draft, struct runner_context *out)
{
	static const struct {
		enum fate fate;
		const char *one, *more;
	} words[] = {
		{OLDER, "older message", "older messages"},
		{NO_QUESTION, "answer without its question", "answers without their question"},
		{NO_RESULTS, "unanswered tool call", "unanswered tool calls"},
		{NO_CALL, "tool result without its call", "tool results without their call"},
	};
	struct cv_buf why = {.max = 1024};
	size_t n[FATES] = {[OLDER] = draft->unseen}, i;
	int rc = 0;

	for (i = 0; i < draft->count; i++)
		n[draft->items[i].fate]++;
	out->left_out = n[OLDER] + n[NO_QUESTION] + n[NO_RESULTS] + n[NO_CALL];
	if (!out->left_out)
		return 0;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		rc = why_add(&why, n[words[i].fate], words[i].one, words[i].more);
		if (rc < 0)
			goto out;
		rc = words[i].fate == OLDER ? why_bound(&why, draft) : 0;
		if (rc < 0)
			goto out;
	}
	out->why = cv_buf_take(&why);
	rc = out->why ? 0 : CONVO_E_NOMEM;
out:
	cv_buf_clear(&why);
	return rc;
}

/* ---- making --------------------------------------------------------------------------- */

static int draft_fill(struct draft *draft, const convo_session *session)
{
	const struct convo_event **events = NULL;
	size_t total, i;
	int64_t count;

	total = convo_session_count(session);
	events = cv_alloc(total, sizeof(*events));
	draft->items = cv_alloc(total, sizeof(*draft->items));
	count = events && draft->items ? convo_session_conversation(session, events)
				       : CONVO_E_NOMEM;
	for (i = 0; count > 0 && i < (size_t)count; i++) {
		struct item *item = &draft->items[i];

		item->event = events[i];
		if (item_is(item, "assistant"))
			item->facts = cv_message_look(events[i]->message, events[i]->message_len);
	}
	draft->count = count < 0 ? 0 : (size_t)count;
	draft->unseen = (size_t)(convo_session_meta(session)->count - (int64_t)total);
	free(events);
	return count < 0 ? (int)count : 0;
}

/* What a message that goes along is. */
struct piece {
	struct convo_message message;
	size_t bytes;
	bool user;
};

/* Everything that is sent, in its order; room for all items and two more. */
static size_t context_collect(struct piece *pieces, const struct draft *draft,
			      struct convo_message instruction, struct convo_message question)
{
	size_t count = 0, i;

	if (instruction.json)
		pieces[count++] = (struct piece){instruction, instruction.len, false};
	for (i = 0; i < draft->count; i++) {
		const struct item *item = &draft->items[i];

		if (item->fate == SENT)
			pieces[count++] =
				(struct piece){{item->event->message, item->event->message_len},
					       item_bytes(item),
					       item_is(item, "user")};
	}
	pieces[count++] = (struct piece){question, question.len, true};
	return count;
}

/* How many pieces from `first` on are to be one message. */
static size_t context_run(const struct piece *first, size_t count)
{
	size_t n = 1;

	while (n < count && first[n - 1].user && first[n].user &&
	       cv_join_fits(&first[n - 1].message, &first[n].message))
		n++;
	return n;
}

/* Put `count` messages, which stand at the end already, together in the place of the first. */
static int context_join(struct runner_context *out, size_t count)
{
	struct convo_message *first = &out->messages[out->count - count];
	struct cv_buf one = {0};
	int rc = CONVO_E_NOMEM;

	if (!cv_grow((void **)&out->made, &out->made_cap, out->made_count + 1, sizeof(*out->made)))
		goto out;
	rc = cv_join(&one, first, count);
	if (rc < 0)
		goto out;
	for (size_t i = 0; i < count; i++)
		out->bytes -= first[i].len;
	out->bytes += one.len;
	*first = (struct convo_message){one.data, one.len};
	out->made[out->made_count++] = cv_buf_take(&one);
	out->count -= count - 1;
	out->joined += count - 1;
out:
	cv_buf_clear(&one);
	return rc;
}

static int context_emit(struct runner_context *out, const struct draft *draft,
			struct convo_message instruction, struct convo_message question)
{
	struct piece *pieces = cv_alloc(draft->count + 2, sizeof(*pieces));
	size_t count, i, n;
	int rc = CONVO_E_NOMEM;

	out->messages = cv_alloc(draft->count + 2, sizeof(*out->messages));
	if (!pieces || !out->messages)
		goto out;
	count = context_collect(pieces, draft, instruction, question);
	for (i = 0; i < count; i += n) {
		n = context_run(&pieces[i], count - i);
		for (size_t k = i; k < i + n; k++) {
			out->messages[out->count++] = pieces[k].message;
			out->bytes += pieces[k].bytes;
		}
		rc = n > 1 ? context_join(out, n) : 0;
		if (rc < 0)
			break;
	}
out:
	free(pieces);
	return rc;
}

int cv_context_make(struct runner_context *out, const convo_session *session,
		    const struct context_limits *limits, struct convo_message instruction,
		    struct convo_message question, struct convo_err *err)
{
	struct draft draft = {.token_per_byte = 1 / BYTES_PER_TOKEN};
	double tokens;
	int rc = 0;

	if (session) {
		rc = draft_fill(&draft, session);
		if (rc < 0)
			goto out;
		rc = draft_pair(&draft);
		if (rc < 0)
			goto out;
		draft_calibrate(&draft, session);
	}
	tokens = draft.fixed_tokens + draft_tokens(&draft, question.len);
	if (instruction.json)
		tokens += draft_tokens(&draft, instruction.len);
	draft_cut(&draft, limits, tokens);
	draft_behead(&draft);
	rc = draft_explain(&draft, out);
	if (rc < 0)
		goto out;
	rc = context_emit(out, &draft, instruction, question);
out:
	free(draft.items);
	return rc < 0 ? cv_fail_nomem(err) : 0;
}

void cv_context_clear(struct runner_context *context)
{
	while (context->made_count)
		free(context->made[--context->made_count]);
	free(context->made);
	free(context->messages);
	free(context->why);
	memset(context, 0, sizeof(*context));
}

size_t cv_context_reach(const struct context_limits *limits)
{
	size_t reach = SIZE_MAX;

	if (limits->tokens)
		reach = limits->tokens / MESSAGE_TOKENS;
	if (limits->messages && limits->messages - 1 < reach)
		reach = limits->messages - 1;
	return reach;
}
