/*
 * Items, as /v1/responses and /v1/conversations have them, from and to chat messages, as models and the store
 * have them. A message of the assistant that calls tools is several items; calls that stand together, and with
 * what was said before them, are one message.
 */
#ifndef SERVER_API_ITEMS_H
#define SERVER_API_ITEMS_H

#include <convo/event.h>

#include "api/messages.h"
#include "http/request.h"

/**
 * Read an array of items, or a text of the user. What does not go to models, reasoning, is left out.
 *
 * @param out   closed afterwards
 * @param param the member that they stand in, for refusals
 * @return false when it was refused
 */
bool items_read(struct messages *out, const json_t *items, const char *param,
		struct http_request *request);

/** Add the items of an event to an array; none for one that says nothing. @return success */
bool items_add(json_t *list, const struct convo_event *event);

/** Whether an item has that id. */
bool item_is(const json_t *item, const char *id);

/** Set a member to a value that is taken, NULL being memory that is out. @return success */
bool item_set(json_t *object, const char *name, json_t *value);

#endif
