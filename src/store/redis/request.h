/*
 * A request to a Redis server: a command, or the call of a script, and what becomes of it on its way.
 * It knows no sessions and no connections.
 */
#ifndef STORE_REDIS_REQUEST_H
#define STORE_REDIS_REQUEST_H

#include <store/redis/conn.h>
#include <store/redis/script.h>
#include <store/shared/group.h>

struct redis_store;
struct redis_node;
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
	bool reads;    /* it changes nothing, or nothing that replicas must have (wait=) */
	unsigned slot; /* that its keys are in; matters in a cluster alone */

	const struct redis_script *script; /* NULL for a command */
	struct cv_buf bytes;
	size_t args;
	bool broken; /* memory was out */
	size_t head; /* where in bytes the request begins */
	size_t end;  /* where in what is being sent it ends */

	struct redis_node *node;   /* who is asked; the route's */
	struct redis_node *detour; /* who is to be asked next, once; the route's */
	bool sent, done;           /* on this connection; for good */
	bool unknown;              /* was sent on a connection that was lost */
	bool with_source;          /* the server does not know the script */
	bool again;                /* the round ended early for this one */
	bool elsewhere;            /* this server does not do it; job.rc and job.err tell why */
	bool confirmed;            /* answered, and replicas may have to confirm it */
	bool asking;       /* this server does it, once, if it is told that it was sent there */
	bool moving;       /* its keys are on two servers; job.rc and job.err say so */
	const char *waits; /* why the server would not do it yet */
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

/** Room for the head in front of the arguments: "*<n> $7 EVALSHA $40 <sha1>" with its line ends. */
#define REDIS_HEAD_ROOM 96

/** Put the head in front of the arguments: the bytes can be sent from there on. */
void cv_ask_close(const struct redis_store *redis, struct redis_ask *ask);

/** Ask for a command on a connection that is nobody else's; an error is an answer. */
int cv_ask_now(const struct redis_store *redis, struct redis_conn *conn, struct redis_ask *ask,
	       const struct redis_until *until, const struct redis_value **answer,
	       struct convo_err *err);

#define REDIS_SLOTS 16384

/** The slot of a key: CRC16 (XMODEM) of what is between its first braces, else of all of it. */
unsigned cv_redis_slot(const char *key);

#endif
