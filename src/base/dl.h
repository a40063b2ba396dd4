/*
 * Libraries that are loaded when they are first needed: a chat on SQLite does not pay for the
 * client of a server, and what that brings along, in time and memory at its start.
 *
 * The one file that uses such a library includes its header, lists the functions it calls, and
 * calls them through a struct of pointers of the same types:
 *
 *     #define CURL_CALLS(X) X(easy_init) X(easy_cleanup)
 *     #define CURL_POINTER(name) __typeof__(curl_##name) *(name);
 *     #define CURL_SYMBOL(name) {"curl_" #name, (void **)&curl.name},
 *     static struct { CURL_CALLS(CURL_POINTER) } curl;
 *     static const struct cv_symbol symbols[] = {CURL_CALLS(CURL_SYMBOL)};
 *     static struct cv_library library = CONVO_LIBRARY("libcurl.so.4", symbols);
 */
#ifndef BASE_DL_H
#define BASE_DL_H

#include <pthread.h>
#include <stddef.h>

#include <base/fail.h>

struct cv_symbol {
	const char *name;
	void **slot; /* of the pointer to the function */
};

struct cv_library {
	const char *file; /* its soname */
	const struct cv_symbol *symbols;
	size_t count;
	pthread_mutex_t lock; /* guards loaded and the slots; they stay as they are once loaded */
	bool loaded;
};

#define CONVO_LIBRARY(file, symbols)                                       \
	{                                                                  \
		(file), (symbols), sizeof(symbols) / sizeof((symbols)[0]), \
			PTHREAD_MUTEX_INITIALIZER, false                   \
	}

/**
 * Load a library if it is not loaded, and then call `init`, which may be NULL. It stays loaded.
 * Thread-safe.
 *
 * @return 0, CONVO_E_UNSUPPORTED when it or a function of it is not there
 */
int cv_dl_need(struct cv_library *library, void (*init)(void), struct convo_err *err);

#endif
