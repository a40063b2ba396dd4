/*
 * Reading the options of an endpoint; see access.h.
 */
#include <model/access.h>

#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include <convo/text.h>

#include <base/alloc.h>
#include <base/buf.h>

#define DEFAULT_CONNECT_MS 10000
#define DEFAULT_IDLE_MS 300000
#define DEFAULT_RETRIES 2
#define MOST_RETRIES 100
#define MOST_HEADERS 64u
#define LONGEST_LINE 8192u

/* A header's value this long is taken for a secret: it may be a key of another name. */
#define SECRET_VALUE 8u

/* ---- numbers ------------------------------------------------------------------------------ */

static int access_number(int *out, int given, int by_default, const char *name,
			 struct convo_err *err)
{
	if (given < 0)
		return cv_fail(err, CONVO_E_INVALID, "%s is negative: %d", name, given);
	*out = given ? given : by_default;
	return 0;
}

static int access_retries(struct access *out, int given, struct convo_err *err)
{
	if (given < CONVO_OFF || given > MOST_RETRIES)
		return cv_fail(err, CONVO_E_INVALID,
			       "max_retries is %d: it must be 1 to %d, 0 or CONVO_OFF", given,
			       MOST_RETRIES);
	out->retries = given == CONVO_OFF ? 0 : given ? given : DEFAULT_RETRIES;
	return 0;
}

/* ---- headers ------------------------------------------------------------------------------ */

/* A token of RFC 9110, 5.6.2. */
static bool header_is_token(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t header_name_len(const char *line)
{
	size_t len = 0;

	while (header_is_token(line[len]))
		len++;
	return len;
}

/* Whether the name is one that the client must set itself, lest the request be another one. */
static bool header_is_ours(const char *name, size_t len)
{
	static const char *const ours[] = {"accept",       "accept-encoding",
					   "connection",   "content-length",
					   "content-type", "expect",
					   "host",         "te",
					   "trailer",      "transfer-encoding",
					   "upgrade"};

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (strlen(ours[i]) == len && strncasecmp(ours[i], name, len) == 0)
			return true;
	}
	return false;
}

static int header_check(const char *line, size_t number, struct convo_err *err)
{
	size_t len = strnlen(line, LONGEST_LINE + 1), name = header_name_len(line), i;

	if (len > LONGEST_LINE)
		return cv_fail(err, CONVO_E_INVALID, "header %zu is longer than %u bytes", number,
			       LONGEST_LINE);
	if (!name || line[name] != ':')
		return cv_fail(err, CONVO_E_INVALID,
			       "header %zu is none: write 'Name: value', the name without blanks",
			       number);
	for (i = name; i < len; i++) {
		if (((unsigned char)line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7f)
			return cv_fail(err, CONVO_E_INVALID,
				       "header %.*s: its value holds a line end or another "
				       "control character",
				       (int)name, line);
	}
	if (header_is_ours(line, name))
		return cv_fail(err, CONVO_E_INVALID,
			       "header %.*s: it is set for each request and cannot be given",
			       (int)name, line);
	return 0;
}

static struct cv_text header_value(const char *line)
{
	struct cv_text value = cv_text_of(line + header_name_len(line) + 1);

	while (value.len && (*value.data == ' ' || *value.data == '\t')) {
		value.data++;
		value.len--;
	}
	while (value.len && (value.data[value.len - 1] == ' ' || value.data[value.len - 1] == '\t'))
		value.len--;
	return value;
}

/* libcurl sends a header without a value for "Name;", and none at all for "Name:". */
static char *header_line(const char *line)
{
	size_t name = header_name_len(line);
	char *copy;

	if (header_value(line).len)
		return cv_memdup(line, strlen(line));
	copy = cv_memdup(line, name + 1);
	if (copy)
		copy[name] = ';';
	return copy;
}

static bool access_has(const struct access *access, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < access->line_count; i++) {
		if (header_name_len(access->lines[i]) == len &&
		    strncasecmp(access->lines[i], name, len) == 0)
			return true;
	}
	return false;
}

/* Take a line, and what of it is secret; there is room for both. */
static int access_add(struct access *out, char *line, size_t secret_at, struct convo_err *err)
{
	struct cv_text *secrets = (struct cv_text *)out->secrets.item;
	struct cv_text secret;

	if (!line)
		return cv_fail_nomem(err);
	out->lines[out->line_count++] = line;
	secret = secret_at ? cv_text_of(line + secret_at) : header_value(line);
	if (secret_at || secret.len >= SECRET_VALUE)
		secrets[out->secrets.count++] = secret;
	return 0;
}

