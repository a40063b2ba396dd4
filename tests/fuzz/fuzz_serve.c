/*
 * Fuzzing the server: heads, bodies, and what each API reads of them. The input is requests with a byte 0x1e between
 * them, which one client sends after the other to a server of its own, on a store in memory and the echo model:
 *
 *     POST /convo/v1/sessions/s/events?a=b
 *     Name: value
 *
 *     the body
 *
 * Host and the length of the body are added where they are not told. Whatever is asked, there is one answer that is no
 * failure of ours, what it calls JSON and events is that, and no header holds what somebody has smuggled in.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem() */
#endif

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <convo/convo.h>

#include "api/apis.h"
#include "api/live.h"
#include "auth/auth.h"
#include "core/json.h"
#include "fake_mhd.h"
#include "http/connection.h"
#include "metrics/metrics.h"
#include "metrics/usage.h"

/* Requests of one input. */
#define REQUESTS 8

/* A stream that has no end is read until it is silent for so long. */
#define QUIET_MS 20

/* The one path that wants them. */
#define USAGE "/usage.json"

/* Whatever takes longer hangs. */
#define HANG_MS 60000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
	if (!truth)
		abort();
}

/* ---- the server ------------------------------------------------------------------------- */

struct bench {
	struct service service;
	struct http_api apis[APIS_MOST];
	struct http_listener listener;
	struct http_server server;
};

/* Keeping figures takes longer than all else, so it is left away where nobody asks for them. */
static void bench_open(struct bench *at, bool figures)
{
	const struct convo_store_options options = {.clean_interval_ms = -1};
	const struct model_config model = {.name = "echo"};
	struct service *service = &at->service;

	must(convo_store_open(&service->store, "memory:", &options, NULL) == 0);
	must(models_new(&service->models, service->store, NULL) == 0);
	must(metrics_new(&service->metrics, NULL) == 0);
	models_listen(service->models, metrics_model, service->metrics);
	must(models_add(service->models, &model, NULL) == 0);
	must(auth_one_user(&service->auth, "app", "user", NULL) == 0);
	must(live_open(&service->live, service->store, NULL) == 0);
	must(!figures || usage_start(&service->usage, service->metrics, service->store, NULL) == 0);
	at->server.options = (struct http_options){
		.listener = &at->listener,
		.apis = at->apis,
		.api_count = apis_all(at->apis, service),
		.admit = auth_admit,
		.admit_ctx = service->auth,
		.done = metrics_done,
		.done_ctx = service->metrics,
		.hosts = "named.example",
		.origins = "https://page.example",
	};
	must(metrics_set_routes(service->metrics, at->apis, at->server.options.api_count,
				AUTH_CHAT | AUTH_READ, NULL) == 0);
	must(workers_new(&at->server.quick, connection_work, 1, 4, NULL) == 0);
	must(workers_new(&at->server.slow, connection_work, 1, 4, NULL) == 0);
}

static void bench_close(struct bench *at)
{
	struct service *service = &at->service;

	workers_free(at->server.quick);
	workers_free(at->server.slow);
	must(atomic_load(&at->server.under_way) == 0 && atomic_load(&at->server.bodies) == 0);
	usage_stop(service->usage);
	live_close(service->live);
	models_free(service->models);
	convo_store_close(service->store);
	metrics_free(service->metrics);
	auth_free(service->auth);
}

/* ---- what is asked ---------------------------------------------------------------------- */

struct asked {
	struct MHD_Connection connection;
	const char *method, *url;
	const char *body;
	size_t body_len;
	char length[24];
};

static bool asked_has(const struct asked *asked, const char *name)
{
	size_t i;

	for (i = 0; i < asked->connection.headers; i++)
		if (!strcasecmp(asked->connection.header[i].name, name))
			return true;
	return false;
}

static void asked_header(struct asked *asked, const char *name, const char *value)
{
	if (asked->connection.headers < FAKE_PAIRS)
		asked->connection.header[asked->connection.headers++] =
			(struct fake_pair){name, value};
}

/* Cut a text at the first of these. @return what is behind it; NULL: it is not there */
static char *cut(char *text, const char *at)
{
	char *end = strpbrk(text, at);

	if (!end)
		return NULL;
	*end = '\0';
	return end + 1;
}

/* As the library takes it apart: still encoded. */
static void asked_query(struct asked *asked, char *query)
{
	char *next;

	for (; query && asked->connection.queries < FAKE_PAIRS; query = next) {
		next = cut(query, "&");
		asked->connection.query[asked->connection.queries++] =
			(struct fake_pair){query, cut(query, "=")};
	}
}

static void asked_headers(struct asked *asked, char *line)
{
	char *next, *value;

	for (; line; line = next) {
		next = cut(line, "\n");
		value = cut(line, ":");
		if (value && *line)
			asked_header(asked, line, value + strspn(value, " \t"));
	}
}

