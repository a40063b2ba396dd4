/*
 * An OpenAI-compatible endpoint over HTTP: connections, timeouts, cancelling and asking again. What
 * travels is left to wire.c and reply.c. The one file that uses libcurl.
 *
 * Each asking thread borrows a link, a curl handle with its own connections, so that threads share
 * nothing and the next question finds a connection that is open already.
 */
#include <model/model.h>

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <convo/version.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/dl.h>
#include <base/uuid.h>
#include <model/endpoint.h>
#include <model/reply.h>
#include <model/retry.h>

#define DEFAULT_BASE "https://api.openai.com/v1"
#define DEFAULT_CONNECT_MS 10000
#define DEFAULT_IDLE_MS 300000
#define DEFAULT_RETRIES 2
#define MOST_IDLE_LINKS 8
#define LINGER_MS 3000 /* how long to wait for usage after a finish reason */
#define GRACE_MS 20    /* how long to wait for the end of the transfer after [DONE] */
#define LARGEST_LIST (8u << 20)

/* ---- libcurl, loaded with the first question ------------------------------------------ */

/* clang-format off */
#define CURL_CALLS(X) \
	X(easy_cleanup) \
	X(easy_getinfo) \
	X(easy_header) \
	X(easy_init) \
	X(easy_reset) \
	X(easy_setopt) \
	X(easy_strerror) \
	X(getdate) \
	X(global_init) \
	X(multi_add_handle) \
	X(multi_cleanup) \
	X(multi_info_read) \
	X(multi_init) \
	X(multi_perform) \
	X(multi_poll) \
	X(multi_remove_handle) \
	X(slist_append) \
	X(slist_free_all)

#define CURL_POINTER(name) __typeof__(curl_##name) *(name);
#define CURL_SYMBOL(name) {"curl_" #name, (void **)&curl.name},

static struct {
	CURL_CALLS(CURL_POINTER)
} curl;
/* clang-format on */

static const struct cv_symbol curl_symbols[] = {CURL_CALLS(CURL_SYMBOL)};
static struct cv_library curl_library = CONVO_LIBRARY("libcurl.so.4", curl_symbols);

static void openai_init_curl(void)
{
	curl.global_init(CURL_GLOBAL_DEFAULT);
}

struct openai_link {
	CURLM *multi;
	CURL *easy;
	struct openai_link *next;
};

struct openai {
	struct convo_model base;
	struct endpoint url;
	char *key, *authorization; /* the header; NULL without a key */
	int connect_ms, idle_ms, retries;
	atomic_bool no_usage; /* the server knows no stream_options */

	pthread_mutex_t lock; /* guards idle and idle_count */
	struct openai_link *idle;
	size_t idle_count;
};

/* ---- links ---------------------------------------------------------------------------- */

static void openai_link_free(struct openai_link *link)
{
	if (!link)
		return;
	if (link->easy)
		curl.easy_cleanup(link->easy);
	if (link->multi)
		curl.multi_cleanup(link->multi);
	free(link);
}

static struct openai_link *openai_link_new(void)
{
	struct openai_link *link = cv_alloc(1, sizeof(*link));

	if (!link)
		return NULL;
	link->multi = curl.multi_init();
	link->easy = curl.easy_init();
	if (link->multi && link->easy)
		return link;
	openai_link_free(link);
	return NULL;
}

/* A link that waits, or a new one. */
static int openai_borrow(struct openai *self, struct openai_link **out, struct convo_err *err)
{
	int rc = cv_dl_need(&curl_library, openai_init_curl, err);
	struct openai_link *link;

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&self->lock);
	link = self->idle;
	if (link) {
		self->idle = link->next;
		self->idle_count--;
	}
	pthread_mutex_unlock(&self->lock);
	if (!link)
		link = openai_link_new();
	*out = link;
	return link ? 0 : cv_fail_nomem(err);
}

static void openai_return(struct openai *self, struct openai_link *link)
{
	bool keep;

	pthread_mutex_lock(&self->lock);
	keep = self->idle_count < MOST_IDLE_LINKS;
	if (keep) {
		link->next = self->idle;
		self->idle = link;
		self->idle_count++;
	}
	pthread_mutex_unlock(&self->lock);
	if (!keep)
		openai_link_free(link);
}

