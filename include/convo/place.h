/*
 * Places in a user's list: for who answers each page of a walk by itself and keeps no cursor between them, as a
 * web server does.
 */
#ifndef CONVO_PLACE_H
#define CONVO_PLACE_H

#include <convo/store.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A place in a list: plain numbers of the store, to be kept in whatever form. They tell a person nothing. */
struct convo_place {
	int64_t position, number;
	int64_t reserved[2]; /**< 0; see version.h */
};

/**
 * Where a walk is: behind the last session that convo_store_list() returned.
 *
 * @return 0; CONVO_E_INVALID when the last page had none, or there was none yet, and for a walk over several
 *         users. Thread-safe as the cursor is. Does not block.
 */
CONVO_API int convo_cursor_place(const convo_cursor *cursor, struct convo_place *out,
				 struct convo_err *err);

/**
 * Go on behind a place, with a cursor that has returned nothing yet. Such a walk goes to the end of the list
 * once: a session that another one's write has moved to the front meanwhile, past the place, is not met, and
 * one that moved there after it was returned is not known to have been. Who wants them reads the list from
 * its front.
 *
 * @param place of a walk over the same user's sessions, of the same kind, by whichever process; any other
 *              numbers are a place, too
 * @return 0; CONVO_E_INVALID for a cursor that has begun, or is for several users. Does not block.
 */
CONVO_API int convo_cursor_seek(convo_cursor *cursor, const struct convo_place *place,
				struct convo_err *err);

#ifdef __cplusplus
}
#endif

#endif
