/*
 * What an append may do with the lease of its session, decided once for the backends that decide it
 * in C; the others' engines follow it word by word (contract R1 to R5).
 */
#include <store/backend.h>

#include <string.h>

/* Taking it: from nobody, from one whose time is over, or by force. */
static int hold_take(const struct store_hold *hold, const struct store_held *held)
{
	if (hold->what == CONVO_HOLD_TAKE && !held->ended && held->left_us > 0)
		return CONVO_E_BUSY;
	if (hold->settles)
		return held->has_draft && held->draft_len == hold->draft_len &&
				       memcmp(held->draft, hold->draft, UUID_BYTES) == 0
			       ? 0
			       : STORE_IN_THE_WAY;
	return held->has_draft ? STORE_IN_THE_WAY : 0;
}

int cv_hold_check(const struct store_hold *hold, const struct store_held *held, bool fresh)
{
	bool ours = memcmp(hold->lease, held->lease, UUID_BYTES) == 0;

	switch (hold->what) {
	case CONVO_HOLD_KEEP:
		return ours && !held->ended ? 0 : CONVO_E_CONFLICT;
	case CONVO_HOLD_END:
		/* A repetition finds it ended, and everything stored (A2). */
		return ours && (!held->ended || !fresh) ? 0 : CONVO_E_CONFLICT;
	default:
		/* A repetition finds it ours, and the draft that it settles stored (A2). */
		return ours && (!hold->settles || !fresh) ? 0 : hold_take(hold, held);
	}
}
