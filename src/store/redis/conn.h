/*
 * One connection to a Redis server: socket, TLS and RESP, every step by a deadline. It knows bytes
 * and replies; what they mean is known above.
 */
#ifndef STORE_REDIS_CONN_H
#define STORE_REDIS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <store/redis/socket.h>

struct redis_conn;

/** @return as cv_redis_socket_open(). The place is borrowed for good. */
int cv_redis_connect(struct redis_conn **out, const struct redis_place *place,
		     const struct redis_until *until, struct convo_err *err);

/** Close it in any state, without waiting. NULL is fine. */
void cv_redis_disconnect(struct redis_conn *conn);

/** Whether an idle connection is still open and silent. Asks the socket alone. */
bool cv_redis_usable(const struct redis_conn *conn);

/** Its socket. */
int cv_redis_fd(const struct redis_conn *conn);

/**
 * Send bytes.
 *
 * @param sent rises by what has left this process: what comes after cannot have reached the server
 * @return 0, CONVO_E_GONE, CONVO_E_IO, CONVO_E_TIMEOUT, CONVO_E_CANCELED
 */
int cv_redis_write(struct redis_conn *conn, const char *data, size_t len,
		   const struct redis_until *until, size_t *sent, struct convo_err *err);

enum redis_kind {
	REDIS_VALUE_NIL,
	REDIS_VALUE_INTEGER,
	REDIS_VALUE_STRING, /* also a status: "OK" */
	REDIS_VALUE_ERROR,
	REDIS_VALUE_ARRAY
};

/** A reply or a part of one. */
struct redis_value {
	enum redis_kind kind;
	int64_t integer;
	const char *data; /* of a string or error, NUL-terminated */
	size_t len;       /* its bytes, or the items of an array */
	struct redis_value *item;
};

/**
 * Receive one reply.
 *
 * @param out set to it; valid until the next reply is asked for
 * @return the same and CONVO_E_NOMEM. After CONVO_E_TIMEOUT and CONVO_E_CANCELED the reply may be asked
 *         for again; for who does not, and after any other failure, the connection is out of step
 */
int cv_redis_read(struct redis_conn *conn, const struct redis_until *until,
		  const struct redis_value **out, struct convo_err *err);

#endif
