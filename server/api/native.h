/*
 * What the parts of the native API, /convo/v1, have in common: how errors look, and how the members of bodies
 * and the parameters of queries are read. Its handlers are in native_*.c, a subject each.
 */
#ifndef SERVER_API_NATIVE_H
#define SERVER_API_NATIVE_H

#include <convo/store.h>

#include "api/openai.h"
#include "auth/key.h"
#include "core/json.h"
#include "core/service.h"
#include "http/route.h"

/* ---- handlers; `ctx` is the struct service -------------------------------------------- */

void native_list(void *ctx, struct http_request *request);
void native_create(void *ctx, struct http_request *request);
void native_get(void *ctx, struct http_request *request);
void native_patch(void *ctx, struct http_request *request);
void native_delete(void *ctx, struct http_request *request);
void native_restore(void *ctx, struct http_request *request);
void native_fork(void *ctx, struct http_request *request);
void native_append(void *ctx, struct http_request *request);
void native_turn(void *ctx, struct http_request *request);
void native_cancel(void *ctx, struct http_request *request);
void native_undo(void *ctx, struct http_request *request);
void native_follow(void *ctx, struct http_request *request);

/** Longest name of a member in a refusal, with its NUL: "events[999].finish_reason". */
#define NATIVE_PARAM_MAX 64

/* ---- replying ------------------------------------------------------------------------- */

/** Reply with JSON that was written, or not: out of memory. `body` is taken. */
void native_reply(struct http_request *request, int status, struct text *body, bool written);

/** Write {"error":...}. @return success */
bool native_form(struct text *out, const struct http_refusal *refusal);

/** Reply with what failed. With CONVO_E_CONFLICT and CONVO_E_BUSY the body tells the session's last seq, too. */
void native_fail(struct http_request *request, enum openai_side side, const struct convo_err *err);

/** Reply 400. @param param the member, parameter or header that is meant; NULL: the whole. @return false */
bool native_wrong(struct http_request *request, const char *param, const char *message);

/** Reply 503: out of memory. @return false */
bool native_nomem(struct http_request *request);

/** Reply 403: names of the state that are all users' want the right `admin`. @return false */
bool native_denied(struct http_request *request, const char *param);

/* ---- asking --------------------------------------------------------------------------- */

/** The session that a path names, of whoever asks. Borrowed from the request. */
struct convo_key native_key(const struct http_request *request);

/** How a handler's calls of the store are bounded. */
struct convo_call native_call(const struct http_request *request);

/** What a member must be. Where it is null or absent, nothing is set. */
enum native_kind {
	NATIVE_STRING, /* const char *; without U+0000 */
	NATIVE_SWITCH, /* bool */
	NATIVE_NUMBER, /* int64_t, 0 or more */
	NATIVE_OBJECT, /* const json_t * */
	NATIVE_ARRAY,  /* const json_t * */
	NATIVE_ANY     /* the same */
};

/** A member that is known. */
struct native_member {
	const char *name;
	enum native_kind kind;
	void *out; /* of the kind's type; strings and trees are the object's */
};

/**
 * Read the members of an object. Those that are not known, or not of their kind, are refused by name.
 *
 * @param within what the object is in, "events[3]."; "": the body
 * @return false when it was refused
 */
bool native_members(struct http_request *request, const json_t *object, const char *within,
		    const struct native_member *members, size_t count);

/**
 * Read the body.
 *
 * @param out  set to it, a new reference; an empty body is an empty object, unless `must`
 * @param list whether it must be an array; else it must be an object
 * @return false when it was refused
 */
bool native_body(json_t **out, struct http_request *request, bool must, bool list);

/** Refuse parameters of the query beside these. @param names separated by blanks. @return false when one was */
bool native_query_only(struct http_request *request, const char *names);

/** Read a parameter that is a number from `least` to `most`. It keeps its value when absent. */
bool native_query_number(int64_t *out, struct http_request *request, const char *name,
			 int64_t least, int64_t most);

/** Read one that is "true" or "false". */
bool native_query_switch(bool *out, struct http_request *request, const char *name);

/**
 * Read state to be set.
 *
 * @param items set to the names with their values, which are in `texts`; the caller's to free()
 * @param param what it is called, for refusals
 * @return false when it was refused: for names of the app without the right for these
 */
bool native_state(struct convo_item **items, size_t *count, struct text *texts,
		  struct http_request *request, const json_t *state, const char *param);

/**
 * What the header Idempotency-Key makes of a request that may be repeated: a text that follows from it, from whose
 * request it is, from the session, and from `what` is asked for.
 *
 * @param given set to whether there is the header
 * @return false when it was refused
 */
bool native_repeat_key(char out[KEY_HEX_SIZE], bool *given, struct http_request *request,
		       const char *what);

/** Whether an object of state may be written by whoever asks; else it was refused. NULL: yes. */
bool native_state_allowed(struct http_request *request, const json_t *state, const char *param);

#endif
