/*
 * TLS over a socket to a Redis server. OpenSSL is known here and nowhere else.
 */
#ifndef STORE_REDIS_TLS_H
#define STORE_REDIS_TLS_H

#include <stddef.h>
#include <sys/types.h>

#include <store/redis/socket.h>

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

/** Begin TLS on a connected socket. */
int cv_redis_tls_start(struct redis_socket *sock, const struct redis_until *until,
		       struct convo_err *err);

/** Bytes sent or received, 0 when it had to wait, or a negative code; `late` is told at the deadline. */
ssize_t cv_redis_tls_send(struct redis_socket *sock, const char *data, size_t len,
			  const struct redis_until *until, const char *late, struct convo_err *err);
ssize_t cv_redis_tls_receive(struct redis_socket *sock, char *data, size_t size,
			     const struct redis_until *until, const char *late,
			     struct convo_err *err);

/** Forget what is between us and the server, without a word to it. NULL is fine. */
void cv_redis_tls_end(struct redis_socket *sock);

/** The SHA-1 of a script, as 40 hex digits and a NUL. */
void cv_redis_sha1(char out[41], const char *data, size_t len);

#endif
