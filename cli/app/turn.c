/*
 * One turn as a person sees it; see turn.h.
 */
#include "app/turn.h"

#include <stdio.h>
#include <string.h>

#include "term/markdown.h"
#include "app/roster.h"
#include "term/signals.h"
#include "term/spin.h"
#include "term/term.h"

static const char turn_lead[] = "🤖 Assistant: ";

/* An answer on its way to the screen. */
struct shown {
	const struct app *app;
	struct markdown md;
	bool begun;    /* the lead is written */
	bool thinking; /* what was written last is reasoning */
	char last;     /* the last byte written */
};

static void shown_begin(struct shown *shown)
{
	spin_stop();
	if (!shown->begun)
		term_say("%s", turn_lead);
	shown->begun = true;
}

/* Reasoning is for whoever watches; a transcript holds the answer alone. */
static void shown_reasoning(struct shown *shown, const struct convo_delta *delta)
{
	if (!term_can_edit())
		return;
	shown_begin(shown);
	if (!shown->thinking) {
		term_style(STYLE_DIM);
		term_say("💭 ");
	}
	shown->thinking = true;
	term_show(delta->text, delta->len);
	shown->last = delta->text[delta->len - 1];
}

static void shown_answer(struct shown *shown, const struct convo_delta *delta)
{
	shown_begin(shown);
	if (shown->thinking) {
		term_style(STYLE_PLAIN);
		term_say(shown->last == '\n' ? "\n" : "\n\n");
	}
	shown->thinking = false;
	markdown_show(&shown->md, delta->text, delta->len);
	shown->last = delta->text[delta->len - 1];
}

static int shown_delta(void *ctx, const struct convo_delta *delta)
{
	struct shown *shown = ctx;

	if (!delta->len)
		return 0;
	if (delta->kind == CONVO_DELTA_REASONING)
		shown_reasoning(shown, delta);
	else
		shown_answer(shown, delta);
	return term_flush() ? 0 : 1;
}

static int shown_wait(void *ctx, const struct convo_wait *wait)
{
	struct shown *shown = ctx;

	if (term_can_edit() && !shown->app->flags->ask) {
		spin_wait(wait->reason, wait->wait_ms);
		return 0;
	}
	term_note("convo: %s; asking again in %d.%d s (attempt %d)", wait->reason,
		  wait->wait_ms / 1000, wait->wait_ms % 1000 / 100, wait->attempt);
	return 0;
}

int turn_on_busy(void *ctx, int64_t busy_ms)
{
	(void)ctx;
	spin_stop();
	term_note("(another program is answering in this session: this waits for it, or %lld s if "
		  "it is gone; Ctrl-C ends the waiting, -busy take takes the session over)",
		  (long long)(busy_ms + 999) / 1000);
	return 0;
}

static void shown_end(struct shown *shown)
{
	spin_stop();
	if (shown->thinking)
		term_style(STYLE_PLAIN);
	markdown_end(&shown->md);
	if (shown->begun && shown->last != '\n')
		term_say("\n");
	term_flush();
}

void turn_figures(const struct app *app, char *out, size_t size)
{
	const struct convo_answer *answer = app->last ? app->last->answer : NULL;
	char tokens[64] = "", first[48] = "";

	out[0] = '\0';
	if (!answer)
		return;
	if (answer->prompt_tokens >= 0 && answer->completion_tokens >= 0)
		snprintf(tokens, sizeof(tokens), "%lld tokens in, %lld out · ",
			 (long long)answer->prompt_tokens, (long long)answer->completion_tokens);
	if (answer->first_ms >= 0)
		snprintf(first, sizeof(first), "first token %lld ms, ",
			 (long long)answer->first_ms);
	snprintf(out, size, "%s%stotal %lld ms%s", tokens, first, (long long)answer->total_ms,
		 answer->attempts > 1 ? ", retried" : "");
}

/* A summary is told of when it is first sent. */
static void turn_summary(struct app *app)
{
	const struct convo_turn *turn = app->last;
	bool known = turn->summary_seq == app->summary;

	app->summary = turn->summary_seq;
	if (turn->summary_seq && !known && !app->flags->ask)
		term_note("(the first %zu messages are summed up: a summary is sent for them)",
			  turn->summarized);
}

