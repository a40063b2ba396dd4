/*
 * One request over HTTP; see transfer.h.
 */
#include <model/transfer.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <convo/version.h>

#include <base/clock.h>

#define LINGER_MS 3000 /* how long to wait for usage after a finish reason */
#define GRACE_MS 20    /* how long to wait for the end of the transfer after [DONE] */

/* ---- the reply ---------------------------------------------------------------------------- */

const char *cv_transfer_header(const struct transfer *transfer, const char *name)
{
	struct curl_header *header;

	return cv_curl.easy_header(transfer->link->easy, name, 0, CURLH_HEADER, -1, &header) ==
			       CURLHE_OK
		       ? header->value
		       : NULL;
}

void cv_transfer_begin_reply(struct transfer *transfer)
{
	struct reply *reply = &transfer->reply;
	const char *type = NULL;
	long status = 0;

	if (transfer->begun)
		return;
	cv_curl.easy_getinfo(transfer->link->easy, CURLINFO_RESPONSE_CODE, &status);
	cv_curl.easy_getinfo(transfer->link->easy, CURLINFO_CONTENT_TYPE, &type);
	transfer->begun = true;
	reply->status = (int)status;
	reply->says_events = type && strncasecmp(type, "text/event-stream", 17) == 0;
	cv_keep(reply->id, sizeof(reply->id),
		cv_text_of(cv_transfer_header(transfer, "x-request-id")),
		&transfer->access->secrets);
	cv_keep(reply->location, sizeof(reply->location),
		cv_text_of(cv_transfer_header(transfer, "location")), &transfer->access->secrets);
	cv_reply_begin(reply);
}

static size_t transfer_write(char *bytes, size_t size, size_t count, void *ctx)
{
	struct transfer *transfer = ctx;

	cv_transfer_begin_reply(transfer);
	if (transfer->rc == 0)
		transfer->rc = cv_reply_feed(&transfer->reply, bytes, size * count);
	return transfer->rc < 0 ? 0 : size * count;
}

/* ---- the request -------------------------------------------------------------------------- */

static int transfer_add_header(struct transfer *transfer, const char *line)
{
	struct curl_slist *longer = cv_curl.slist_append(transfer->headers, line);

	if (!longer)
		return CONVO_E_NOMEM;
	transfer->headers = longer;
	return 0;
}

/* The empty Expect keeps libcurl from waiting for a go-ahead before a large body. */
static int transfer_set_headers(struct transfer *transfer, const char *accept)
{
	const char *const ours[] = {"Content-Type: application/json", accept, "Expect:"};
	const struct access *access = transfer->access;
	int rc = 0;

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]) && rc == 0; i++)
		rc = transfer_add_header(transfer, ours[i]);
	for (size_t i = 0; i < access->line_count && rc == 0; i++)
		rc = transfer_add_header(transfer, access->lines[i]);
	return rc;
}

#define SET(option, value) CURL_SET(easy, option, value)

/* The way to the server: an option given is for every host, the environment knows exceptions. */
static bool transfer_set_way(CURL *easy, const struct access *access)
{
	const char *ca = access->ca_file ? access->ca_file : getenv("SSL_CERT_FILE");

	if (ca && *ca && !(SET(CURLOPT_CAINFO, ca) && SET(CURLOPT_PROXY_CAINFO, ca)))
		return false;
	return !access->proxy || (SET(CURLOPT_PROXY, access->proxy) && SET(CURLOPT_NOPROXY, ""));
}

/* QUICK_EXIT: a cancel must not wait for a resolver that hangs. "identity": a compressed stream
 * comes in lumps, but if one comes all the same it is unpacked. */
static bool transfer_set_options(struct transfer *transfer, const char *url)
{
	const struct cv_buf *body = &transfer->body;
	CURL *easy = transfer->link->easy;

	cv_curl.easy_reset(easy);
	return cv_curl_watch(transfer->link) && SET(CURLOPT_URL, url) &&
	       SET(CURLOPT_PROTOCOLS_STR, "http,https") &&
	       SET(CURLOPT_HTTPHEADER, transfer->headers) &&
	       SET(CURLOPT_USERAGENT, "convo/" CONVO_VERSION) &&
	       SET(CURLOPT_ACCEPT_ENCODING, "identity") && SET(CURLOPT_NOSIGNAL, 1L) &&
	       SET(CURLOPT_QUICK_EXIT, 1L) && SET(CURLOPT_TCP_KEEPALIVE, 1L) &&
	       SET(CURLOPT_CONNECTTIMEOUT_MS, (long)transfer->access->connect_ms) &&
	       SET(CURLOPT_ERRORBUFFER, transfer->why) &&
	       SET(CURLOPT_WRITEFUNCTION, transfer_write) && SET(CURLOPT_WRITEDATA, transfer) &&
	       transfer_set_way(easy, transfer->access) &&
	       (!body->data || (SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->len) &&
				SET(CURLOPT_POSTFIELDS, body->data)));
}

/* ---- on its way --------------------------------------------------------------------------- */

