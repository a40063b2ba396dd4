/*
 * Where a server listens: an address and port, a socket in the file system, or what systemd hands over.
 */
#ifndef SERVER_HTTP_LISTEN_H
#define SERVER_HTTP_LISTEN_H

#include <stdbool.h>

#include <convo/err.h>

#include "term/text.h"

/** A socket that listens. All-zero but for the descriptor of -1 holds nothing. */
struct http_listener {
	int fd;
	bool local;        /* nobody beyond this machine can reach it */
	bool plain_name;   /* its clients have no host name to say: a socket in the file system */
	struct text shown; /* for a person: "127.0.0.1:8080", "unix:/run/convo.sock" */
	struct text path;  /* removed when it is closed; empty: none */
};

/**
 * Listen.
 *
 * @param where "HOST:PORT", "[::1]:8080", ":8080" for all addresses, port 0 for any; "unix:PATH", for this
 *              user alone; "systemd": the first socket of LISTEN_FDS
 * @return 0; CONVO_E_INVALID for what is none of these; CONVO_E_IO, CONVO_E_NOMEM
 *
 * Blocks while a host's name is looked up.
 */
int http_listen(struct http_listener *out, const char *where, struct convo_err *err);

/** Close it. */
void http_unlisten(struct http_listener *listener);

#endif
