/*
 * The answer, and the endpoint that gives it; see kills.h.
 */
#include "kills.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/buf.h>
#include <base/clock.h>
#include <support/test.h>

#define ASKED_MS 60000

/* ---- the answer ------------------------------------------------------------------------- */

void kills_script_make(struct kills_script *script)
{
	static const char *const words[][2] = {
		{"word %d ", "word %d "},
		{"\xe4\xb8\xad\xe6\x96\x87 %d ", "\xe4\xb8\xad\xe6\x96\x87 %d "},
		{"line %d\n", "line %d\\n"},
		{"\"%d\" \\ ", "\\\"%d\\\" \\\\ "},
		{"\xc3\xa9t\xc3\xa9 %d ", "\\u00e9t\\u00e9 %d "},
	};
	struct cv_buf text = {0}, body = {0};

	for (int i = 0; i < KILLS_DELTAS; i++) {
		const char *const *word = words[i % 5];
		char said[32], told[64];

		snprintf(said, sizeof(said), word[0], i);
		snprintf(told, sizeof(told), word[1], i);
		must_equal(0, cv_buf_adds(&text, said));
		must_equal(0, cv_buf_addf(&body,
					  "data: {\"choices\":[{\"index\":0,\"delta\":"
					  "{\"content\":\"%s\"}}]}\n\n",
					  told));
		script->text_end[i] = text.len;
		script->body_end[i] = body.len;
	}
	must_equal(0, cv_buf_adds(&body, "data: {\"choices\":[{\"index\":0,\"delta\":{},"
					 "\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"));
	script->text_len = text.len;
	script->body_len = body.len;
	script->text = cv_buf_take(&text);
	script->body = cv_buf_take(&body);
}

void kills_script_clear(struct kills_script *script)
{
	free(script->text);
	free(script->body);
}

int64_t kills_missing_us(const struct kills_script *script, const struct kills_sent *sent,
			 size_t text_len, int64_t us)
{
	for (int i = 0; i < KILLS_DELTAS; i++) {
		if (script->text_end[i] > text_len)
			return sent->at_us[i] ? us - sent->at_us[i] : 0;
	}
	return 0;
}

/* ---- the endpoint ----------------------------------------------------------------------- */

void kills_endpoint_open(struct kills_endpoint *endpoint, const struct kills_script *script)
{
	int port;

	endpoint->script = script;
	endpoint->listener = test_listen(&port);
	endpoint->fd = -1;
	endpoint->base = test_text("http://127.0.0.1:%d/v1", port);
	/* programs that are started meanwhile are not to keep it open */
	must_equal(0, fcntl(endpoint->listener, F_SETFD, FD_CLOEXEC));
}

void kills_endpoint_hang_up(struct kills_endpoint *endpoint)
{
	if (endpoint->fd < 0)
		return;
	shutdown(endpoint->fd, SHUT_WR);
	close(endpoint->fd);
	endpoint->fd = -1;
}

void kills_endpoint_close(struct kills_endpoint *endpoint)
{
	kills_endpoint_hang_up(endpoint);
	close(endpoint->listener);
}

static bool endpoint_wait(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};

	return poll(&ready, 1, ASKED_MS) == 1;
}

/* Read a request. @return whether it is a question */
static bool endpoint_read(int fd)
{
	char in[65536];
	size_t len = 0;

	for (;;) {
		const char *head, *length;
		ssize_t got;

		if (!endpoint_wait(fd))
			must_not_reach("a program connected and asked nothing");
		got = recv(fd, in + len, sizeof(in) - 1 - len, 0);
		must(got > 0);
		len += (size_t)got;
		in[len] = '\0';
		head = strstr(in, "\r\n\r\n");
		if (!head)
			continue;
		if (strncmp(in, "POST", 4) != 0)
			return false;
		length = strstr(in, "Content-Length: ");
		must(length != NULL);
		if (len >= (size_t)(head + 4 - in) + strtoul(length + 16, NULL, 10))
			return true;
	}
}

void kills_endpoint_asked(struct kills_endpoint *endpoint)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
				   "Connection: close\r\n\r\n";
	static const char none[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n"
				   "Connection: close\r\n\r\n";
	bool asked = false;

	while (!asked) {
		kills_endpoint_hang_up(endpoint);
		if (!endpoint_wait(endpoint->listener))
			must_not_reach("no program asks");
		endpoint->fd = accept(endpoint->listener, NULL, NULL);
		must(endpoint->fd >= 0);
		must_equal(0, fcntl(endpoint->fd, F_SETFD, FD_CLOEXEC));
		asked = endpoint_read(endpoint->fd);
		must(test_send(endpoint->fd, asked ? head : none, strlen(asked ? head : none)));
	}
}

bool kills_endpoint_send(struct kills_endpoint *endpoint, struct kills_sent *sent, size_t until,
			 int pace_ms)
{
	const struct kills_script *script = endpoint->script;

	for (int i = 0; i <= KILLS_DELTAS && sent->bytes < until; i++) {
		size_t end = i < KILLS_DELTAS ? script->body_end[i] : script->body_len;

		if (end <= sent->bytes)
			continue;
		if (!test_send(endpoint->fd, script->body + sent->bytes,
			       (end < until ? end : until) - sent->bytes))
			return false;
		sent->bytes = end < until ? end : until;
		if (sent->bytes == end && i < KILLS_DELTAS)
			sent->at_us[i] = cv_clock_mono_us();
		if (pace_ms && sent->bytes < until)
			poll(NULL, 0, pace_ms);
	}
	return true;
}
