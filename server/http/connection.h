/*
 * What the HTTP library calls, inside this room: connections that come and go, heads, bodies, and replies
 * that are ready.
 */
#ifndef SERVER_HTTP_CONNECTION_H
#define SERVER_HTTP_CONNECTION_H

#include "http/state.h"

/** How long a head may take, and a body, and how long a connection may wait for its next request. */
#define HEAD_MS 10000
#define BODY_MS 60000
#define IDLE_MS 75000

/* For MHD_start_daemon(); `ctx` is the server. */

enum MHD_Result connection_request(void *ctx, struct MHD_Connection *connection, const char *url,
				   const char *method, const char *version, const char *data,
				   size_t *data_len, void **exchange);

void connection_completed(void *ctx, struct MHD_Connection *connection, void **exchange,
			  enum MHD_RequestTerminationCode how);

void connection_notify(void *ctx, struct MHD_Connection *connection, void **peer,
		       enum MHD_ConnectionNotificationCode code);

/** A request line was read. */
void *connection_line(void *ctx, const char *line, struct MHD_Connection *connection);

/** Leaves text as it is: we decode it where we know what it is. */
size_t connection_no_unescape(void *ctx, struct MHD_Connection *connection, char *text);

/** For workers_new(): runs the handler of an exchange. */
void connection_work(void *exchange, convo_cancel *cancel);

#endif
