/*
 * The time that only goes forward.
 */
#ifndef SERVER_HTTP_CLOCK_H
#define SERVER_HTTP_CLOCK_H

#include <stdint.h>

/** Milliseconds since some moment. */
int64_t clock_ms(void);

/** The same in microseconds. */
int64_t clock_us(void);

#endif
