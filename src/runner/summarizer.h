/*
 * The thread that sums up: one of a runner, begun when it is first needed, with a bounded queue in which a
 * session stands once. No turn waits for it.
 */
#ifndef RUNNER_SUMMARIZER_H
#define RUNNER_SUMMARIZER_H

#include <runner/ask.h>

struct summarizer;

/** Make one. Does not block, and begins no thread yet. */
int cv_summarizer_new(struct summarizer **out, const struct convo_runner *runner,
		      struct convo_err *err);

/** End its thread, cancelling what it does, and free it. NULL is fine. */
void cv_summarizer_free(struct summarizer *summarizer);

/** For tests: how long a session rests after its first failure; twice as long after each more. */
void cv_summarizer_rest(struct summarizer *summarizer, int64_t rest_us);

/** For tests: whether any session waits or is summed up. */
bool cv_summarizer_busy(struct summarizer *summarizer);

/** A turn has ended with this answer: have the conversation summed up, if that is due. Does not block. */
void cv_summarizer_offer(const struct convo_runner *runner, const struct convo_key *key,
			 const struct ask *ask, const struct convo_answer *answer);

/** Why the last try for this session failed: a text of its own, or NULL. */
char *cv_summarizer_trouble(struct summarizer *summarizer, const struct convo_key *key);

#endif
