/*
 * The sessions there are: finding one by the beginning of its id, listing them, making new ids.
 */
#ifndef CLI_APP_ROSTER_H
#define CLI_APP_ROSTER_H

#include "app/app.h"

/** Sees one session of a walk. @return false to stop. */
typedef bool (*roster_visit)(void *ctx, const struct convo_meta *meta);

/** Walk over all sessions, newest activity first. @return 0 or a convo_code; says nothing. */
int roster_walk(const struct app *app, enum convo_list_what what, roster_visit visit, void *ctx,
		struct convo_err *err);

/** Make a fresh id, chat-session-<unix seconds>, and talk in that session from now on. */
void roster_new(struct app *app);

/** Talk in a session from now on. `stored`: it exists. */
void roster_enter(struct app *app, const char *session, bool stored);

/*
 * What fails in these is said, and its exit code returned; 0 is success. A `session` is set to an
 * id, or to "" when there is none.
 */

/** The session used last in this store. */
int roster_latest(const struct app *app, char session[CONVO_MAX_NAME + 1]);

/**
 * Find a session by its id or a unique beginning of it, among the living or in the trash. A word
 * that several begin with is a failure.
 */
int roster_find(const struct app *app, enum convo_list_what what, const char *word,
		char session[CONVO_MAX_NAME + 1]);

/** Whether a session of that very id is stored. */
int roster_is_stored(const struct app *app, const char *session, bool *stored);

/**
 * Print the roster: all sessions, or those with `part` in id or title.
 *
 * @param more asked on a live terminal between pages, whether to go on
 * @return an exit code
 */
int roster_print(const struct app *app, const char *part, bool (*more)(void));

/** Print title, age and the last exchange of a session, dim; nothing without a live terminal. */
void roster_recall(const struct app *app, const char *session);

/** "3 min ago", for a time in Unix ms. */
void roster_age(char *out, size_t size, int64_t then_ms);

#endif
