/*
 * A Redis that says what a test wants: for states a real one cannot be brought into.
 */
#ifndef TESTS_SUPPORT_FAKE_REDIS_H
#define TESTS_SUPPORT_FAKE_REDIS_H

#include <stdbool.h>
#include <stddef.h>

struct fake_redis;

/** Listen on a free port of 127.0.0.1. It answers "+PONG" to PING, and is version 7. */
struct fake_redis *fake_redis_start(void);

/** Answer the next command of that name so; several wait in a row. Both are borrowed. */
void fake_redis_say(struct fake_redis *fake, const char *command, const char *reply);

/** What a server may say, true or not. */
struct fake_reply {
	const char *data; /* may hold NULs */
	size_t len;
	size_t again; /* so many of its last bytes are sent again until the client leaves */
	bool close;   /* and then it hangs up */
};

/** Answer the next command of that name so. The data is borrowed. */
void fake_redis_reply(struct fake_redis *fake, const char *command, struct fake_reply reply);

/** Forget what waits to be said. */
void fake_redis_forget(struct fake_redis *fake);

int fake_redis_port(const struct fake_redis *fake);
void fake_redis_end(struct fake_redis *fake);

#endif
