/*
 * The keeper; see keeper.h.
 */
#include "http/keeper.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/fail.h"
#include "http/clock.h"
#include "http/stream_side.h"

/* How long a stream may say nothing, and how often we look. */
#define KEEP_ALIVE_MS 15000
#define ROUND_MS 500

struct keeper {
	pthread_t thread;
	pthread_mutex_t lock;
	struct http_peer **peers; /* by descriptor */
	size_t room;
	size_t connections, streams;
	int epoll, wake; /* an eventfd: leave */
};

/* ---- connections ---------------------------------------------------------------------- */

static bool keeper_grow(struct keeper *keeper, size_t fd)
{
	size_t room = keeper->room ? keeper->room : 64;
	struct http_peer **peers;

	if (fd < keeper->room)
		return true;
	while (room <= fd)
		room *= 2;
	peers = realloc(keeper->peers, room * sizeof(*peers));
	if (!peers)
		return false;
	memset(peers + keeper->room, 0, (room - keeper->room) * sizeof(*peers));
	keeper->peers = peers;
	keeper->room = room;
	return true;
}

struct http_peer *keeper_add(struct keeper *keeper, int fd)
{
	struct http_peer *peer = calloc(1, sizeof(*peer));
	bool ok;

	if (!peer)
		return NULL;
	peer->fd = fd;
	pthread_mutex_lock(&keeper->lock);
	ok = keeper_grow(keeper, (size_t)fd);
	if (ok) {
		keeper->peers[fd] = peer;
		keeper->connections++;
	}
	pthread_mutex_unlock(&keeper->lock);
	if (ok)
		return peer;
	free(peer);
	return NULL;
}

void keeper_remove(struct keeper *keeper, struct http_peer *peer)
{
	pthread_mutex_lock(&keeper->lock);
	keeper->peers[peer->fd] = NULL;
	keeper->connections--;
	pthread_mutex_unlock(&keeper->lock);
	free(peer);
}

void keeper_watch(struct keeper *keeper, struct http_peer *peer, struct http_stream *stream)
{
	struct epoll_event event = {.events = EPOLLRDHUP, .data.fd = peer->fd};

	pthread_mutex_lock(&keeper->lock);
	keeper->streams += !peer->stream;
	peer->stream = stream;
	epoll_ctl(keeper->epoll, EPOLL_CTL_ADD, peer->fd, &event);
	pthread_mutex_unlock(&keeper->lock);
}

void keeper_unwatch(struct keeper *keeper, struct http_peer *peer)
{
	pthread_mutex_lock(&keeper->lock);
	keeper->streams -= peer->stream != NULL;
	peer->stream = NULL;
	epoll_ctl(keeper->epoll, EPOLL_CTL_DEL, peer->fd, NULL);
	pthread_mutex_unlock(&keeper->lock);
}

void keeper_end_streams(struct keeper *keeper)
{
	size_t i;

	pthread_mutex_lock(&keeper->lock);
	for (i = 0; i < keeper->room; i++)
		if (keeper->peers[i] && keeper->peers[i]->stream)
			stream_finish(keeper->peers[i]->stream, false);
	pthread_mutex_unlock(&keeper->lock);
}

void keeper_look(struct keeper *keeper, size_t *connections, size_t *streams)
{
	pthread_mutex_lock(&keeper->lock);
	*connections = keeper->connections;
	*streams = keeper->streams;
	pthread_mutex_unlock(&keeper->lock);
}

void keeper_cut(struct keeper *keeper)
{
	size_t i;

	pthread_mutex_lock(&keeper->lock);
	for (i = 0; i < keeper->room; i++) {
		struct http_peer *peer = keeper->peers[i];

		if (!peer)
			continue;
		if (peer->stream)
			stream_finish(peer->stream, true);
		shutdown(peer->fd, SHUT_RDWR);
	}
	pthread_mutex_unlock(&keeper->lock);
}

/* ---- the thread ----------------------------------------------------------------------- */

/*
 * A reader who only shut down his sending side may read on; one who closed answers a comment with a reset,
 * which then comes as EPOLLHUP.
 */
static void keeper_event(struct keeper *keeper, const struct epoll_event *event)
{
	int fd = event->data.fd;
	struct http_peer *peer = (size_t)fd < keeper->room ? keeper->peers[fd] : NULL;
	struct pollfd now = {fd, (short)EPOLLRDHUP, 0}; /* the same bits in both */
	struct epoll_event rest = {.events = 0, .data.fd = fd};

	/* The descriptor may be another connection's by now: ask it again. */
	if (!peer || !peer->stream || poll(&now, 1, 0) < 1)
		return;
	if (now.revents & (POLLHUP | POLLERR)) {
		epoll_ctl(keeper->epoll, EPOLL_CTL_DEL, fd, NULL);
		stream_gone(peer->stream);
	} else if (now.revents & EPOLLRDHUP) {
		epoll_ctl(keeper->epoll, EPOLL_CTL_MOD, fd, &rest);
		stream_keep_alive(peer->stream, INT64_MAX);
	}
}

static void keeper_round(struct keeper *keeper, int64_t now)
{
	size_t i;

	for (i = 0; i < keeper->room; i++) {
		struct http_peer *peer = keeper->peers[i];
		int64_t deadline = peer ? atomic_load(&peer->deadline_ms) : 0;

		if (deadline && deadline <= now)
			shutdown(peer->fd, SHUT_RDWR);
		if (peer && peer->stream)
			stream_keep_alive(peer->stream, now - KEEP_ALIVE_MS);
	}
}

static void *keeper_main(void *arg)
{
	struct keeper *keeper = arg;
	struct epoll_event events[64];
	int64_t now, last = clock_ms();
	bool leave = false;
	int i, n;

	while (!leave) {
		n = epoll_wait(keeper->epoll, events, 64, ROUND_MS);
		now = clock_ms();
		pthread_mutex_lock(&keeper->lock);
		for (i = 0; i < n; i++) {
			if (events[i].data.fd == keeper->wake)
				leave = true;
			else
				keeper_event(keeper, &events[i]);
		}
		if (now - last >= ROUND_MS) {
			keeper_round(keeper, now);
			last = now;
		}
		pthread_mutex_unlock(&keeper->lock);
	}
	return NULL;
}

int keeper_new(struct keeper **out, struct convo_err *err)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));
	struct epoll_event event = {.events = EPOLLIN};

	if (!keeper)
		return fail(err, CONVO_E_NOMEM, "out of memory");
	pthread_mutex_init(&keeper->lock, NULL);
	keeper->epoll = epoll_create1(EPOLL_CLOEXEC);
	keeper->wake = eventfd(0, EFD_CLOEXEC);
	event.data.fd = keeper->wake;
	if (keeper->epoll >= 0 && keeper->wake >= 0 &&
	    epoll_ctl(keeper->epoll, EPOLL_CTL_ADD, keeper->wake, &event) == 0 &&
	    pthread_create(&keeper->thread, NULL, keeper_main, keeper) == 0) {
		*out = keeper;
		return 0;
	}
	fail(err, CONVO_E_IO, "cannot watch connections: %s", strerror(errno));
	close(keeper->epoll);
	close(keeper->wake);
	pthread_mutex_destroy(&keeper->lock);
	free(keeper);
	return CONVO_E_IO;
}

void keeper_free(struct keeper *keeper)
{
	const uint64_t one = 1;

	if (!keeper)
		return;
	while (write(keeper->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(keeper->thread, NULL);
	close(keeper->epoll);
	close(keeper->wake);
	pthread_mutex_destroy(&keeper->lock);
	free(keeper->peers);
	free(keeper);
}