/* ---- one transfer --------------------------------------------------------------------- */

/* A request on its way. */
struct openai_call {
	struct openai *self;
	CURLM *multi;
	CURL *easy;
	struct reply reply;
	convo_cancel *cancel;
	struct convo_err *err;
	int rc;         /* what a callback failed with */
	bool begun;     /* the reply's body was begun */
	bool timed_out; /* by the idle limit */
	bool over;      /* libcurl has finished, with `result` */
	CURLcode result;
	int64_t bytes; /* that moved in either direction, and when the last did */
	int64_t moved_us;
	int64_t finish_us; /* when it need not go on; 0: not yet known */
	char why[CURL_ERROR_SIZE];
	struct curl_slist *headers;
	struct cv_buf body;
};

/* A header of the reply, or NULL. Valid until the transfer is removed. */
static const char *openai_header(CURL *easy, const char *name)
{
	struct curl_header *header;

	return curl.easy_header(easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK
		       ? header->value
		       : NULL;
}

/* Tell the reply what the headers say, once. */
static void openai_begin_reply(struct openai_call *call)
{
	const char *type = NULL;
	long status = 0;

	if (call->begun)
		return;
	curl.easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	curl.easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &type);
	call->begun = true;
	call->reply.status = (int)status;
	call->reply.says_events = type && strncasecmp(type, "text/event-stream", 17) == 0;
	cv_wire_keep(call->reply.id, sizeof(call->reply.id),
		     cv_text_of(openai_header(call->easy, "x-request-id")), call->self->key);
	cv_wire_keep(call->reply.location, sizeof(call->reply.location),
		     cv_text_of(openai_header(call->easy, "location")), call->self->key);
	cv_reply_begin(&call->reply);
}

static size_t openai_write(char *bytes, size_t size, size_t count, void *ctx)
{
	struct openai_call *call = ctx;

	openai_begin_reply(call);
	if (call->rc == 0)
		call->rc = cv_reply_feed(&call->reply, bytes, size * count);
	return call->rc < 0 ? 0 : size * count;
}

static int openai_add_header(struct openai_call *call, const char *line)
{
	struct curl_slist *longer = curl.slist_append(call->headers, line);

	if (!longer)
		return CONVO_E_NOMEM;
	call->headers = longer;
	return 0;
}

/* The empty Expect keeps libcurl from waiting for a go-ahead before a large body. */
static int openai_set_headers(struct openai_call *call, const char *accept)
{
	int rc = openai_add_header(call, "Content-Type: application/json");

	if (rc == 0)
		rc = openai_add_header(call, accept);
	if (rc == 0)
		rc = openai_add_header(call, "Expect:");
	if (rc == 0 && call->self->authorization)
		rc = openai_add_header(call, call->self->authorization);
	return rc;
}

/* QUICK_EXIT: a cancel must not wait for a resolver that hangs. "identity": a compressed stream
 * comes in lumps, but if one comes all the same it is unpacked. */
static bool openai_set_options(struct openai_call *call, const char *url)
{
	const char *ca = getenv("SSL_CERT_FILE");
	CURL *easy = call->easy;
	bool ok = true;

	curl.easy_reset(easy);
	ok = ok && curl.easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK;
	ok = ok && curl.easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
	ok = ok && curl.easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers) == CURLE_OK;
	ok = ok && curl.easy_setopt(easy, CURLOPT_USERAGENT, "convo/" CONVO_VERSION) == CURLE_OK;
	ok = ok && curl.easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "identity") == CURLE_OK;
	ok = ok && curl.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
	ok = ok && curl.easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
	ok = ok && curl.easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK;
	ok = ok && curl.easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
				    (long)call->self->connect_ms) == CURLE_OK;
	ok = ok && curl.easy_setopt(easy, CURLOPT_ERRORBUFFER, call->why) == CURLE_OK;
	ok = ok && curl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, openai_write) == CURLE_OK;
	ok = ok && curl.easy_setopt(easy, CURLOPT_WRITEDATA, call) == CURLE_OK;
	if (ca && *ca)
		ok = ok && curl.easy_setopt(easy, CURLOPT_CAINFO, ca) == CURLE_OK;
	if (call->body.data) {
		ok = ok && curl.easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
					    (curl_off_t)call->body.len) == CURLE_OK;
		ok = ok && curl.easy_setopt(easy, CURLOPT_POSTFIELDS, call->body.data) == CURLE_OK;
	}
	return ok;
}

