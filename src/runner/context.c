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
#include <runner/tokens.h>

enum fate { SENT, SUMMED, OLDER, NO_QUESTION, NO_RESULTS, NO_CALL, FATES };

struct item {
	const struct convo_event *event;
	struct message_facts facts;
	double estimate; /* of its tokens */
	enum fate fate;
};

enum bound { UNBOUND, BY_MESSAGES, BY_TOKENS, BY_WINDOW };

struct draft {
	struct item *items;
	size_t count;
	size_t unseen;    /* older events the window did not load */
	double estimate;  /* of the tokens that are sent */
	enum bound bound; /* which limit cut it, for the report */
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

/* What a summary stands for does not go itself, nor is it missing. */
static void draft_sum(struct draft *draft, const struct summary *summary,
		      const convo_session *session)
{
	const struct convo_event *first = convo_session_event(session, 0);

	if (!summary->seq)
		return;
	for (size_t i = 0; i < draft->count; i++) {
		if (draft->items[i].event->seq <= summary->upto_seq)
			draft->items[i].fate = SUMMED;
	}
	draft->unseen = first->seq > summary->upto_seq + 1 && draft->unseen
				? (size_t)(first->seq - summary->upto_seq - 1)
				: 0;
}

/* ---- limits --------------------------------------------------------------------------- */

/* Which limit the newest messages, with one more, are beyond. */
static enum bound draft_beyond(const struct context_limits *limits, const struct budget *budget,
			       size_t messages, double tokens)
{
	if (limits->messages && messages > limits->messages)
		return BY_MESSAGES;
	if (budget->tokens && tokens > (double)budget->tokens)
		return budget->by_window ? BY_WINDOW : BY_TOKENS;
	return UNBOUND;
}

/* Keep the newest messages that the limits let pass. @return how many */
static size_t draft_cut(struct draft *draft, const struct context_limits *limits,
			const struct budget *budget)
{
	size_t i = draft->count, kept = 0;
	double estimate = draft->estimate;

	while (i--) {
		struct item *item = &draft->items[i];

		if (item->fate != SENT)
			continue;
		estimate += item->estimate;
		if (!draft->bound)
			draft->bound = draft_beyond(limits, budget, kept + 2,
						    cv_budget_tokens(budget, estimate));
		if (draft->bound)
			item->fate = OLDER;
		else
			kept++;
	}
	if (draft->unseen && !draft->bound)
		draft->bound = draft_beyond(limits, budget, SIZE_MAX, (double)SIZE_MAX);
	return kept;
}

/*
 * Let the conversation begin where it began before, if it can: at an event whose number is round. The
 * step is at most a quarter of what is kept.
 */
static void draft_step(struct draft *draft, size_t kept)
{
	int64_t step = 1;
	size_t i;

	while (step * 8 <= (int64_t)kept)
		step *= 2;
	for (i = 0; i < draft->count; i++) {
		struct item *item = &draft->items[i];

		if (item->fate == SENT && item->event->seq % step == 0)
			return;
		if (item->fate == SENT)
			item->fate = OLDER;
	}
}

/* A conversation begins with a question: models trip over an answer to nothing. */
static void draft_behead(struct draft *draft, const struct summary *summary)
{
	size_t i;

	if (summary->seq && !draft->bound)
		return;
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
static int why_bound(struct cv_buf *why, enum bound bound, const struct context_limits *limits)
{
	if (!why->len)
		return 0;
	switch (bound) {
	case BY_MESSAGES:
		return cv_buf_addf(why, ": the context is %zu message%s", limits->messages,
				   limits->messages == 1 ? "" : "s");
	case BY_TOKENS:
		return cv_buf_addf(why, ": the context is %zu token%s", limits->tokens,
				   limits->tokens == 1 ? "" : "s");
	case BY_WINDOW:
		return limits->window
			       ? cv_buf_addf(why, ": the model takes %zu tokens", limits->window)
			       : cv_buf_adds(why, ": the model takes no more");
	case UNBOUND:
		break;
	}
	return 0;
}

static int draft_explain(const struct draft *draft, const struct context_limits *limits,
			 struct runner_context *out)
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
		rc = words[i].fate == OLDER ? why_bound(&why, draft->bound, limits) : 0;
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
		item->estimate = cv_tokens_message(
			(struct cv_text){events[i]->message, events[i]->message_len});
	}
	draft->count = count < 0 ? 0 : (size_t)count;
	draft->unseen = (size_t)(convo_session_meta(session)->count - (int64_t)total);
	free(events);
	return count < 0 ? (int)count : 0;
}

static enum side piece_side(const struct item *item)
{
	if (item_is(item, "user"))
		return SIDE_USER;
	if (item_is(item, "assistant"))
		return SIDE_ASSISTANT;
	return item_is(item, "system") || item_is(item, "developer") ? SIDE_SYSTEM : SIDE_OTHER;
}

