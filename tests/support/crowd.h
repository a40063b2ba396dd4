/*
 * A server of a test: listens, and serves each client in a thread of its own.
 */
#ifndef TESTS_SUPPORT_CROWD_H
#define TESTS_SUPPORT_CROWD_H

struct crowd;

/**
 * Listen on a free port of 127.0.0.1. `serve` is called for each client, from several threads at once, and
 * returns when it is done with it; the socket is closed for it.
 */
struct crowd *crowd_start(void (*serve)(void *ctx, int client), void *ctx);

int crowd_port(const struct crowd *crowd);

/** Take no more clients, hang up on those that are there, and wait until each has been left. */
void crowd_end(struct crowd *crowd);

#endif
