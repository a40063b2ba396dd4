/*
 * A connection to Redis; see redis_conn.h. The socket never blocks: each step polls until the
 * call's deadline. Replies are read by hiredis' reader into an arena; TLS is OpenSSL over a BIO of
 * our own, because OpenSSL's would raise SIGPIPE in the program we are part of.
 */
#include <store/redis/conn.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <hiredis/hiredis.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <base/alloc.h>
#include <base/arena.h>
#include <base/clock.h>
#include <base/resolve.h>

#define READ_SIZE 65536
#define MAX_REPLY (256u << 20) /* bytes; the scripts answer with far less */
#define MAX_ITEMS (8 << 20)    /* of one array */

struct redis_tls {
	SSL_CTX *ctx;
	BIO_METHOD *method; /* how OpenSSL reads and writes our socket */
};

struct redis_conn {
	const struct redis_place *place;
	int fd;
	SSL *ssl; /* NULL without TLS */
	redisReader *reader;
	struct cv_arena values; /* of the last reply */
	size_t received;        /* bytes of the reply that is being read */
	char chunk[READ_SIZE];
};

/* ---- failing ---------------------------------------------------------------------------- */

static int conn_fail(const struct redis_place *place, const char *why, struct convo_err *err)
{
	return cv_fail(err, CONVO_E_IO, "%s: %s", place->name, why);
}

static int conn_fail_errno(const struct redis_place *place, int error, struct convo_err *err)
{
	char text[128] = "unknown error";

	(void)strerror_r(error, text, sizeof(text));
	if (text[0] >= 'A' && text[0] <= 'Z')
		text[0] = (char)(text[0] - 'A' + 'a');
	return conn_fail(place, text, err);
}

static int conn_fail_timeout(const struct redis_place *place, const char *what,
			     struct convo_err *err)
{
	return cv_fail(err, CONVO_E_TIMEOUT, "%s: %s", place->name, what);
}

/* What OpenSSL says, of the certificate first of all. */
static int conn_fail_tls(const struct redis_conn *conn, struct convo_err *err)
{
	long verify = SSL_get_verify_result(conn->ssl);
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	if (verify != X509_V_OK)
		return cv_fail(err, CONVO_E_IO, "%s: its certificate is not trusted: %s",
			       conn->place->name, X509_verify_cert_error_string(verify));
	return cv_fail(err, CONVO_E_IO, "%s: TLS: %s", conn->place->name,
		       reason ? reason : "connection closed");
}

/* ---- waiting ---------------------------------------------------------------------------- */

/* Wait until the socket is ready; false at the deadline. */
static bool fd_wait(int fd, short events, int64_t deadline_us)
{
	struct pollfd poller = {.fd = fd, .events = events};

	for (;;) {
		int64_t left_us = deadline_us - cv_clock_mono_us();
		int rc;

		if (left_us <= 0)
			return false;
		if (left_us > 1000000000)
			left_us = 1000000000;
		rc = poll(&poller, 1, (int)((left_us + 999) / 1000));
		if (rc > 0)
			return true;
		/* A failing poll() is left to the read or write that follows. */
		if (rc < 0 && errno != EINTR)
			return true;
	}
}

/* ---- TLS -------------------------------------------------------------------------------- */

