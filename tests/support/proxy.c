/*
 * The breaking proxy; see proxy.h. Each connection has two threads, one per direction.
 */
#include "proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

#define DELAY_MS 20

struct pump {
	struct proxy *proxy;
	struct link *link;
	enum proxy_way way;
	int from, to;
	atomic_bool dead; /* swallows what comes */
	pthread_t thread;
};

struct link {
	struct link *next;
	int client, server; /* -1 when both pumps have ended */
	int pumps;
	struct pump pump[2];
};

struct proxy {
	struct sockaddr_in target;
	int listener, port;
	pthread_t thread;

	pthread_mutex_t lock; /* guards the following */
	bool ending;
	struct link *links;
	enum proxy_fault fault;
	enum proxy_way way;
	size_t at;
	bool fired;
	size_t passed[2];
	size_t turns;
	bool asked; /* the last bytes were of a request */
};

/* With the proxy's lock held. */
static void link_cut(struct link *link)
{
	if (link->client < 0)
		return;
	shutdown(link->client, SHUT_RDWR);
	shutdown(link->server, SHUT_RDWR);
}

/* One pump has ended, so the other does. */
static void link_leave(struct link *link, struct proxy *proxy)
{
	pthread_mutex_lock(&proxy->lock);
	link_cut(link);
	if (--link->pumps == 0) {
		close(link->client);
		close(link->server);
		link->client = link->server = -1;
	}
	pthread_mutex_unlock(&proxy->lock);
}

/* Count bytes that are about to pass: how many may, and what happens then. */
static enum proxy_fault pump_count(struct pump *pump, size_t *len)
{
	struct proxy *proxy = pump->proxy;
	enum proxy_fault fault = PROXY_NONE;
	size_t *passed = &proxy->passed[pump->way];

	pthread_mutex_lock(&proxy->lock);
	if (pump->way == PROXY_REQUEST)
		proxy->asked = true;
	else if (proxy->asked)
		proxy->turns++;
	if (pump->way == PROXY_REPLY)
		proxy->asked = false;
	if (proxy->fault != PROXY_NONE && proxy->way == pump->way && proxy->at < *passed + *len) {
		*len = proxy->at - *passed;
		fault = proxy->fault;
		proxy->fault = PROXY_NONE;
		proxy->fired = true;
	}
	*passed += *len;
	pthread_mutex_unlock(&proxy->lock);
	return fault;
}

/* Pass a piece on, with the fault that is due in it. */
static bool pump_pass(struct pump *pump, const char *data, size_t len)
{
	const struct timespec delay = {0, DELAY_MS * 1000000L};

	while (len && !pump->dead) {
		size_t part = len;
		enum proxy_fault fault = pump_count(pump, &part);

		if (!test_send(pump->to, data, part))
			return false;
		data += part;
		len -= part;
		if (fault == PROXY_CUT)
			return false;
		if (fault == PROXY_DELAY)
			nanosleep(&delay, NULL);
		if (fault == PROXY_HALF)
			pump->dead = true;
	}
	return true;
}

static void *pump_thread(void *ctx)
{
	struct pump *pump = ctx;
	char data[65536];

	for (;;) {
		ssize_t n = recv(pump->from, data, sizeof(data), 0);

		if (n <= 0 || !pump_pass(pump, data, (size_t)n))
			break;
	}
	link_leave(pump->link, pump->proxy);
	return NULL;
}

static void link_free(struct link *link)
{
	for (int i = 0; i < 2; i++)
		pthread_join(link->pump[i].thread, NULL);
	free(link);
}

/* Free those that have ended: a test may make many thousands. */
static void proxy_sweep(struct proxy *proxy)
{
	struct link **at = &proxy->links, *ended = NULL;

	pthread_mutex_lock(&proxy->lock);
	while (*at) {
		struct link *link = *at;

		if (link->pumps) {
			at = &link->next;
			continue;
		}
		*at = link->next;
		link->next = ended;
		ended = link;
	}
	pthread_mutex_unlock(&proxy->lock);
	while (ended) {
		struct link *next = ended->next;

		link_free(ended);
		ended = next;
	}
}

