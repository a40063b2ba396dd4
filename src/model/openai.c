/*
 * An OpenAI-compatible endpoint: asking, asking again, and checking. A single request is transfer.c's.
 */
#include <model/model.h>

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/uuid.h>
#include <model/retry.h>
#include <model/transfer.h>

#define DEFAULT_BASE "https://api.openai.com/v1"
#define LARGEST_LIST (8u << 20)

struct openai {
	struct convo_model base;
	struct endpoint endpoint;
	struct access access;
	struct curl_links links;
	atomic_bool no_usage; /* the server knows no stream_options */
};

/* One question, over all its attempts. */
struct openai_ask {
	struct openai *self;
	struct curl_link *link;
	const struct convo_request *request;
	struct answer *into;
	convo_cancel *cancel;
	struct convo_err *err;
	int attempt;
	int wait_ms; /* before the next one; -1: there is none */
};

/* ---- asking again ------------------------------------------------------------------------- */

/* A server from before stream_options says 400 and names it: ask without it, now and ever after. */
static bool openai_drop_usage(struct openai *self, const struct transfer *transfer)
{
	const struct wire_error *error = &transfer->reply.wire.error;

	if (transfer->reply.status != 400 && transfer->reply.status != 422)
		return false;
	if (!strstr(error->message, "stream_options") && !strstr(error->param, "stream_options") &&
	    !strstr(error->message, "include_usage"))
		return false;
	return !atomic_exchange(&self->no_usage, true);
}

static int openai_plan_retry(const struct openai_ask *ask, const struct transfer *transfer)
{
	const struct reply *reply = &transfer->reply;
	unsigned char random[UUID_BYTES];
	struct retry_facts facts = {
		.broken = cv_trouble_passes(transfer),
		.status = reply->form == REPLY_ERROR ? reply->status : 0,
		.type = reply->wire.error.type,
		.code = reply->wire.error.code,
		.message = reply->wire.error.message,
		.after_ms = cv_transfer_header(transfer, "retry-after-ms"),
		.after = cv_transfer_header(transfer, "retry-after"),
		.after_date = -1,
		.should = cv_transfer_header(transfer, "x-should-retry"),
		.now = (int64_t)time(NULL),
		.attempt = ask->attempt,
		.max_retries = ask->self->access.retries,
		.spent_ms = (cv_clock_mono_us() - ask->into->began_us) / 1000,
		.patience_ms = ask->self->access.idle_ms,
	};

	if (!facts.broken && !facts.status)
		return -1;
	if (facts.after)
		facts.after_date = (int64_t)cv_curl.getdate(facts.after, NULL);
	cv_uuid_random(random);
	memcpy(&facts.dice, random, sizeof(facts.dice));
	return cv_retry_wait(&facts);
}

/* Wait before the next attempt, unless the listener or the cancel say no. */
static int openai_wait(struct openai_ask *ask)
{
	const struct convo_listener *listener = ask->into->listener;
	struct convo_wait wait = {ask->attempt + 1, ask->wait_ms, ask->err->text};
	int64_t until = cv_clock_mono_us() + (int64_t)ask->wait_ms * 1000, now;
	struct pollfd wake = {.fd = convo_cancel_fd(ask->cancel), .events = POLLIN};

	if (!ask->wait_ms)
		return 0;
	if (listener && listener->on_wait && listener->on_wait(listener->ctx, &wait))
		return cv_fail(ask->err, CONVO_E_CANCELED, "stopped");
	while (!convo_cancel_requested(ask->cancel)) {
		now = cv_clock_mono_us();
		if (now >= until)
			return 0;
		poll(&wake, 1, (int)((until - now + 999) / 1000));
	}
	return cv_fail(ask->err, CONVO_E_CANCELED, "stopped");
}

/* ---- asking ------------------------------------------------------------------------------- */

static int openai_attempt(struct openai_ask *ask)
{
	const char *accept =
		ask->request->whole ? "Accept: application/json" : "Accept: text/event-stream";
	struct openai *self = ask->self;
	bool usage = !ask->request->whole && !atomic_load(&self->no_usage);
	struct transfer transfer;
	int rc;

	cv_transfer_init(&transfer, &self->endpoint, &self->access, ask->link, ask->cancel,
			 ask->err);
	transfer.reply.wire.answer = ask->into;
	transfer.reply.url = self->endpoint.chat_shown;
	transfer.reply.max = self->base.max_answer * 2 + (64u << 10);
	ask->wait_ms = -1;
	rc = cv_wire_request(&transfer.body, self->base.name, ask->request, usage, ask->err);
	if (rc < 0)
		goto out;
	rc = cv_transfer_run(&transfer, self->endpoint.chat_url, accept);
	if (rc == 0)
		rc = cv_transfer_end(&transfer);
	ask->into->refusal = transfer.reply.refusal;
	if (rc == 0 || rc == CONVO_E_CANCELED || rc == CONVO_E_NOMEM || cv_answer_heard(ask->into))
		goto out;
	if (usage && openai_drop_usage(self, &transfer))
		ask->wait_ms = 0;
	else
		ask->wait_ms = openai_plan_retry(ask, &transfer);
out:
	cv_transfer_clear(&transfer);
	return rc;
}

