/*
 * Pages: one file each, which is in the program as embed.py put it together, style and scripts inside. They fetch what
 * they show from the server that they came from, and nothing from anywhere else.
 */
#ifndef SERVER_PAGE_PAGE_H
#define SERVER_PAGE_PAGE_H

#include <stddef.h>

struct page {
	const unsigned char *bytes; /* HTML, UTF-8 */
	size_t len;
	const char *
		policy; /* for Content-Security-Policy: its own script and style alone, by their hashes */
};

/** The page to chat: it speaks the native API, /convo/v1, as any client does. */
extern const struct page page_chat;

/** Plots of what happened over hours and days. */
extern const struct page page_usage;

#endif
