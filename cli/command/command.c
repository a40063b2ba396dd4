/*
 * Commands: their table, and finding one; see command.h.
 */
#include "command/command.h"

#include <string.h>

#include "term/term.h"
#include "term/text.h"

const struct command command_table[] = {
	{"/history", "", "ask the assistant to recap our conversation", cmd_history},
	{"/log", "[n]", "print the last n stored messages (20), asking nobody", cmd_log},
	{"/new", "[id]", "start a brand-new session", cmd_new},
	{"/sessions", "[text]", "list the sessions, or those with this text in id or title",
	 cmd_sessions},
	{"/use", "<id>", "switch to an existing (or new) session", cmd_use},
	{"/rename", "<title>", "give this session a title", cmd_rename},
	{"/delete", "[id]", "delete a session; asks first", cmd_delete},
	{"/restore", "<id>", "bring a deleted session back", cmd_restore},
	{"/fork", "[n]", "go on from message n (the last) in a new session", cmd_fork},
	{"/follow", "[id]", "show a session as another program writes it, until Ctrl-C",
	 cmd_follow},
	{"/retry", "", "take the last question back and ask it again", cmd_retry},
	{"/undo", "", "take the last question and its answer back", cmd_undo},
	{"/model", "[name]", "show the model, or ask another one", cmd_model},
	{"/system", "[text]", "show the instruction for the model, or give another one",
	 cmd_system},
	{"/context", "", "show how much of the conversation goes with the next question",
	 cmd_context},
	{"/compact", "", "sum up all but the last messages now, to send less", cmd_compact},
	{"/info", "", "show session, store, model, and figures of the last answer", cmd_info},
	{"/help", "", "show this", cmd_help},
	{"/exit", "", "end the conversation", cmd_exit},
	{"/quit", "", "the same", cmd_exit},
	{NULL, NULL, NULL, NULL},
};

static int command_unknown(const char *name)
{
	const struct command *cmd, *best = NULL;
	size_t least = SIZE_MAX;

	for (cmd = command_table; cmd->name; cmd++) {
		size_t d = text_nearness(name + 1, cmd->name + 1);

		if (!strncmp(cmd->name, name, strlen(name)) && strlen(name) > 1)
			d = 1;
		if (d < least) {
			least = d;
			best = cmd;
		}
	}
	if (best)
		term_error("%s: no such command; did you mean %s? (/%s sends it as text)", name,
			   best->name, name);
	else
		term_error("%s: no such command; /help lists them (/%s sends it as text)", name,
			   name);
	return EXIT_FAILED;
}

int command_run(struct app *app, char *line)
{
	const struct command *cmd;
	size_t len = strcspn(line, " \t\n");
	char *arg = line + len;

	if (*arg)
		*arg++ = '\0';
	for (cmd = command_table; cmd->name && strcmp(cmd->name, line) != 0; cmd++)
		;
	if (!cmd->name)
		return command_unknown(line);
	arg = text_trim(arg);
	if (*arg && !*cmd->args) {
		term_error("%s takes nothing after it; /%s %s sends it as text", cmd->name,
			   cmd->name, arg);
		return EXIT_FAILED;
	}
	return cmd->run(app, arg);
}