static int openai_ask(convo_model *model, const struct convo_request *request, struct answer *into,
		      convo_cancel *cancel, struct convo_err *err)
{
	struct openai *self = (struct openai *)model;
	struct openai_ask ask = {
		.self = self, .request = request, .into = into, .cancel = cancel, .err = err};
	int rc = cv_curl_borrow(&self->links, &ask.link, err);

	if (rc < 0)
		return rc;
	for (ask.attempt = 1;; ask.attempt++) {
		into->pub.attempts = ask.attempt;
		rc = openai_attempt(&ask);
		if (rc == 0 || ask.wait_ms < 0)
			break;
		rc = openai_wait(&ask);
		if (rc < 0)
			break;
	}
	cv_curl_return(&self->links, ask.link);
	return rc;
}

/* ---- checking ----------------------------------------------------------------------------- */

/* What the list of models says; servers without one say so in several ways. */
static int openai_read_list(struct transfer *transfer, const char *name)
{
	const struct reply *reply = &transfer->reply;
	int rc;

	if (transfer->over && transfer->result == CURLE_OK)
		cv_transfer_begin_reply(transfer); /* the body may be empty */
	if (reply->status == 404 || reply->status == 405 || reply->status == 501)
		return 0;
	rc = cv_transfer_end(transfer);
	if (rc == CONVO_E_NOTFOUND) { /* no API, which is not the same as no such model */
		rc = CONVO_E_REFUSED;
		if (transfer->err)
			transfer->err->code = rc;
	}
	if (rc < 0)
		return rc;
	if (cv_wire_has_model((struct cv_text){cv_buf_str(&reply->body), reply->body.len}, name))
		return 0;
	return cv_fail(transfer->err, CONVO_E_NOTFOUND, "%s: it has no model '%s'",
		       transfer->endpoint->shown, name);
}

/* Ask for the list of models. What came is the caller's to clear, as the link is to give back. */
static int openai_list(struct openai *self, struct transfer *transfer, struct curl_link **link,
		       convo_cancel *cancel, struct convo_err *err)
{
	int rc = cv_curl_borrow(&self->links, link, err);

	if (rc < 0)
		return rc;
	cv_transfer_init(transfer, &self->endpoint, &self->access, *link, cancel, err);
	transfer->reply.collect = true;
	transfer->reply.url = self->endpoint.list_shown;
	transfer->reply.max = LARGEST_LIST;
	return cv_transfer_run(transfer, self->endpoint.list_url, "Accept: application/json");
}

static void openai_list_end(struct openai *self, struct transfer *transfer, struct curl_link *link)
{
	if (!link)
		return;
	cv_transfer_clear(transfer);
	cv_curl_return(&self->links, link);
}

static int openai_check(convo_model *model, convo_cancel *cancel, struct convo_err *err)
{
	struct openai *self = (struct openai *)model;
	struct curl_link *link = NULL;
	struct transfer transfer;
	int rc = openai_list(self, &transfer, &link, cancel, err);

	if (rc == 0)
		rc = openai_read_list(&transfer, self->base.name);
	openai_list_end(self, &transfer, link);
	return rc;
}

static int64_t openai_window(convo_model *model, convo_cancel *cancel)
{
	struct openai *self = (struct openai *)model;
	struct curl_link *link = NULL;
	struct transfer transfer;
	int64_t window = 0;

	if (openai_list(self, &transfer, &link, cancel, NULL) == 0 &&
	    cv_transfer_end(&transfer) == 0)
		window = cv_wire_window((struct cv_text){cv_buf_str(&transfer.reply.body),
							 transfer.reply.body.len},
					self->base.name);
	openai_list_end(self, &transfer, link);
	return window;
}

/* ---- opening and closing ------------------------------------------------------------------ */

static void openai_close(convo_model *model)
{
	struct openai *self = (struct openai *)model;

	cv_curl_clear(&self->links);
	cv_endpoint_clear(&self->endpoint);
	cv_access_clear(&self->access);
	free(self);
}

static const struct model_kind openai_kind = {
	.ask = openai_ask,
	.check = openai_check,
	.window = openai_window,
	.close = openai_close,
};

int cv_openai_open(convo_model **out, const struct convo_model_options *opts, struct convo_err *err)
{
	const char *base = opts->base_url && *opts->base_url ? opts->base_url : DEFAULT_BASE;
	struct openai *self = cv_alloc(1, sizeof(*self));
	int rc;

	if (!self)
		return cv_fail_nomem(err);
	self->base.kind = &openai_kind;
	atomic_init(&self->no_usage, false);
	cv_curl_init(&self->links);
	rc = cv_endpoint_init(&self->endpoint, base, err);
	if (rc < 0)
		goto out;
	rc = cv_access_init(&self->access, opts, err);
	if (rc < 0)
		goto out;
	*out = &self->base;
	return 0;
out:
	openai_close(&self->base);
	return rc;
}
