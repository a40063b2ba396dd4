/*
 * The lease of a session in memory, and its draft. Knows no locks.
 */
#ifndef STORE_MEMORY_HELD_H
#define STORE_MEMORY_HELD_H

#include <store/backend.h>

#include <base/buf.h>

/** All-zero: nobody has ever held it. */
struct memory_held {
	unsigned char lease[UUID_BYTES];
	int64_t until_us; /* by cv_clock_mono_us(); 0: ended, or never begun */
	bool has_draft;
	unsigned char draft[UUID_BYTES];
	struct cv_buf field[FIELD_COUNT];
	bool has_field[FIELD_COUNT];
};

/** How much longer it is held, in µs; 0: nobody holds it. */
int64_t cv_held_left_us(const struct memory_held *held);

/** What an append may do: cv_hold_check(). */
int cv_held_check(const struct memory_held *held, const struct store_hold *hold, bool fresh);

/** Do what it may; cannot fail. */
void cv_held_grant(struct memory_held *held, const struct store_hold *hold);

/** Save a draft: 0, STORE_IN_THE_WAY, CONVO_E_CONFLICT, CONVO_E_NOMEM, after which nothing is changed
 * but that a draft may be gone as far as it was to be replaced. */
int cv_held_draft(struct memory_held *held, const struct store_draft *draft);

/** Add the draft, if there is one, to a session that is being loaded. */
int cv_held_load(const struct memory_held *held, struct convo_session *into, struct convo_err *err);

/** A number that changes with the lease and its draft. */
uint64_t cv_held_mark(const struct memory_held *held);

void cv_held_clear(struct memory_held *held);

#endif
