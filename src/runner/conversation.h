/*
 * The order of a conversation: which events of a session belong together, and which were taken
 * back.
 */
#ifndef RUNNER_CONVERSATION_H
#define RUNNER_CONVERSATION_H

#include <convo/session.h>

/** The role of events that are about the conversation, not part of it. */
#define ROLE_CONTROL "control"

/** Where an event stands in the conversation. */
struct place {
	const char *turn; /* NULL: the event is a turn of its own */
	size_t index;     /* of the event in its session */
	size_t first;     /* index of the first event of its turn in the session */
	bool undone;      /* its turn was taken back, or it is a control event itself */
	bool marks;       /* it takes a turn back */
	int64_t takes;    /* where that turn begins: a seq; 0: that is not in sight */
};

/** What matters of an assistant's message when it is sent again. */
struct message_facts {
	bool content;    /* it says something: text, parts or a refusal */
	bool calls;      /* it calls tools */
	size_t thinking; /* bytes of reasoning that is not sent back: where tools are called it is */
};

/**
 * Place every event of a session: each turn's events stand together, where its first is.
 *
 * @param out set to one place per event in the order of the conversation, the caller's to free();
 *            never NULL on success
 * @return 0, CONVO_E_NOMEM
 */
int cv_conversation_place(struct place **out, const convo_session *session, struct convo_err *err);

/** Look at a message: a JSON object. */
struct message_facts cv_message_look(const char *message, size_t len);

#endif