/* Everything that is sent, in its order; room for all items and three more. */
static size_t context_collect(struct piece *pieces, const struct draft *draft,
			      struct convo_message instruction, struct convo_message lead,
			      struct convo_message question)
{
	size_t count = 0, i;

	if (instruction.json)
		pieces[count++] = (struct piece){
			.message = instruction, .bytes = instruction.len, .side = SIDE_SYSTEM};
	if (lead.len)
		pieces[count++] = (struct piece){
			.message = lead, .bytes = lead.len, .side = SIDE_USER, .leads = true};
	for (i = 0; i < draft->count; i++) {
		const struct item *item = &draft->items[i];

		if (item->fate == SENT)
			pieces[count++] = (struct piece){.message = {item->event->message,
								     item->event->message_len},
							 .bytes = item_bytes(item),
							 .side = piece_side(item),
							 .calls = item->facts.calls};
	}
	if (question.json)
		pieces[count++] = (struct piece){
			.message = question, .bytes = question.len, .side = SIDE_USER};
	return count;
}

static struct convo_message context_lead(const struct runner_context *context)
{
	return (struct convo_message){context->lead.data, context->lead.len};
}

static int context_emit(struct runner_context *out, const struct draft *draft,
			const struct parcel_rules *rules, struct convo_message instruction,
			struct convo_message question)
{
	struct piece *pieces = cv_alloc(draft->count + 3, sizeof(*pieces));
	size_t count;
	int rc;

	if (!pieces)
		return CONVO_E_NOMEM;
	count = context_collect(pieces, draft, instruction, context_lead(out), question);
	rc = cv_parcel_fill(&out->sent, pieces, count, rules);
	free(pieces);
	return rc;
}

/* The tokens of what is sent, by estimate. */
static double context_estimate(const struct draft *draft)
{
	double estimate = draft->estimate;

	for (size_t i = 0; i < draft->count; i++) {
		if (draft->items[i].fate == SENT)
			estimate += draft->items[i].estimate;
	}
	return estimate;
}

static double message_estimate(struct convo_message message)
{
	return message.json ? cv_tokens_message((struct cv_text){message.json, message.len}) : 0;
}

/* One that another model was given, with more room, may leave none for anything else. */
static bool context_fits(const struct runner_context *context)
{
	double tokens = cv_budget_tokens(&context->budget, message_estimate(context_lead(context)));

	return !context->budget.tokens || tokens * 2 <= (double)context->budget.tokens;
}

/* The summary that stands for the beginning of the conversation. */
static int context_sum(struct runner_context *out, struct draft *draft,
		       const convo_session *session)
{
	const struct convo_meta *meta = convo_session_meta(session);
	int rc = cv_summary_find(&out->summary, session);

	if (rc < 0)
		return rc;
	rc = out->summary.seq ? cv_summary_message(&out->lead, &out->summary) : 0;
	if (rc < 0)
		return rc;
	if (!context_fits(out)) {
		out->summary = (struct summary){0};
		cv_buf_clear(&out->lead);
	}
	draft_sum(draft, &out->summary, session);
	out->unsummed = (size_t)meta->count;
	if (meta->last_seq - out->summary.upto_seq < meta->count)
		out->unsummed = (size_t)(meta->last_seq - out->summary.upto_seq);
	return 0;
}

static int context_load(struct runner_context *out, struct draft *draft,
			const convo_session *session)
{
	int rc = draft_fill(draft, session);

	if (rc < 0)
		return rc;
	rc = draft_pair(draft);
	return rc < 0 ? rc : context_sum(out, draft, session);
}

int cv_context_make(struct runner_context *out, const convo_session *session,
		    const struct context_plan *plan, struct convo_message instruction,
		    struct convo_message question, struct convo_err *err)
{
	struct draft draft = {0};
	size_t kept;
	int rc = 0;

	cv_budget_make(&out->budget, &plan->limits, &plan->rate, session);
	if (session) {
		rc = context_load(out, &draft, session);
		if (rc < 0)
			goto out;
	}
	draft.estimate = REQUEST_TOKENS + plan->extra + message_estimate(instruction) +
			 message_estimate(context_lead(out)) + message_estimate(question);
	out->uncut = context_estimate(&draft);
	kept = draft_cut(&draft, &plan->limits, &out->budget);
	if (draft.bound == BY_WINDOW)
		draft_step(&draft, kept);
	draft_behead(&draft, &out->summary);
	out->estimate = context_estimate(&draft);
	rc = draft_explain(&draft, &plan->limits, out);
	if (rc < 0)
		goto out;
	rc = context_emit(out, &draft, &plan->rules, instruction, question);
out:
	free(draft.items);
	return rc < 0 ? cv_fail_nomem(err) : 0;
}

void cv_context_clear(struct runner_context *context)
{
	cv_parcel_clear(&context->sent);
	free(context->why);
	cv_buf_clear(&context->lead);
	memset(context, 0, sizeof(*context));
}
