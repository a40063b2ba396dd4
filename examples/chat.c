/*
 * Ask a model and show its answer while it arrives; the conversation stays in the store.
 *
 *     $ chat memory: echo "I am Ann."
 *     > I am Ann.
 *     I am echo, a stand-in and no language model. I was sent 2 messages. The last one:
 *     user: I am Ann.
 *
 * Takes a store, a model and questions, and asks one after the other in one session. Ctrl-C stops
 * an answer; what came of it is kept, marked as interrupted. OPENAI_API_KEY and OPENAI_BASE_URL say
 * where a model other than echo is.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <convo/convo.h>

static convo_cancel *cancel;

static void stop_answer(int signum)
{
	(void)signum;
	convo_cancel_request(cancel);
}

static int show_delta(void *ctx, const struct convo_delta *delta)
{
	FILE *out = (FILE *)ctx;

	if (delta->kind == CONVO_DELTA_REASONING)
		return 0;
	fwrite(delta->text, 1, delta->len, out);
	return fflush(out);
}

static int ask(convo_runner *runner, const char *text, struct convo_err *err)
{
	struct convo_question question = {.user = "ann", .session = "chat", .text = text};
	struct convo_listener listener = {.on_delta = show_delta, .ctx = stdout};
	struct convo_turn *turn = NULL;
	int rc;

	printf("> %s\n", text);
	convo_cancel_reset(cancel);
	rc = convo_runner_run(&turn, runner, &question, &listener, cancel, err);
	printf("\n");
	if (rc == 0 && turn->answer->error)
		fprintf(stderr, "chat: %s\n", turn->answer->error);
	convo_turn_free(turn);
	return rc;
}

int main(int argc, char **argv)
{
	struct convo_model_options where = {
		.base_url = getenv("OPENAI_BASE_URL"),
		.api_key = getenv("OPENAI_API_KEY"),
	};
	struct convo_runner_options opts = {.app = "chat", .instruction = "Be brief."};
	convo_runner *runner = NULL;
	struct convo_err err;
	int i, rc;

	if (argc < 4) {
		fprintf(stderr, "usage: chat STORE MODEL QUESTION...\n");
		return 2;
	}
	rc = convo_cancel_new(&cancel, &err);
	if (rc < 0)
		goto out;
	rc = convo_store_open(&opts.store, argv[1], NULL, &err);
	if (rc < 0)
		goto out;
	rc = convo_model_open(&opts.model, argv[2], &where, &err);
	if (rc < 0)
		goto out;
	rc = convo_runner_new(&runner, &opts, &err);
	if (rc < 0)
		goto out;
	signal(SIGINT, stop_answer);
	for (i = 3; i < argc && rc >= 0; i++)
		rc = ask(runner, argv[i], &err);
out:
	if (rc < 0)
		fprintf(stderr, "chat: %s\n", err.text);
	convo_runner_free(runner);
	convo_model_close(opts.model);
	convo_store_close(opts.store);
	convo_cancel_free(cancel);
	return rc < 0;
}
