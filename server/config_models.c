/*
 * Models in the file of -config; see config.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <convo/text.h>

#include "app/exit.h"
#include "config.h"
#include "core/fetch.h"
#include "term/term.h"

#define KEY_MOST 4096
#define RETRIES_MOST 100

/* A model while it is read. */
struct config_model {
	const struct config *config;
	size_t i;
	json_t *object;
	struct model_config out;
	const char *key_env, *key_file;
	struct text key, params;
};

static int model_wrong(const struct config_model *model, const char *member, const char *what)
{
	char part[96];

	snprintf(part, sizeof(part), "models[%zu]%s%.64s", model->i, *member ? "." : "", member);
	return config_wrong(model->config, part, "%s", what);
}

/* ---- members -------------------------------------------------------------------------- */

static int read_text(const char **out, const struct config_model *model, const char *name)
{
	const json_t *value = json_object_get(model->object, name);
	const char *text = json_string_value(value);

	if (!value)
		return 0;
	if (!text || !*text)
		return model_wrong(model, name, "some text is wanted");
	*out = text;
	return 0;
}

static int read_time(int *out, const struct config_model *model, const char *name)
{
	const json_t *value = json_object_get(model->object, name);
	const char *text = json_string_value(value);
	int64_t ms = 0;

	if (!value)
		return 0;
	if (!text || convo_duration_parse(&ms, text, NULL) < 0 || ms < 1 || ms > INT32_MAX)
		return model_wrong(model, name, "a duration such as \"90s\" or \"5m\" is wanted");
	*out = (int)ms;
	return 0;
}

static int read_retries(int *out, const struct config_model *model)
{
	const json_t *value = json_object_get(model->object, "retries");
	const json_int_t n = json_integer_value(value);

	if (!value)
		return 0;
	if (!json_is_integer(value) || n < 0 || n > RETRIES_MOST)
		return model_wrong(model, "retries", "a number from 0 to 100 is wanted");
	*out = n ? (int)n : CONVO_OFF;
	return 0;
}

/* What a request says itself, and what makes it one of ours. */
static int read_params(struct config_model *model)
{
	const json_t *value = json_object_get(model->object, "params");

	if (!value)
		return 0;
	if (!json_is_object(value))
		return model_wrong(model, "params", "an object is wanted");
	if (models_claims_own(value))
		return model_wrong(model, "params",
				   "model, messages, input, stream, "
				   "stream_options and n are the request's own");
	if (!json_write(&model->params, value))
		return model_wrong(model, "params", "it is too long");
	model->out.params = model->params.data;
	return 0;
}

/* ---- the key -------------------------------------------------------------------------- */

static int read_key_file(struct config_model *model)
{
	struct convo_err err = {0};

	if (fetch_file(&model->key, model->key_file, KEY_MOST, &err) < 0)
		return model_wrong(model, "key_file", err.text);
	if (!model->key.len || !*text_trim(model->key.data))
		return model_wrong(model, "key_file", "it is empty");
	model->out.options.api_key = text_trim(model->key.data);
	return 0;
}

static int read_key(struct config_model *model)
{
	if (model->key_env && model->key_file)
		return model_wrong(model, "key_file", "key_env tells it already");
	if (model->key_file)
		return read_key_file(model);
	if (!model->key_env)
		return 0;
	model->out.options.api_key = getenv(model->key_env);
	if (model->out.options.api_key && *model->out.options.api_key)
		return 0;
	return model_wrong(model, "key_env", "the environment has no such variable");
}

/* ---- a model -------------------------------------------------------------------------- */

#define TEXT(name, member)                                    \
	{                                                     \
		(name), offsetof(struct config_model, member) \
	}

static const struct {
	const char *name;
	size_t offset;
} model_texts[] = {
	TEXT("name", out.name),
	TEXT("asked", out.asked),
	TEXT("url", out.options.base_url),
	TEXT("proxy", out.options.proxy),
	TEXT("ca_file", out.options.ca_file),
	TEXT("key_env", key_env),
	TEXT("key_file", key_file),
};

#define TEXTS (sizeof(model_texts) / sizeof(model_texts[0]))

