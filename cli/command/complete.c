/*
 * Completion; see complete.h.
 */
#include "command/complete.h"

#include <stdlib.h>
#include <string.h>

#include "command/command.h"
#include "roster.h"

static bool complete_add(struct complete *out, const char *word)
{
	if (out->count == COMPLETE_MOST)
		return false;
	out->words[out->count] = strdup(word);
	return out->words[out->count] && ++out->count;
}

static void complete_commands(struct complete *out, const char *line)
{
	const struct command *cmd;

	for (cmd = command_table; cmd->name; cmd++)
		if (!strncmp(cmd->name, line, strlen(line)))
			complete_add(out, cmd->name);
}

/* The beginning of an id, and where to put the ids that go on so. */
struct complete_ids {
	struct complete *out;
	const char *word;
};

static bool complete_visit(void *ctx, const struct convo_meta *meta)
{
	struct complete_ids *ids = ctx;

	if (strncmp(meta->session, ids->word, strlen(ids->word)) != 0)
		return true;
	return complete_add(ids->out, meta->session);
}

void complete_find(struct complete *out, const struct app *app, const char *line)
{
	static const struct {
		const char *command;
		enum convo_list_what what;
	} wants_id[] = {{"/use ", CONVO_LIST_LIVE},
			{"/delete ", CONVO_LIST_LIVE},
			{"/restore ", CONVO_LIST_TRASH}};
	size_t i;

	memset(out, 0, sizeof(*out));
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

void complete_clear(struct complete *out)
{
	while (out->count)
		free(out->words[--out->count]);
}

size_t complete_common(const struct complete *complete)
{
	size_t len, i;

	if (!complete->count)
		return 0;
	len = strlen(complete->words[0]);
	for (i = 1; i < complete->count; i++) {
		size_t same = 0;

		while (same < len && complete->words[i][same] == complete->words[0][same])
			same++;
		len = same;
	}
	while (len && ((unsigned char)complete->words[0][len] & 0xc0) == 0x80)
		len--;
	return len;
}
