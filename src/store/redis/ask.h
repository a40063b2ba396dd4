/*
 * Asking a Redis server: from arguments to an answer, with scripts that the server may forget,
 * errors it may report and connections it may lose. It knows no sessions.
 */
#ifndef STORE_REDIS_ASK_H
#define STORE_REDIS_ASK_H

#include <store/redis/conn.h>
#include <store/redis/script.h>
#include <store/shared/group.h>

struct redis_store;
struct redis_ask;

/**
 * Take an answer, which is valid for the call: for a script a list that begins with a number, for
 * a command anything but an error. Runs in the thread of the asker or of another one.
 *
 * @return 0 or a negative code with `err` filled: the outcome of the ask
 */
typedef int (*redis_answer)(struct redis_ask *ask, const struct redis_value *answer,
			    struct convo_err *err);

/** A command or the call of a script. All-zero but for what begin() and the caller set. */
struct redis_ask {
	struct group_job job; /* first: what queues it with others */
	redis_answer answer;  /* set by the caller, like what follows */
	void *ctx;
	bool repeat;   /* doing it twice is like doing it once */
	bool optional; /* that the server does not do it is a success too */

	const struct redis_script *script; /* NULL for a command */
	struct cv_buf bytes;
	size_t args;
	bool broken;             /* memory was out */
	size_t head;             /* where in bytes the request begins */
	size_t end;              /* where in what is being sent it ends */
	bool sent, done;         /* on this connection; for good */
	bool unknown;            /* was sent on a connection that was lost */
	bool with_source;        /* the server does not know the script */
	bool again;              /* the round ended early for this one */
	const char *waits;       /* why the server would not do it yet */
	struct store_work *work; /* NULL: nobody counts */
};

/** Begin the call of a script; or for REDIS_SCRIPTS a command, whose name is its first argument. */
void cv_ask_begin(struct redis_ask *ask, enum redis_script_id script, size_t keys);

/** Add an argument. That memory is out shows when the ask is run. */
void cv_ask_add(struct redis_ask *ask, const void *data, size_t len);
void cv_ask_add_text(struct redis_ask *ask, const char *text);
void cv_ask_add_int(struct redis_ask *ask, int64_t number);

/** Begin an argument of `len` bytes that the caller writes there; NULL when memory is out. */
char *cv_ask_room(struct redis_ask *ask, size_t len);

void cv_ask_clear(struct redis_ask *ask);

/** Ask, on a connection of its own. @return what its answer() returned, or another failure */
int cv_ask_run(struct redis_store *redis, const struct store_call *call, struct redis_ask *ask,
	       struct convo_err *err);

/** The same, in one go with those of other threads that have gathered meanwhile. */
int cv_ask_run_grouped(struct redis_store *redis, const struct store_call *call,
		       struct redis_ask *ask, struct convo_err *err);

#define REDIS_GROUP_JOBS 256 /* most of a round */

/** A round of the store's group: the asks that have gathered, in one go. */
void cv_ask_round(void *ctx, struct group_job **jobs, size_t count);

/* ---- a step below ----------------------------------------------------------------------- */

/** What the pool is run with: who connects finds there how long it may take. */
struct redis_call {
	struct store_call call; /* first */
	struct redis_until until;
};

/** Ask for a command on a connection that is not in the pool yet; an error is an answer. */
int cv_ask_now(struct redis_store *redis, struct redis_conn *conn, struct redis_ask *ask,
	       const struct redis_until *until, const struct redis_value **answer,
	       struct convo_err *err);

/** Fail with what an error of the server means; `command` is the one it is about, NULL if it says
 * that itself. */
int cv_ask_refused(const struct redis_store *redis, const char *error, const char *command,
		   struct convo_err *err);

/** What is stored is not as convo stores it: CONVO_E_IO. */
int cv_ask_damaged(const struct redis_store *redis, struct convo_err *err);

/** Whether an error begins with a word. */
bool cv_ask_error_is(const struct redis_value *value, const char *word);

/** Why the server will not do it yet, or NULL for an error that stays. */
const char *cv_ask_error_passes(const struct redis_value *value);

#endif
