/*
 * A connection without a socket: the functions of the HTTP library that a request passes through, for fuzz_serve.c.
 * They are the program's own, so the library's are not called.
 */
#ifndef FUZZ_FAKE_MHD_H
#define FUZZ_FAKE_MHD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "http/mhd.h"

/** Most headers and parameters of the query, each. */
#define FAKE_PAIRS 32

struct fake_pair {
	const char *name, *value; /* the value of a parameter may be NULL */
};

struct MHD_Connection {
	struct fake_pair header[FAKE_PAIRS], query[FAKE_PAIRS];
	size_t headers, queries;
	pthread_mutex_t lock;
	pthread_cond_t woken;
	bool suspended;                /* below the lock */
	struct MHD_Response *response; /* that was queued */
	unsigned status;
};

struct MHD_Response {
	int refs;
	char *data; /* a whole one; NULL: it is read piece by piece */
	size_t len;
	MHD_ContentReaderCallback read;
	MHD_ContentReaderFreeCallback free;
	void *ctx;
	char type[64]; /* Content-Type; "": none */
};

/** Wait until it is not suspended, for so long at most. @return whether it is not */
bool fake_wait(struct MHD_Connection *connection, int ms);

#endif