static int access_headers(struct access *out, const char *const *headers, struct convo_err *err)
{
	size_t count = 0;
	int rc;

	while (headers && headers[count]) {
		if (++count > MOST_HEADERS)
			return cv_fail(err, CONVO_E_INVALID, "more than %u headers", MOST_HEADERS);
	}
	out->lines = cv_alloc(count + 1, sizeof(*out->lines));
	out->secrets.item = cv_alloc(count + 1, sizeof(*out->secrets.item));
	if (!out->lines || !out->secrets.item)
		return cv_fail_nomem(err);
	for (size_t i = 0; i < count; i++) {
		rc = header_check(headers[i], i + 1, err);
		if (rc < 0)
			return rc;
		rc = access_add(out, header_line(headers[i]), 0, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int access_key(struct access *out, const char *key, struct convo_err *err)
{
	static const char name[] = "Authorization: Bearer ";
	struct cv_buf line = {0};
	int rc;

	if (!key || !*key)
		return 0;
	for (const char *c = key; *c; c++) {
		if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f)
			return cv_fail(err, CONVO_E_INVALID,
				       "the API key holds a blank, a control character or "
				       "something that is not ASCII");
	}
	if (access_has(out, "Authorization"))
		return cv_fail(err, CONVO_E_INVALID,
			       "there are an API key and a header Authorization: give one");
	rc = cv_buf_addf(&line, "%s%s", name, key);
	if (rc < 0)
		return cv_buf_fail(err, rc);
	return access_add(out, cv_buf_take(&line), sizeof(name) - 1, err);
}

/* ---- the way ------------------------------------------------------------------------------- */

static int access_proxy(struct access *out, const char *proxy, struct convo_err *err)
{
	static const char *const schemes[] = {"http://",    "https://",  "socks4://",
					      "socks4a://", "socks5://", "socks5h://"};
	bool known;

	if (!proxy)
		return 0;
	for (const char *c = proxy; *c; c++) {
		if ((unsigned char)*c <= 0x20 || *c == 0x7f)
			return cv_fail(err, CONVO_E_INVALID,
				       "the proxy's URL holds a blank or a control character");
	}
	known = !strstr(proxy, "://");
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		known = known || strncasecmp(proxy, schemes[i], strlen(schemes[i])) == 0;
	if (!known)
		return cv_fail(err, CONVO_E_INVALID,
			       "the proxy's URL begins with none of http:// https:// socks4:// "
			       "socks4a:// socks5:// socks5h://");
	out->proxy = cv_memdup(proxy, strlen(proxy));
	return out->proxy ? 0 : cv_fail_nomem(err);
}

static int access_ca_file(struct access *out, const char *path, struct convo_err *err)
{
	if (!path || !*path)
		return 0;
	if (access(path, R_OK) != 0)
		return cv_fail(err, CONVO_E_INVALID, "the CA file '%s' cannot be read: %s", path,
			       strerror(errno));
	out->ca_file = cv_memdup(path, strlen(path));
	return out->ca_file ? 0 : cv_fail_nomem(err);
}

int cv_access_init(struct access *out, const struct convo_model_options *opts,
		   struct convo_err *err)
{
	int rc;

	memset(out, 0, sizeof(*out));
	rc = access_number(&out->connect_ms, opts->connect_timeout_ms, DEFAULT_CONNECT_MS,
			   "connect_timeout_ms", err);
	if (rc < 0)
		return rc;
	rc = access_number(&out->idle_ms, opts->idle_timeout_ms, DEFAULT_IDLE_MS, "idle_timeout_ms",
			   err);
	if (rc < 0)
		return rc;
	rc = access_retries(out, opts->max_retries, err);
	if (rc < 0)
		return rc;
	rc = access_headers(out, opts->headers, err);
	if (rc < 0)
		return rc;
	rc = access_key(out, opts->api_key, err);
	if (rc < 0)
		return rc;
	rc = access_proxy(out, opts->proxy, err);
	return rc < 0 ? rc : access_ca_file(out, opts->ca_file, err);
}

/* Free a text that may hold a secret. */
static void access_wipe(char *text)
{
	volatile char *wipe = text;

	while (wipe && *wipe)
		*wipe++ = 0;
	free(text);
}

void cv_access_clear(struct access *access)
{
	for (size_t i = 0; i < access->line_count; i++)
		access_wipe(access->lines[i]);
	free(access->lines);
	free((struct cv_text *)access->secrets.item);
	access_wipe(access->proxy);
	free(access->ca_file);
	memset(access, 0, sizeof(*access));
}