/* Note whether anything moved. Until the request can be sent, the connect timeout watches. */
static void transfer_watch(struct transfer *transfer, int64_t now_us)
{
	curl_off_t up = 0, down = 0, ready = 0;
	int64_t bytes, grace_us = now_us + GRACE_MS * 1000;
	long headers = 0;

	cv_curl.easy_getinfo(transfer->link->easy, CURLINFO_PRETRANSFER_TIME_T, &ready);
	cv_curl.easy_getinfo(transfer->link->easy, CURLINFO_SIZE_UPLOAD_T, &up);
	cv_curl.easy_getinfo(transfer->link->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
	cv_curl.easy_getinfo(transfer->link->easy, CURLINFO_HEADER_SIZE, &headers);
	bytes = up + down + headers;
	if (ready == 0 || bytes != transfer->bytes)
		transfer->moved_us = now_us;
	transfer->bytes = bytes;
	if (!transfer->finish_us && transfer->reply.wire.finished)
		transfer->finish_us = now_us + LINGER_MS * 1000;
	if (transfer->reply.done && (!transfer->finish_us || transfer->finish_us > grace_us))
		transfer->finish_us = grace_us;
}

/* Milliseconds until something must be done even if nothing moves; 0: it must now. */
static int transfer_patience(const struct transfer *transfer, int64_t now_us)
{
	int64_t until = transfer->moved_us + (int64_t)transfer->access->idle_ms * 1000;

	if (transfer->finish_us && transfer->finish_us < until)
		until = transfer->finish_us;
	return until <= now_us ? 0 : (int)((until - now_us + 999) / 1000);
}

static void transfer_collect(struct transfer *transfer)
{
	int left;
	CURLMsg *message;

	while ((message = cv_curl.multi_info_read(transfer->link->multi, &left))) {
		if (message->msg == CURLMSG_DONE) {
			transfer->over = true;
			transfer->result = message->data.result;
		}
	}
}

static int transfer_drive(struct transfer *transfer)
{
	struct curl_waitfd wake = {.fd = convo_cancel_fd(transfer->cancel),
				   .events = CURL_WAIT_POLLIN};
	int running;

	transfer->moved_us = cv_clock_mono_us();
	for (;;) {
		int64_t now_us;
		int patience;

		if (cv_curl.multi_perform(transfer->link->multi, &running) != CURLM_OK)
			return cv_fail_nomem(transfer->err);
		transfer_collect(transfer);
		if (transfer->over || transfer->rc < 0)
			return transfer->rc;
		if (convo_cancel_requested(transfer->cancel))
			return cv_fail(transfer->err, CONVO_E_CANCELED, "stopped");
		now_us = cv_clock_mono_us();
		transfer_watch(transfer, now_us);
		patience = transfer_patience(transfer, now_us);
		if (!patience) {
			transfer->timed_out = !transfer->finish_us;
			return 0;
		}
		cv_curl.multi_poll(transfer->link->multi, &wake, transfer->cancel ? 1 : 0, patience,
				   NULL);
	}
}

int cv_transfer_run(struct transfer *transfer, const char *url, const char *accept)
{
	if (transfer_set_headers(transfer, accept) < 0 || !transfer_set_options(transfer, url))
		return cv_fail_nomem(transfer->err);
	if (cv_curl.multi_add_handle(transfer->link->multi, transfer->link->easy) != CURLM_OK)
		return cv_fail_nomem(transfer->err);
	return transfer_drive(transfer);
}

int cv_transfer_end(struct transfer *transfer)
{
	const char *shown = transfer->endpoint->shown, *cut = NULL;
	int idle_ms = transfer->access->idle_ms;

	if (transfer->over && transfer->result != CURLE_OK) {
		if (!transfer->begun && transfer->result != CURLE_PARTIAL_FILE)
			return cv_trouble_fail(transfer);
		cut = *transfer->why ? transfer->why : cv_curl.easy_strerror(transfer->result);
	}
	if (transfer->timed_out && !transfer->reply.started)
		return cv_fail(transfer->err, CONVO_E_TIMEOUT, "%s: no answer for %d ms", shown,
			       idle_ms);
	if (transfer->timed_out)
		return cv_fail(transfer->err, CONVO_E_TIMEOUT, "%s: silent for %d ms", shown,
			       idle_ms);
	cv_transfer_begin_reply(transfer);
	return cv_reply_end(&transfer->reply, cut);
}

void cv_transfer_init(struct transfer *transfer, const struct endpoint *endpoint,
		      const struct access *access, struct curl_link *link, convo_cancel *cancel,
		      struct convo_err *err)
{
	memset(transfer, 0, sizeof(*transfer));
	transfer->endpoint = endpoint;
	transfer->access = access;
	transfer->link = link;
	transfer->cancel = cancel;
	transfer->err = err;
	transfer->reply.err = err;
	transfer->reply.base = endpoint->shown;
	transfer->reply.wire.secrets = &access->secrets;
}

void cv_transfer_clear(struct transfer *transfer)
{
	cv_curl.multi_remove_handle(transfer->link->multi, transfer->link->easy);
	cv_curl.slist_free_all(transfer->headers);
	cv_buf_clear(&transfer->body);
	cv_reply_clear(&transfer->reply);
}
