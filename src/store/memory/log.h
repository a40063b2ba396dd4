/*
 * The events of one session in memory: a ring by seq, and a table from id to seq. Knows no locks.
 *
 * Events stand as they are handed out, one behind the other in chunks of bytes that never change, and
 * loaded sessions hold the chunks in place of copies. A chunk is freed when the log has dropped all
 * events in it and the last session that was loaded from it is freed.
 */
#ifndef STORE_MEMORY_LOG_H
#define STORE_MEMORY_LOG_H

#include <store/backend.h>

struct memory_event;

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
	struct log_chunk *chunk; /* where the next event goes */
	size_t bytes;            /* of its own chunks */
	struct cv_share *
		*lent;     /* chunks of the log that this is a fork of, held until the events */
	size_t lent_count; /* up to lent_seq are dropped */
	int64_t lent_seq;
	uint64_t seed; /* keeps chosen ids from crowding the table */
};

/** The seq of an id, 0 when it is not there. */
int64_t cv_log_find(const struct memory_log *log, const unsigned char *id);

/**
 * Add events behind the last one, all or none, setting seq and time_ms of those whose seq is 0 and
 * passing over the others. @return 0, CONVO_E_NOMEM
 */
int cv_log_append(struct memory_log *log, struct store_event *events, size_t count, int64_t now_ms);

/**
 * Make an empty log that of a fork: it shares the events from..to (nothing when from > to), and goes
 * on behind `to`. @return 0, CONVO_E_NOMEM
 */
int cv_log_fork(struct memory_log *log, const struct memory_log *source, int64_t from, int64_t to);

/** The bytes of the messages of these events, as far as they are there. */
int64_t cv_log_weigh(const struct memory_log *log, int64_t from, int64_t to);

/** Drop the events before this seq. */
void cv_log_trim(struct memory_log *log, int64_t first_seq);

/** Add the event of a seq that is in the log to a session that is being loaded. */
int cv_log_share(const struct memory_log *log, int64_t seq, struct convo_session *into,
		 struct convo_err *err);

void cv_log_clear(struct memory_log *log);

#endif