static void link_start(struct proxy *proxy, int client)
{
	struct link *link = calloc(1, sizeof(*link));
	int on = 1;

	must(link);
	link->client = client;
	link->pumps = 2;
	link->server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(link->server >= 0);
	setsockopt(link->client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(link->server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(link->server, (struct sockaddr *)&proxy->target, sizeof(proxy->target)) < 0) {
		close(link->server);
		close(link->client);
		free(link);
		return;
	}
	link->pump[0].from = link->pump[1].to = link->client;
	link->pump[0].to = link->pump[1].from = link->server;
	link->pump[0].way = PROXY_REQUEST;
	link->pump[1].way = PROXY_REPLY;
	pthread_mutex_lock(&proxy->lock);
	link->next = proxy->links;
	proxy->links = link;
	for (int i = 0; i < 2; i++) {
		link->pump[i].proxy = proxy;
		link->pump[i].link = link;
		must(pthread_create(&link->pump[i].thread, NULL, pump_thread, &link->pump[i]) == 0);
	}
	if (proxy->ending)
		link_cut(link);
	pthread_mutex_unlock(&proxy->lock);
}

static void *proxy_thread(void *ctx)
{
	struct proxy *proxy = ctx;

	for (;;) {
		int client = accept(proxy->listener, NULL, NULL);

		if (client < 0)
			return NULL;
		proxy_sweep(proxy);
		link_start(proxy, client);
	}
}

struct proxy *proxy_start(const char *host, int port)
{
	struct proxy *proxy = calloc(1, sizeof(*proxy));

	must(proxy);
	pthread_mutex_init(&proxy->lock, NULL);
	proxy->target.sin_family = AF_INET;
	proxy->target.sin_port = htons((uint16_t)port);
	must(inet_pton(AF_INET, host, &proxy->target.sin_addr) == 1);
	proxy->listener = test_listen(&proxy->port);
	must(pthread_create(&proxy->thread, NULL, proxy_thread, proxy) == 0);
	return proxy;
}

void proxy_end(struct proxy *proxy)
{
	struct link *link, *next;

	if (!proxy)
		return;
	shutdown(proxy->listener, SHUT_RDWR);
	pthread_join(proxy->thread, NULL);
	close(proxy->listener);
	pthread_mutex_lock(&proxy->lock);
	proxy->ending = true;
	for (link = proxy->links; link; link = link->next)
		link_cut(link);
	pthread_mutex_unlock(&proxy->lock);
	for (link = proxy->links; link; link = next) {
		next = link->next;
		link_free(link);
	}
	pthread_mutex_destroy(&proxy->lock);
	free(proxy);
}

int proxy_port(const struct proxy *proxy)
{
	return proxy->port;
}

const char *proxy_url(const struct proxy *proxy, const char *url)
{
	const char *port = test_text(":%d", ntohs(proxy->target.sin_port)), *at = strstr(url, port);

	must(at);
	return test_text("%.*s:%d%s", (int)(at - url), url, proxy->port, at + strlen(port));
}

void proxy_arm(struct proxy *proxy, enum proxy_fault fault, enum proxy_way way, size_t at)
{
	pthread_mutex_lock(&proxy->lock);
	proxy->fault = fault;
	proxy->way = way;
	proxy->at = at;
	proxy->fired = false;
	proxy->passed[0] = proxy->passed[1] = 0;
	proxy->turns = 0;
	proxy->asked = false;
	pthread_mutex_unlock(&proxy->lock);
}

size_t proxy_passed(struct proxy *proxy, enum proxy_way way)
{
	size_t passed;

	pthread_mutex_lock(&proxy->lock);
	passed = proxy->passed[way];
	pthread_mutex_unlock(&proxy->lock);
	return passed;
}

bool proxy_fired(struct proxy *proxy)
{
	bool fired;

	pthread_mutex_lock(&proxy->lock);
	fired = proxy->fired;
	pthread_mutex_unlock(&proxy->lock);
	return fired;
}

size_t proxy_links(struct proxy *proxy)
{
	struct link *link;
	size_t n = 0;

	pthread_mutex_lock(&proxy->lock);
	for (link = proxy->links; link; link = link->next)
		n += link->pumps == 2 && !link->pump[0].dead;
	pthread_mutex_unlock(&proxy->lock);
	return n;
}

void proxy_mute(struct proxy *proxy)
{
	struct link *link;

	pthread_mutex_lock(&proxy->lock);
	for (link = proxy->links; link; link = link->next)
		link->pump[0].dead = link->pump[1].dead = true;
	pthread_mutex_unlock(&proxy->lock);
}

size_t proxy_turns(struct proxy *proxy)
{
	size_t turns;

	pthread_mutex_lock(&proxy->lock);
	turns = proxy->turns;
	pthread_mutex_unlock(&proxy->lock);
	return turns;
}
