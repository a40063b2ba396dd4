/*
 * A writer's journal: a record before each call and one after it. A program that is killed loses
 * none of them: they are with the kernel when write() returns.
 */
#ifndef TESTS_STORM_JOURNAL_H
#define TESTS_STORM_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "plan.h"

enum journal_op {
	JOURNAL_APPEND = 1, /* events n to n + count - 1 */
	JOURNAL_CREATE,
	JOURNAL_DELETE,
	JOURNAL_RESTORE,
	JOURNAL_OPEN, /* the store */
	JOURNAL_READ
};

enum journal_what {
	JOURNAL_TRY = 1, /* the call begins */
	JOURNAL_ACK,     /* it returned 0: with seq of the first event, or the generation */
	JOURNAL_NO,      /* it failed: nothing was done */
	JOURNAL_MAYBE,   /* it failed: unknown */
	JOURNAL_WRONG    /* the call gave what it may not give, see text */
};

/* As long as divides a page: a kill cannot cut one that lies in the file in full. */
struct journal_record {
	int64_t at_us;   /* when it was written, storm_now_us() */
	int64_t took_us; /* how long the call took; 0 with TRY */
	int64_t seq;
	uint32_t op, what;
	int32_t session, code; /* the session's number; enum convo_code */
	uint32_t n, count;
	int64_t seqs[STORM_BATCH];        /* with ACK of an append: of each event */
	char generation[CONVO_UUID_SIZE]; /* which life the call was for, or "" */
	char text[512 - 48 - 8 * STORM_BATCH - CONVO_UUID_SIZE];
};

/** Open or make the journal of a writer, to add to it. Ends the process when it cannot. */
int journal_open(const char *dir, int writer);

/** Add a record; at_us is set. */
void journal_add(int fd, struct journal_record *record);

/**
 * All records of a writer, none if it has no journal.
 *
 * @return an array for free(); NULL for none
 */
struct journal_record *journal_read(const char *dir, int writer, size_t *count);

/** "append of 3.17 to 3.19 to 'shared 1': maybe (timeout), 5.003 s": a record for a person. */
void journal_tell(char *out, size_t size, int writer, const struct journal_record *record);

#endif
