/*
 * Nothing a caller writes is ignored: what makes no sense in a URL or in the options is refused in
 * one line that names it, before anything is opened, made or asked.
 */
#include <support/test.h>

#include <stdio.h>
#include <unistd.h>

#include <convo/convo.h>

#include <store/front/backends.h>

/* A place for each backend where nothing is and nothing listens. */
static const char *place_of(const struct convo_backend *backend, const char *file)
{
	if (!strcmp(backend->scheme, "memory"))
		return "memory:";
	if (!strcmp(backend->scheme, "sqlite"))
		return test_text("sqlite:%s", file);
	return test_text("%s://u:secret@127.0.0.1:%d/1", backend->scheme, test_port());
}

/* Opening is refused before anything is touched, by a line that holds `named`. */
static void must_refuse(const char *url, const struct convo_store_options *opts, const char *file,
			const char *named)
{
	convo_store *store = NULL;
	struct convo_err err;
	int rc;

	memset(&err, 0x5a, sizeof(err));
	rc = convo_store_open(&store, url, opts, &err);
	if (rc != CONVO_E_INVALID)
		must_not_reach("%s gave %d", url, rc);
	must(store == NULL && access(file, F_OK) != 0);
	must_equal(CONVO_E_INVALID, err.code);
	must_equal(0, err.last_seq);
	must(!err.maybe);
	must(!strchr(err.text, '\n') && !strstr(err.text, "secret"));
	if (!strstr(err.text, named))
		must_not_reach("%s: '%s' does not name %s", url, err.text, named);
}

