/*
 * Store URLs; see url.h.
 */
#include <base/url.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/utf8.h>

static int url_fail(struct convo_err *err, const char *why)
{
	return cv_fail(err, CONVO_E_INVALID, "bad store URL: %s", why);
}

static int url_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode in place. */
static int url_decode(char *text, struct convo_err *err)
{
	char *to = text, *start = text;

	for (; *text; text++) {
		int high, low;

		if (*text != '%') {
			*to++ = *text;
			continue;
		}
		high = url_digit(text[1]);
		low = high < 0 ? -1 : url_digit(text[2]);
		if (low < 0)
			return url_fail(err, "'%' must be followed by two hex digits");
		if (high == 0 && low == 0)
			return url_fail(err, "it holds %00");
		*to++ = (char)(high * 16 + low);
		text += 2;
	}
	*to = '\0';
	if (!cv_utf8_valid(start, (size_t)(to - start)))
		return url_fail(err, "it is not UTF-8");
	return 0;
}

static int url_parse_params(struct cv_url *url, char *query, struct convo_err *err)
{
	char *next;
	int rc;

	for (; query && *query; query = next) {
		char *value;

		next = strchr(query, '&');
		if (next)
			*next++ = '\0';
		value = strchr(query, '=');
		if (!value || value == query)
			return url_fail(err, "write its options as ?name=value&name=value");
		*value++ = '\0';
		if (url->count == URL_PARAMS)
			return url_fail(err, "too many options");
		rc = url_decode(query, err);
		if (rc < 0)
			return rc;
		rc = url_decode(value, err);
		if (rc < 0)
			return rc;
		url->param[url->count].name = query;
		url->param[url->count++].value = value;
	}
	return 0;
}

static int url_parse_port(int *out, struct cv_text text, struct convo_err *err)
{
	int port = 0;
	size_t i;

	*out = 0;
	if (!text.len)
		return 0;
	for (i = 0; i < text.len && text.data[i] >= '0' && text.data[i] <= '9' && port < 100000;
	     i++)
		port = port * 10 + (text.data[i] - '0');
	if (i < text.len || port < 1 || port > 65535)
		return url_fail(err, "the port must be 1 to 65535");
	*out = port;
	return 0;
}

/* Where ":port" begins in "host:port", "[v6]:port" or "/directory:port"; its end without one. NULL
 * for an address whose colons tell nothing. */
static const char *url_find_port(struct cv_text text)
{
	const char *end = text.data + text.len, *colon = end, *p;

	if (text.len && *text.data == '[') {
		p = memchr(text.data, ']', text.len);
		return p && (p + 1 == end || p[1] == ':') ? p + 1 : NULL;
	}
	for (p = text.data; p < end; p++) {
		if (*p != ':')
			continue;
		if (colon < end && *text.data != '/')
			return NULL;
		colon = p;
	}
	return colon;
}

static int url_split_host(struct cv_url_host *out, struct cv_text text, struct convo_err *err)
{
	const char *end = text.data + text.len, *port = url_find_port(text);

	if (!port)
		return url_fail(err, "write an IPv6 address as [::1]:port");
	out->name = (struct cv_text){text.data, (size_t)(port - text.data)};
	if (text.len && *text.data == '[') {
		out->name.data++;
		out->name.len -= 2;
	}
	if (port < end)
		port++;
	return url_parse_port(&out->port, (struct cv_text){port, (size_t)(end - port)}, err);
}

int cv_url_host_in(const char *list, size_t i, struct cv_url_host *out, struct convo_err *err)
{
	size_t len = strcspn(list, ",");

	for (; i; i--) {
		if (!list[len])
			return 0;
		list += len + 1;
		len = strcspn(list, ",");
	}
	return url_split_host(out, (struct cv_text){list, len}, err) < 0 ? CONVO_E_INVALID : 1;
}

int cv_url_host_at(const struct cv_url *url, size_t i, struct cv_url_host *out)
{
	if (!url->host)
		return 0;
	if (strchr(url->host, ','))
		return cv_url_host_in(url->host, i, out, NULL);
	*out = (struct cv_url_host){cv_text_of(url->host), url->port};
	return i == 0;
}

