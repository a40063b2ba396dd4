/*
 * Libraries that are loaded when they are first needed: a chat on SQLite does not pay for the
 * client of a server, and what that brings along, in time and memory at its start.
 *
 * The one file that uses such a library includes its header, lists the functions it calls, and
 * calls them through a struct of pointers of the same types:
 *
 *     #define CALLS(X) X(easy_init) X(easy_cleanup)
 *     #define POINTER(name) __typeof__(curl_##name) *name;
 *     static struct { CALLS(POINTER) } curl;
 */
#ifndef BASE_DL_H
#define BASE_DL_H

#include <stddef.h>

#include <base/fail.h>

struct convo_symbol {
	const char *name;
	void **slot; /* of the pointer to the function */
};

/**
 * Load a library and find its functions. It stays loaded. To be called once for a library; call it
 * under pthread_once(), or again after a failure, with a lock.
 *
 * @param file its soname: "libcurl.so.4"
 * @return 0, CONVO_E_UNSUPPORTED when it or a function of it is not there
 */
int convo_dl_load(const char *file, const struct convo_symbol *symbols, size_t count,
		  struct convo_err *err);

#endif
