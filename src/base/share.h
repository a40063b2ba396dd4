/*
 * Bytes that never change and belong to several owners: a count of its uses at the beginning of a
 * block from malloc(), which the last of them frees.
 */
#ifndef BASE_SHARE_H
#define BASE_SHARE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

struct cv_share {
	_Atomic size_t uses; /* 1 for whoever made it */
};

/** One use more, by somebody who is sure of another one meanwhile. */
static inline void cv_share_hold(struct cv_share *share)
{
	atomic_fetch_add_explicit(&share->uses, 1, memory_order_relaxed);
}

/** One use less; the last one frees the block. */
static inline void cv_share_drop(struct cv_share *share)
{
	if (atomic_fetch_sub_explicit(&share->uses, 1, memory_order_acq_rel) == 1)
		free(share);
}

#endif
