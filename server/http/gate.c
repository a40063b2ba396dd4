/*
 * The gate; see gate.h.
 */
#include "http/gate.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void gate_refuse(struct http_exchange *exchange, int status, const char *code,
			const char *message)
{
	exchange->early.status = status;
	exchange->early.code = code;
	exchange->early.message = message;
}

/* ---- framing -------------------------------------------------------------------------- */

static bool all_digits(const char *s)
{
	return *s && strspn(s, "0123456789") == strlen(s);
}

/*
 * One way to tell where the body ends, and no other: two that disagree are how requests are smuggled past
 * a proxy (RFC 9112, 6.3).
 */
static void gate_framing(struct http_exchange *exchange, const char *version)
{
	const struct http_request *request = &exchange->request;
	const char *length = http_header(request, "Content-Length");
	const char *coding = http_header(request, "Transfer-Encoding");

	if (http_header_count(request, "Content-Length") +
		    http_header_count(request, "Transfer-Encoding") >
	    1)
		gate_refuse(exchange, 400, NULL, "the length of the body is told more than once");
	else if (length && (!all_digits(length) || strlen(length) > 18))
		gate_refuse(exchange, 400, NULL, "Content-Length is no number");
	else if (coding && (strcasecmp(coding, "chunked") != 0 || strcmp(version, "HTTP/1.1") != 0))
		gate_refuse(exchange, 400, NULL,
			    "Transfer-Encoding can be chunked alone, in HTTP/1.1");
	else if (length && strtoull(length, NULL, 10) > HTTP_BODY_MAX)
		gate_refuse(exchange, 413, NULL, "the body is longer than 8 MiB");
	else if (!length && !coding && (request->method & (HTTP_POST | HTTP_PUT | HTTP_PATCH)) &&
		 !exchange->options)
		gate_refuse(exchange, 411, NULL, "the body has no Content-Length");
}

/* ---- host and origin ------------------------------------------------------------------ */

/* Whether a list, separated by commas, holds the name. */
static bool list_holds(const char *list, const char *name, size_t len)
{
	while (list && *list) {
		size_t one = strcspn(list, ",");

		if ((one == len && !strncasecmp(list, name, len)) || (one == 1 && *list == '*'))
			return true;
		list += one + (list[one] == ',');
	}
	return false;
}

/* The length of a host's name, without its port; 0: it is none. */
static size_t host_len(const char *host)
{
	size_t len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
	const char *rest = host + (len <= strlen(host) ? len : strlen(host));

	if (*rest == ':' ? !all_digits(rest + 1) : *rest)
		return 0;
	return len;
}

static bool host_is_address(const char *host, size_t len)
{
	char copy[INET_ADDRSTRLEN];
	struct in_addr address;

	if (*host == '[')
		return true;
	if (len >= sizeof(copy))
		return false;
	memcpy(copy, host, len);
	copy[len] = '\0';
	return inet_pton(AF_INET, copy, &address) == 1;
}

static bool host_is_ours(const struct http_server *server, const char *host)
{
	size_t len = host_len(host);

	return len &&
	       (host_is_address(host, len) || (len == 9 && !strncasecmp(host, "localhost", 9)) ||
		list_holds(server->options.hosts, host, len));
}

static void gate_host(struct http_exchange *exchange, const char *version)
{
	const char *host = http_header(&exchange->request, "Host");

	if (http_header_count(&exchange->request, "Host") > 1 ||
	    (!host && !strcmp(version, "HTTP/1.1")))
		gate_refuse(exchange, 400, NULL, "there must be one header Host");
	else if (host && !exchange->server->options.listener->plain_name &&
		 !host_is_ours(exchange->server, host))
		gate_refuse(exchange, 421, "unknown_host",
			    "no server of this name is here; -host can name it");
}

/* A page of another origin may neither read nor cause anything, unless it is on the list. */
static void gate_origin(struct http_exchange *exchange)
{
	const struct http_options *options = &exchange->server->options;
	const char *origin = http_header(&exchange->request, "Origin");
	const char *host = http_header(&exchange->request, "Host");
	const char *scheme = options->tls_cert ? "https://" : "http://";

	if (!origin)
		return;
	if (host && !strncmp(origin, scheme, strlen(scheme)) &&
	    !strcasecmp(origin + strlen(scheme), host))
		return;
	if (list_holds(options->origins, origin, strlen(origin)))
		exchange->allow_origin = strdup(origin);
	else
		gate_refuse(exchange, 403, "unknown_origin",
			    "pages of this origin may not ask; -origin can name it");
}

void gate_check(struct http_exchange *exchange, const char *version)
{
	gate_framing(exchange, version);
	if (!exchange->early.status)
		gate_host(exchange, version);
	if (!exchange->early.status)
		gate_origin(exchange);
}

void gate_answer_options(struct http_exchange *exchange)
{
	struct http_request *request = &exchange->request;
	const char *wanted = http_header(request, "Access-Control-Request-Headers");
	struct text methods = {0};

	if (http_methods_add(&methods, exchange->match.allowed)) {
		http_add_header(request, "Allow", methods.data);
		if (exchange->allow_origin) {
			http_add_header(request, "Access-Control-Allow-Methods", methods.data);
			http_add_header(request, "Access-Control-Max-Age", "600");
		}
	}
	if (exchange->allow_origin && wanted)
		http_add_header(request, "Access-Control-Allow-Headers", wanted);
	text_clear(&methods);
	http_reply(request, 204, NULL, NULL);
}