/* Note whether anything moved. Until the request can be sent, the connect timeout watches. */
static void openai_watch(struct openai_call *call, int64_t now_us)
{
	curl_off_t up = 0, down = 0, ready = 0;
	long headers = 0;
	int64_t bytes;

	curl.easy_getinfo(call->easy, CURLINFO_PRETRANSFER_TIME_T, &ready);
	curl.easy_getinfo(call->easy, CURLINFO_SIZE_UPLOAD_T, &up);
	curl.easy_getinfo(call->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
	curl.easy_getinfo(call->easy, CURLINFO_HEADER_SIZE, &headers);
	bytes = up + down + headers;
	if (ready == 0 || bytes != call->bytes)
		call->moved_us = now_us;
	call->bytes = bytes;
	if (!call->finish_us && call->reply.done)
		call->finish_us = now_us + GRACE_MS * 1000;
	else if (!call->finish_us && call->reply.wire.finished)
		call->finish_us = now_us + LINGER_MS * 1000;
	if (call->reply.done && call->finish_us > now_us + GRACE_MS * 1000)
		call->finish_us = now_us + GRACE_MS * 1000;
}

/* Milliseconds until something must be done even if nothing moves; 0: it must now. */
static int openai_patience(const struct openai_call *call, int64_t now_us)
{
	int64_t until = call->moved_us + (int64_t)call->self->idle_ms * 1000;

	if (call->finish_us && call->finish_us < until)
		until = call->finish_us;
	return until <= now_us ? 0 : (int)((until - now_us + 999) / 1000);
}

static void openai_collect(struct openai_call *call)
{
	int left;
	CURLMsg *message;

	while ((message = curl.multi_info_read(call->multi, &left))) {
		if (message->msg == CURLMSG_DONE) {
			call->over = true;
			call->result = message->data.result;
		}
	}
}

/* Drive the transfer until it is over, complete, cancelled or silent for too long. */
static int openai_drive(struct openai_call *call)
{
	struct curl_waitfd wake = {.fd = call->cancel ? convo_cancel_fd(call->cancel) : -1,
				   .events = CURL_WAIT_POLLIN};
	unsigned wakes = call->cancel ? 1 : 0;
	int running;

	call->moved_us = cv_clock_mono_us();
	for (;;) {
		int64_t now_us;
		int patience;

		if (curl.multi_perform(call->multi, &running) != CURLM_OK)
			return cv_fail_nomem(call->err);
		openai_collect(call);
		if (call->over || call->rc < 0)
			return call->rc;
		if (convo_cancel_requested(call->cancel))
			return cv_fail(call->err, CONVO_E_CANCELED, "stopped");
		now_us = cv_clock_mono_us();
		openai_watch(call, now_us);
		patience = openai_patience(call, now_us);
		if (!patience) {
			call->timed_out = !call->finish_us;
			return 0;
		}
		curl.multi_poll(call->multi, &wake, wakes, patience, NULL);
	}
}

/* ---- one attempt ---------------------------------------------------------------------- */

/* Whether the URL of the proxy cannot be read. libcurl then repeats all of it, the password too. */
static bool openai_is_nonsense(const struct openai_call *call)
{
	return strncmp(call->why, "Unsupported proxy", 17) == 0 ||
	       (call->result == CURLE_COULDNT_RESOLVE_PROXY &&
		strncmp(call->why, "Could not resolve", 17) != 0);
}

/* libcurl's words alone tell which machine it was: with a proxy, not that of the URL. */
static int openai_fail_connect(struct openai_call *call, const char *why)
{
	char host[128] = "";
	int port = 0;
	long number = 0;

	curl.easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &number);
	if (!number || sscanf(why, "Failed to connect to %127s port %d", host, &port) != 2)
		return cv_fail(call->err, CONVO_E_IO, "%s: cannot connect: %s",
			       call->self->url.shown, number ? strerror((int)number) : why);
	return cv_fail(call->err, CONVO_E_IO, "%s: cannot connect to %s port %d: %s",
		       call->self->url.shown, host, port, strerror((int)number));
}

