/*
 * A MySQL that lies: it stands before a real one, and spoils a byte of what that says.
 */
#ifndef TESTS_SUPPORT_FAKE_MYSQL_H
#define TESTS_SUPPORT_FAKE_MYSQL_H

#include <stdbool.h>
#include <stddef.h>

struct fake_mysql;

/** Listen on a free port of 127.0.0.1, before the server on that port. */
struct fake_mysql *fake_mysql_start(int port);
int fake_mysql_port(const struct fake_mysql *fake);
void fake_mysql_end(struct fake_mysql *fake);

/** How a byte is spoiled. CUT ends the connection before it; ENDLESS repeats what comes with it
 * again and again, until nobody listens. */
enum fake_lie {
	FAKE_LIE_CUT,
	FAKE_LIE_ZERO,
	FAKE_LIE_ONES,
	FAKE_LIE_FLIP,
	FAKE_LIE_MORE, /* one larger */
	FAKE_LIE_ENDLESS,
	FAKE_LIES
};

/**
 * Spoil the byte with that number of all that the server says from now on, and close the connection
 * once the server has no more to say, so that nobody waits for what will not come.
 */
void fake_mysql_spoil(struct fake_mysql *fake, enum fake_lie how, size_t at);

/** How many bytes it has said since then. */
size_t fake_mysql_said(struct fake_mysql *fake);

#endif
