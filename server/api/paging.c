/*
 * Pages; see paging.h.
 */
#include "api/paging.h"

#include <stdlib.h>
#include <string.h>

#include "api/items.h"
#include "api/openai.h"

#define LIMIT_STANDARD 20
#define LIMIT_MOST 100

bool paging_read(struct page *out, struct http_request *request)
{
	const char *limit = http_query(request, "limit"), *order = http_query(request, "order");
	char *end = NULL;
	long n = limit ? strtol(limit, &end, 10) : LIMIT_STANDARD;

	if (n < 1 || n > LIMIT_MOST || (end && *end))
		return openai_wrong(request, "limit", "limit is 1 to 100");
	if (order && strcmp(order, "asc") != 0 && strcmp(order, "desc") != 0)
		return openai_wrong(request, "order", "order is asc or desc");
	out->limit = (size_t)n;
	out->rising = order && !strcmp(order, "asc");
	out->after = http_query(request, "after");
	return true;
}

void paging_no_item(struct http_request *request)
{
	openai_wrong(request, "after", "there is no item of that id");
}

void paging_reply_object(struct http_request *request, json_t *object)
{
	struct text body = {0};

	body.max = 6 * HTTP_BODY_MAX;
	if (object && json_write(&body, object))
		http_reply(request, 200, "application/json", &body);
	else
		openai_nomem(request);
	text_clear(&body);
	json_decref(object);
}

static json_t *id_of(const json_t *data, size_t i)
{
	json_t *id = json_object_get(json_array_get(data, i), "id");

	return id ? json_incref(id) : json_null();
}

void paging_reply(struct http_request *request, json_t *data, bool more)
{
	size_t count = json_array_size(data);
	json_t *first = id_of(data, 0), *last = id_of(data, count ? count - 1 : 0);

	paging_reply_object(request,
			    json_pack("{s:s,s:o,s:o,s:o,s:b}", "object", "list", "data", data,
				      "first_id", first, "last_id", last, "has_more", more));
}

void paging_reply_part(struct http_request *request, const struct page *page, const json_t *all)
{
	size_t count = json_array_size(all), at = 0, i;
	json_t *data = json_array();
	bool found = !page->after;

	for (i = 0; i < count; i++) {
		json_t *item = json_array_get(all, page->rising ? i : count - 1 - i);

		if (found && at++ < page->limit)
			json_array_append(data, item);
		found = found || item_is(item, page->after);
	}
	if (found) {
		paging_reply(request, data, at > page->limit);
		return;
	}
	json_decref(data);
	paging_no_item(request);
}
