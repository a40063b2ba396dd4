/*
 * What the operations of the Redis store share: keys, arguments, and the reading of answers.
 */
#ifndef STORE_REDIS_OP_H
#define STORE_REDIS_OP_H

#include <store/redis/ask.h>
#include <store/redis/redis.h>

/** What an operation knows while it is asked for: the ctx of its ask. */
struct redis_op {
	struct redis_store *redis;
	const struct store_call *call;
	const struct convo_key *key; /* for messages */
	void *into;                  /* the operation's own */
};

/** Whether the app's state is in another slot than its users: in a cluster. See notes.h. */
bool cv_op_is_apart(const struct redis_op *op);

/** Begin the call of a script: its keys, as script/common.lua tells, and the time. */
void cv_op_begin(const struct redis_op *op, struct redis_ask *ask, enum redis_script_id script,
		 const char *app, const char *user);

/** The same for a script that is about the app's state alone: the keys are the app's. */
void cv_op_begin_app(const struct redis_op *op, struct redis_ask *ask, enum redis_script_id script);

/** The same for a script that is about a session and tells who watches it: its id, and whether to. */
void cv_op_begin_session(const struct redis_op *op, struct redis_ask *ask,
			 enum redis_script_id script);

/** Run an ask that is complete, and let go of it. */
int cv_op_run(const struct redis_op *op, struct redis_ask *ask, struct convo_err *err);

/** Add whether to tell those who watch the session, for script/tell.lua. */
void cv_op_add_tell(const struct redis_op *op, struct redis_ask *ask);

#define OP_KEY_SIZE (48 + (3 + 3 + 1) * CONVO_MAX_NAME) /* app and user may triple */

/** The key of a session, which is its channel too. */
void cv_op_session_key(char out[OP_KEY_SIZE], const struct convo_store *store,
		       const struct convo_key *key);

/** Begin a command about the key of the app. */
void cv_op_begin_command(const struct redis_op *op, struct redis_ask *ask, const char *command);

/** Add a change of state. */
void cv_op_add_change(struct redis_ask *ask, const struct store_change *change);

/** Add a UUID as text, "" for NULL. */
void cv_op_add_uuid(struct redis_ask *ask, const unsigned char *uuid);

/** A piece of an answer that is not of the kind it must be. */
int cv_op_damaged(const struct redis_op *op, struct convo_err *err);

/** 0, or the refusal that the answer begins with. STORE_IN_THE_WAY is for who may get it. */
int cv_op_refusal(const struct redis_op *op, const struct redis_value *answer,
		  struct convo_err *err);

/** An answer() for operations that hear nothing but how it went. */
int cv_op_plain(struct redis_ask *ask, const struct redis_value *answer, struct convo_err *err);

/** The number in an item, from 0 to some 2^53, which scripts pass on as text. */
bool cv_op_number(const struct redis_value *item, int64_t *out);

/** Text without a NUL in it, as it is handed out as a C string. */
bool cv_op_text(const struct redis_value *item, struct cv_text *out);

/** A generation. */
bool cv_op_uuid(const struct redis_value *item, unsigned char *out);

/** A scope by its letter. */
bool cv_op_scope(const struct redis_value *item, enum convo_scope *out);

static inline bool op_is_list(const struct redis_value *value, size_t len)
{
	return value->kind == REDIS_VALUE_ARRAY && value->len >= len;
}

#endif