/* Look at each host of a list; it is kept as it is. */
static int url_check_hosts(const char *list, struct convo_err *err)
{
	struct cv_url_host host;
	size_t i = 0;
	int rc;

	do
		rc = cv_url_host_in(list, i++, &host, err);
	while (rc > 0 && host.name.len);
	if (rc > 0)
		return url_fail(err, "a host of its list has no name");
	return rc;
}

static int url_parse_host(struct cv_url *url, char *text, struct convo_err *err)
{
	struct cv_url_host host;
	int rc;

	if (strchr(text, ',')) {
		url->host = text;
		rc = url_decode(text, err);
		return rc < 0 ? rc : url_check_hosts(text, err);
	}
	rc = url_split_host(&host, cv_text_of(text), err);
	if (rc < 0)
		return rc;
	url->port = host.port;
	text += host.name.data - text;
	text[host.name.len] = '\0';
	if (*text)
		url->host = text;
	rc = url_decode(text, err);
	if (rc == 0 && strchr(text, ','))
		return url_fail(err, "the name of a host has a comma");
	return rc;
}

/* user:password@host:port */
static int url_parse_authority(struct cv_url *url, char *authority, struct convo_err *err)
{
	char *at = strrchr(authority, '@'), *colon;
	int rc;

	if (at) {
		*at = '\0';
		colon = strchr(authority, ':');
		if (colon) {
			*colon = '\0';
			url->password = colon + 1;
			rc = url_decode(url->password, err);
			if (rc < 0)
				return rc;
		}
		if (*authority) {
			url->user = authority;
			rc = url_decode(authority, err);
			if (rc < 0)
				return rc;
		}
		authority = at + 1;
	}
	return url_parse_host(url, authority, err);
}

static int url_parse_scheme(struct cv_url *url, char **rest, struct convo_err *err)
{
	char *p = url->memory;

	url->scheme = p;
	for (; *p && *p != ':'; p++) {
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p | 0x20);
		else if (!(*p >= 'a' && *p <= 'z') &&
			 !(p > url->memory && ((*p >= '0' && *p <= '9') || strchr("+-.", *p))))
			break;
	}
	if (*p != ':' || p == url->memory)
		return url_fail(err, "it must begin with a scheme, like sqlite: or redis://");
	*p = '\0';
	*rest = p + 1;
	return 0;
}

static int url_parse_parts(struct cv_url *url, struct convo_err *err)
{
	char *rest = NULL, *query;
	int rc = url_parse_scheme(url, &rest, err);

	if (rc < 0)
		return rc;
	query = strchr(rest, '?');
	if (query) {
		*query++ = '\0';
		rc = url_parse_params(url, query, err);
		if (rc < 0)
			return rc;
	}
	if (rest[0] == '/' && rest[1] == '/') {
		/* The authority moves one byte down, so that a NUL fits before the path. */
		size_t len = strcspn(rest + 2, "/");

		memmove(rest + 1, rest + 2, len);
		rest[1 + len] = '\0';
		rc = url_parse_authority(url, rest + 1, err);
		rest += 2 + len;
	}
	if (rc < 0 || !*rest)
		return rc;
	url->path = rest;
	return url_decode(rest, err);
}

int cv_url_parse(struct cv_url *out, const char *text, struct convo_err *err)
{
	int rc;

	memset(out, 0, sizeof(*out));
	if (strlen(text) > 8192)
		return url_fail(err, "longer than 8192 bytes");
	out->memory = cv_memdup(text, strlen(text));
	if (!out->memory)
		return cv_fail_nomem(err);
	rc = url_parse_parts(out, err);
	if (rc < 0)
		cv_url_clear(out);
	return rc;
}

const char *cv_url_param(const struct cv_url *url, const char *name)
{
	size_t i;

	for (i = url->count; i-- > 0;) {
		if (strcmp(url->param[i].name, name) == 0)
			return url->param[i].value;
	}
	return NULL;
}

void cv_url_clear(struct cv_url *url)
{
	volatile char *wipe = url->password;

	while (wipe && *wipe)
		*wipe++ = 0;
	free(url->memory);
	memset(url, 0, sizeof(*url));
}
