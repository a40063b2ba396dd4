/*
 * The walk behind convo_store_list().
 */
#ifndef STORE_FRONT_CURSOR_H
#define STORE_FRONT_CURSOR_H

#include <store/backend.h>

/** As convo_store_list(), with the arguments checked. */
int cv_cursor_next(convo_cursor *cursor, struct convo_store *store, const struct store_call *call,
		   size_t n, size_t *count, struct convo_err *err);

/** Add the bytes of the messages that the sessions of the last page show; it had at most STORE_WEIGHED. */
int cv_cursor_weigh(const convo_cursor *cursor, struct convo_store *store,
		    const struct store_call *call, int64_t *bytes, struct convo_err *err);

#endif
