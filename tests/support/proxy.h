/*
 * A TCP proxy in front of a server that breaks one connection at a chosen byte.
 */
#ifndef TESTS_SUPPORT_PROXY_H
#define TESTS_SUPPORT_PROXY_H

#include <stdbool.h>
#include <stddef.h>

enum proxy_fault {
	PROXY_NONE,
	PROXY_CUT,   /* both sides are closed */
	PROXY_DELAY, /* nothing passes for 20 ms */
	PROXY_HALF   /* nothing passes in this direction any more, and nobody is told */
};

enum proxy_way { PROXY_REQUEST, PROXY_REPLY };

struct proxy;

/** Listen on a free port of 127.0.0.1 and pass connections on to that one. Never fails. */
struct proxy *proxy_start(const char *host, int port);

/** Close everything. NULL is fine. */
void proxy_end(struct proxy *proxy);

int proxy_port(const struct proxy *proxy);

/** A URL of the server, with the proxy in its place. Lives until the program ends. */
const char *proxy_url(const struct proxy *proxy, const char *url);

/**
 * Count bytes from 0 again, over all connections, and break the connection whose byte has that
 * number in that direction: what comes before it passes. Once.
 */
void proxy_arm(struct proxy *proxy, enum proxy_fault fault, enum proxy_way way, size_t at);

/** How many bytes have passed that way since proxy_arm(). */
size_t proxy_passed(struct proxy *proxy, enum proxy_way way);

/** Whether the fault has happened. */
bool proxy_fired(struct proxy *proxy);

/** How many connections pass everything on. */
size_t proxy_links(struct proxy *proxy);

/** From now on the connections that there are pass nothing on, and nobody is told; new ones do. */
void proxy_mute(struct proxy *proxy);

/** How often a request has been followed by a reply since proxy_arm(): the round trips. */
size_t proxy_turns(struct proxy *proxy);

#endif
