/*
 * From a session to the messages of a request. Messages go out as the bytes that were stored; all
 * that is decided here is which of them, and what to tell of the others.
 */
#include <runner/context.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <runner/conversation.h>
#include <runner/pairs.h>
#include <runner/tokens.h>

enum bound { UNBOUND, BY_MESSAGES, BY_TOKENS, BY_WINDOW };

struct draft {
	struct item *items;  /* of the session, and then of the question */
	size_t count, asked; /* `asked`: the first of the question */
	size_t unseen;       /* older events the window did not load */
	double estimate;     /* of the tokens that are sent */
	enum bound bound;    /* which limit cut it, for the report */
};

static bool item_answers(const struct item *item)
{
	return cv_item_is(item, "assistant") || cv_item_is_result(item);
}

static size_t item_bytes(const struct item *item)
{
	return item->event->message_len - item->facts.thinking;
}

/* What a summary stands for does not go itself, nor is it missing. */
static void draft_sum(struct draft *draft, const struct summary *summary,
		      const convo_session *session)
{
	const struct convo_event *first = convo_session_event(session, 0);

	if (!summary->seq)
		return;
	for (size_t i = 0; i < draft->count; i++) {
		struct item *item = &draft->items[i];

		if (!item->pinned && item->event->seq <= summary->upto_seq)
			item->fate = SUMMED;
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

/* What goes in any case. @return how many messages that is, the question's, even if it is not there */
static size_t draft_pinned(const struct draft *draft, double *estimate)
{
	size_t pinned = draft->asked == draft->count;

	for (size_t i = 0; i < draft->count; i++) {
		if (draft->items[i].fate != SENT || !draft->items[i].pinned)
			continue;
		*estimate += draft->items[i].estimate;
		pinned++;
	}
	return pinned;
}

/* Keep the newest messages that the limits let pass. @return how many of those that need not go */
static size_t draft_cut(struct draft *draft, const struct context_limits *limits,
			const struct budget *budget)
{
	double estimate = draft->estimate;
	size_t i = draft->count, kept = 0, pinned = draft_pinned(draft, &estimate);

	while (i--) {
		struct item *item = &draft->items[i];

		if (item->fate != SENT || item->pinned)
			continue;
		estimate += item->estimate;
		if (!draft->bound)
			draft->bound = draft_beyond(limits, budget, pinned + kept + 1,
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

		if (item->fate != SENT || item->pinned)
			continue;
		if (item->event->seq % step == 0)
			return;
		item->fate = OLDER;
	}
}

/*
 * A conversation begins with a question: models trip over an answer to nothing. Behind one that is pinned
 * there may be a gap, but no results in front.
 */
static void draft_behead(struct draft *draft, const struct summary *summary)
{
	bool led = false;

	if (summary->seq && !draft->bound)
		return;
	for (size_t i = 0; i < draft->count; i++) {
		struct item *item = &draft->items[i];

		if (item->pinned)
			led |= cv_item_is(item, "user");
		if (item->pinned || item->fate != SENT)
			continue;
		if (cv_item_is(item, "user") || (led && !cv_item_is_result(item)))
			return;
		if (item_answers(item))
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

static void item_fill(struct item *item, const struct convo_event *event)
{
	item->event = event;
	if (cv_item_is(item, "assistant"))
		item->facts = cv_message_look(event->message, event->message_len);
}

static void item_weigh(struct item *item)
{
	item->estimate =
		cv_tokens_message((struct cv_text){item->event->message, item->event->message_len});
}

/* The conversation, and then the question. @return 0, CONVO_E_NOMEM; items to be freed either way */
static int draft_fill(struct draft *draft, const convo_session *session,
		      const struct convo_event *question, size_t questions)
{
	size_t total = convo_session_count(session);
	const struct convo_event **events = cv_alloc(total, sizeof(*events));
	int64_t count;

	draft->items = cv_alloc(total + questions, sizeof(*draft->items));
	count = events && draft->items ? convo_session_conversation(session, events)
				       : CONVO_E_NOMEM;
	for (int64_t i = 0; i < count; i++)
		item_fill(&draft->items[draft->count++], events[i]);
	draft->asked = draft->count;
	for (size_t i = 0; i < questions && count >= 0; i++)
		item_fill(&draft->items[draft->count++], &question[i]);
	if (session)
		draft->unseen = (size_t)(convo_session_meta(session)->count - (int64_t)total);
	free(events);
	return count < 0 ? (int)count : cv_pairs_judge(draft->items, draft->count, draft->asked);
}

static enum side piece_side(const struct item *item)
{
	if (cv_item_is(item, "user"))
		return SIDE_USER;
	if (cv_item_is(item, "assistant"))
		return SIDE_ASSISTANT;
	return cv_item_is(item, "system") || cv_item_is(item, "developer") ? SIDE_SYSTEM
									   : SIDE_OTHER;
}

static bool item_goes_on(const struct item *before, const struct item *item)
{
	return before && before->event->turn && item->event->turn &&
	       strcmp(before->event->turn, item->event->turn) == 0;
}

/* Everything that is sent, in its order; room for all items and two more. */
static size_t context_collect(struct piece *pieces, const struct draft *draft,
			      struct convo_message instruction, struct convo_message lead)
{
	const struct item *before = NULL;
	size_t count = 0, i;

	if (instruction.json)
		pieces[count++] = (struct piece){
			.message = instruction, .bytes = instruction.len, .side = SIDE_SYSTEM};
	if (lead.len)
		pieces[count++] = (struct piece){
			.message = lead, .bytes = lead.len, .side = SIDE_USER, .leads = true};
	for (i = 0; i < draft->count; i++) {
		const struct item *item = &draft->items[i];

		if (item->fate != SENT)
			continue;
		pieces[count++] =
			(struct piece){.message = {item->event->message, item->event->message_len},
				       .bytes = item_bytes(item),
				       .side = piece_side(item),
				       .calls = item->facts.calls,
				       .goes_on = item_goes_on(before, item)};
		before = item;
	}
	return count;
}

static struct convo_message context_lead(const struct runner_context *context)
{
	return (struct convo_message){context->lead.data, context->lead.len};
}

static int context_emit(struct runner_context *out, const struct draft *draft,
			const struct parcel_rules *rules, struct convo_message instruction)
{
	struct piece *pieces = cv_alloc(draft->count + 2, sizeof(*pieces));
	size_t count;
	int rc;

	if (!pieces)
		return CONVO_E_NOMEM;
	count = context_collect(pieces, draft, instruction, context_lead(out));
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

int cv_context_make(struct runner_context *out, const convo_session *session,
		    const struct context_plan *plan, struct convo_message instruction,
		    const struct convo_event *question, size_t count, struct convo_err *err)
{
	struct draft draft = {0};
	size_t kept;
	int rc = draft_fill(&draft, session, question, count);

	if (rc < 0)
		goto out;
	for (size_t i = 0; i < draft.count; i++)
		item_weigh(&draft.items[i]);
	cv_budget_make(&out->budget, &plan->limits, &plan->rate, session);
	rc = session ? context_sum(out, &draft, session) : 0;
	if (rc < 0)
		goto out;
	draft.estimate = REQUEST_TOKENS + plan->extra + message_estimate(instruction) +
			 message_estimate(context_lead(out));
	out->uncut = context_estimate(&draft);
	kept = draft_cut(&draft, &plan->limits, &out->budget);
	if (draft.bound == BY_WINDOW)
		draft_step(&draft, kept);
	draft_behead(&draft, &out->summary);
	out->estimate = context_estimate(&draft);
	rc = draft_explain(&draft, &plan->limits, out);
	if (rc < 0)
		goto out;
	rc = context_emit(out, &draft, &plan->rules, instruction);
out:
	free(draft.items);
	return rc < 0 ? cv_fail_nomem(err) : 0;
}

int cv_context_check(const convo_session *session, const struct convo_event *question, size_t count,
		     struct convo_err *err)
{
	struct draft draft = {0};
	int rc = draft_fill(&draft, session, question, count);

	for (size_t i = draft.asked; i < draft.count && rc == 0; i++) {
		const struct item *item = &draft.items[i];

		if (item->fate != NO_CALL)
			continue;
		rc = cv_fail(err, CONVO_E_INVALID, "messages[%zu]: %s", i - draft.asked,
			     item->called ? "a call that was made with its own has no output"
					  : "no tool call waits for this output");
	}
	free(draft.items);
	return rc == CONVO_E_NOMEM ? cv_fail_nomem(err) : rc;
}

void cv_context_clear(struct runner_context *context)
{
	cv_parcel_clear(&context->sent);
	free(context->why);
	cv_buf_clear(&context->lead);
	memset(context, 0, sizeof(*context));
}
