/*
 * The events of one session in memory: a ring by seq, and a table from id to seq. Knows no locks.
 */
#ifndef STORE_MEMORY_LOG_H
#define STORE_MEMORY_LOG_H

#include <store/backend.h>

struct memory_event; /* one event, packed into one block */

/** Where an id is. The hash stands beside it, so that a miss does not touch the event. */
struct log_slot {
	uint32_t hash;
	uint32_t place; /* index in the ring + 1; 0: free */
};

/** All-zero but for first_seq = 1 is a valid empty log. */
struct memory_log {
	struct memory_event **ring; /* by seq modulo cap */
	size_t cap;                 /* a power of two */
	struct log_slot *table;     /* twice cap slots */
	int64_t first_seq, last_seq;
	uint64_t seed; /* keeps chosen ids from crowding the table */
};

/** The seq of an id, 0 when it is not there. */
int64_t cv_log_find(const struct memory_log *log, const unsigned char *id);

/**
 * Add events behind the last one, all or none, setting seq and time_ms of those whose seq is 0 and
 * passing over the others. @return 0, CONVO_E_NOMEM
 */
int cv_log_append(struct memory_log *log, struct store_event *events, size_t count, int64_t now_ms);

/** Free the events before this seq. */
void cv_log_trim(struct memory_log *log, int64_t first_seq);

/** The event of a seq that is in the log; borrowed. */
void cv_log_get(const struct memory_log *log, int64_t seq, struct store_event *out);

void cv_log_clear(struct memory_log *log);

#endif
