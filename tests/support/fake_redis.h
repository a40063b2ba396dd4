/*
 * A Redis that says what a test wants: for states a real one cannot be brought into.
 */
#ifndef TESTS_SUPPORT_FAKE_REDIS_H
#define TESTS_SUPPORT_FAKE_REDIS_H

struct fake_redis;

/** Listen on a free port of 127.0.0.1. It answers "+PONG" to PING, and is version 7. */
struct fake_redis *fake_redis_start(void);

/** Answer the next command of that name so; several wait in a row. Both are borrowed. */
void fake_redis_say(struct fake_redis *fake, const char *command, const char *reply);

int fake_redis_port(const struct fake_redis *fake);
void fake_redis_end(struct fake_redis *fake);

#endif
