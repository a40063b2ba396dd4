/*
 * What a kind of model fulfils. There are two: a function (the echo model is one) and an
 * OpenAI-compatible endpoint. The front (model.c) has checked the arguments.
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <convo/model.h>

#include <model/answer.h>
#include <model/learned.h>

struct model_kind {
	/* Ask once, adding what comes to `into`. Every negative return fills `err`. May run in
	 * several threads at once. */
	int (*ask)(convo_model *model, const struct convo_request *request, struct answer *into,
		   convo_cancel *cancel, struct convo_err *err);

	/* As convo_model_check(). NULL: there is nothing to check. */
	int (*check)(convo_model *model, convo_cancel *cancel, struct convo_err *err);

	/*
	 * How many tokens the endpoint says that its model takes; 0: it does not say, or does not
	 * answer soon. NULL: there is nobody to ask.
	 */
	int64_t (*window)(convo_model *model, convo_cancel *cancel);

	/* Free the whole struct; the name is freed by the front. */
	void (*close)(convo_model *model);
};

/** The base of every kind's own struct. */
struct convo_model {
	const struct model_kind *kind;
	char *name;
	size_t max_answer;
	struct learned learned;
	struct convo_model_trace trace; /* on_ask of NULL: nobody hears */
};

/**
 * convo_model_ask(), which also tells what a refusal teaches.
 *
 * @param refusal filled when the asking failed; NULL: nobody learns
 */
int cv_model_ask(struct convo_answer **out, convo_model *model, const struct convo_request *request,
		 const struct convo_listener *listener, convo_cancel *cancel,
		 struct refusal *refusal, struct convo_err *err);

/** Begin to ask the endpoint for its window, if that was not done; see learned.h. Does not block. */
void cv_model_seek(convo_model *model);

/** Make the model that asks an endpoint; the front sets the base. */
int cv_openai_open(convo_model **out, const struct convo_model_options *opts,
		   struct convo_err *err);

/** The echo model: a convo_answer_fn that needs no ctx. */
int cv_echo_answer(void *ctx, const struct convo_request *request, convo_emit_fn emit,
		   void *emit_ctx, convo_cancel *cancel, struct convo_err *err);

#endif