static int openai_fail_reach(struct openai_call *call)
{
	const char *why = *call->why ? call->why : curl.easy_strerror(call->result);
	const char *base = call->self->url.shown;

	if (openai_is_nonsense(call))
		return cv_fail(call->err, CONVO_E_IO, "%s: the proxy's URL is none", base);
	switch (call->result) {
	case CURLE_OUT_OF_MEMORY:
		return cv_fail_nomem(call->err);
	case CURLE_OPERATION_TIMEDOUT:
		return cv_fail(call->err, CONVO_E_TIMEOUT, "%s: no connection within %d ms", base,
			       call->self->connect_ms);
	case CURLE_COULDNT_CONNECT:
		return openai_fail_connect(call, why);
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
		return cv_fail(call->err, CONVO_E_REFUSED, "%s: not an HTTP server: %s", base, why);
	default:
		return cv_fail(call->err, CONVO_E_IO, "%s: %s", base, why);
	}
}

/* How the attempt ended, once the transfer did. */
static int openai_verdict(struct openai_call *call)
{
	struct reply *reply = &call->reply;
	const char *cut = NULL;

	if (call->over && call->result != CURLE_OK) {
		if (!call->begun && call->result != CURLE_PARTIAL_FILE)
			return openai_fail_reach(call);
		cut = *call->why ? call->why : curl.easy_strerror(call->result);
	}
	if (call->timed_out && !reply->started)
		return cv_fail(call->err, CONVO_E_TIMEOUT, "%s: no answer for %d ms",
			       call->self->url.shown, call->self->idle_ms);
	if (call->timed_out)
		return cv_fail(call->err, CONVO_E_TIMEOUT, "%s: silent for %d ms",
			       call->self->url.shown, call->self->idle_ms);
	openai_begin_reply(call);
	return cv_reply_end(reply, cut);
}

static int openai_transfer(struct openai_call *call, const char *url, const char *accept)
{
	int rc = openai_set_headers(call, accept);

	if (rc < 0 || !openai_set_options(call, url))
		return cv_fail_nomem(call->err);
	if (curl.multi_add_handle(call->multi, call->easy) != CURLM_OK)
		return cv_fail_nomem(call->err);
	return openai_drive(call);
}

static void openai_call_init(struct openai_call *call, struct openai *self,
			     struct openai_link *link, convo_cancel *cancel, struct convo_err *err)
{
	memset(call, 0, sizeof(*call));
	call->self = self;
	call->multi = link->multi;
	call->easy = link->easy;
	call->cancel = cancel;
	call->err = err;
	call->reply.err = err;
	call->reply.base = self->url.shown;
	call->reply.wire.secret = self->key;
}

/* Leaves the link ready for the next call; an unfinished transfer's connection is closed. */
static void openai_call_clear(struct openai_call *call)
{
	curl.multi_remove_handle(call->multi, call->easy);
	curl.slist_free_all(call->headers);
	cv_buf_clear(&call->body);
	cv_reply_clear(&call->reply);
}

/* ---- asking, and asking again --------------------------------------------------------- */

/* One question, over all its attempts. */
struct openai_ask {
	struct openai *self;
	struct openai_link *link;
	const struct convo_request *request;
	struct answer *into;
	convo_cancel *cancel;
	struct convo_err *err;
	int attempt;
	int wait_ms; /* before the next one; -1: there is none */
};

static bool openai_is_broken(const struct openai_call *call)
{
	if (!call->over || call->reply.started || openai_is_nonsense(call))
		return false;
	switch (call->result) {
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return true;
	default:
		return false;
	}
}

