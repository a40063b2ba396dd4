/*
 * Fuzzing what a person may write on a command line: store URLs and durations. No input may upset
 * the reader, what it gives lies in its own memory, and a refusal is one line.
 */
#include <base/url.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/utf8.h>
#include <convo/text.h>

#define CENTURY_MS (INT64_C(100) * 366 * 24 * 3600 * 1000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refusal(const struct convo_err *err, int rc)
{
	if (err->code != rc || !err->text[0] || strchr(err->text, '\n') ||
	    !cv_utf8_valid(err->text, strlen(err->text)))
		abort();
}

/* Read every part to its end: the sanitizer sees one that has none. */
static size_t length(const char *part)
{
	return part ? strlen(part) : 0;
}

/* The hosts of a URL lie in its own, none overlaps another, and there is no end of them but one. */
static void check_hosts(const struct cv_url *url)
{
	const char *from = url->host, *end = from ? from + strlen(from) : NULL;
	struct cv_url_host host;
	size_t i;

	for (i = 0; cv_url_host_at(url, i, &host); i++) {
		if (host.name.data < from || host.name.data + host.name.len > end ||
		    !host.name.len || host.port < 0 || host.port > 65535 ||
		    memchr(host.name.data, ',', host.name.len))
			abort();
		from = host.name.data + host.name.len;
	}
	if (!i != !url->host)
		abort();
}

static void try_url(const char *text)
{
	struct cv_url url = {0};
	struct convo_err err = {0};
	int rc = cv_url_parse(&url, text, &err);
	size_t i, sum;

	if (rc < 0) {
		check_refusal(&err, rc);
		cv_url_clear(&url);
		return;
	}
	sum = length(url.user) + length(url.password) + length(url.host) + length(url.path);
	for (i = 0; i < url.count; i++) {
		sum += length(url.param[i].name) + length(url.param[i].value);
		if (!cv_url_param(&url, url.param[i].name))
			abort();
	}
	if (!length(url.scheme) || sum > strlen(text) || url.count > URL_PARAMS || url.port < 0 ||
	    url.port > 65535)
		abort();
	check_hosts(&url);
	cv_url_clear(&url);
}

static void try_duration(const char *text)
{
	struct convo_err err = {0};
	int64_t ms = -1, again = -1;
	int rc = convo_duration_parse(&ms, text, &err);
	char plain[32];

	if (rc < 0) {
		check_refusal(&err, rc);
		if (ms != -1)
			abort();
		return;
	}
	if (ms < 0 || ms > CENTURY_MS)
		abort();
	snprintf(plain, sizeof(plain), "%lldms", (long long)ms);
	if (convo_duration_parse(&again, plain, NULL) < 0 || again != ms)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	try_url(text);
	try_duration(text);
	free(text);
	return 0;
}
