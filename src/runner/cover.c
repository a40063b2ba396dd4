/*
 * What a summary is to cover; see cover.h. What is kept beside it is chosen so that the next one is far
 * off: until then all requests begin with the same bytes, which endpoints remember.
 */
#include <runner/cover.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/fail.h>
#include <model/model.h>
#include <runner/ask.h>
#include <runner/load.h>
#include <runner/tokens.h>

/* Of the limit: a conversation of more is summed up, so that with the summary it takes so much; or if the
 * last messages take more, so much. */
#define DUE_SHARE 0.7
#define KEPT_SHARE 0.3
#define LAST_SHARE 0.45

/* What a summary is thought to take that is the first. */
#define FIRST_SHARE 0.08

/* So many of the last messages stay as they are, if they can. */
#define LAST_MESSAGES 8

/* Where their number is the reason, this share of it may stay. */
#define EVENTS_SHARE 0.3

/* A step that covers less than this share of the limit is not worth a request. */
#define STEP_SHARE 0.1

/* What the built-in words of a request take, at most, and what is left for messages, at least. */
#define PROMPT_TOKENS 200
#define LEAST_ROOM 64

void cv_cover_clear(struct cover *cover)
{
	convo_session_free(cover->session);
	free(cover->parts);
	cover->session = NULL;
	cover->parts = NULL;
}

/* ---- when ------------------------------------------------------------------------------------ */

static bool due_by_tokens(const struct budget *budget, double uncut)
{
	return budget->tokens >= COVER_LEAST_LIMIT &&
	       cv_budget_tokens(budget, uncut) > DUE_SHARE * (double)budget->tokens;
}

static bool due_by_events(const struct convo_runner *runner, size_t unsummed)
{
	return runner->summary_events && unsummed >= runner->summary_events;
}

bool cv_cover_is_due(const struct convo_runner *runner, const struct budget *budget, double uncut,
		     size_t unsummed)
{
	return due_by_tokens(budget, uncut) || due_by_events(runner, unsummed);
}

/* ---- what is there --------------------------------------------------------------------------- */

/* Whether all that the summary does not cover is in sight. */
static bool cover_sees_all(const struct cover *cover)
{
	const convo_session *session = cover->session;
	const struct convo_event *first = convo_session_event(session, 0);

	if ((int64_t)convo_session_count(session) >= convo_session_meta(session)->count)
		return true;
	return cover->former.seq && first && first->seq <= cover->former.upto_seq + 1;
}

/* As much as a turn would load, and all of the session where that is not enough. */
static int cover_load(struct cover *cover, const struct convo_key *key,
		      const struct context_limits *limits, const struct convo_call *call,
		      struct convo_err *err)
{
	int rc = cv_session_load(&cover->session, cover->runner, key, limits, 0, 0, call, err);

	if (rc < 0)
		return rc;
	if (cv_summary_find(&cover->former, cover->session) < 0)
		return cv_fail_nomem(err);
	if (cover_sees_all(cover))
		return 0;
	convo_session_free(cover->session);
	cover->session = NULL;
	rc = convo_store_load(&cover->session, cover->runner->store, key, NULL, call, err);
	if (rc < 0)
		return rc;
	return cv_summary_find(&cover->former, cover->session) < 0 ? cv_fail_nomem(err) : 0;
}

/* Whether a message may be the first of a question, which may have a system message in front. */
static bool part_asks(const struct cover_part *part, bool goes_on)
{
	return strcmp(part->event->role, "user") == 0 ||
	       (goes_on && (strcmp(part->event->role, "system") == 0 ||
			    strcmp(part->event->role, "developer") == 0));
}

static bool parts_same_turn(const struct cover_part *one, const struct cover_part *other)
{
	return one->event->turn && other->event->turn &&
	       strcmp(one->event->turn, other->event->turn) == 0;
}

/*
 * Where what is kept may begin: with a question, not amid a turn, and so that what stands before it is
 * what was stored before it. Turns that ran at once are not torn apart.
 */
