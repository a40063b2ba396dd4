/*
 * One connection to a Redis server: socket, TLS and RESP, every step by a deadline. It knows bytes
 * and replies; what they mean is known above.
 */
#ifndef STORE_REDIS_CONN_H
#define STORE_REDIS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <base/fail.h>

/** Settings of TLS, shared by all connections of a store. */
struct redis_tls;

/**
 * Certificates are always verified, against `ca_file` or, when that is NULL, against the system's.
 *
 * @param cert_file, key_file who we are to the server; both NULL when it does not ask
 * @return 0, CONVO_E_INVALID for a file that cannot be used, CONVO_E_NOMEM
 */
int cv_redis_tls_new(struct redis_tls **out, const char *ca_file, const char *cert_file,
		     const char *key_file, struct convo_err *err);

/** NULL is fine. */
void cv_redis_tls_free(struct redis_tls *tls);

/** Where a server is. */
struct redis_place {
	const char *name; /* for messages: "redis localhost:6379" */
	const char *host; /* NULL: `path` is a unix socket */
	int port;
	const char *path;
	struct redis_tls *tls; /* NULL without */
};

struct redis_conn;

/** @return 0, CONVO_E_IO, CONVO_E_TIMEOUT, CONVO_E_NOMEM. The place is borrowed for good. */
int cv_redis_connect(struct redis_conn **out, const struct redis_place *place, int64_t deadline_us,
		     struct convo_err *err);

/** Close it in any state, without waiting. NULL is fine. */
void cv_redis_disconnect(struct redis_conn *conn);

/** Whether an idle connection is still open and silent. Asks the socket alone. */
bool cv_redis_usable(const struct redis_conn *conn);

/**
 * Send bytes.
 *
 * @param sent rises by what has left this process: what comes after cannot have reached the server
 * @return 0, CONVO_E_IO, CONVO_E_TIMEOUT
 */
int cv_redis_write(struct redis_conn *conn, const char *data, size_t len, int64_t deadline_us,
		   size_t *sent, struct convo_err *err);

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
 * @return 0, CONVO_E_IO, CONVO_E_TIMEOUT, CONVO_E_NOMEM; the connection is out of step then
 */
int cv_redis_read(struct redis_conn *conn, int64_t deadline_us, const struct redis_value **out,
		  struct convo_err *err);

/** The SHA-1 of a script, as 40 hex digits and a NUL. */
void cv_redis_sha1(char out[41], const char *data, size_t len);

#endif
