/*
 * An answer that was stored, as it was handed out then.
 */
#ifndef MODEL_RECALL_H
#define MODEL_RECALL_H

#include <convo/model.h>

/**
 * Make an answer of its event. What the event does not hold is as of one of which nothing is known.
 *
 * @param out set to the answer, freed by convo_answer_free(); untouched on failure
 * @return 0, CONVO_E_NOMEM
 */
int cv_answer_recall(struct convo_answer **out, const struct convo_event *event,
		     struct convo_err *err);

#endif
