/*
 * Summaries as they are stored and sent: an event that stands for the beginning of its conversation, and
 * needs no schema. Making them is digest.c's, and when, summarizer.c's.
 */
#ifndef RUNNER_SUMMARY_H
#define RUNNER_SUMMARY_H

#include <convo/session.h>

#include <base/buf.h>
#include <base/text.h>

/** What a control event with a summary says in its content. */
#define SUMMARY_CONTENT "summary"

/** The version of the prompt that the library has; 0 stands for a program's own. */
#define SUMMARY_PROMPT 1

/** A summary that is stored. All-zero: there is none. */
struct summary {
	int64_t seq;         /* of its event */
	int64_t from_seq;    /* the oldest event that was read for it, beside the summary before */
	int64_t upto_seq;    /* what stands up to here it stands for */
	int64_t messages;    /* how many of the conversation these were */
	struct cv_text text; /* a JSON string with its quotes, borrowed from the session */
};

/** A summary that is to be stored. Borrowed. */
struct summary_draft {
	int64_t from_seq, upto_seq, messages;
	int64_t tokens; /* of the text, as the model counts */
	struct cv_text text;
	const char *model;
	int prompt;
};

/**
 * Find the newest summary that is true: none of the turns that it covers was taken back since.
 *
 * @param out all-zero when there is none in the window that was loaded
 * @return 0, CONVO_E_NOMEM
 */
int cv_summary_find(struct summary *out, const convo_session *session);

/**
 * Whether what is up to `upto` stands as it stood at `since`: no marker behind that takes back any of
 * it, and no other summary is there.
 *
 * @return 1, 0, CONVO_E_NOMEM
 */
int cv_summary_stands(const convo_session *session, int64_t since, int64_t upto);

/** Append the `extra` of a summary's event. @return 0, or a code of cv_buf_add() */
int cv_summary_extra(struct cv_buf *out, const struct summary_draft *draft,
		     const convo_session *session);

/** The message of the user that a summary is sent as. @return 0, or a code of cv_buf_add() */
int cv_summary_message(struct cv_buf *out, const struct summary *summary);

#endif
