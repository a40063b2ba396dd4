/*
 * libcurl, loaded with the first question, and its handles. The one file that includes its header.
 *
 * Each asking thread borrows a link, a handle with its own connections, so that threads share nothing
 * and the next question finds a connection that is open already.
 */
#ifndef MODEL_CURL_H
#define MODEL_CURL_H

#include <curl/curl.h>
#include <pthread.h>

#include <base/fail.h>

/* clang-format off */
#define CURL_CALLS(X) \
	X(easy_cleanup) \
	X(easy_getinfo) \
	X(easy_header) \
	X(easy_init) \
	X(easy_reset) \
	X(easy_setopt) \
	X(easy_strerror) \
	X(getdate) \
	X(global_init) \
	X(multi_add_handle) \
	X(multi_cleanup) \
	X(multi_info_read) \
	X(multi_init) \
	X(multi_perform) \
	X(multi_poll) \
	X(multi_remove_handle) \
	X(slist_append) \
	X(slist_free_all)

#define CURL_POINTER(name) __typeof__(curl_##name) *(name);

/** Its functions; set once a link was borrowed. */
extern struct curl_functions {
	CURL_CALLS(CURL_POINTER)
} cv_curl;
/* clang-format on */

/** Set an option of a handle. @return false without memory */
#define CURL_SET(easy, option, value) (cv_curl.easy_setopt((easy), (option), (value)) == CURLE_OK)

struct curl_link {
	CURLM *multi;
	CURL *easy;
	curl_socket_t opened; /* last, for the transfer on it */
	bool stood;           /* it was connected when it was closed */
	struct curl_link *next;
};

struct curl_links {
	pthread_mutex_t lock; /* guards idle and count */
	struct curl_link *idle;
	size_t count;
};

void cv_curl_init(struct curl_links *links);

/** A link that waits, or a new one. @return 0, CONVO_E_UNSUPPORTED without libcurl, CONVO_E_NOMEM */
int cv_curl_borrow(struct curl_links *links, struct curl_link **out, struct convo_err *err);

/** Have a link, whose handle was reset, note opened and stood anew. @return false without memory */
bool cv_curl_watch(struct curl_link *link);

/** Give a link back; its transfer was removed. */
void cv_curl_return(struct curl_links *links, struct curl_link *link);

/** Close the links that wait; none is borrowed. */
void cv_curl_clear(struct curl_links *links);

#endif
