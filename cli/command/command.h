/*
 * Commands: what is typed after a slash.
 */
#ifndef CLI_COMMAND_COMMAND_H
#define CLI_COMMAND_COMMAND_H

#include "app/app.h"

/** One command. */
struct command {
	const char *name; /* with its slash */
	const char *args; /* as /help shows them, or "" */
	const char *help;
	/** `arg` is what follows the name, trimmed, and may be changed. @return 0 or an exit code. */
	int (*run)(struct app *app, char *arg);
};

/** All of them, in the order of /help; the one after the last has no name. */
extern const struct command command_table[];

/** Run a line that begins with a slash; an unknown name is refused, and said. */
int command_run(struct app *app, char *line);

/* session.c */
int cmd_new(struct app *app, char *arg);
int cmd_sessions(struct app *app, char *arg);
int cmd_use(struct app *app, char *arg);
int cmd_rename(struct app *app, char *arg);
int cmd_delete(struct app *app, char *arg);
int cmd_restore(struct app *app, char *arg);

/* talk.c */
int cmd_history(struct app *app, char *arg);
int cmd_log(struct app *app, char *arg);
int cmd_retry(struct app *app, char *arg);
int cmd_undo(struct app *app, char *arg);

/* follow.c */
int cmd_follow(struct app *app, char *arg);
int cmd_fork(struct app *app, char *arg);

/** Show a session as others write it, until Ctrl-C. @return an exit code */
int follow_run(struct app *app, const char *session);

/* app.c */
int cmd_model(struct app *app, char *arg);
int cmd_system(struct app *app, char *arg);
int cmd_context(struct app *app, char *arg);
int cmd_compact(struct app *app, char *arg);
int cmd_info(struct app *app, char *arg);
int cmd_help(struct app *app, char *arg);
int cmd_exit(struct app *app, char *arg);

#endif
