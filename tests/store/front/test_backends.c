/*
 * The table of backends: what programs choose from.
 */
#include <support/test.h>

#include <convo/backend.h>
#include <convo/store.h>

#include <store/front/backends.h>

static void test_backends__every_name_is_one_backend(void **state)
{
	const struct convo_backend *backend;
	size_t i, j;

	(void)state;
	for (i = 0; (backend = convo_backend_at(i)); i++) {
		must(convo_backend_find(backend->scheme) == backend);
		must(convo_backend_find(backend->name) == backend);
		must(*backend->title);
		for (j = 0; backend->aliases[j]; j++)
			must(convo_backend_find(backend->aliases[j]) == backend);
	}
	must(i >= 5 && convo_backend_at(i) == NULL && convo_backend_at(SIZE_MAX) == NULL);
	must(convo_backend_find("mongo") == NULL && convo_backend_find("") == NULL);
	must(convo_backend_find(NULL) == NULL && !convo_backend_is_built(NULL));
	must(convo_backend_variable_at(NULL, 0) == NULL);
}

static void test_backends__no_variable_is_said_twice(void **state)
{
	const struct convo_backend *a, *b;
	const struct convo_backend_variable *one, *other;
	size_t i, j, k, l;

	(void)state;
	for (i = 0; (a = convo_backend_at(i)); i++)
		for (j = 0; (one = convo_backend_variable_at(a, j)); j++)
			for (k = 0; (b = convo_backend_at(k)); k++)
				for (l = 0; (other = convo_backend_variable_at(b, l)); l++)
					must(one == other ||
					     (strcmp(one->name, other->name) != 0 &&
					      (a != b || one->part != other->part)));
}

/* What is built stands in the table, and the table is right about it. */
static void test_backends__are_as_the_table_says(void **state)
{
	const struct convo_backend *backend;
	const struct cv_backend *be;
	struct convo_err err;
	size_t i, built = 0;

	(void)state;
	for (i = 0; (backend = convo_backend_at(i)); i++) {
		char *sql = NULL;

		if (!convo_backend_is_built(backend)) {
			must_fail_with(CONVO_E_UNSUPPORTED,
				       convo_store_schema(&sql, backend->scheme, NULL, &err));
			must(strstr(err.text, "not in this build") != NULL);
			continue;
		}
		built++;
		be = cv_backend_find(backend->scheme, &err);
		must_equal_str(backend->scheme, be->scheme);
		must(backend->has_schema == (be->schema != NULL));
		if (backend->has_schema)
			must_pass(convo_store_schema(&sql, backend->name, NULL, &err));
		convo_free(sql);
	}
	must(built >= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backends__every_name_is_one_backend),
		cmocka_unit_test(test_backends__no_variable_is_said_twice),
		cmocka_unit_test(test_backends__are_as_the_table_says),
	};

	return TEST_RUN(tests);
}
