/*
 * TLS to Redis; see tls.h. It goes over a BIO of our own, because OpenSSL's would raise SIGPIPE in the
 * program we are part of.
 */
#include <store/redis/tls.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <base/alloc.h>

struct redis_tls {
	SSL_CTX *ctx;
	BIO_METHOD *method; /* how OpenSSL reads and writes our socket */
};

/* What OpenSSL says, of the certificate first of all. */
static int tls_fail(const struct redis_socket *sock, struct convo_err *err)
{
	long verify = SSL_get_verify_result(sock->ssl);
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	if (verify != X509_V_OK)
		return cv_fail(err, CONVO_E_IO, "%s: its certificate is not trusted: %s",
			       sock->place->name, X509_verify_cert_error_string(verify));
	if (!reason)
		return cv_redis_fail(sock->place, CONVO_E_GONE, "TLS: connection closed", err);
	return cv_fail(err, CONVO_E_IO, "%s: TLS: %s", sock->place->name, reason);
}

static int tls_bio_write(BIO *bio, const char *data, int len)
{
	struct redis_socket *sock = BIO_get_data(bio);
	ssize_t n = send(sock->fd, data, (size_t)len, MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		BIO_set_retry_write(bio);
	return (int)n;
}

static int tls_bio_read(BIO *bio, char *data, int len)
{
	struct redis_socket *sock = BIO_get_data(bio);
	ssize_t n = recv(sock->fd, data, (size_t)len, 0);

	BIO_clear_retry_flags(bio);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		BIO_set_retry_read(bio);
	return (int)n;
}

static long tls_bio_ctrl(BIO *bio, int command, long number, void *data)
{
	(void)bio;
	(void)number;
	(void)data;
	return command == BIO_CTRL_FLUSH;
}

static int tls_bio_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

static BIO_METHOD *tls_method_new(void)
{
	BIO_METHOD *method =
		BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "convo socket");

	if (!method)
		return NULL;
	if (BIO_meth_set_write(method, tls_bio_write) && BIO_meth_set_read(method, tls_bio_read) &&
	    BIO_meth_set_ctrl(method, tls_bio_ctrl) && BIO_meth_set_create(method, tls_bio_create))
		return method;
	BIO_meth_free(method);
	return NULL;
}

static int tls_load(SSL_CTX *ctx, const char *ca_file, const char *cert_file, const char *key_file,
		    struct convo_err *err)
{
	int ok = ca_file ? SSL_CTX_load_verify_locations(ctx, ca_file, NULL)
			 : SSL_CTX_set_default_verify_paths(ctx);

	if (!ok)
		return cv_fail(err, CONVO_E_INVALID, "cannot use the CA certificates of '%s'",
			       ca_file ? ca_file : "the system");
	if (cert_file && SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
		return cv_fail(err, CONVO_E_INVALID, "cannot use the certificate '%s'", cert_file);
	if (key_file && SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1)
		return cv_fail(err, CONVO_E_INVALID, "cannot use the key '%s'", key_file);
	return 0;
}

int cv_redis_tls_new(struct redis_tls **out, const char *ca_file, const char *cert_file,
		     const char *key_file, struct convo_err *err)
{
	struct redis_tls *tls = cv_alloc(1, sizeof(*tls));
	int rc;

	if (!tls)
		return cv_fail_nomem(err);
	tls->ctx = SSL_CTX_new(TLS_client_method());
	tls->method = tls_method_new();
	if (!tls->ctx || !tls->method) {
		rc = cv_fail_nomem(err);
	} else {
		SSL_CTX_set_min_proto_version(tls->ctx, TLS1_2_VERSION);
		SSL_CTX_set_verify(tls->ctx, SSL_VERIFY_PEER, NULL);
		SSL_CTX_set_mode(tls->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
						   SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
		rc = tls_load(tls->ctx, ca_file, cert_file, key_file, err);
	}
	ERR_clear_error();
	if (rc < 0)
		cv_redis_tls_free(tls);
	else
		*out = tls;
	return rc;
}

void cv_redis_tls_free(struct redis_tls *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->ctx);
	BIO_meth_free(tls->method);
	free(tls);
}

/* The host must be in the certificate: as an address if it is one, else as a name. */
static bool tls_expect_host(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(param, host))
		return true;
	return X509_VERIFY_PARAM_set1_host(param, host, 0) && SSL_set_tlsext_host_name(ssl, host);
}

/* Wait for what OpenSSL wants after a call that returned `rc`; what is not waiting is failing. */
static int tls_wait(struct redis_socket *sock, int rc, const struct redis_until *until,
		    const char *what, struct convo_err *err)
{
	int why = SSL_get_error(sock->ssl, rc);
	short events = why == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN;

	if (why == SSL_ERROR_SYSCALL && errno && !ERR_peek_error())
		return cv_redis_fail_errno(sock->place, errno, err);
	if (why == SSL_ERROR_ZERO_RETURN)
		return cv_redis_fail(sock->place, CONVO_E_GONE, "connection closed", err);
	if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
		return tls_fail(sock, err);
	return cv_redis_wait(sock->place, sock->fd, events, until, what, err);
}

int cv_redis_tls_start(struct redis_socket *sock, const struct redis_until *until,
		       struct convo_err *err)
{
	const struct redis_place *place = sock->place;
	BIO *bio;
	int rc;

	ERR_clear_error();
	sock->ssl = SSL_new(place->tls->ctx);
	bio = sock->ssl ? BIO_new(place->tls->method) : NULL;
	if (!bio)
		return cv_fail_nomem(err);
	BIO_set_data(bio, sock);
	SSL_set_bio(sock->ssl, bio, bio);
	if (!tls_expect_host(sock->ssl, place->host))
		return cv_fail_nomem(err);
	for (;;) {
		ERR_clear_error();
		errno = 0;
		rc = SSL_connect(sock->ssl);
		if (rc == 1)
			return 0;
		rc = tls_wait(sock, rc, until, "no TLS in time", err);
		if (rc < 0)
			return rc;
	}
}

ssize_t cv_redis_tls_send(struct redis_socket *sock, const char *data, size_t len,
			  const struct redis_until *until, const char *late, struct convo_err *err)
{
	int n;

	ERR_clear_error();
	errno = 0;
	n = SSL_write(sock->ssl, data, len > INT_MAX ? INT_MAX : (int)len);
	return n > 0 ? n : tls_wait(sock, n, until, late, err);
}

ssize_t cv_redis_tls_receive(struct redis_socket *sock, char *data, size_t size,
			     const struct redis_until *until, const char *late,
			     struct convo_err *err)
{
	int n;

	ERR_clear_error();
	errno = 0;
	n = SSL_read(sock->ssl, data, size > INT_MAX ? INT_MAX : (int)size);
	return n > 0 ? n : tls_wait(sock, n, until, late, err);
}

void cv_redis_tls_end(struct redis_socket *sock)
{
	SSL_free(sock->ssl);
	sock->ssl = NULL;
}

void cv_redis_sha1(char out[41], const char *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char hash[EVP_MAX_MD_SIZE] = {0};
	unsigned int i;

	EVP_Digest(data, len, hash, NULL, EVP_sha1(), NULL);
	for (i = 0; i < 20; i++) {
		out[2 * i] = digits[hash[i] >> 4];
		out[2 * i + 1] = digits[hash[i] & 15];
	}
	out[40] = '\0';
}
