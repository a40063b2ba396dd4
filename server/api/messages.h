/*
 * Chat messages that a client sent, as JSON texts one after the other, for a model or a turn.
 */
#ifndef SERVER_API_MESSAGES_H
#define SERVER_API_MESSAGES_H

#include <convo/model.h>

#include "core/json.h"

/** All-zero is valid. */
struct messages {
	struct convo_message *list; /* once they are closed */
	size_t count, cap;
	struct text texts; /* what they point into */
};

/** Add one. @return success */
bool messages_add(struct messages *messages, const json_t *message);

/** No more are added: the list is good from now on. */
void messages_close(struct messages *messages);

void messages_clear(struct messages *messages);

#endif