static void parts_mark(struct cover_part *parts, size_t count)
{
	int64_t newest = 0, oldest = INT64_MAX;

	for (size_t i = 0; i < count; i++) {
		const struct convo_event *event = parts[i].event;
		bool goes_on = i + 1 < count && parts_same_turn(&parts[i], &parts[i + 1]);

		parts[i].begins = part_asks(&parts[i], goes_on) && event->seq > newest &&
				  !(i && parts_same_turn(&parts[i - 1], &parts[i]));
		if (event->seq > newest)
			newest = event->seq;
	}
	for (size_t i = count; i--;) {
		parts[i].begins = parts[i].begins && parts[i].event->seq < oldest;
		if (parts[i].event->seq < oldest)
			oldest = parts[i].event->seq;
	}
}

/* The messages behind the summary. */
static int cover_collect(struct cover *cover, struct convo_err *err)
{
	size_t total = convo_session_count(cover->session);
	const struct convo_event **events = cv_alloc(total, sizeof(*events));
	int64_t count;

	cover->parts = cv_alloc(total, sizeof(*cover->parts));
	count = events && cover->parts ? convo_session_conversation(cover->session, events)
				       : CONVO_E_NOMEM;
	for (int64_t i = 0; i < count; i++) {
		struct cover_part *part = &cover->parts[cover->count];

		if (events[i]->seq <= cover->former.upto_seq)
			continue;
		part->event = events[i];
		part->estimate = cv_tokens_message(
			(struct cv_text){events[i]->message, events[i]->message_len});
		cover->count++;
	}
	free(events);
	if (count < 0)
		return cv_fail_nomem(err);
	parts_mark(cover->parts, cover->count);
	return 0;
}

/* How long the conversation is, as a turn would see it. */
static int cover_measure(struct cover *cover, const struct context_plan *plan,
			 struct convo_err *err)
{
	const char *instruction = cover->runner->instruction;
	struct convo_message system = {instruction, instruction ? strlen(instruction) : 0};
	struct runner_context context = {0};
	int rc = cv_context_make(&context, cover->session, plan, system, NULL, 0, err);

	cover->budget = context.budget;
	cover->uncut = context.uncut;
	cover->unsummed = context.unsummed;
	cv_context_clear(&context);
	return rc;
}

/* What the words of a request for a summary take, by estimate. */
static double prompt_estimate(const struct cover *cover)
{
	const char *own = cover->runner->summary_prompt;

	return PROMPT_TOKENS + (own ? cv_tokens_text(cv_text_of(own)) : 0);
}

/* How much the model that is asked takes of the summary before, and of the messages. */
static void cover_rooms(struct cover *cover)
{
	double former = cover->former.seq ? cv_tokens_text(cover->former.text) : 0;
	struct budget budget = cover->budget;
	struct context_limits limits = {0};
	struct context_rate rate = {0};
	struct model_facts facts;
	double room;

	if (cover->model != cover->runner->model) {
		cv_learned_get(&cover->model->learned, &facts);
		limits.window = (size_t)facts.window;
		rate.factor = facts.factor;
		cv_budget_make(&budget, &limits, &rate, NULL);
		if (!budget.tokens)
			budget = cover->budget;
	}
	cover->room = 0;
	cover->former_share = 1;
	if (!budget.tokens)
		return;
	room = ((double)budget.tokens - budget.fixed) / budget.factor - prompt_estimate(cover);
	if (room < 2 * LEAST_ROOM)
		room = 2 * LEAST_ROOM;
	if (former > room / 2) { /* another model was given it, with more room */
		cover->former_share = room / 2 / former;
		former = room / 2;
	}
	cover->room = room - former;
}

/* ---- what is covered ------------------------------------------------------------------------- */

