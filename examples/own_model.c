/*
 * A model of your own: a function that answers, here one that counts the words it was sent. An
 * inference engine in the same process fits in the same way.
 *
 *     $ own_model
 *     You wrote 3 words.
 *     You wrote 2 words.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convo/convo.h>

static int count_words(const char *text)
{
	int words = 0;

	while (*text) {
		text += strspn(text, " \t\n");
		words += *text != '\0';
		text += strcspn(text, " \t\n");
	}
	return words;
}

/* Runs in the thread that asks; emit sends a piece of the answer on its way at once. */
static int answer(void *ctx, const struct convo_request *request, convo_emit_fn emit,
		  void *emit_ctx, convo_cancel *cancel, struct convo_err *err)
{
	const struct convo_message *last = &request->messages[request->count - 1];
	char line[64], *text = NULL;
	int rc = convo_message_text(&text, last->json, last->len, err);

	(void)ctx;
	(void)cancel; /* poll convo_cancel_requested() in work that takes long */
	if (rc < 0)
		return rc;
	snprintf(line, sizeof(line), "%d words.", count_words(text));
	free(text);
	rc = emit(emit_ctx, CONVO_DELTA_TEXT, "You wrote ", 10);
	if (rc == 0)
		rc = emit(emit_ctx, CONVO_DELTA_TEXT, line, strlen(line));
	return rc;
}

static int ask(convo_runner *runner, const char *text, struct convo_err *err)
{
	struct convo_question question = {.user = "ann", .session = "words", .text = text};
	struct convo_turn *turn = NULL;
	int rc = convo_runner_run(&turn, runner, &question, NULL, NULL, err);

	if (rc == 0)
		printf("%s\n", turn->answer->text);
	convo_turn_free(turn);
	return rc;
}

int main(void)
{
	struct convo_runner_options opts = {.app = "words"};
	convo_runner *runner = NULL;
	struct convo_err err;
	int rc;

	rc = convo_store_open(&opts.store, "memory:", NULL, &err);
	if (rc < 0)
		goto out;
	rc = convo_model_from(&opts.model, "word counter", answer, NULL, &err);
	if (rc < 0)
		goto out;
	rc = convo_runner_new(&runner, &opts, &err);
	if (rc < 0)
		goto out;
	rc = ask(runner, "one two three", &err);
	if (rc == 0)
		rc = ask(runner, "one two", &err);
out:
	if (rc < 0)
		fprintf(stderr, "own_model: %s\n", err.text);
	convo_runner_free(runner);
	convo_model_close(opts.model);
	convo_store_close(opts.store);
	return rc < 0;
}
