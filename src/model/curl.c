/*
 * libcurl and its handles; see curl.h.
 */
#include <model/curl.h>

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/alloc.h>
#include <base/dl.h>

#define MOST_IDLE 8

struct curl_functions cv_curl;

#define CURL_SYMBOL(name) {"curl_" #name, (void **)&cv_curl.name},

static const struct cv_symbol curl_symbols[] = {CURL_CALLS(CURL_SYMBOL)};
static struct cv_library curl_library = CONVO_LIBRARY("libcurl.so.4", curl_symbols);

static void curl_loaded(void)
{
	cv_curl.global_init(CURL_GLOBAL_DEFAULT);
}

static void link_free(struct curl_link *link)
{
	if (!link)
		return;
	if (link->easy)
		cv_curl.easy_cleanup(link->easy);
	if (link->multi)
		cv_curl.multi_cleanup(link->multi);
	free(link);
}

static struct curl_link *link_new(void)
{
	struct curl_link *link = cv_alloc(1, sizeof(*link));

	if (!link)
		return NULL;
	link->multi = cv_curl.multi_init();
	link->easy = cv_curl.easy_init();
	if (link->multi && link->easy)
		return link;
	link_free(link);
	return NULL;
}

static curl_socket_t link_open(void *ctx, curlsocktype purpose, struct curl_sockaddr *at)
{
	struct curl_link *link = ctx;

	(void)purpose;
	link->opened = socket(at->family, at->socktype | SOCK_CLOEXEC, at->protocol);
	return link->opened;
}

static int link_close(void *ctx, curl_socket_t fd)
{
	struct curl_link *link = ctx;
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);

	if (fd == link->opened)
		link->stood = getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
	return close(fd);
}

bool cv_curl_watch(struct curl_link *link)
{
	CURL *easy = link->easy;

	link->opened = CURL_SOCKET_BAD;
	link->stood = false;
	return CURL_SET(easy, CURLOPT_OPENSOCKETFUNCTION, link_open) &&
	       CURL_SET(easy, CURLOPT_OPENSOCKETDATA, link) &&
	       CURL_SET(easy, CURLOPT_CLOSESOCKETFUNCTION, link_close) &&
	       CURL_SET(easy, CURLOPT_CLOSESOCKETDATA, link);
}

void cv_curl_init(struct curl_links *links)
{
	pthread_mutex_init(&links->lock, NULL);
	links->idle = NULL;
	links->count = 0;
}

int cv_curl_borrow(struct curl_links *links, struct curl_link **out, struct convo_err *err)
{
	int rc = cv_dl_need(&curl_library, curl_loaded, err);
	struct curl_link *link;

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&links->lock);
	link = links->idle;
	if (link) {
		links->idle = link->next;
		links->count--;
	}
	pthread_mutex_unlock(&links->lock);
	if (!link)
		link = link_new();
	*out = link;
	return link ? 0 : cv_fail_nomem(err);
}

void cv_curl_return(struct curl_links *links, struct curl_link *link)
{
	bool keep;

	pthread_mutex_lock(&links->lock);
	keep = links->count < MOST_IDLE;
	if (keep) {
		link->next = links->idle;
		links->idle = link;
		links->count++;
	}
	pthread_mutex_unlock(&links->lock);
	if (!keep)
		link_free(link);
}

void cv_curl_clear(struct curl_links *links)
{
	while (links->idle) {
		struct curl_link *next = links->idle->next;

		link_free(links->idle);
		links->idle = next;
	}
	pthread_mutex_destroy(&links->lock);
}
