/*
 * Messages; see messages.h.
 */
#include "api/messages.h"

#include <stdlib.h>

#include "http/request.h"

bool messages_add(struct messages *messages, const json_t *message)
{
	size_t cap = messages->cap ? 2 * messages->cap : 8, from = messages->texts.len;
	struct convo_message *list;

	if (messages->count == messages->cap) {
		list = realloc(messages->list, cap * sizeof(*list));
		if (!list)
			return false;
		messages->list = list;
		messages->cap = cap;
	}
	/* Escapes can make them longer than they came. */
	messages->texts.max = 6 * HTTP_BODY_MAX;
	if (!json_write(&messages->texts, message))
		return false;
	messages->list[messages->count++].len = messages->texts.len - from;
	return text_add(&messages->texts, "", 1);
}

void messages_close(struct messages *messages)
{
	const char *at = messages->texts.data;
	size_t i;

	for (i = 0; i < messages->count; at += messages->list[i++].len + 1)
		messages->list[i].json = at;
}

void messages_clear(struct messages *messages)
{
	free(messages->list);
	text_clear(&messages->texts);
	messages->list = NULL;
	messages->count = messages->cap = 0;
}
