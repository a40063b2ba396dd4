/*
 * Token buckets: how much may be used in a minute, on average, and at once. Time is passed in.
 */
#ifndef SERVER_AUTH_BUCKET_H
#define SERVER_AUTH_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/** All-zero is a full one. */
struct bucket {
	double used;   /* of what it holds; beyond that there is a debt */
	int64_t at_ms; /* when that was so */
};

/** What is left of a bucket, for who uses it. */
struct bucket_left {
	int64_t limit;    /* what a minute gives, and a full one holds; 0: there is none */
	int64_t left;     /* whole ones; 0 in debt */
	int64_t wait_ms;  /* until there is one; 0: now */
	int64_t reset_ms; /* until it is full */
};

/** Let time pass. @param limit what a minute gives, 1 or more, up to a billion */
void bucket_pass(struct bucket *bucket, int64_t limit, int64_t now_ms);

/** Use some: there need not be so many. @param count 0 or more */
void bucket_use(struct bucket *bucket, int64_t count);

/** Look into it. */
struct bucket_left bucket_left(const struct bucket *bucket, int64_t limit);

#endif
