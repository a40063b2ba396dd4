/*
 * A network between a test and its servers that can be as bad as a real one: packets are late, lost,
 * or swallowed, and the TCP of both ends is the kernel's own.
 *
 *     link = link_start(&why);                  before the server, and before there are threads
 *     server = server_start(...);
 *     convo_store_open(&store, link_url(link, server->url), ...);
 */
#ifndef TESTS_SUPPORT_LINK_H
#define TESTS_SUPPORT_LINK_H

#include <stddef.h>
#include <stdint.h>

struct link;

enum link_ways { LINK_REQUESTS = 1, LINK_REPLIES = 2, LINK_BOTH = 3 };

/**
 * Move the process into a network of its own, where the link is: children inherit it, and nothing of
 * it is left when they have ended. Only while there is one thread. At most once in a process.
 *
 * @param why set to why there is none: not Linux' /dev/net/tun, or not allowed
 * @return NULL where it cannot be made
 */
struct link *link_start(const char **why);

/** NULL is fine. */
void link_end(struct link *link);

/** The URL of servers over the link; they listen on 127.0.0.1 as ever. */
const char *link_url(const struct link *link, const char *url);

/** Nothing is late, lost, limited or swallowed any more. Connections that were forgotten stay so. */
void link_heal(struct link *link);

/** From now on packets take that long, each way. */
void link_delay(struct link *link, int ms);

/** From now on so many of 1,000 packets are lost, by the numbers of a seed. */
void link_loss(struct link *link, int per_mille);

/** From now on so many bytes pass in a second, each way; a router in between keeps up to 64 packets. */
void link_rate(struct link *link, int bytes);

/** From now on nothing passes these ways, that of new connections either, and nobody is told. */
void link_silence(struct link *link, enum link_ways ways);

/** The same of one server, by its port; 0: of none any more. */
void link_silence_port(struct link *link, int port);

/** Be a firewall that forgets: nothing passes of connections that there are, and nobody is told. */
void link_forget(struct link *link);

/** The next packet of each connection that there is resets it, at both ends. */
void link_reset(struct link *link);

/** How many packets there were, and how many of them were lost or swallowed. */
size_t link_packets(const struct link *link);
size_t link_lost(const struct link *link);

#endif
