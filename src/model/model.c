/*
 * The front of the models: checks arguments, applies the defaults, times the asking and turns what
 * a model added into the answer that is handed out. Also the model made of a function.
 */
#include <model/model.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/check.h>
#include <base/clock.h>
#include <base/fail.h>
#include <base/json.h>
#include <base/utf8.h>

#define DEFAULT_MAX_ANSWER (3u << 20)
#define SMALLEST_MAX_ANSWER 1024u
#define LONGEST_NAME 255u

/* ---- a model made of a function ------------------------------------------------------- */

struct function_model {
	struct convo_model base;
	convo_answer_fn answer;
	void *ctx;
};

/* Where a function's pieces go. */
struct function_emit {
	struct answer *into;
	struct convo_err *err;
	int rc; /* of the first piece that failed: it counts even if the function goes on */
};

static int function_emit(void *ctx, enum convo_delta_kind kind, const char *text, size_t len)
{
	struct function_emit *emit = ctx;

	if (emit->rc == 0 && (unsigned)kind >= ANSWER_KINDS)
		emit->rc = cv_fail(emit->err, CONVO_E_INVALID, "no such kind of delta");
	if (emit->rc == 0)
		emit->rc = cv_answer_add(emit->into, kind, text, len, emit->err);
	return emit->rc;
}

static int function_ask(convo_model *model, const struct convo_request *request,
			struct answer *into, convo_cancel *cancel, struct convo_err *err)
{
	struct function_model *self = (struct function_model *)model;
	struct function_emit emit = {into, err, 0};
	struct convo_err own = {0};
	int rc;

	rc = cv_answer_set_model(into, cv_text_of(model->name), err);
	if (rc < 0)
		return rc;
	rc = self->answer(self->ctx, request, function_emit, &emit, cancel, &own);
	if (emit.rc < 0)
		return emit.rc;
	if (rc < 0 && own.code == rc)
		cv_refusal_read(&into->refusal, own.text, rc == CONVO_E_TOOBIG);
	if (rc < 0)
		return cv_fail(err, rc, "%s", own.code == rc ? own.text : convo_code_name(rc));
	if (rc > 0)
		return cv_fail(err, CONVO_E_CANCELED, "stopped");
	return cv_answer_set_finish(into, cv_text_of("stop"), err);
}

static void function_close(convo_model *model)
{
	free(model);
}

static const struct model_kind function_kind = {
	.ask = function_ask,
	.close = function_close,
};

/* ---- opening and closing -------------------------------------------------------------- */

static const struct convo_model_options model_defaults;

static int model_check_name(const char *name, struct convo_err *err)
{
	size_t len = name ? strlen(name) : 0;

	if (!len || len > LONGEST_NAME || !cv_utf8_valid(name, len))
		return cv_fail(err, CONVO_E_INVALID, "a model's name has 1 to %u bytes of UTF-8",
			       LONGEST_NAME);
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			return cv_fail(err, CONVO_E_INVALID,
				       "the model's name holds a control character");
	}
	return 0;
}

static int model_check_options(const struct convo_model_options *opts, struct convo_err *err)
{
	int rc = CHECK_RESERVED(opts, err);

	if (rc < 0)
		return rc;
	if (opts->max_answer && opts->max_answer < SMALLEST_MAX_ANSWER)
		return cv_fail(err, CONVO_E_INVALID, "max_answer is less than %u bytes",
			       SMALLEST_MAX_ANSWER);
	if (opts->max_answer > DEFAULT_MAX_ANSWER)
		return cv_fail(err, CONVO_E_INVALID, "max_answer is more than %u bytes",
			       DEFAULT_MAX_ANSWER);
	if (opts->trace && !opts->trace->on_ask)
		return cv_fail(err, CONVO_E_INVALID, "trace: no function to call");
	return opts->trace ? CHECK_RESERVED(opts->trace, err) : 0;
}

static int model_finish(convo_model **out, convo_model *made, const char *name,
			const struct convo_model_options *opts, struct convo_err *err)
{
	cv_learned_init(&made->learned);
	made->name = cv_memdup(name, strlen(name));
	made->max_answer = opts->max_answer ? opts->max_answer : DEFAULT_MAX_ANSWER;
	if (opts->trace)
		made->trace = *opts->trace;
	if (!made->name) {
		convo_model_close(made);
		return cv_fail_nomem(err);
	}
	*out = made;
	return 0;
}

static int model_from(convo_model **out, const char *name, convo_answer_fn answer, void *ctx,
		      const struct convo_model_options *opts, struct convo_err *err)
{
	struct function_model *made = cv_alloc(1, sizeof(*made));

	if (!made)
		return cv_fail_nomem(err);
	made->base.kind = &function_kind;
	made->answer = answer;
	made->ctx = ctx;
	return model_finish(out, &made->base, name, opts, err);
}

