/*
 * Routes; see route.h.
 */
#include "http/route.h"

#include <string.h>

/* Whether the path fits the pattern; then `out` has where the parameters stand. */
static bool route_fits(struct http_match *out, const char *pattern, const char *path)
{
	size_t at = 0;

	out->params = 0;
	while (*pattern) {
		const char *end;
		size_t len;

		if (*pattern != '{') {
			if (*pattern++ != path[at++])
				return false;
			continue;
		}
		end = strchr(pattern, '}');
		len = !strncmp(end - 3, "...", 3) ? strlen(path + at) : strcspn(path + at, "/");
		if (!len || out->params == HTTP_PARAMS)
			return false;
		out->param[out->params].at = at;
		out->param[out->params++].len = len;
		at += len;
		pattern = end + 1;
	}
	return !path[at];
}

/* The API whose prefix of the path is the longest. */
static const struct http_api *route_api(const struct http_api *apis, size_t count, const char *path)
{
	const struct http_api *best = apis;
	size_t i, len, most = 0;

	for (i = 0; i < count; i++) {
		len = strlen(apis[i].prefix);
		if (len > most && !strncmp(path, apis[i].prefix, len)) {
			best = &apis[i];
			most = len;
		}
	}
	return best;
}

void http_route_find(struct http_match *out, const struct http_api *apis, size_t count,
		     enum http_method method, const char *path)
{
	size_t a, i;

	memset(out, 0, sizeof(*out));
	for (a = 0; a < count; a++)
		for (i = 0; i < apis[a].count; i++) {
			const struct http_route *route = &apis[a].routes[i];

			if (!route_fits(out, route->path, path))
				continue;
			out->api = &apis[a];
			out->allowed |= route->method;
			if (route->method == method) {
				out->route = route;
				return;
			}
		}
	if (!out->api)
		out->api = route_api(apis, count, path);
}

const char *http_method_name(enum http_method method)
{
	switch (method) {
	case HTTP_GET:
		return "GET";
	case HTTP_POST:
		return "POST";
	case HTTP_PUT:
		return "PUT";
	case HTTP_PATCH:
		return "PATCH";
	case HTTP_DELETE:
		return "DELETE";
	}
	return "";
}

bool http_methods_add(struct text *out, unsigned methods)
{
	static const char *const names[] = {"GET, HEAD", "POST", "PUT", "PATCH", "DELETE"};
	bool ok = true;
	unsigned i;

	for (i = 0; ok && i < 5; i++)
		if (methods & 1u << i)
			ok = text_adds(out, names[i]) && text_adds(out, ", ");
	return ok && text_adds(out, "OPTIONS");
}

static int percent_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool http_percent_decode(char *s, bool plus)
{
	char *out = s;
	int high, low;

	for (; *s; s++) {
		if (*s == '+' && plus) {
			*out++ = ' ';
			continue;
		}
		if (*s != '%') {
			*out++ = *s;
			continue;
		}
		high = percent_digit(s[1]);
		low = high < 0 ? -1 : percent_digit(s[2]);
		if (low < 0 || !(high | low))
			return false;
		*out++ = (char)(high << 4 | low);
		s += 2;
	}
	*out = '\0';
	return true;
}
