/*
 * Pages (page/page.h), as they are sent.
 */
#ifndef SERVER_API_PAGES_H
#define SERVER_API_PAGES_H

#include "http/request.h"

struct page;

/** Answer with a page. It tells nothing of itself, so it is for anybody to load, and asks for a key itself. */
void page_reply(struct http_request *request, const struct page *page);

#endif
