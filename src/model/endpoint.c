/*
 * Base URLs; see endpoint.h. Read here and not by libcurl, so that a program which has not asked
 * anything yet need not have loaded it.
 */
#include <model/endpoint.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <base/buf.h>
#include <base/text.h>

#define CHAT "/chat/completions"

/* scheme://user@host:port/path?query, cut into pieces of the text it was read from. */
struct parts {
	struct cv_text scheme; /* with :// */
	struct cv_text user;   /* with @ */
	struct cv_text host;   /* with its port */
	struct cv_text path;
	struct cv_text query; /* with ? */
};

static struct cv_text parts_take(const char **pos, size_t len)
{
	struct cv_text part = {*pos, len};

	*pos += len;
	return part;
}

/* host, host:port, [v6] or [v6]:port */
static bool host_is_right(struct cv_text host)
{
	const char *end = host.data + host.len, *port;
	long number = 0;

	if (host.len && *host.data == '[') {
		port = memchr(host.data, ']', host.len);
		if (!port || port == host.data + 1)
			return false;
		port++;
	} else {
		const char *colon = host.len ? memchr(host.data, ':', host.len) : NULL;

		port = colon ? colon : end;
		if (port == host.data)
			return false;
	}
	if (port == end)
		return true;
	if (*port++ != ':' || port == end)
		return false;
	for (; port < end && *port >= '0' && *port <= '9' && number < 65536; port++)
		number = number * 10 + (*port - '0');
	return port == end && number > 0 && number < 65536;
}

static bool parts_read(struct parts *parts, const char *base)
{
	const char *pos = base, *at, *c;
	size_t len;

	for (c = base; *c; c++) {
		if ((unsigned char)*c <= 0x20 || *c == 0x7f)
			return false;
	}
	if (strncasecmp(pos, "http://", 7) == 0)
		parts->scheme = parts_take(&pos, 7);
	else if (strncasecmp(pos, "https://", 8) == 0)
		parts->scheme = parts_take(&pos, 8);
	else
		return false;
	len = strcspn(pos, "/?#");
	for (at = pos + len; at > pos && at[-1] != '@'; at--)
		;
	len -= (size_t)(at - pos);
	parts->user = parts_take(&pos, (size_t)(at - pos));
	parts->host = parts_take(&pos, len);
	parts->path = parts_take(&pos, strcspn(pos, "?#"));
	parts->query = parts_take(&pos, *pos == '?' ? strcspn(pos, "#") : 0);
	return host_is_right(parts->host);
}

/* Leave out slashes at the end. */
static void path_trim(struct cv_text *path)
{
	while (path->len && path->data[path->len - 1] == '/')
		path->len--;
}

/* What people leave at a base's end: slashes, or the whole path of a chat. */
static void path_cut(struct cv_text *path)
{
	const size_t len = sizeof(CHAT) - 1;

	path_trim(path);
	if (path->len >= len && memcmp(path->data + path->len - len, CHAT, len) == 0)
		path->len -= len;
	path_trim(path);
}

static char *parts_join(const struct parts *parts, const char *path, bool shown)
{
	struct cv_buf url = {0};
	int rc = cv_buf_add(&url, parts->scheme.data, parts->scheme.len);
	char *joined = NULL;

	if (rc >= 0 && !shown)
		rc = cv_buf_add(&url, parts->user.data, parts->user.len);
	if (rc >= 0)
		rc = cv_buf_add(&url, parts->host.data, parts->host.len);
	if (rc >= 0)
		rc = cv_buf_add(&url, parts->path.data, parts->path.len);
	if (rc >= 0)
		rc = cv_buf_adds(&url, path);
	if (rc >= 0 && !shown)
		rc = cv_buf_add(&url, parts->query.data, parts->query.len);
	if (rc >= 0)
		joined = cv_buf_take(&url);
	cv_buf_clear(&url);
	return joined;
}

int cv_endpoint_init(struct endpoint *out, const char *base, struct convo_err *err)
{
	struct parts parts;

	memset(out, 0, sizeof(*out));
	if (!parts_read(&parts, base))
		return cv_fail(err, CONVO_E_INVALID,
			       "the base URL is none: it begins with http:// or https:// and "
			       "ends with the version path");
	path_cut(&parts.path);
	out->shown = parts_join(&parts, parts.path.len ? "" : "/", true);
	out->chat_url = parts_join(&parts, CHAT, false);
	out->chat_shown = parts_join(&parts, CHAT, true);
	out->list_url = parts_join(&parts, "/models", false);
	out->list_shown = parts_join(&parts, "/models", true);
	if (!out->shown || !out->chat_url || !out->chat_shown || !out->list_url || !out->list_shown)
		return cv_fail_nomem(err);
	return 0;
}

void cv_endpoint_clear(struct endpoint *endpoint)
{
	free(endpoint->shown);
	free(endpoint->chat_url);
	free(endpoint->chat_shown);
	free(endpoint->list_url);
	free(endpoint->list_shown);
	memset(endpoint, 0, sizeof(*endpoint));
}
