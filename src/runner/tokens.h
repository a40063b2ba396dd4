/*
 * How many tokens a message is, by estimate: no vocabulary is at hand, and each model has its own. What
 * kinds of characters a text is made of tells it well enough for a factor, learned from the first
 * answer, to tell the rest.
 */
#ifndef RUNNER_TOKENS_H
#define RUNNER_TOKENS_H

#include <base/text.h>

/** What a request costs beside its messages, and what each message costs beside its text. */
#define REQUEST_TOKENS 3
#define MESSAGE_TOKENS 4

/**
 * The tokens of a text as it stands in a checked JSON string, between its quotes: its escapes count
 * as what they stand for.
 */
double cv_tokens_text(struct cv_text text);

/**
 * The tokens of a chat message, a checked JSON object: of what it says and the tools it calls, and
 * of its thinking where that is sent (wire.h). A picture, or another part that is no text, counts
 * as many tokens as pictures commonly do, however long it is as JSON.
 */
double cv_tokens_message(struct cv_text message);

#endif
