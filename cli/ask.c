/*
 * Asking once; see ask.h. Standard output gets the answer and nothing else.
 */
#include "ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convo/text.h>

#include "chat.h"
#include "term/input.h"
#include "term/signals.h"
#include "term/term.h"
#include "app/turn.h"

struct asked {
	bool silent; /* -json prints at the end */
	bool shown;  /* on a terminal: control characters are made visible */
	char last;   /* the last byte written */
};

static int asked_delta(void *ctx, const struct convo_delta *delta)
{
	struct asked *asked = ctx;

	if (asked->silent || delta->kind == CONVO_DELTA_REASONING || !delta->len)
		return 0;
	if (asked->shown)
		text_show(stdout, delta->text, delta->len);
	else
		fwrite(delta->text, 1, delta->len, stdout);
	asked->last = delta->text[delta->len - 1];
	return term_flush() ? 0 : 1;
}

static int asked_wait(void *ctx, const struct convo_wait *wait)
{
	(void)ctx;
	term_note("convo: %s; asking again in %d.%d s (attempt %d)", wait->reason,
		  wait->wait_ms / 1000, wait->wait_ms % 1000 / 100, wait->attempt);
	return 0;
}

static void json_string(const char *name, const char *text, size_t len)
{
	char *quoted = NULL;

	if (!text)
		printf("\"%s\":null,", name);
	else if (convo_json_quote(&quoted, text, len, NULL) == 0)
		printf("\"%s\":%s,", name, quoted);
	convo_free(quoted);
}

static void json_text(const char *name, const char *text)
{
	json_string(name, text, text ? strlen(text) : 0);
}

static void ask_json(const struct app *app, int code)
{
	static const char *const endings[] = {"complete", "interrupted", "failed"};
	const struct convo_answer *answer = app->last ? app->last->answer : NULL;

	putchar('{');
	json_string("answer", answer ? answer->text : NULL, answer ? answer->text_len : 0);
	json_text("session", app->session);
	json_text("status", answer ? endings[answer->status] : "failed");
	json_text("model", answer && answer->model ? answer->model : convo_model_name(app->model));
	json_text("finish_reason", answer ? answer->finish_reason : NULL);
	json_text("error", answer ? answer->error : app->error.code ? app->error.text : NULL);
	printf("\"usage\":%s,", answer && answer->usage ? answer->usage : "null");
	printf("\"timing\":{\"first_ms\":%lld,\"total_ms\":%lld,\"attempts\":%d},",
	       answer ? (long long)answer->first_ms : -1LL,
	       answer ? (long long)answer->total_ms : -1LL, answer ? answer->attempts : 0);
	printf("\"exit\":%d}\n", code);
}

/* The question: the text of -p, and what is piped in after a blank line. */
static bool ask_question(const struct app *app, struct text *question)
{
	struct text piped = {0};
	bool ok = text_adds(question, app->flags->ask) && input_piped(&piped);

	if (ok && piped.len && question->len)
		ok = text_adds(question, "\n\n");
	if (ok && piped.len)
		ok = text_add(question, piped.data, piped.len);
	if (!ok && !signals_interrupted() && !signals_leaving())
		term_error("the question is more than %s", text_limit());
	text_clear(&piped);
	return ok;
}

int ask_run(struct app *app)
{
	struct text question = {0};
	struct asked asked = {.silent = app->flags->json, .shown = term_is_shown()};
	struct convo_listener listener = {
		.on_delta = asked_delta,
		.on_wait = asked_wait,
		.ctx = &asked,
		.on_busy = turn_on_busy,
	};
	int rc = EXIT_FAILED;

	if (!ask_question(app, &question)) {
		rc = signals_interrupted() || signals_leaving() ? EXIT_INTERRUPTED : EXIT_FAILED;
		goto out;
	}
	if (!question.len) {
		term_error("-p: there is nothing to ask");
		rc = EXIT_USAGE;
		goto out;
	}
	rc = chat_begin(app);
	if (rc)
		goto out;
	rc = turn_ask(app, question.data, question.len, &listener);
	if (app->flags->json)
		ask_json(app, rc);
	else if (app->last && app->last->answer && app->last->answer->text_len &&
		 asked.last != '\n')
		putchar('\n');
	if (!term_flush())
		rc = EXIT_FAILED;
out:
	text_clear(&question);
	return rc;
}
