/*
 * A PostgreSQL that says what a test wants: enough of the protocol to be connected to and asked, and
 * then any nonsense in any place.
 */
#ifndef TESTS_SUPPORT_FAKE_POSTGRES_H
#define TESTS_SUPPORT_FAKE_POSTGRES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <base/buf.h>

struct fake_postgres;

/** Listen on a free port of 127.0.0.1. */
struct fake_postgres *fake_postgres_start(void);
void fake_postgres_end(struct fake_postgres *fake);
int fake_postgres_port(const struct fake_postgres *fake);

/**
 * Answer every statement that holds `part` with these bytes, in place of row description, rows and
 * completion; the one said last counts first. `part` is borrowed; the bytes are copied. NULL for
 * `part` forgets all that was said.
 */
void fake_postgres_say(struct fake_postgres *fake, const char *part, const struct cv_buf *bytes);

/** Repeat what was said last again and again, until nobody listens. */
void fake_postgres_say_for_ever(struct fake_postgres *fake);

/** How a byte is spoiled. FAKE_CUT ends the connection before it. */
enum fake_spoil { FAKE_CUT, FAKE_ZERO, FAKE_ONES, FAKE_FLIP, FAKE_SPOILS };

/**
 * Spoil the byte with that number of all that the server says from now on, and close the connection
 * once the question it belongs to is answered, so that nobody waits for the rest.
 */
void fake_postgres_spoil(struct fake_postgres *fake, enum fake_spoil how, size_t at);

/** How many bytes have been said since then, and whether one was spoiled. */
size_t fake_postgres_said(struct fake_postgres *fake);
bool fake_postgres_spoiled(struct fake_postgres *fake);

/* ---- messages ----------------------------------------------------------------------------- */

/** Add a message of a type with a body. */
void fake_message(struct cv_buf *out, char type, const void *body, size_t len);

/** Add a row description of columns of these types (numbers of the catalogue), in binary. */
void fake_columns(struct cv_buf *out, const unsigned *types, size_t count);

/** A column of a row; data NULL is NULL. */
struct fake_column {
	const void *data;
	int32_t len;
};

void fake_row(struct cv_buf *out, const struct fake_column *columns, size_t count);

/** Add a completion: "SELECT 1". */
void fake_complete(struct cv_buf *out, const char *tag);

#endif