static int tls_bio_write(BIO *bio, const char *data, int len)
{
	struct redis_conn *conn = BIO_get_data(bio);
	ssize_t n = send(conn->fd, data, (size_t)len, MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		BIO_set_retry_write(bio);
	return (int)n;
}

static int tls_bio_read(BIO *bio, char *data, int len)
{
	struct redis_conn *conn = BIO_get_data(bio);
	ssize_t n = recv(conn->fd, data, (size_t)len, 0);

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
static int tls_wait(struct redis_conn *conn, int rc, int64_t deadline_us, const char *what,
		    struct convo_err *err)
{
	int why = SSL_get_error(conn->ssl, rc);
	short events = why == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN;

	if (why == SSL_ERROR_SYSCALL && errno && !ERR_peek_error())
		return conn_fail_errno(conn->place, errno, err);
	if (why == SSL_ERROR_ZERO_RETURN)
		return conn_fail(conn->place, "connection closed", err);
	if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
		return conn_fail_tls(conn, err);
	if (!fd_wait(conn->fd, events, deadline_us))
		return conn_fail_timeout(conn->place, what, err);
	return 0;
}

static int tls_start(struct redis_conn *conn, int64_t deadline_us, struct convo_err *err)
{
	const struct redis_place *place = conn->place;
	BIO *bio;
	int rc;

	ERR_clear_error();
	conn->ssl = SSL_new(place->tls->ctx);
	bio = conn->ssl ? BIO_new(place->tls->method) : NULL;
	if (!bio)
		return cv_fail_nomem(err);
	BIO_set_data(bio, conn);
	SSL_set_bio(conn->ssl, bio, bio);
	if (!tls_expect_host(conn->ssl, place->host))
		return cv_fail_nomem(err);
	for (;;) {
		ERR_clear_error();
		errno = 0;
		rc = SSL_connect(conn->ssl);
		if (rc == 1)
			return 0;
		rc = tls_wait(conn, rc, deadline_us, "no TLS in time", err);
		if (rc < 0)
			return rc;
	}
}

/* ---- connecting ------------------------------------------------------------------------- */

/* Begin and finish connecting a socket; the deadline may be one of several attempts. */
static int fd_connect(const struct redis_place *place, int fd, const struct sockaddr *address,
		      socklen_t size, int64_t deadline_us, struct convo_err *err)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (connect(fd, address, size) == 0)
		return 0;
	if (errno != EINPROGRESS && errno != EINTR)
		return conn_fail_errno(place, errno, err);
	if (!fd_wait(fd, POLLOUT, deadline_us))
		return conn_fail_timeout(place, "no connection in time", err);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	return error ? conn_fail_errno(place, error, err) : 0;
}

/* A connected socket, or a negative code. */
static int fd_open(const struct redis_place *place, int family, const struct sockaddr *address,
		   socklen_t size, int64_t deadline_us, struct convo_err *err)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, rc;

	if (fd < 0)
		return conn_fail_errno(place, errno, err);
	if (family != AF_UNIX) {
		/* Neither is worth failing for. */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	}
	rc = fd_connect(place, fd, address, size, deadline_us, err);
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

static int fd_open_unix(const struct redis_place *place, int64_t deadline_us, struct convo_err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(place->path);

	if (len >= sizeof(address.sun_path))
		return conn_fail(place, "the path of the socket is too long", err);
	memcpy(address.sun_path, place->path, len + 1);
	return fd_open(place, AF_UNIX, (const struct sockaddr *)&address, sizeof(address),
		       deadline_us, err);
}

/* Try the addresses of the host one after the other, each with its share of the time. */
static int fd_open_tcp(const struct redis_place *place, int64_t deadline_us, struct convo_err *err)
{
	struct addrinfo *list = NULL, *at;
	struct convo_err why = {0};
	int rc = cv_resolve(&list, place->host, place->port, deadline_us, &why), left = 0;

	if (rc < 0)
		return cv_fail(err, rc, "%s: %s", place->name, why.text);
	for (at = list; at; at = at->ai_next)
		left++;
	for (at = list; at; at = at->ai_next) {
		int64_t now_us = cv_clock_mono_us();

		rc = fd_open(place, at->ai_family, at->ai_addr, at->ai_addrlen,
			     now_us + (deadline_us - now_us) / left--, err);
		if (rc >= 0)
			break;
	}
	freeaddrinfo(list);
	return rc;
}

/* ---- values ----------------------------------------------------------------------------- */

/* Where a new value goes: its place in the array it belongs to, or one of its own. */
static struct redis_value *value_new(const redisReadTask *task, enum redis_kind kind)
{
	struct redis_conn *conn = task->privdata;
	struct redis_value *parent = task->parent ? task->parent->obj : NULL;
	struct redis_value *value =
		parent ? &parent->item[task->idx] : cv_arena_alloc(&conn->values, sizeof(*value));

	if (value)
		*value = (struct redis_value){.kind = kind};
	return value;
}

static void *value_new_string(const redisReadTask *task, char *data, size_t len)
{
	bool error = task->type == REDIS_REPLY_ERROR;
	struct redis_value *value = value_new(task, error ? REDIS_VALUE_ERROR : REDIS_VALUE_STRING);
	struct redis_conn *conn = task->privdata;

	if (!value)
		return NULL;
	value->data = cv_arena_dup(&conn->values, data, len);
	value->len = len;
	return value->data ? value : NULL;
}

static void *value_new_array_of(const redisReadTask *task, size_t count)
{
	struct redis_value *value = value_new(task, REDIS_VALUE_ARRAY);
	struct redis_conn *conn = task->privdata;

	if (!value || count > MAX_ITEMS)
		return NULL;
	value->item = cv_arena_alloc(&conn->values, count * sizeof(*value->item));
	value->len = count;
	return value->item ? value : NULL;
}

#if HIREDIS_MAJOR > 0
static void *value_new_array(const redisReadTask *task, size_t count)
{
	return value_new_array_of(task, count);
}
#else
static void *value_new_array(const redisReadTask *task, int count)
{
	return value_new_array_of(task, count > 0 ? (size_t)count : 0);
}
#endif

static void *value_new_integer(const redisReadTask *task, long long integer)
{
	struct redis_value *value = value_new(task, REDIS_VALUE_INTEGER);

	if (value)
		value->integer = integer;
	return value;
}

static void *value_new_nil(const redisReadTask *task)
{
	return value_new(task, REDIS_VALUE_NIL);
}

/* Values go with their arena. */
static void value_free(void *value)
{
	(void)value;
}

static redisReplyObjectFunctions value_functions = {
	.createString = value_new_string,
	.createArray = value_new_array,
	.createInteger = value_new_integer,
	.createNil = value_new_nil,
	.freeObject = value_free,
};

/* ---- the connection --------------------------------------------------------------------- */

int cv_redis_connect(struct redis_conn **out, const struct redis_place *place, int64_t deadline_us,
		     struct convo_err *err)
{
	struct redis_conn *conn = malloc(sizeof(*conn));
	int rc = 0;

	if (!conn)
		return cv_fail_nomem(err);
	*conn = (struct redis_conn){.place = place, .fd = -1};
	conn->reader = redisReaderCreateWithFunctions(&value_functions);
	if (!conn->reader) {
		rc = cv_fail_nomem(err);
		goto out;
	}
	conn->reader->privdata = conn;
	conn->fd = place->host ? fd_open_tcp(place, deadline_us, err)
			       : fd_open_unix(place, deadline_us, err);
	if (conn->fd < 0)
		rc = conn->fd;
	else if (place->tls)
		rc = tls_start(conn, deadline_us, err);
out:
	if (rc < 0)
		cv_redis_disconnect(conn);
	else
		*out = conn;
	return rc;
}

void cv_redis_disconnect(struct redis_conn *conn)
{
	if (!conn)
		return;
	SSL_free(conn->ssl);
	if (conn->fd >= 0)
		close(conn->fd);
	if (conn->reader)
		redisReaderFree(conn->reader);
	cv_arena_clear(&conn->values);
	free(conn);
}

bool cv_redis_usable(const struct redis_conn *conn)
{
	struct pollfd poller = {.fd = conn->fd, .events = POLLIN};

	/* Nobody speaks unasked here: what can be read is the end, or a reply nobody waits for. */
	return poll(&poller, 1, 0) == 0;
}

/* Bytes sent now, 0 when it had to wait, or a negative code. */
static ssize_t conn_send(struct redis_conn *conn, const char *data, size_t len, int64_t deadline_us,
			 struct convo_err *err)
{
	const char *late = "the server takes nothing more";
	ssize_t n;

	if (conn->ssl) {
		ERR_clear_error();
		errno = 0;
		n = SSL_write(conn->ssl, data, (int)(len > MAX_REPLY ? MAX_REPLY : len));
		return n > 0 ? n : tls_wait(conn, (int)n, deadline_us, late, err);
	}
	n = send(conn->fd, data, len, MSG_NOSIGNAL);
	if (n >= 0)
		return n;
	if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		return conn_fail_errno(conn->place, errno, err);
	if (!fd_wait(conn->fd, POLLOUT, deadline_us))
		return conn_fail_timeout(conn->place, late, err);
	return 0;
}

int cv_redis_write(struct redis_conn *conn, const char *data, size_t len, int64_t deadline_us,
		   size_t *sent, struct convo_err *err)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = conn_send(conn, data + done, len - done, deadline_us, err);

		if (n < 0)
			return (int)n;
		done += (size_t)n;
		*sent += (size_t)n;
	}
	return 0;
}

