/*
 * The models that clients can name, and the runners that ask them for an application's sessions.
 */
#ifndef SERVER_CORE_MODELS_H
#define SERVER_CORE_MODELS_H

#include <convo/runner.h>

#include "core/json.h"

/** A model that clients can name. */
struct model {
	const char *name; /* what clients say */
	convo_model *open;
	int64_t created;    /* Unix seconds: since when it is served */
	const char *params; /* members of requests that say nothing of them: JSON; NULL: none */
};

/** Thread-safe once all are added. */
struct models;

/** How one is added. Borrowed for the call. */
struct model_config {
	const char *name;  /* what clients say */
	const char *asked; /* what its endpoint calls it; NULL: the same */
	const char *
		params; /* a JSON object, of members that models_claims_own() lets pass; NULL: none */
	struct convo_model_options options;
};

/** Make an empty list. @param store what the runners work on; must outlive it */
int models_new(struct models **out, convo_store *store, struct convo_err *err);

/**
 * Have the askings of models told, of each one that is added from now on.
 *
 * @param listen gives what hears those of the model that clients call `name`. @return success
 */
void models_listen(struct models *models,
		   bool (*listen)(void *ctx, const char *name, struct convo_model_trace *out),
		   void *ctx);

/** Close all of them; nothing may be running. NULL is fine. */
void models_free(struct models *models);

/** Add one. @return 0, CONVO_E_EXISTS, CONVO_E_NOMEM, or as convo_model_open() */
int models_add(struct models *models, const struct model_config *config, struct convo_err *err);

/** The i-th, in the order they were added; NULL: there are no more. */
const struct model *models_at(const struct models *models, size_t i);

/** The one of that name, or NULL. */
const struct model *models_find(const struct models *models, const char *name);

/** Whether parameters have a member that is the request's own: model, messages, stream ... */
bool models_claims_own(const json_t *params);

/** Add a model's parameters to those of a request, which win. @return false without memory */
bool models_add_params(json_t *request, const struct model *model);

/**
 * The runner that asks a model for an application's sessions; made when it is first wanted.
 *
 * @param out the list's own
 * @return 0, CONVO_E_NOMEM
 */
int models_runner(convo_runner **out, struct models *models, const struct model *model,
		  const char *app, struct convo_err *err);

#endif