/* `text` ends with a NUL, and is taken apart. @return whether it is a request */
static bool asked_read(struct asked *asked, char *text, size_t len)
{
	char *body = strstr(text, "\n\n"), *headers, *url;

	memset(asked, 0, sizeof(*asked));
	if (body) {
		*body = '\0';
		asked->body = body + 2;
		asked->body_len = len - (size_t)(asked->body - text);
	}
	headers = cut(text, "\n");
	url = cut(text, " ");
	if (!url || *url != '/')
		return false;
	asked->method = text;
	asked->url = url;
	cut(url, " \t\r");
	asked_query(asked, cut(url, "?"));
	asked_headers(asked, headers);
	if (!asked_has(asked, "Host"))
		asked_header(asked, "Host", "localhost");
	snprintf(asked->length, sizeof(asked->length), "%zu", asked->body_len);
	if (!asked_has(asked, "Content-Length") && !asked_has(asked, "Transfer-Encoding"))
		asked_header(asked, "Content-Length", asked->length);
	return true;
}

/* ---- what is answered ------------------------------------------------------------------- */

static void check_json(const char *text, size_t len)
{
	json_t *json = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

	must(json);
	json_decref(json);
}

static void check_line(const char *line, size_t len)
{
	if (!len || *line == ':')
		return;
	if (len >= 6 && !memcmp(line, "data: ", 6)) {
		if (len != 12 || memcmp(line + 6, "[DONE]", 6) != 0)
			check_json(line + 6, len - 6);
		return;
	}
	must((len > 7 && !memcmp(line, "event: ", 7)) || (len > 4 && !memcmp(line, "id: ", 4)));
}

/* Whole lines, and an empty one at the end. */
static void check_events(const struct text *events)
{
	const char *line = events->data, *end;

	must(!events->len || (events->len > 1 && !strcmp(events->data + events->len - 2, "\n\n")));
	for (; line && *line; line = end + 1) {
		end = strchr(line, '\n');
		must(end);
		check_line(line, (size_t)(end - line));
	}
}

/* @return whether the stream came to its end */
static bool stream_read_all(struct text *out, struct MHD_Connection *connection, bool endless)
{
	struct MHD_Response *response = connection->response;
	char piece[4096];

	while (true) {
		ssize_t n = response->read(response->ctx, out->len, piece, sizeof(piece));

		if (n < 0) {
			must(n == MHD_CONTENT_READER_END_OF_STREAM);
			return true;
		}
		must(text_add(out, piece, (size_t)n));
		if (!fake_wait(connection, endless ? QUIET_MS : HANG_MS)) {
			must(endless);
			return false;
		}
	}
}

/* @return whether all of it was read */
static bool check_answer(struct asked *asked)
{
	struct MHD_Response *response = asked->connection.response;
	const size_t len = strlen(asked->url);
	struct text events = {0};
	bool ended = true;

	must(response && asked->connection.status >= 200 && asked->connection.status < 600);
	must(asked->connection.status != 500);
	if (response->read) {
		must(!strcmp(response->type, "text/event-stream"));
		ended = stream_read_all(&events, &asked->connection,
					len > 7 && !strcmp(asked->url + len - 7, "/follow"));
		check_events(&events);
		text_clear(&events);
	} else if (!strcmp(response->type, "application/json")) {
		check_json(response->data, response->len);
	}
	return ended;
}

/* ---- one after the other ---------------------------------------------------------------- */

static enum MHD_Result asked_step(struct bench *at, struct asked *asked, const char *data,
				  size_t *len, void **slot)
{
	return connection_request(&at->server, &asked->connection, asked->url, asked->method,
				  "HTTP/1.1", data, len, slot);
}

/* As the library calls: the head, the body where it is read, its end, and once more when an answer is ready. */
static void ask(struct bench *at, struct asked *asked)
{
	struct MHD_Connection *connection = &asked->connection;
	size_t len = asked->body_len, none = 0;
	void *slot = NULL;
	bool ended;

	pthread_mutex_init(&connection->lock, NULL);
	pthread_cond_init(&connection->woken, NULL);
	must(asked_step(at, asked, NULL, &none, &slot) == MHD_YES);
	if (!connection->response && len)
		must(asked_step(at, asked, asked->body, &len, &slot) == MHD_YES && !len);
	if (!connection->response)
		must(asked_step(at, asked, NULL, &none, &slot) == MHD_YES);
	if (!connection->response) {
		must(fake_wait(connection, HANG_MS));
		must(asked_step(at, asked, NULL, &none, &slot) == MHD_YES);
	}
	ended = check_answer(asked);
	connection_completed(&at->server, connection, &slot,
			     ended ? MHD_REQUEST_TERMINATED_COMPLETED_OK
				   : MHD_REQUEST_TERMINATED_CLIENT_ABORT);
	MHD_destroy_response(connection->response);
	pthread_cond_destroy(&connection->woken);
	pthread_mutex_destroy(&connection->lock);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bench at = {.listener = {.fd = -1}};
	struct asked asked;
	char *text = malloc(size + 1), *next, *one;
	size_t count;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	bench_open(&at, memmem(data, size, USAGE, strlen(USAGE)));
	for (one = text, count = 0; one && count < REQUESTS; one = next, count++) {
		char *end = memchr(one, 0x1e, size - (size_t)(one - text));

		next = end ? end + 1 : NULL;
		end = end ? end : text + size;
		*end = '\0';
		if (asked_read(&asked, one, (size_t)(end - one)))
			ask(&at, &asked);
	}
	bench_close(&at);
	free(text);
	return 0;
}
