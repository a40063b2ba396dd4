/*
 * The page to chat: GET /. See pages.h.
 */
#include "api/pages.h"

#include "api/apis.h"
#include "api/openai.h"
#include "page/page.h"

void page_reply(struct http_request *request, const struct page *page)
{
	const struct convo_err nomem = {.code = CONVO_E_NOMEM, .text = "out of memory"};
	struct text body = {0};

	if (!text_add(&body, (const char *)page->bytes, page->len)) {
		text_clear(&body);
		openai_fail(request, OPENAI_REQUEST, &nomem);
		return;
	}
	http_add_header(request, "Content-Security-Policy", page->policy);
	http_add_header(request, "Referrer-Policy", "no-referrer");
	http_add_header(request, "X-Frame-Options", "DENY");
	http_add_header(request, "Cross-Origin-Opener-Policy", "same-origin");
	http_reply(request, 200, "text/html; charset=utf-8", &body);
}

static void chat_page(void *ctx, struct http_request *request)
{
	(void)ctx;
	page_reply(request, &page_chat);
}

static const struct http_route page_routes[] = {
	{HTTP_GET, "/", chat_page, 0, HTTP_AT_ONCE},
};

struct http_api page_api(struct service *service)
{
	struct http_api api = openai_api(page_routes, 1, service);

	/* None: what is unknown is no page. */
	api.prefix = "";
	return api;
}
