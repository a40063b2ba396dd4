/*
 * The program that is killed: one question by the public interface; see kills.h.
 */
#include "kills.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

#include <convo/convo.h>

static int program_ask(convo_runner *runner, const char *session, const char *text,
		       struct convo_err *err)
{
	const struct convo_question question = {
		.user = KILLS_USER, .session = session, .text = text};
	struct convo_turn *turn = NULL;
	int rc = convo_runner_run(&turn, runner, &question, NULL, NULL, err);

	if (rc == CONVO_E_CONFLICT && turn && turn->failed == CONVO_TURN_STORE)
		rc = KILLS_FENCED;
	convo_turn_free(turn);
	return rc;
}

int kills_program(char **words)
{
	const struct convo_store_options quiet = {.timeout_ms = 30000,
						  .clean_interval_ms = CONVO_OFF};
	const struct convo_model_options where = {.base_url = words[1], .proxy = ""};
	struct convo_runner_options opts = {.app = KILLS_APP, .lease_ms = KILLS_LEASE_MS};
	convo_runner *runner = NULL;
	struct convo_err err;
	int rc;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	rc = convo_store_open(&opts.store, words[0], &quiet, &err);
	if (rc == 0)
		rc = convo_model_open(&opts.model, "scripted", &where, &err);
	if (rc == 0)
		rc = convo_runner_new(&runner, &opts, &err);
	if (rc == 0)
		rc = program_ask(runner, words[2], words[3], &err);
	if (rc < 0)
		fprintf(stderr, "%s, '%s': %s: %s\n", words[2], words[3], convo_code_name(rc),
			err.text);
	convo_runner_free(runner);
	convo_model_close(opts.model);
	convo_store_close(opts.store);
	return rc < 0 ? KILLS_FAILED : rc;
}
