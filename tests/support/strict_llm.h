/*
 * A stand-in for an endpoint that insists on what real ones insist on: it counts the tokens of each
 * request, refuses more than its window holds, roles that do not alternate, system messages, and halves of
 * tool calls, and says so as servers do. What it counts is usage. Asked for a summary it gives all words of the request
 * that begin with "fact-", each once.
 */
#ifndef TESTS_SUPPORT_STRICT_LLM_H
#define TESTS_SUPPORT_STRICT_LLM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/** How it sums up. */
enum strict_sums { SUMS_FACTS, SUMS_NOTHING, SUMS_AT_LENGTH, SUMS_REFUSED, SUMS_NEVER };

/** How it is. Fixed while it runs, but for what is atomic. */
struct strict_llm {
	size_t window; /* tokens it takes; 0: any number */
	double rate;   /* what it counts for each token of its plain way of counting */
	bool lists;    /* GET /models tells the window */
	bool mute;     /* its refusals hold no number */
	bool alternates;
	bool no_system;
	bool pairs;           /* calls of tools go with all their outputs, or it refuses */
	atomic_size_t calls;  /* its next answer calls so many tools; may be changed */
	atomic_bool out;      /* it is out of order: status 500; may be changed */
	atomic_size_t answer; /* words of its answers; may be changed */
	atomic_int sums;      /* how it sums up; may be changed */

	struct fake_llm *server;
	/* counted */
	atomic_size_t requests, lists_read, too_long, bad_roles, bad_pairs;
	atomic_size_t last_tokens, last_messages;
	atomic_size_t summaries; /* requests for one */

	/* For who wants to see each request of a conversation, in the thread of its connection. */
	void (*seen)(void *ctx, const char *messages, size_t len);
	void *ctx;
};

/** Start it; `strict->server` is set. */
void strict_llm_start(struct strict_llm *strict);
void strict_llm_stop(struct strict_llm *strict);

#endif
