/*
 * A small HTTP server that stands in for an OpenAI-compatible endpoint: it answers each request
 * with the next of the replies it was given, in pieces of any size, and keeps what it was asked.
 * It runs in threads of this process, on a free port of the loopback interface.
 */
#ifndef TESTS_SUPPORT_FAKE_LLM_H
#define TESTS_SUPPORT_FAKE_LLM_H

#include <stddef.h>

#include <base/buf.h>

/** How the body's end is told. */
enum fake_end {
	FAKE_CHUNKED = 0, /* chunked, each piece a chunk: so libcurl hands on pieces of that size */
	FAKE_LENGTH,      /* by Content-Length */
	FAKE_CLOSE,       /* by closing */
	FAKE_LEAVE,       /* by Content-Length; then closed without a word */
	FAKE_CUT,         /* it is not: closed before the length that was told */
	FAKE_HOLD,        /* chunked, but neither ended nor closed until the client goes */
	FAKE_DROP,        /* no reply at all: closed after the request was read */
	FAKE_HANG         /* no reply at all: the connection stays open */
};

struct fake_pause {
	size_t at; /* after so many bytes of the body */
	int ms;
};

struct fake_reply {
	int status;          /* 0: 200 */
	const char *headers; /* whole lines, each ending in \r\n; NULL: none */
	const char *body;
	size_t body_len;
	enum fake_end end;
	struct fake_pause pauses[8];
	size_t pause_count;
};

struct fake_llm;

/**
 * Start one. The last reply is given to all further requests. The replies are borrowed.
 *
 * @param piece most bytes sent at once; 0: the whole body
 */
struct fake_llm *fake_llm_start(const struct fake_reply *replies, size_t count, size_t piece);

/**
 * Answers a request by writing the body of a reply.
 *
 * @param request head and body
 * @return the status. Called in the thread of a connection, by several at once
 */
typedef int (*fake_answer_fn)(void *ctx, const char *request, struct cv_buf *body);

/** Start one that thinks: every request is answered by a function. */
struct fake_llm *fake_llm_think(fake_answer_fn answer, void *ctx);

/** "http://127.0.0.1:port/v1"; lives as long as the server. */
const char *fake_llm_base(const struct fake_llm *server);

/** How many requests and connections there were. */
size_t fake_llm_requests(struct fake_llm *server);
size_t fake_llm_connections(struct fake_llm *server);

/** How many connections were closed by the client before the reply was over. */
size_t fake_llm_gone(struct fake_llm *server);

/** The n-th request, head and body, as it came; "" when there was none. */
const char *fake_llm_request(struct fake_llm *server, size_t n);

/** Stop and free it; every connection is closed. */
void fake_llm_stop(struct fake_llm *server);

#endif
