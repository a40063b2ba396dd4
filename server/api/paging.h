/*
 * Pages of items: which part of a list a client asks for, and the reply of it.
 */
#ifndef SERVER_API_PAGING_H
#define SERVER_API_PAGING_H

#include "core/json.h"
#include "http/request.h"

/** What is asked by ?after, limit and order. */
struct page {
	const char *after; /* the id of the item before; NULL: from the beginning */
	size_t limit;      /* 1 to 100 */
	bool rising;       /* oldest first */
};

/** Read it. @return false when it was refused */
bool paging_read(struct page *out, struct http_request *request);

/** Reply with a part of the whole list, which is in rising order. */
void paging_reply_part(struct http_request *request, const struct page *page, const json_t *all);

/** Reply with this list. `more`: there is something behind it. The list is taken. */
void paging_reply(struct http_request *request, json_t *data, bool more);

/** Reply with an object, which is taken; NULL: memory is out. */
void paging_reply_object(struct http_request *request, json_t *object);

/** Reply 400: there is no item of that id. */
void paging_no_item(struct http_request *request);

#endif
