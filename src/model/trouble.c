/*
 * Why a server was not reached, in words: an advice belongs to a cause, so each cause is told apart
 * that a person can do something about. See transfer.h.
 */
#include <model/transfer.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libcurl lets a header grow to 100 KiB. */
#define HEADER_ROOM (256u << 10)

static const char *trouble_why(const struct transfer *transfer)
{
	return *transfer->why ? transfer->why : cv_curl.easy_strerror(transfer->result);
}

static bool trouble_begins(const struct transfer *transfer, const char *words)
{
	return strncmp(transfer->why, words, strlen(words)) == 0;
}

/* Whether the URL of the proxy cannot be read. libcurl then repeats all of it, the password too. */
static bool trouble_is_proxy_url(const struct transfer *transfer)
{
	return trouble_begins(transfer, "Unsupported proxy") ||
	       (transfer->result == CURLE_COULDNT_RESOLVE_PROXY &&
		!trouble_begins(transfer, "Could not resolve"));
}

/* ---- headers without end ------------------------------------------------------------------ */

/*
 * Whether the server's head has no end. libcurl calls a line that does not fit its buffer "out of
 * memory": if there is memory for as much, it was the line.
 */
static bool trouble_is_header(const struct transfer *transfer)
{
	void *room;

#if LIBCURL_VERSION_NUM >= 0x080600
	if (transfer->result == CURLE_TOO_LARGE)
		return true;
#endif
	if (transfer->result == CURLE_RECV_ERROR)
		return trouble_begins(transfer, "Too large response headers");
	if (transfer->result != CURLE_OUT_OF_MEMORY)
		return false;
	room = malloc(HEADER_ROOM);
	free(room);
	return room != NULL;
}

/* ---- TLS ---------------------------------------------------------------------------------- */

/* What libraries say when the other side answers in plain text. */
static bool trouble_is_plain(const struct transfer *transfer)
{
	static const char *const words[] = {"wrong version number", "unexpected TLS packet",
					    "http request", "packet length too long"};

	if (transfer->result != CURLE_SSL_CONNECT_ERROR)
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strstr(transfer->why, words[i]))
			return true;
	}
	return false;
}

/* Whether there may be a proxy on the way: then what stands is the connection to that. */
static bool trouble_has_proxy(const struct access *access)
{
	static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};

	if (access->proxy)
		return *access->proxy;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return true;
	}
	return false;
}

/* Whether the connection stood and TLS on it did not come about in time. */
static bool trouble_is_mute(const struct transfer *transfer)
{
	return transfer->result == CURLE_OPERATION_TIMEDOUT && transfer->endpoint->tls &&
	       transfer->link->stood && !trouble_has_proxy(transfer->access);
}

static int trouble_certificate(const struct transfer *transfer)
{
	const char *base = transfer->endpoint->shown, *why = trouble_why(transfer);

	if (strstr(why, "subject name") || strstr(why, "does not match"))
		return cv_fail(transfer->err, CONVO_E_IO,
			       "%s: the certificate is that of another host: %s", base, why);
	if (strstr(why, "expired") || strstr(why, "not yet valid"))
		return cv_fail(transfer->err, CONVO_E_IO,
			       "%s: the certificate is not valid now: %s", base, why);
	return cv_fail(transfer->err, CONVO_E_IO,
		       "%s: the certificate is not trusted: %s; to trust it, name its authority's "
		       "file: SSL_CERT_FILE",
		       base, why);
}

static int trouble_ca_file(const struct transfer *transfer)
{
	const char *given = transfer->access->ca_file;
	const char *file = given ? given : getenv("SSL_CERT_FILE");

	if (!file || !*file)
		return cv_fail(transfer->err, CONVO_E_IO,
			       "the system's file of certificates is missing or cannot be read: "
			       "install ca-certificates, or name one: SSL_CERT_FILE");
	return cv_fail(transfer->err, CONVO_E_IO, "%s '%s' holds no certificates or cannot be read",
		       given ? "the CA file" : "SSL_CERT_FILE", file);
}

/* ---- connections -------------------------------------------------------------------------- */

/* libcurl's words alone tell which machine it was: with a proxy, not that of the URL. */
static int trouble_connect(const struct transfer *transfer)
{
	const char *base = transfer->endpoint->shown, *why = trouble_why(transfer);
	char host[128] = "";
	int port = 0;
	long number = 0;

	cv_curl.easy_getinfo(transfer->link->easy, CURLINFO_OS_ERRNO, &number);
	if (!number || sscanf(why, "Failed to connect to %127s port %d", host, &port) != 2)
		return cv_fail(transfer->err, CONVO_E_GONE, "%s: cannot connect: %s", base,
			       number ? strerror((int)number) : why);
	return cv_fail(transfer->err, CONVO_E_GONE, "%s: cannot connect to %s port %d: %s", base,
		       host, port, strerror((int)number));
}

int cv_trouble_fail(const struct transfer *transfer)
{
	const char *base = transfer->endpoint->shown, *why = trouble_why(transfer);
	struct convo_err *err = transfer->err;

	if (trouble_is_proxy_url(transfer))
		return cv_fail(err, CONVO_E_IO, "%s: the proxy's URL is none", base);
	if (trouble_is_header(transfer))
		return cv_fail(err, CONVO_E_REFUSED, "%s: the server sent too long a header", base);
	if (trouble_is_plain(transfer))
		return cv_fail(err, CONVO_E_NOTFOUND,
			       "%s: the server does not speak TLS there: try http://", base);
	if (trouble_is_mute(transfer))
		return cv_fail(err, CONVO_E_TIMEOUT,
			       "%s: connected, but no TLS within %d ms: is it a plain server? try "
			       "http://",
			       base, transfer->access->connect_ms);
	switch (transfer->result) {
	case CURLE_OUT_OF_MEMORY:
		return cv_fail_nomem(err);
	case CURLE_OPERATION_TIMEDOUT:
		return cv_fail(err, CONVO_E_TIMEOUT, "%s: no connection within %d ms", base,
			       transfer->access->connect_ms);
	case CURLE_COULDNT_CONNECT:
		return trouble_connect(transfer);
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		return cv_fail(err, CONVO_E_GONE, "%s: %s", base, why);
	case CURLE_SSL_CONNECT_ERROR:
		return cv_fail(err, CONVO_E_GONE, "%s: no TLS came about: %s", base, why);
	case CURLE_PEER_FAILED_VERIFICATION:
		return trouble_certificate(transfer);
	case CURLE_SSL_CACERT_BADFILE:
		return trouble_ca_file(transfer);
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
		return cv_fail(err, CONVO_E_NOTFOUND, "%s: not an HTTP server: %s", base, why);
	default:
		return cv_fail(err, CONVO_E_IO, "%s: %s", base, why);
	}
}

bool cv_trouble_passes(const struct transfer *transfer)
{
	if (!transfer->over || transfer->reply.started || trouble_is_proxy_url(transfer) ||
	    trouble_is_header(transfer) || trouble_is_plain(transfer) || trouble_is_mute(transfer))
		return false;
	switch (transfer->result) {
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
