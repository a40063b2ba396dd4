/*
 * Events between ADK's form and the store's. There a content has parts: texts, pictures, calls of functions and
 * what came of them.
 */
#ifndef SERVER_API_ADK_EVENT_H
#define SERVER_API_ADK_EVENT_H

#include <convo/event.h>
#include <convo/model.h>

#include "core/json.h"

/** Whether an event is one of the conversation: marks of convo's own are not. */
bool adk_event_shows(const struct convo_event *event);

/** Write one as ADK has it. @param app whose model it is that speaks @return success */
bool adk_event_write(struct text *out, const struct convo_event *event, const char *app,
		     bool partial);

/** Messages that a content becomes. All-zero is valid. */
struct adk_messages {
	struct convo_message *list;
	size_t count;
	struct text texts; /* what they point into */
};

/**
 * Read a content: outputs of functions become a message each, the rest together one. The role "model" is the
 * assistant's, every other one the user's.
 *
 * @return NULL, or what is wrong with it: a line
 */
const char *adk_content_read(struct adk_messages *out, const json_t *content);

void adk_messages_clear(struct adk_messages *messages);

#endif
