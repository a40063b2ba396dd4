/*
 * Documents; see fetch.h.
 */
#include "core/fetch.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <convo/version.h>

#include "core/fail.h"

/* ---- places --------------------------------------------------------------------------- */

static const char *after(const char *text, const char *prefix)
{
	const size_t len = strlen(prefix);

	return strncasecmp(text, prefix, len) == 0 ? text + len : NULL;
}

bool fetch_is_address(const char *place)
{
	return after(place, "http://") || after(place, "https://");
}

bool fetch_is_safe(const char *address)
{
	static const char *const here[] = {"127.0.0.1", "localhost", "[::1]"};
	const char *host = after(address, "http://");
	size_t i;

	for (i = 0; host && i < sizeof(here) / sizeof(here[0]); i++) {
		const char *rest = after(host, here[i]);

		if (rest && (!*rest || strchr("/:?#", *rest)) && !strchr(host, '@'))
			return true;
	}
	return after(address, "https://") != NULL;
}

bool fetch_show(struct text *out, const char *place)
{
	const char *end = fetch_is_address(place) ? strpbrk(place, "?#") : NULL;
	const char *at, *host = strstr(place, "://");
	size_t len = end ? (size_t)(end - place) : strlen(place);

	if (!fetch_is_address(place) || !host)
		return text_adds(out, place);
	host += 3;
	for (at = place + len; at > host && at[-1] != '@';)
		at--;
	return text_add(out, place, (size_t)(host - place)) &&
	       text_add(out, at, (size_t)(place + len - at));
}

/* ---- files ---------------------------------------------------------------------------- */

int fetch_file(struct text *out, const char *path, size_t most, struct convo_err *err)
{
	char bytes[4096];
	ssize_t n = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc = 0;

	if (fd < 0)
		return fail(err, CONVO_E_GONE, "%s", strerror(errno));
	while (rc == 0 && (n = read(fd, bytes, sizeof(bytes))) > 0) {
		if (out->len + (size_t)n > most)
			rc = fail(err, CONVO_E_TOOBIG, "more than %zu bytes", most);
		else if (!text_add(out, bytes, (size_t)n))
			rc = fail(err, CONVO_E_NOMEM, "out of memory");
	}
	if (n < 0)
		rc = fail(err, CONVO_E_GONE, "%s", strerror(errno));
	close(fd);
	return rc;
}

/* ---- libcurl -------------------------------------------------------------------------- */

/* clang-format off */
#define CURL_CALLS(X) \
	X(easy_cleanup) \
	X(easy_getinfo) \
	X(easy_init) \
	X(easy_perform) \
	X(easy_setopt) \
	X(easy_strerror) \
	X(global_init)

#define CURL_POINTER(name) __typeof__(curl_##name) *(name);
#define CURL_SYMBOL(name) {"curl_" #name, (void **)&curl.name},
/* clang-format on */

static struct {
	CURL_CALLS(CURL_POINTER)
} curl;

static const struct {
	const char *name;
	void **slot;
} curl_symbols[] = {CURL_CALLS(CURL_SYMBOL)};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static bool curl_loaded;

static void curl_load(void)
{
	void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
	size_t i;

	for (i = 0; library && i < sizeof(curl_symbols) / sizeof(curl_symbols[0]); i++) {
		*curl_symbols[i].slot = dlsym(library, curl_symbols[i].name);
		if (!*curl_symbols[i].slot)
			return;
	}
	curl_loaded = library && curl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

/* ---- addresses ------------------------------------------------------------------------ */

struct fetching {
	struct text *out;
	size_t most;
	int rc;
	struct convo_err *err;
};

static size_t fetch_take(char *bytes, size_t size, size_t count, void *ctx)
{
	struct fetching *fetching = ctx;
	const size_t len = size * count;

	if (fetching->out->len + len > fetching->most)
		fetching->rc = fail(fetching->err, CONVO_E_TOOBIG, "more than %zu bytes came",
				    fetching->most);
	else if (!text_add(fetching->out, bytes, len))
		fetching->rc = fail(fetching->err, CONVO_E_NOMEM, "out of memory");
	return fetching->rc < 0 ? 0 : len;
}

#define SET(option, value) (curl.easy_setopt(easy, (option), (value)) == CURLE_OK)

static bool fetch_set(CURL *easy, struct fetching *fetching, const char *address, int ms)
{
	const char *authorities = getenv("SSL_CERT_FILE");

	return SET(CURLOPT_URL, address) && SET(CURLOPT_PROTOCOLS_STR, "http,https") &&
	       SET(CURLOPT_USERAGENT, "convo/" CONVO_VERSION) && SET(CURLOPT_NOSIGNAL, 1L) &&
	       SET(CURLOPT_QUICK_EXIT, 1L) && SET(CURLOPT_TIMEOUT_MS, (long)ms) &&
	       SET(CURLOPT_CONNECTTIMEOUT_MS, (long)ms) &&
	       SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)fetching->most) &&
	       SET(CURLOPT_WRITEFUNCTION, fetch_take) && SET(CURLOPT_WRITEDATA, fetching) &&
	       (!authorities || !*authorities || SET(CURLOPT_CAINFO, authorities));
}

static int fetch_result(CURL *easy, const struct fetching *fetching, CURLcode code)
{
	long status = 0;

	curl.easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	if (fetching->rc < 0)
		return fetching->rc;
	if (code == CURLE_FILESIZE_EXCEEDED)
		return fail(fetching->err, CONVO_E_TOOBIG, "more than %zu bytes", fetching->most);
	if (code != CURLE_OK)
		return fail(fetching->err,
			    code == CURLE_OPERATION_TIMEDOUT ? CONVO_E_TIMEOUT : CONVO_E_GONE, "%s",
			    curl.easy_strerror(code));
	if (status != 200)
		return fail(fetching->err, CONVO_E_REFUSED, "the answer was %ld", status);
	return 0;
}

int fetch(struct text *out, const char *place, size_t most, int ms, struct convo_err *err)
{
	struct fetching fetching = {.out = out, .most = most, .err = err};
	CURL *easy;
	int rc;

	if (!fetch_is_address(place))
		return fetch_file(out, place, most, err);
	pthread_once(&curl_once, curl_load);
	if (!curl_loaded)
		return fail(err, CONVO_E_UNSUPPORTED, "libcurl.so.4 cannot be loaded");
	easy = curl.easy_init();
	if (easy && fetch_set(easy, &fetching, place, ms))
		rc = fetch_result(easy, &fetching, curl.easy_perform(easy));
	else
		rc = fail(err, CONVO_E_NOMEM, "out of memory");
	if (easy)
		curl.easy_cleanup(easy);
	return rc;
}