static bool is_member(const char *name)
{
	static const char *const others[] = {"params", "connect_timeout", "idle_timeout",
					     "retries"};
	size_t i;

	for (i = 0; i < TEXTS; i++)
		if (!strcmp(name, model_texts[i].name))
			return true;
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (!strcmp(name, others[i]))
			return true;
	return false;
}

static int check_members(const struct config_model *model)
{
	const char *name;
	json_t *value;

	json_object_foreach(model->object, name, value)
	{
		if (!strcmp(name, "key"))
			return model_wrong(model, name,
					   "secrets do not belong here: key_env or "
					   "key_file says where the key is");
		if (!is_member(name))
			return model_wrong(model, name, "a model has no such member");
	}
	return 0;
}

static int check_endpoint(const struct config_model *model)
{
	const struct convo_model_options *options = &model->out.options;
	const char *asked = model->out.asked ? model->out.asked : model->out.name;

	if (!model->out.name)
		return model_wrong(model, "", "a model wants a name");
	if (options->base_url && strncasecmp(options->base_url, "http://", 7) != 0 &&
	    strncasecmp(options->base_url, "https://", 8) != 0)
		return model_wrong(model, "url", "it does not begin with http:// or https://");
	if (strcmp(asked, "echo") != 0 && !options->base_url && !options->api_key)
		return model_wrong(model, "",
				   "there is neither url nor key_env or key_file: no "
				   "model to ask");
	return 0;
}

static int read_model(struct config_model *model)
{
	struct convo_model_options *options = &model->out.options;
	size_t i;

	if (!json_is_object(model->object))
		return model_wrong(model, "", "an object is wanted");
	if (check_members(model))
		return EXIT_USAGE;
	for (i = 0; i < TEXTS; i++)
		if (read_text((const char **)((char *)model + model_texts[i].offset), model,
			      model_texts[i].name))
			return EXIT_USAGE;
	if (read_time(&options->connect_timeout_ms, model, "connect_timeout") ||
	    read_time(&options->idle_timeout_ms, model, "idle_timeout") ||
	    read_retries(&options->max_retries, model) || read_params(model) || read_key(model))
		return EXIT_USAGE;
	return check_endpoint(model);
}

/* A key leaves no trace where it was read. */
static void model_clear(struct config_model *model)
{
	if (model->key.data)
		memset(model->key.data, 0, model->key.len);
	text_clear(&model->key);
	text_clear(&model->params);
}

bool config_has_models(const struct config *config)
{
	return json_object_get(config->root, "models") != NULL;
}

int config_add_models(const struct config *config, struct models *models)
{
	const json_t *list = json_object_get(config->root, "models");
	struct convo_err err = {0};
	size_t i;
	int rc = 0;

	if (!json_array_size(list))
		return config_wrong(config, "models", "an array with one at least is wanted");
	for (i = 0; rc == 0 && i < json_array_size(list); i++) {
		struct config_model model = {
			.config = config,
			.i = i,
			.object = json_array_get(list, i),
		};

		rc = read_model(&model);
		if (rc == 0 && models_add(models, &model.out, &err) < 0)
			rc = model_wrong(&model, err.code == CONVO_E_EXISTS ? "name" : "",
					 err.text);
		model_clear(&model);
	}
	return rc;
}

/* ---- for -check ----------------------------------------------------------------------- */

static void show_where(const json_t *model)
{
	const char *url = json_string_at(model, "url"), *env = json_string_at(model, "key_env");
	const char *file = json_string_at(model, "key_file");
	struct text shown = {0};

	if (url && fetch_show(&shown, url)) {
		term_say(" at ");
		term_show_line(shown.data, 0);
	}
	if (env || file) {
		term_say(", with the key in ");
		term_show_line(env ? env : file, 0);
	}
	text_clear(&shown);
}

void config_show_models(const struct config *config)
{
	const json_t *list = json_object_get(config->root, "models"), *model;
	const char *asked;
	size_t i;

	for (i = 0; i < json_array_size(list); i++) {
		model = json_array_get(list, i);
		asked = json_string_at(model, "asked");
		term_say("model   ");
		term_show_line(json_string_at(model, "name"), 0);
		if (asked) {
			term_say(", asked as ");
			term_show_line(asked, 0);
		}
		show_where(model);
		term_say("\n");
	}
}
