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

/* What is wrong with host, host:port, [v6] or [v6]:port, or NULL. */
static const char *host_wrong(struct cv_text host)
{
	const char *end = host.data + host.len, *port;
	long number = 0;

	if (host.len && *host.data == '[') {
		port = memchr(host.data, ']', host.len);
		if (!port || port == host.data + 1)
			return "its IPv6 address is none";
		port++;
	} else {
		const char *colon = host.len ? memchr(host.data, ':', host.len) : NULL;

		port = colon ? colon : end;
		if (port == host.data)
			return "it names no host";
	}
	if (port == end)
		return NULL;
	if (*port++ != ':' || port == end)
		return "its port is none";
	for (; port < end && *port >= '0' && *port <= '9' && number < 65536; port++)
		number = number * 10 + (*port - '0');
	return port == end && number > 0 && number < 65536 ? NULL : "its port is none";
}

/* Cut a base URL into its parts. Gives what is wrong with it, or NULL. */
static const char *parts_read(struct parts *parts, const char *base)
{
	const char *pos = base, *at, *c;
	size_t len;

	for (c = base; *c; c++) {
		if ((unsigned char)*c <= 0x20 || *c == 0x7f)
			return "it holds a blank or a control character";
	}
	if (strncasecmp(pos, "http://", 7) == 0)
		parts->scheme = parts_take(&pos, 7);
	else if (strncasecmp(pos, "https://", 8) == 0)
		parts->scheme = parts_take(&pos, 8);
	else if (strstr(pos, "://"))
		return "it must begin with http:// or https://";
	else
		return "it lacks http:// or https:// at its beginning";
	len = strcspn(pos, "/?#");
	for (at = pos + len; at > pos && at[-1] != '@'; at--)
		;
	len -= (size_t)(at - pos);
	parts->user = parts_take(&pos, (size_t)(at - pos));
	parts->host = parts_take(&pos, len);
	parts->path = parts_take(&pos, strcspn(pos, "?#"));
	parts->query = parts_take(&pos, *pos == '?' ? strcspn(pos, "#") : 0);
	return host_wrong(parts->host);
}

/* What of a value that is no URL may be shown: nothing before an '@', where a password may stand, and
 * no query. */
static struct cv_text parts_show(const char *base)
{
	const char *at = strrchr(base, '@'), *shown = at ? at + 1 : base;

	return (struct cv_text){shown, strcspn(shown, "?#")};
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
	const struct cv_text none = {"", 0};
	const struct cv_text pieces[] = {
		parts->scheme, shown ? none : parts->user, parts->host,
		parts->path,   cv_text_of(path),           shown ? none : parts->query,
	};
	struct cv_buf url = {0};
	char *joined = NULL;
	int rc = 0;

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]) && rc == 0; i++)
		rc = cv_buf_add(&url, pieces[i].data, pieces[i].len);
	if (rc == 0)
		joined = cv_buf_take(&url);
	cv_buf_clear(&url);
	return joined;
}

int cv_endpoint_init(struct endpoint *out, const char *base, struct convo_err *err)
{
	struct parts parts;
	const char *wrong;

	memset(out, 0, sizeof(*out));
	wrong = parts_read(&parts, base);
	if (wrong) {
		struct cv_text shown = parts_show(base);

		return cv_fail(err, CONVO_E_INVALID, "the base URL '%.*s' is wrong: %s",
			       shown.len > 100 ? 100 : (int)shown.len, shown.data, wrong);
	}
	path_cut(&parts.path);
	out->tls = parts.scheme.len == strlen("https://");
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
