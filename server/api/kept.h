/*
 * What tokens name, in the store: sessions of one generation, and turns that were taken back. A turn that a
 * client deletes stays where it is: a marker says so to models (convo/runner.h), and the session's state says it
 * to whoever loads any part of the session, by names that begin with "convo:".
 */
#ifndef SERVER_API_KEPT_H
#define SERVER_API_KEPT_H

#include "api/token.h"
#include "core/service.h"
#include "http/request.h"

/** What the state tells of a turn. */
enum kept_fact { KEPT_UNDONE, KEPT_CANCELLED };

/** Of the session's state: a conversation's metadata. */
#define KEPT_METADATA "convo:metadata"

/** The key of a session that a token names, of who asks. Borrows both. */
struct convo_key kept_key(const struct http_request *request, const struct token *token);

/**
 * Load a part of the session that a token names.
 *
 * @return 0; CONVO_E_NOTFOUND also when the name has another life now; or as convo_store_load()
 */
int kept_load(convo_session **out, const struct service *service,
	      const struct http_request *request, const struct token *token,
	      const struct convo_window *window, struct convo_err *err);

/** Whether something is so of a turn. */
bool kept_is(const convo_session *session, enum kept_fact fact, const char *turn);

/** Whether an event is to be shown: none of a turn that was taken back. */
bool kept_shows(const convo_session *session, const struct convo_event *event);

/** Take a turn back. Doing so again is a success. @return 0, or as convo_store_append() */
int kept_undo(const struct service *service, const struct http_request *request,
	      const struct token *token, const char *turn, struct convo_err *err);

/** Note that a turn was cancelled. @return 0, or as convo_store_state_set() */
int kept_cancelled(const struct service *service, const struct http_request *request,
		   const struct token *token, const char *turn, struct convo_err *err);

#endif
