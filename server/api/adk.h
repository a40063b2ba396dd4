/*
 * Google ADK's REST API: what its parts have in common. A session of ADK's is one of the store's, an invocation
 * a turn, an event an event.
 */
#ifndef SERVER_API_ADK_H
#define SERVER_API_ADK_H

#include "api/openai.h"
#include "core/json.h"
#include "core/service.h"
#include "http/request.h"

/** A member of a body, which may be written in camel or in snake case. NULL: neither is there, or null is. */
json_t *adk_member(const json_t *body, const char *camel, const char *snake);

/** The same, if it is a text; else NULL. */
const char *adk_text(const json_t *body, const char *camel, const char *snake);

/** Whether a member is absent or a text; else it is refused. */
bool adk_text_or_none(struct http_request *request, const json_t *body, const char *camel,
		      const char *snake);

/** Read a body that is an object; an empty one is {}. @return a new reference; NULL: it was refused */
json_t *adk_body(struct http_request *request);

/** Reply 400. */
void adk_wrong(struct http_request *request, const char *message);

/** Reply that there is no such session; what is somebody else's looks like that. */
void adk_unknown(struct http_request *request, const char *session);

/** Reply what failed; CONVO_E_NOTFOUND is adk_unknown(). */
void adk_fail(struct http_request *request, enum openai_side side, const char *session,
	      const struct convo_err *err);

/** Reply that memory is out. */
void adk_no_memory(struct http_request *request);

/** Reply with JSON that was written, or that memory is out. `body` is taken. */
void adk_reply(struct http_request *request, struct text *body, bool ok);

/**
 * Whether app and user are those of the request's key; else it is refused as if the session did not exist.
 */
bool adk_is_theirs(struct http_request *request, const char *app, const char *user,
		   const char *session);

/**
 * Read changes of state: an object. Names of "app:" are everybody's, and want the right admin.
 *
 * @param items     set to an array, the caller's to free(); what it points to is in `texts`
 * @param changes   NULL: there are none
 * @return false when it was refused
 */
bool adk_state(struct convo_item **items, size_t *count, struct text *texts, const json_t *changes,
	       struct http_request *request);

/** Most sessions of a list, events that a session shows, and events that a new one begins with. */
#define ADK_MOST 1000

/** Reply with a session as it is now, with its newest events. Blocks. */
void adk_show(struct service *service, struct http_request *request, const char *session);

/** Write a session up to its state, whose members and "}" follow; and a time. @return success */
bool adk_head_write(struct text *out, const struct http_request *request, const char *session);
bool adk_time_write(struct text *out, int64_t ms);

/** Handlers in files of their own. */
void adk_list_sessions(void *service, struct http_request *request);
void adk_create_session(void *service, struct http_request *request);
void adk_get_session(void *service, struct http_request *request);
void adk_create_named(void *service, struct http_request *request);
void adk_patch_session(void *service, struct http_request *request);
void adk_delete_session(void *service, struct http_request *request);
void adk_run(void *service, struct http_request *request);
void adk_run_sse(void *service, struct http_request *request);

#endif
