/*
 * Ids that carry what they name, so that nothing keeps a list of them: "conv_" and a session's generation and
 * name, "resp_" and these with a turn in between, in base64url. Whose they are they do not say: a token is
 * looked for among the sessions of whoever shows it. And the ids of items: "msg_" and an event's id.
 */
#ifndef SERVER_API_TOKEN_H
#define SERVER_API_TOKEN_H

#include <convo/event.h>

#include "term/text.h"

/** What a token names. */
struct token {
	char session[CONVO_MAX_NAME + 1];
	char generation[CONVO_UUID_SIZE]; /* "": of a response that is not kept */
	char turn[CONVO_UUID_SIZE];       /* "": it names a conversation */
};

/** Most bytes of one, with the NUL. */
#define TOKEN_SIZE 400

/** Write one. Without a session it names what nobody finds. */
void token_write(char out[TOKEN_SIZE], const struct token *token);

/** Read one of a response or of a conversation. @return false: it is none */
bool token_read_response(struct token *out, const char *text);
bool token_read_conversation(struct token *out, const char *text);

/** Most bytes of an item's id, with the NUL. */
#define ITEM_ID_SIZE 64

/** The id of an item: "msg_", "fc_" ..., the event's, and of calls which one it is. @param n -1: there is one */
void item_id_write(char out[ITEM_ID_SIZE], const char *kind, const char *event_id, int n);

/** The event that an item's id speaks of. @return false: it is none */
bool item_id_read(char out[CONVO_UUID_SIZE], const char *text);

#endif
