/*
 * The items of a conversation: handlers of routes, and what conversations.c needs of them.
 */
#ifndef SERVER_API_CONVERSATION_ITEMS_H
#define SERVER_API_CONVERSATION_ITEMS_H

#include "api/kept.h"
#include "api/messages.h"

/**
 * Load a part of the conversation that the path names.
 *
 * @param out    the caller's to free; NULL: it is not wanted
 * @param window NULL: no events
 * @return false when it was refused
 */
bool conversation_find(struct token *token, convo_session **out, const struct service *service,
		       struct http_request *request, const struct convo_window *window);

/**
 * Append messages, each as a turn of its own, so that each can be taken back.
 *
 * @param once from which their ids follow; "": they are new
 * @param data the items that they are, as an array; NULL: it is not wanted
 * @return false when it was refused
 */
bool conversation_append(const struct service *service, struct http_request *request,
			 const struct token *token, const struct messages *said, const char *once,
			 json_t *data);

/* `ctx` is a struct service. */

void conversation_items_list(void *ctx, struct http_request *request);
void conversation_items_create(void *ctx, struct http_request *request);
void conversation_items_get(void *ctx, struct http_request *request);
void conversation_items_delete(void *ctx, struct http_request *request);

#endif
