/*
 * The program's state: an open store, a model, a runner, and the session that is talked in.
 */
#ifndef CLI_APP_APP_H
#define CLI_APP_APP_H

#include <convo/runner.h>

#include "app/exit.h"
#include "app/flags.h"
#include "app/settings.h"

struct app {
	const struct flags *flags;
	struct settings settings;
	convo_cancel *cancel;
	struct convo_call call; /* for the store: Ctrl-C stops it */
	convo_store *store;
	convo_model *model;
	convo_runner *runner;
	char *instruction;                /* of /system; NULL: that of the settings */
	char session[CONVO_MAX_NAME + 1]; /* talked in */
	bool generated;                   /* its id is ours, and nothing is stored under it yet */
	int64_t ids;                      /* ids made so far in second `id_second` */
	int64_t id_second;
	struct convo_turn *last; /* the last turn of this process, or NULL */
	struct convo_err error;  /* why it failed, if it did; code 0: it did not */
	int64_t summary;         /* seq of the last summary that was told of */
	bool stored;             /* the session was seen in the store */
	bool renewed;            /* and was gone again when the last turn began */
	bool leave;              /* /exit was said */
	int failed;              /* exit code of the first thing that went wrong, or 0 */
};

/**
 * Open all of it. Says on stderr what is wrong.
 *
 * @return 0 or the program's exit code; call app_close() in any case
 */
int app_open(struct app *app, const struct flags *flags);

void app_close(struct app *app);

/** Whether a flag's value can be a name (contract N1 tells the rest); says it if not. */
bool name_is_fine(const char *flag, const char *name);

/** The same for the name of an application, which must not be one of convo's own. */
bool app_name_is_fine(const char *name);

/** Make what Ctrl-C stops things by, and listen to signals. @return 0 or an exit code, said. */
int app_listen(struct app *app);

/** Ask another model from now on. @return 0 or an exit code; on failure all stays as it was. */
int app_use_model(struct app *app, const char *name);

/** Give another instruction from now on. @return 0 or an exit code; on failure all stays. */
int app_use_instruction(struct app *app, const char *text);

/** The name of a session of ours. */
struct convo_key app_key(const struct app *app, const char *session);

/** Say on stderr that a store call failed, and what to do. @return the exit code for it. */
int app_store_failed(const struct app *app, const char *what, const struct convo_err *err);

/** The same for the model. `text` is one line. */
int app_model_failed(const struct app *app, int code, const char *text);

#endif
