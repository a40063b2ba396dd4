/*
 * Tool calls and their outputs: half of one never reaches a model.
 */
#ifndef RUNNER_PAIRS_H
#define RUNNER_PAIRS_H

#include <convo/event.h>

#include <runner/conversation.h>

/** What becomes of a message of the conversation. */
enum fate { SENT, SUMMED, OLDER, NO_QUESTION, NO_RESULTS, NO_CALL, FATES };

/** A message of the conversation, or of the question that goes with it. */
struct item {
	const struct convo_event *event;
	struct message_facts facts;
	double estimate; /* of its tokens */
	enum fate fate;
	bool pinned; /* whatever the limits are it goes: it is asked, or what is asked answers it */
	bool called; /* an output that a call waits for */
};

bool cv_item_is(const struct item *item, const char *role);

/** Whether it is an output of a tool. "function" is what "tool" was called before. */
bool cv_item_is_result(const struct item *item);

/**
 * Judge the messages of a conversation: SENT, NO_RESULTS for calls of which not all outputs follow at
 * once, NO_CALL for outputs of such, or of none. What the outputs in the question answer is pinned, and
 * so is the user's message that it began with.
 *
 * @param asked the first item of the question; `count` when there is none
 * @return 0, CONVO_E_NOMEM
 */
int cv_pairs_judge(struct item *items, size_t count, size_t asked);

#endif
