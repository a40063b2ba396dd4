/*
 * X-Convo-History: client. Clients send all of a conversation each time, and some have more of it than the
 * store: begun elsewhere, or changed by hand. Here what the store does not have yet is new.
 */
#ifndef SERVER_API_CHAT_HISTORY_H
#define SERVER_API_CHAT_HISTORY_H

#include "api/messages.h"
#include "core/service.h"
#include "http/request.h"

/**
 * Leave what is new: what follows the last message that the session has already, the last one in any case.
 *
 * @param said      one message at least
 * @param after_seq set to what the session ends with; 0: it is empty, or not there
 * @param name      of the session
 * @return false when it was refused
 */
bool chat_history_keep_new(struct messages *said, int64_t *after_seq, const char *name,
			   const struct service *service, struct http_request *request);

#endif
