/*
 * What is learned of an endpoint and its model while it is asked: how many tokens it really counts, how
 * many it takes, what it insists on. Kept with the model for as long as it is open, and never for true: a
 * refusal corrects it.
 */
#ifndef MODEL_LEARNED_H
#define MODEL_LEARNED_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <convo/call.h>

/** What is known. All-zero: nothing. */
struct model_facts {
	double factor;  /* tokens it counts for each that is estimated, on average; 0: unknown */
	int64_t window; /* most tokens it takes, the answer's among them; 0: unknown */
	bool refused;   /* the window is known from a refusal, not from the endpoint's list */
	bool alternate; /* it insists on user and assistant in turn */
	bool no_system; /* it takes no system message */
};

/** A model's own part of it. */
struct learned {
	pthread_mutex_t lock; /* guards facts and sought */
	struct model_facts facts;
	bool sought;       /* the window was asked for, or is being */
	pthread_t seeker;  /* who asks; joined when the model closes */
	convo_cancel *end; /* of the seeker; NULL: there is none */
	int64_t (*ask)(void *ctx, convo_cancel *cancel);
	void *ctx;
};

void cv_learned_init(struct learned *learned);

/** Ends the seeker first. */
void cv_learned_clear(struct learned *learned);

void cv_learned_get(struct learned *learned, struct model_facts *out);

/** Another factor was seen: it weighs 0.3. */
void cv_learned_factor(struct learned *learned, double factor);

/** The model refused a request and said that it takes so many tokens. */
void cv_learned_window(struct learned *learned, int64_t window);

void cv_learned_roles(struct learned *learned, bool alternate, bool no_system);

/** Asks for the window, however long that takes; 0: there is no answer. */
typedef int64_t (*learned_ask_fn)(void *ctx, convo_cancel *cancel);

/**
 * Ask the endpoint for the window, once, in a thread of its own: the answer counts for later requests.
 * Does not block. Without threads or memory nothing is learned.
 *
 * @param ask called with `ctx`, and ended by a cancel, before `learned` is cleared
 */
void cv_learned_seek(struct learned *learned, learned_ask_fn ask, void *ctx);

#endif