static const struct {
	const char *query, *named;
} bad_queries[] = {
	{"tll=24h", "tll"},
	{"TTL=24h", "TTL"},
	{"ttl =24h", "ttl "},
	{"nonsense=1", "nonsense"},
	{"ttl=24h&tll=1", "tll"},
	{"ttl=24h&ttl=24h", "ttl"},
	{"ttl=24h&%74tl=24h", "ttl"},
	{"prefix=a&limit=2&prefix=a", "prefix"},
	{"%6eonsense=1", "nonsense"},
	{"a%0ab=1", "a?b"},
	{"=1", "name=value"},
	{"ttl", "name=value"},
	{"ttl=1h&&limit=3", "name=value"},
	{"ttl=%zz", "%"},
	{"ttl=%0", "%"},
	{"ttl=%00", "%00"},
	{"ttl=%ff", "UTF-8"},
	{"ttl=", "ttl"},
	{"ttl=24", "ttl"},
	{"ttl=-1h", "ttl"},
	{"ttl=1y", "ttl"},
	{"ttl=36601d", "ttl"},
	{"ttl=99999999999999999999d", "ttl"},
	{"trash=878401h", "trash"},
	{"clean=3162240001s", "clean"},
	{"timeout=36600d1ms", "timeout"},
	{"timeout=0", "timeout"},
	{"timeout=off", "timeout"},
	{"limit=-1", "limit"},
	{"limit=1000000001", "limit"},
	{"limit=99999999999999999999", "limit"},
	{"limit=1e3", "limit"},
	{"limit=", "limit"},
	{"pool=-1", "pool"},
	{"pool=1001", "pool"},
	{"pool=off", "pool"},
	{"prefix=", "prefix"},
	{"prefix=a-b", "prefix"},
	{"prefix=%22", "prefix"},
	{"prefix=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "prefix"},
	{"schema=", "schema"},
	{"schema=none", "schema"},
};

static void test_L1_bad_options_in_a_url_open_nothing(void **state)
{
	const struct convo_backend *backend;
	const char *file = test_path(test_dir(), "none.db");

	(void)state;
	for (size_t i = 0; (backend = convo_backend_at(i)); i++) {
		if (!convo_backend_is_built(backend))
			continue;
		for (size_t k = 0; k < sizeof(bad_queries) / sizeof(bad_queries[0]); k++)
			must_refuse(test_text("%s?%s", place_of(backend, file),
					      bad_queries[k].query),
				    NULL, file, bad_queries[k].named);
	}
}

static bool takes(const struct cv_backend *be, const char *name)
{
	for (size_t i = 0; be->params && be->params[i]; i++) {
		if (!strcmp(be->params[i], name))
			return true;
	}
	return false;
}

/* Every backend's own options, given to each other one. */
static void test_L1_options_of_another_backend_open_nothing(void **state)
{
	const char *file = test_path(test_dir(), "none.db");
	const struct convo_backend *one, *other;
	size_t tried = 0;

	(void)state;
	for (size_t i = 0; (one = convo_backend_at(i)); i++) {
		for (size_t k = 0; (other = convo_backend_at(k)); k++) {
			const struct cv_backend *be, *from;
			struct convo_err err;

			if (!convo_backend_is_built(one) || !convo_backend_is_built(other))
				continue;
			be = cv_backend_find(one->scheme, &err);
			from = cv_backend_find(other->scheme, &err);
			for (size_t p = 0; from->params && from->params[p]; p++) {
				if (takes(be, from->params[p]))
					continue;
				must_refuse(test_text("%s?%s=1", place_of(one, file),
						      from->params[p]),
					    NULL, file, from->params[p]);
				tried++;
			}
		}
	}
	must(tried > 0 || !convo_backend_is_built(convo_backend_find("postgres")));
}

/* An option of the backend's own, twice, is one too many. */
static void test_L1_own_options_twice_open_nothing(void **state)
{
	const char *file = test_path(test_dir(), "none.db");
	const struct convo_backend *backend;

	(void)state;
	for (size_t i = 0; (backend = convo_backend_at(i)); i++) {
		const struct cv_backend *be;
		struct convo_err err;

		if (!convo_backend_is_built(backend))
			continue;
		be = cv_backend_find(backend->scheme, &err);
		for (size_t p = 0; be->params && be->params[p]; p++)
			must_refuse(test_text("%s?%s=1&%s=1", place_of(backend, file),
					      be->params[p], be->params[p]),
				    NULL, file, be->params[p]);
	}
}

static const struct {
	struct convo_store_options opts;
	const char *named;
} bad_options[] = {
	{{.timeout_ms = -1}, "timeout_ms"},
	{{.timeout_ms = CONVO_MAX_DURATION + 1}, "timeout_ms"},
	{{.timeout_ms = INT64_MIN}, "timeout_ms"},
	{{.ttl_ms = -2}, "ttl_ms"},
	{{.ttl_ms = INT64_C(100000000000000)}, "ttl_ms"},
	{{.event_limit = -2}, "event_limit"},
	{{.event_limit = 1000000001}, "event_limit"},
	{{.event_limit = INT64_MAX}, "event_limit"},
	{{.trash_ms = -2}, "trash_ms"},
	{{.trash_ms = INT64_MAX}, "trash_ms"},
	{{.clean_interval_ms = -2}, "clean_interval_ms"},
	{{.clean_interval_ms = INT64_MAX}, "clean_interval_ms"},
	{{.max_connections = -1}, "max_connections"},
	{{.max_connections = 1001}, "max_connections"},
	{{.prefix = ""}, "prefix"},
	{{.prefix = "a'b"}, "prefix"},
	{{.reserved = {"x"}}, "reserved"},
	{{.reserved = {[6] = "x"}}, "reserved"},
};

static void test_L1_bad_options_in_a_struct_open_nothing(void **state)
{
	const char *file = test_path(test_dir(), "none.db");
	const struct convo_backend *backend;

	(void)state;
	for (size_t i = 0; (backend = convo_backend_at(i)); i++) {
		if (!convo_backend_is_built(backend))
			continue;
		for (size_t k = 0; k < sizeof(bad_options) / sizeof(bad_options[0]); k++)
			must_refuse(place_of(backend, file), &bad_options[k].opts, file,
				    bad_options[k].named);
	}
}

/* What a URL says beside its options and a backend has no use for. */
static void test_L1_parts_of_a_url_without_a_use_open_nothing(void **state)
{
	static const struct {
		const char *url, *named;
	} bad[] = {
		{"memory:name", "memory"},           {"memory:/tmp/file.db", "memory"},
		{"memory://host", "memory"},         {"memory://user@", "memory"},
		{"memory://:1234", "memory"},        {"memory://:secret@/", "memory"},
		{"sqlite://host/none.db", "sqlite"}, {"sqlite://u:secret@/none.db", "sqlite"},
		{"sqlite://:99/none.db", "sqlite"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		must_refuse(bad[i].url, NULL, "/none.db", bad[i].named);
}

/* The bounds themselves are fine, and so is an encoded name. */
static void test_L1_the_largest_options_open(void **state)
{
	const struct convo_store_options largest = {
		.timeout_ms = CONVO_MAX_DURATION,
		.ttl_ms = CONVO_MAX_DURATION,
		.event_limit = 1000000000,
		.trash_ms = CONVO_MAX_DURATION,
		.clean_interval_ms = CONVO_MAX_DURATION,
		.max_connections = 1000,
	};
	static const char *const urls[] = {
		"memory:",
		"memory:?",
		"memory:?%74tl=36600d&limit=1000000000&clean=36600d",
		"memory:?ttl=off&limit=off&trash=off&clean=off",
		"memory:?ttl=0&limit=0&trash=0",
	};
	const struct convo_key key = {"a", "u", "s"};
	struct convo_err err;

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		convo_store *store = NULL;
		convo_session *session = NULL;

		must_pass(convo_store_open(&store, urls[i], &largest, &err));
		must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
		must_pass(convo_store_load(&session, store, &key, NULL, NULL, &err));
		must(convo_session_meta(session)->expires_ms >= 0);
		convo_session_free(session);
		convo_store_close(store);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_L1_bad_options_in_a_url_open_nothing),
		cmocka_unit_test(test_L1_options_of_another_backend_open_nothing),
		cmocka_unit_test(test_L1_own_options_twice_open_nothing),
		cmocka_unit_test(test_L1_bad_options_in_a_struct_open_nothing),
		cmocka_unit_test(test_L1_parts_of_a_url_without_a_use_open_nothing),
		cmocka_unit_test(test_L1_the_largest_options_open),
	};

	return TEST_RUN(tests);
}