/* A server from before stream_options says 400 and names it: ask without it, now and ever after. */
static bool openai_drop_usage(struct openai *self, const struct openai_call *call)
{
	const struct wire_error *error = &call->reply.wire.error;

	if (call->reply.status != 400 && call->reply.status != 422)
		return false;
	if (!strstr(error->message, "stream_options") && !strstr(error->param, "stream_options") &&
	    !strstr(error->message, "include_usage"))
		return false;
	return !atomic_exchange(&self->no_usage, true);
}

static int openai_plan_retry(const struct openai_ask *ask, const struct openai_call *call)
{
	const struct wire_error *error = &call->reply.wire.error;
	unsigned char random[UUID_BYTES];
	struct retry_facts facts = {
		.broken = openai_is_broken(call),
		.status = call->reply.form == REPLY_ERROR ? call->reply.status : 0,
		.type = error->type,
		.code = error->code,
		.message = error->message,
		.after_ms = openai_header(call->easy, "retry-after-ms"),
		.after = openai_header(call->easy, "retry-after"),
		.after_date = -1,
		.should = openai_header(call->easy, "x-should-retry"),
		.now = (int64_t)time(NULL),
		.attempt = ask->attempt,
		.max_retries = ask->self->retries,
		.spent_ms = (cv_clock_mono_us() - ask->into->began_us) / 1000,
		.patience_ms = ask->self->idle_ms,
	};

	if (!facts.broken && !facts.status)
		return -1;
	if (facts.after)
		facts.after_date = (int64_t)curl.getdate(facts.after, NULL);
	cv_uuid_random(random);
	memcpy(&facts.dice, random, sizeof(facts.dice));
	return cv_retry_wait(&facts);
}

static int openai_attempt(struct openai_ask *ask)
{
	const char *accept =
		ask->request->whole ? "Accept: application/json" : "Accept: text/event-stream";
	struct openai *self = ask->self;
	bool usage = !ask->request->whole && !atomic_load(&self->no_usage);
	struct openai_call call;
	int rc;

	openai_call_init(&call, self, ask->link, ask->cancel, ask->err);
	call.reply.wire.answer = ask->into;
	call.reply.url = self->url.chat_shown;
	call.reply.max = self->base.max_answer * 2 + (64u << 10);
	ask->wait_ms = -1;
	rc = cv_wire_request(&call.body, self->base.name, ask->request, usage, ask->err);
	if (rc == 0)
		rc = openai_transfer(&call, self->url.chat_url, accept);
	if (rc == 0)
		rc = openai_verdict(&call);
	if (rc < 0 && rc != CONVO_E_CANCELED && rc != CONVO_E_NOMEM &&
	    !cv_answer_heard(ask->into)) {
		if (usage && openai_drop_usage(self, &call))
			ask->wait_ms = 0;
		else
			ask->wait_ms = openai_plan_retry(ask, &call);
	}
	openai_call_clear(&call);
	return rc;
}

/* Wait before the next attempt, unless the listener or the cancel say no. */
static int openai_wait(struct openai_ask *ask)
{
	const struct convo_listener *listener = ask->into->listener;
	struct convo_wait wait = {ask->attempt + 1, ask->wait_ms, ask->err->text};
	int64_t until = cv_clock_mono_us() + (int64_t)ask->wait_ms * 1000, now;
	struct pollfd wake = {.events = POLLIN};

	if (!ask->wait_ms)
		return 0;
	if (listener && listener->on_wait && listener->on_wait(listener->ctx, &wait))
		return cv_fail(ask->err, CONVO_E_CANCELED, "stopped");
	wake.fd = ask->cancel ? convo_cancel_fd(ask->cancel) : -1;
	while (!convo_cancel_requested(ask->cancel)) {
		now = cv_clock_mono_us();
		if (now >= until)
			return 0;
		poll(&wake, 1, (int)((until - now + 999) / 1000));
	}
	return cv_fail(ask->err, CONVO_E_CANCELED, "stopped");
}

