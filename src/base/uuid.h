/*
 * UUIDs (RFC 9562) as 16 bytes.
 */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdbool.h>

#include <convo/event.h>

#define UUID_BYTES 16

/** A fresh version 7 UUID: later ones sort after earlier ones of this process. Thread-safe. */
void cv_uuid_new(unsigned char out[UUID_BYTES]);

/** A fresh version 4 UUID: random but for the version. Thread-safe. */
void cv_uuid_random(unsigned char out[UUID_BYTES]);

/** Read 8-4-4-4-12 hex digits of any case. */
bool cv_uuid_parse(unsigned char out[UUID_BYTES], const char *text);

/** Write 36 lower-case characters and a NUL. */
void cv_uuid_format(char out[CONVO_UUID_SIZE], const unsigned char uuid[UUID_BYTES]);

#endif