/* What is worth telling beside the answer itself. */
static void turn_notes(struct app *app)
{
	const struct convo_turn *turn = app->last;
	const struct convo_answer *answer = turn->answer;
	char line[160];

	if (app->renewed)
		term_note("(the session was gone, deleted or expired: it begins anew here)");
	turn_summary(app);
	if (turn->left_out && turn->left_out_why && (app->flags->debug || !app->flags->ask))
		term_note("(%s)", turn->left_out_why);
	if (answer && answer->note)
		term_note("(%s)", answer->note);
	else if (answer && answer->status == CONVO_COMPLETE && !answer->text_len)
		term_note("(the answer holds no text; the model ended with: %s)",
			  answer->finish_reason ? answer->finish_reason : "nothing");
	if (answer && answer->status == CONVO_INTERRUPTED && term_flush())
		term_note("(interrupted; %s)",
			  turn->answer_seq ? "what came is stored" : "what came is not stored");
	if (!app->flags->debug)
		return;
	turn_figures(app, line, sizeof(line));
	if (line[0])
		term_note("%s", line);
	term_note("session %s: question %lld, answer %lld; %zu messages sent, %zu joined, %zu left "
		  "out, %zu summed up",
		  app->session, (long long)turn->question_seq, (long long)turn->answer_seq,
		  turn->sent, turn->joined, turn->left_out, turn->summarized);
}

/* Says what failed. @return its exit code. */
static int turn_failed(const struct app *app, int rc, const struct convo_err *err)
{
	const struct convo_turn *turn = app->last;
	const struct convo_answer *answer = turn ? turn->answer : NULL;

	if (rc == CONVO_E_CANCELED)
		term_note("(interrupted%s)", turn && turn->question_seq
						     ? "; the question is stored, /retry asks again"
						     : "");
	else if (rc < 0 && turn && turn->failed == CONVO_TURN_MODEL)
		return app_model_failed(app, err->code, err->text);
	else if (rc < 0)
		return app_store_failed(app,
					turn && turn->question_seq ? "the answer is not stored"
								   : "the question is not stored",
					err);
	else if (answer && answer->status == CONVO_FAILED)
		return app_model_failed(app, answer->code, answer->error);
	if (rc != CONVO_E_CANCELED && !(answer && answer->status == CONVO_INTERRUPTED))
		return 0;
	/* An answer that cannot be written is stopped, too. */
	return term_flush() ? EXIT_INTERRUPTED : EXIT_FAILED;
}

static int turn_once(struct app *app, const char *text, size_t len,
		     const struct convo_listener *listener, struct convo_err *err)
{
	struct convo_question question = {
		.user = app->flags->common.user,
		.session = app->session,
		.text = text,
		.text_len = len,
		.whole = !app->flags->streaming,
		.fresh = app->generated,
		.when_busy = app->flags->busy,
	};
	struct convo_turn *turn = NULL;
	int rc = convo_runner_run(&turn, app->runner, &question, listener, app->cancel, err);

	convo_turn_free(app->last);
	app->last = turn;
	return rc;
}

/* The turn itself, into app->last. */
static int turn_start(struct app *app, const char *text, size_t len,
		      const struct convo_listener *listener, struct convo_err *err)
{
	enum { ROUNDS = 100 };
	int rc = 0, round;

	for (round = 0; round < ROUNDS; round++) {
		rc = turn_once(app, text, len, listener, err);
		if (rc != CONVO_E_EXISTS || !app->generated)
			break;
		/* Another program began in the same second and was first to speak. */
		roster_new(app);
	}
	if (round && !app->flags->ask) {
		spin_stop();
		term_note("(that id was taken meanwhile: this is session %s)", app->session);
	}
	app->renewed = app->stored && app->last && app->last->created;
	if (app->last && app->last->question_seq) {
		app->generated = false;
		app->stored = true;
	}
	app->error = *err;
	return rc;
}

int turn_ask(struct app *app, const char *text, size_t len, const struct convo_listener *listener)
{
	struct convo_err err = {0};
	int rc = turn_start(app, text, len, listener, &err);

	if (app->last)
		turn_notes(app);
	return turn_failed(app, rc, &err);
}

int turn_run(struct app *app, const char *text, size_t len)
{
	struct shown shown = {.app = app};
	struct convo_listener listener = {
		.on_delta = shown_delta,
		.on_wait = shown_wait,
		.ctx = &shown,
		.on_busy = turn_on_busy,
	};
	struct convo_err err = {0};
	int rc;

	spin_start(turn_lead);
	rc = turn_start(app, text, len, &listener, &err);
	shown_end(&shown);
	if (app->last)
		turn_notes(app);
	return turn_failed(app, rc, &err);
}
