/*
 * Completion; see complete.h.
 */
#include "command/complete.h"

#include <string.h>

#include "command/command.h"
#include "app/roster.h"

static void complete_commands(struct words *out, const char *line)
{
	const struct command *cmd;

	for (cmd = command_table; cmd->name; cmd++)
		if (!strncmp(cmd->name, line, strlen(line)))
			words_add(out, cmd->name);
}

/* The beginning of an id, and where to put the ids that go on so. */
struct complete_ids {
	struct words *out;
	const char *word;
};

static bool complete_visit(void *ctx, const struct convo_meta *meta)
{
	struct complete_ids *ids = ctx;

	if (strncmp(meta->session, ids->word, strlen(ids->word)) != 0)
		return true;
	return words_add(ids->out, meta->session);
}

void complete_find(struct words *out, const struct app *app, const char *line)
{
	static const struct {
		const char *command;
		enum convo_list_what what;
	} wants_id[] = {{"/use ", CONVO_LIST_LIVE},
			{"/delete ", CONVO_LIST_LIVE},
			{"/restore ", CONVO_LIST_TRASH}};
	size_t i;

	if (line[0] == '/' && !strpbrk(line, " \t\n"))
		complete_commands(out, line);
	for (i = 0; i < sizeof(wants_id) / sizeof(wants_id[0]); i++) {
		size_t len = strlen(wants_id[i].command);
		struct complete_ids ids = {out, line + len};

		if (strncmp(line, wants_id[i].command, len) != 0)
			continue;
		out->from = len;
		roster_walk(app, wants_id[i].what, complete_visit, &ids, NULL);
	}
}
