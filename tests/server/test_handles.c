/*
 * Handles: who has one of an object that is gone finds nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/handles.h"

static void test_a_handle_finds_its_object_until_it_is_removed(void **state)
{
	struct handles handles = {0};
	void *handle[1000];
	int object[1000];
	size_t i;

	(void)state;
	assert_null(handles_get(&handles, NULL));
	for (i = 0; i < 1000; i++) {
		handle[i] = handles_add(&handles, &object[i]);
		assert_non_null(handle[i]);
	}
	for (i = 0; i < 1000; i += 2)
		handles_remove(&handles, handle[i]);
	for (i = 0; i < 1000; i++)
		assert_ptr_equal(handles_get(&handles, handle[i]), i % 2 ? &object[i] : NULL);
	handles_clear(&handles);
	assert_null(handles_get(&handles, handle[1]));
}

static void test_a_place_that_is_used_again_has_another_handle(void **state)
{
	struct handles handles = {0};
	int first, second;
	void *old = handles_add(&handles, &first), *fresh;

	(void)state;
	handles_remove(&handles, old);
	handles_remove(&handles, old);
	fresh = handles_add(&handles, &second);
	assert_ptr_not_equal(old, fresh);
	assert_null(handles_get(&handles, old));
	handles_remove(&handles, old);
	assert_ptr_equal(handles_get(&handles, fresh), &second);
	assert_int_equal(handles.count, 1);
	handles_clear(&handles);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_handle_finds_its_object_until_it_is_removed),
		cmocka_unit_test(test_a_place_that_is_used_again_has_another_handle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