static int openai_ask(convo_model *model, const struct convo_request *request, struct answer *into,
		      convo_cancel *cancel, struct convo_err *err)
{
	struct openai *self = (struct openai *)model;
	struct openai_ask ask = {
		.self = self, .request = request, .into = into, .cancel = cancel, .err = err};
	int rc = openai_borrow(self, &ask.link, err);

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
	openai_return(self, ask.link);
	return rc;
}

/* ---- checking ------------------------------------------------------------------------- */

/* What the list of models says; servers without one say so in several ways. */
static int openai_read_list(struct openai_call *call)
{
	const struct reply *reply = &call->reply;
	const char *name = call->self->base.name;
	struct cv_text body = {cv_buf_str(&reply->body), reply->body.len};
	int rc;

	if (reply->status == 404 || reply->status == 405 || reply->status == 501)
		return 0;
	rc = openai_verdict(call);
	if (rc < 0 || cv_wire_has_model(body, name) != 0)
		return rc;
	return cv_fail(call->err, CONVO_E_NOTFOUND, "%s: it has no model '%s'",
		       call->self->url.shown, name);
}

static int openai_check(convo_model *model, convo_cancel *cancel, struct convo_err *err)
{
	struct openai *self = (struct openai *)model;
	struct openai_link *link;
	struct openai_call call;
	int rc = openai_borrow(self, &link, err);

	if (rc < 0)
		return rc;
	openai_call_init(&call, self, link, cancel, err);
	call.reply.collect = true;
	call.reply.url = self->url.list_shown;
	call.reply.max = LARGEST_LIST;
	rc = openai_transfer(&call, self->url.list_url, "Accept: application/json");
	if (rc == 0 && call.over && call.result == CURLE_OK)
		openai_begin_reply(&call); /* the body may be empty */
	if (rc == 0)
		rc = openai_read_list(&call);
	openai_call_clear(&call);
	openai_return(self, link);
	return rc;
}

/* ---- opening and closing -------------------------------------------------------------- */

static void openai_close(convo_model *model)
{
	struct openai *self = (struct openai *)model;

	while (self->idle) {
		struct openai_link *next = self->idle->next;

		openai_link_free(self->idle);
		self->idle = next;
	}
	pthread_mutex_destroy(&self->lock);
	cv_endpoint_clear(&self->url);
	free(self->key);
	free(self->authorization);
	free(self);
}

static const struct model_kind openai_kind = {
	.ask = openai_ask,
	.check = openai_check,
	.close = openai_close,
};

static int openai_set_key(struct openai *self, const char *key, struct convo_err *err)
{
	struct cv_buf line = {0};

	if (!key || !*key)
		return 0;
	for (const char *c = key; *c; c++) {
		if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f)
			return cv_fail(err, CONVO_E_INVALID,
				       "the API key holds a blank, a control character or "
				       "something that is not ASCII");
	}
	self->key = cv_memdup(key, strlen(key));
	if (cv_buf_addf(&line, "Authorization: Bearer %s", key) == 0)
		self->authorization = cv_buf_take(&line);
	cv_buf_clear(&line);
	return self->key && self->authorization ? 0 : cv_fail_nomem(err);
}

int cv_openai_open(convo_model **out, const struct convo_model_options *opts, struct convo_err *err)
{
	const char *base = opts->base_url && *opts->base_url ? opts->base_url : DEFAULT_BASE;
	struct openai *self = cv_alloc(1, sizeof(*self));
	int rc;

	if (!self)
		return cv_fail_nomem(err);
	self->base.kind = &openai_kind;
	self->connect_ms = opts->connect_timeout_ms ? opts->connect_timeout_ms : DEFAULT_CONNECT_MS;
	self->idle_ms = opts->idle_timeout_ms ? opts->idle_timeout_ms : DEFAULT_IDLE_MS;
	self->retries = opts->max_retries ? opts->max_retries : DEFAULT_RETRIES;
	atomic_init(&self->no_usage, false);
	pthread_mutex_init(&self->lock, NULL);
	rc = cv_endpoint_init(&self->url, base, err);
	if (rc == 0)
		rc = openai_set_key(self, opts->api_key, err);
	if (rc < 0) {
		openai_close(&self->base);
		return rc;
	}
	*out = &self->base;
	return 0;
}
