/*
 * Models; see models.h.
 */
#include "core/models.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/fail.h"

struct app_runner {
	struct app_runner *next;
	const struct model *model;
	convo_runner *runner;
	char app[CONVO_MAX_NAME + 1];
};

struct models {
	convo_store *store;
	struct model **list;
	size_t count;
	pthread_mutex_t lock;
	struct app_runner *runners; /* below the lock; none is removed */
	bool (*listen)(void *ctx, const char *name, struct convo_model_trace *out);
	void *listen_ctx;
};

int models_new(struct models **out, convo_store *store, struct convo_err *err)
{
	struct models *models = calloc(1, sizeof(*models));

	if (!models)
		return fail(err, CONVO_E_NOMEM, "out of memory");
	models->store = store;
	pthread_mutex_init(&models->lock, NULL);
	*out = models;
	return 0;
}

void models_listen(struct models *models,
		   bool (*listen)(void *ctx, const char *name, struct convo_model_trace *out),
		   void *ctx)
{
	models->listen = listen;
	models->listen_ctx = ctx;
}

static void model_free(struct model *model)
{
	if (!model)
		return;
	convo_model_close(model->open);
	free((char *)(uintptr_t)model->name);
	free((char *)(uintptr_t)model->params);
	free(model);
}

void models_free(struct models *models)
{
	struct app_runner *one;
	size_t i;

	if (!models)
		return;
	while ((one = models->runners)) {
		models->runners = one->next;
		convo_runner_free(one->runner);
		free(one);
	}
	for (i = 0; i < models->count; i++)
		model_free(models->list[i]);
	pthread_mutex_destroy(&models->lock);
	free(models->list);
	free(models);
}

static int model_open(struct model *model, const struct models *models,
		      const struct model_config *config, struct convo_err *err)
{
	struct convo_model_options options = config->options;
	struct convo_model_trace trace;

	if (models->listen) {
		if (!models->listen(models->listen_ctx, config->name, &trace))
			return fail(err, CONVO_E_NOMEM, "out of memory");
		options.trace = &trace;
	}
	return convo_model_open(&model->open, config->asked ? config->asked : config->name,
				&options, err);
}

int models_add(struct models *models, const struct model_config *config, struct convo_err *err)
{
	struct model *model = calloc(1, sizeof(*model));
	struct model **list = realloc(models->list, (models->count + 1) * sizeof(*list));
	int rc = CONVO_E_NOMEM;

	if (list)
		models->list = list;
	if (model) {
		model->name = strdup(config->name);
		model->params = config->params ? strdup(config->params) : NULL;
	}
	if (!list || !model || !model->name || !model->params != !config->params)
		rc = fail(err, CONVO_E_NOMEM, "out of memory");
	else if (models_find(models, config->name))
		rc = fail(err, CONVO_E_EXISTS, "model %s is there twice", config->name);
	else
		rc = model_open(model, models, config, err);
	if (rc < 0 || !model) {
		model_free(model);
		return rc;
	}
	model->created = (int64_t)time(NULL);
	models->list[models->count++] = model;
	return 0;
}

bool models_claims_own(const json_t *params)
{
	static const char *const own[] = {"model",  "messages",       "input",
					  "stream", "stream_options", "n"};
	size_t i;

	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (json_object_get(params, own[i]))
			return true;
	return false;
}

bool models_add_params(json_t *request, const struct model *model)
{
	json_t *params;
	bool ok;

	if (!model->params)
		return true;
	params = json_read(model->params, strlen(model->params), NULL);
	ok = params && json_object_update_missing(request, params) == 0;
	json_decref(params);
	return ok;
}

const struct model *models_at(const struct models *models, size_t i)
{
	return i < models->count ? models->list[i] : NULL;
}

const struct model *models_find(const struct models *models, const char *name)
{
	size_t i;

	for (i = 0; i < models->count; i++)
		if (!strcmp(models->list[i]->name, name))
			return models->list[i];
	return NULL;
}

/* With the lock held. */
static int runner_make(convo_runner **out, struct models *models, const struct model *model,
		       const char *app, struct convo_err *err)
{
	const struct convo_runner_options options = {
		.store = models->store,
		.model = model->open,
		.app = app,
	};
	struct app_runner *one = calloc(1, sizeof(*one));
	size_t len = strlen(app);
	int rc;

	if (!one || len >= sizeof(one->app)) {
		free(one);
		return fail(err, one ? CONVO_E_INVALID : CONVO_E_NOMEM,
			    one ? "an app's name has at most 255 bytes" : "out of memory");
	}
	memcpy(one->app, app, len);
	rc = convo_runner_new(&one->runner, &options, err);
	if (rc < 0) {
		free(one);
		return rc;
	}
	one->model = model;
	one->next = models->runners;
	models->runners = one;
	*out = one->runner;
	return 0;
}

int models_runner(convo_runner **out, struct models *models, const struct model *model,
		  const char *app, struct convo_err *err)
{
	struct app_runner *one;
	int rc = 0;

	pthread_mutex_lock(&models->lock);
	for (one = models->runners; one; one = one->next)
		if (one->model == model && !strcmp(one->app, app))
			break;
	if (one)
		*out = one->runner;
	else
		rc = runner_make(out, models, model, app, err);
	pthread_mutex_unlock(&models->lock);
	return rc;
}