/* Most messages that are kept; SIZE_MAX: their tokens alone count. */
static size_t choose_most(const struct cover *cover, bool wanted)
{
	size_t events = cover->runner->summary_events;

	if (due_by_events(cover->runner, cover->unsummed)) {
		if (events < 2 * LAST_MESSAGES)
			return events / 2;
		events = (size_t)((double)events * EVENTS_SHARE);
		return events > LAST_MESSAGES ? events : LAST_MESSAGES;
	}
	return wanted || !cover->budget.tokens ? LAST_MESSAGES : SIZE_MAX;
}

static bool choose_fits(const struct cover *cover, size_t messages, double estimate, size_t most)
{
	double limit = (double)cover->budget.tokens;
	double tokens = estimate * cover->budget.factor;

	if (messages > most)
		return false;
	tokens += cover->former.seq ? cover->budget.factor * cv_tokens_text(cover->former.text)
				    : limit * FIRST_SHARE;
	return limit <= 0 || tokens <= limit * KEPT_SHARE ||
	       (messages <= LAST_MESSAGES && tokens <= limit * LAST_SHARE);
}

/* How many of the messages are to be covered: all but the last that fit, which are one turn at least. */
static size_t choose_all(const struct cover *cover, size_t most)
{
	size_t covered = SIZE_MAX, i = cover->count;
	double kept = 0;

	while (i--) {
		kept += cover->parts[i].estimate;
		if (i && !cover->parts[i].begins)
			continue;
		if (covered != SIZE_MAX && !choose_fits(cover, cover->count - i, kept, most))
			break;
		covered = i;
	}
	return covered == SIZE_MAX ? 0 : covered;
}

static double parts_estimate(const struct cover_part *parts, size_t count)
{
	double estimate = 0;

	for (size_t i = 0; i < count; i++)
		estimate += parts[i].estimate;
	return estimate;
}

double cv_cover_estimate(const struct cover *cover)
{
	return parts_estimate(cover->parts, cover->covered);
}

/* A step must be worth its request, and the request no longer than the model takes: one turn at least. */
void cv_cover_choose(struct cover *cover, bool wanted)
{
	size_t all = choose_all(cover, choose_most(cover, wanted)), i;
	double limit = (double)cover->budget.tokens, sum = 0;
	bool worth = wanted;

	cover->covered = 0;
	if (due_by_events(cover->runner, cover->unsummed))
		worth |= all * 4 >= cover->runner->summary_events;
	if (due_by_tokens(&cover->budget, cover->uncut))
		worth |= parts_estimate(cover->parts, all) * cover->budget.factor >=
				 limit * STEP_SHARE ||
			 cv_budget_tokens(&cover->budget, cover->uncut) > limit;
	if (!worth)
		return;
	for (i = 0; i <= all; i++) {
		bool ends = i && (i == all || cover->parts[i].begins);

		if (ends && (!cover->covered || cover->room <= 0 || sum <= cover->room))
			cover->covered = i;
		sum += i < all ? cover->parts[i].estimate : 0;
	}
}

/* ---- planning -------------------------------------------------------------------------------- */

int cv_cover_plan(struct cover *cover, const struct convo_key *key, bool wanted,
		  const struct convo_call *call, struct convo_err *err)
{
	struct ask ask = {0};
	int rc;

	cv_ask_plan(&ask, cover->runner);
	rc = cover_load(cover, key, &ask.plan.limits, call, err);
	if (rc < 0)
		return rc;
	rc = cover_measure(cover, &ask.plan, err);
	if (rc < 0)
		return rc;
	if (cover->budget.tokens && cover->budget.tokens < COVER_LEAST_LIMIT)
		return wanted ? cv_fail(err, CONVO_E_INVALID,
					"a request may have %zu tokens: too few for a summary",
					cover->budget.tokens)
			      : 0;
	if (!wanted &&
	    !cv_cover_is_due(cover->runner, &cover->budget, cover->uncut, cover->unsummed))
		return 0;
	rc = cover_collect(cover, err);
	if (rc < 0)
		return rc;
	cover_rooms(cover);
	cv_cover_choose(cover, wanted);
	return 0;
}