/* Bytes received, 0 when it had to wait, or a negative code. */
static ssize_t conn_receive(struct redis_conn *conn, int64_t deadline_us, struct convo_err *err)
{
	const char *late = "no answer in time";
	ssize_t n;

	if (conn->ssl) {
		ERR_clear_error();
		errno = 0;
		n = SSL_read(conn->ssl, conn->chunk, READ_SIZE);
		return n > 0 ? n : tls_wait(conn, (int)n, deadline_us, late, err);
	}
	if (!fd_wait(conn->fd, POLLIN, deadline_us))
		return conn_fail_timeout(conn->place, late, err);
	n = recv(conn->fd, conn->chunk, READ_SIZE, 0);
	if (n == 0)
		return conn_fail(conn->place, "connection closed", err);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return 0;
	return n < 0 ? conn_fail_errno(conn->place, errno, err) : n;
}

static int conn_fail_reader(const struct redis_conn *conn, struct convo_err *err)
{
	if (conn->reader->err == REDIS_ERR_OOM)
		return cv_fail_nomem(err);
	return conn_fail(conn->place, "this does not answer like Redis", err);
}

int cv_redis_read(struct redis_conn *conn, int64_t deadline_us, const struct redis_value **out,
		  struct convo_err *err)
{
	void *reply = NULL;

	cv_arena_clear(&conn->values);
	conn->received = 0;
	for (;;) {
		ssize_t n;

		if (redisReaderGetReply(conn->reader, &reply) != REDIS_OK)
			return conn_fail_reader(conn, err);
		if (reply)
			break;
		n = conn_receive(conn, deadline_us, err);
		if (n < 0)
			return (int)n;
		conn->received += (size_t)n;
		if (conn->received > MAX_REPLY)
			return conn_fail(conn->place, "an answer is too large", err);
		if (redisReaderFeed(conn->reader, conn->chunk, (size_t)n) != REDIS_OK)
			return conn_fail_reader(conn, err);
	}
	*out = reply;
	return 0;
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