int convo_model_from(convo_model **out, const char *name, convo_answer_fn answer, void *ctx,
		     struct convo_err *err)
{
	int rc = cv_check_given(out, "the place for the model", err);

	if (rc < 0)
		return rc;
	rc = model_check_name(name, err);
	if (rc < 0)
		return rc;
	if (!answer)
		return cv_fail(err, CONVO_E_INVALID, "no function to answer with");
	return model_from(out, name, answer, ctx, &model_defaults, err);
}

int convo_model_open(convo_model **out, const char *name, const struct convo_model_options *opts,
		     struct convo_err *err)
{
	convo_model *made = NULL;
	int rc = cv_check_given(out, "the place for the model", err);

	if (rc < 0)
		return rc;
	if (!opts)
		opts = &model_defaults;
	rc = model_check_name(name, err);
	if (rc < 0)
		return rc;
	rc = model_check_options(opts, err);
	if (rc < 0)
		return rc;
	if (strcmp(name, "echo") == 0)
		return model_from(out, name, cv_echo_answer, NULL, opts, err);
	rc = cv_openai_open(&made, opts, err);
	return rc < 0 ? rc : model_finish(out, made, name, opts, err);
}

void convo_model_close(convo_model *model)
{
	if (!model)
		return;
	cv_learned_clear(&model->learned);
	free(model->name);
	model->kind->close(model);
}

const char *convo_model_name(const convo_model *model)
{
	return model ? model->name : NULL;
}

/* ---- asking --------------------------------------------------------------------------- */

static int model_check_object(struct cv_text json, const char *what, struct convo_err *err)
{
	int kind = cv_json_check(json, what, err);

	if (kind < 0)
		return kind;
	return kind == JSON_KIND_OBJECT
		       ? 0
		       : cv_fail(err, CONVO_E_INVALID, "%s: not a JSON object", what);
}

static int model_check_request(const struct convo_request *request, struct convo_err *err)
{
	int rc;

	if (!request || !request->count || !request->messages)
		return cv_fail(err, CONVO_E_INVALID, "a request needs a message");
	rc = CHECK_RESERVED(request, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < request->count; i++) {
		rc = model_check_object((struct cv_text){request->messages[i].json,
							 request->messages[i].len},
					"message", err);
		if (rc < 0)
			return rc;
	}
	return request->params ? model_check_object(cv_text_of(request->params), "params", err) : 0;
}

static void model_tell(const convo_model *model, int rc, const struct convo_answer *answer,
		       int64_t began_us)
{
	const struct convo_trace_ask ask = {
		.code = answer ? answer->code : rc,
		.answer = answer,
		.duration_us = cv_clock_mono_us() - began_us,
	};

	if (model->trace.on_ask)
		model->trace.on_ask(model->trace.ctx, &ask);
}

int cv_model_ask(struct convo_answer **out, convo_model *model, const struct convo_request *request,
		 const struct convo_listener *listener, convo_cancel *cancel,
		 struct refusal *refusal, struct convo_err *err)
{
	struct convo_err why = {0}; /* an answer that ends early is a success to the caller */
	struct answer *answer = NULL;
	int64_t began_us = cv_clock_mono_us();
	int rc = cv_check_given(model, "the model", &why);

	if (rc < 0)
		goto out;
	rc = cv_check_given(out, "the place for the answer", &why);
	if (rc < 0)
		goto out;
	rc = model_check_request(request, &why);
	if (rc < 0)
		goto out;
	rc = listener ? CHECK_RESERVED(listener, &why) : 0;
	if (rc < 0)
		goto out;
	rc = cv_answer_new(&answer, listener, cancel, model->max_answer, &why);
	if (rc < 0)
		goto out;
	rc = model->kind->ask(model, request, answer, cancel, &why);
	rc = cv_answer_end(answer, rc, &why);
	model_tell(model, rc, rc < 0 ? NULL : &answer->pub, began_us);
	if (rc < 0 && refusal)
		*refusal = answer->refusal;
	if (rc < 0)
		goto out;
	*out = &answer->pub;
	return 0;
out:
	convo_answer_free(answer ? &answer->pub : NULL);
	if (err)
		*err = why;
	return rc;
}

int convo_model_ask(struct convo_answer **out, convo_model *model,
		    const struct convo_request *request, const struct convo_listener *listener,
		    convo_cancel *cancel, struct convo_err *err)
{
	return cv_model_ask(out, model, request, listener, cancel, NULL, err);
}

static int64_t model_window(void *ctx, convo_cancel *cancel)
{
	convo_model *model = ctx;

	return model->kind->window(model, cancel);
}

void cv_model_seek(convo_model *model)
{
	if (model->kind->window)
		cv_learned_seek(&model->learned, model_window, model);
}

int convo_model_check(convo_model *model, convo_cancel *cancel, struct convo_err *err)
{
	int rc = cv_check_given(model, "the model", err);

	if (rc < 0)
		return rc;
	return model->kind->check ? model->kind->check(model, cancel, err) : 0;
}
