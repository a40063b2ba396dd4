/*
 * A connection to Redis; see conn.h. Replies are read by hiredis' reader into an arena.
 */
#include <store/redis/conn.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include <base/arena.h>
#include <base/clock.h>
#include <store/redis/tls.h>

#define READ_SIZE 65536
#define MAX_REPLY (256u << 20) /* bytes; the scripts answer with far less */
#define MAX_ITEMS (8 << 20)    /* of all arrays of a reply together */

struct redis_conn {
	struct redis_socket sock;
	redisReader *reader;
	struct cv_arena values; /* of the last reply */
	size_t received;        /* bytes of the reply that is being read */
	size_t items;           /* of its arrays, as they say themselves */
	bool begun;             /* it is being read: `values` has parts of it */
	char chunk[READ_SIZE];
};

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

	if (!value)
		return NULL;
	if (count > MAX_ITEMS - conn->items) {
		conn->items = MAX_ITEMS + 1; /* for who tells it */
		return NULL;
	}
	conn->items += count;
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

#if HIREDIS_MAJOR > 0
/* What we never asked to be spoken to with; without these the reader would make up pointers. */
static void *value_new_double(const redisReadTask *task, double number, char *data, size_t len)
{
	(void)number;
	(void)data;
	(void)len;
	return value_new(task, REDIS_VALUE_NIL);
}

static void *value_new_bool(const redisReadTask *task, int boolean)
{
	(void)boolean;
	return value_new(task, REDIS_VALUE_NIL);
}
#endif

static redisReplyObjectFunctions value_functions = {
	.createString = value_new_string,
	.createArray = value_new_array,
	.createInteger = value_new_integer,
	.createNil = value_new_nil,
#if HIREDIS_MAJOR > 0
	.createDouble = value_new_double,
	.createBool = value_new_bool,
#endif
	.freeObject = value_free,
};

/* ---- the connection --------------------------------------------------------------------- */

int cv_redis_connect(struct redis_conn **out, const struct redis_place *place,
		     const struct redis_until *until, struct convo_err *err)
{
	struct redis_conn *conn = malloc(sizeof(*conn));
	int rc;

	if (!conn)
		return cv_fail_nomem(err);
	*conn = (struct redis_conn){.sock = {.place = place, .fd = -1}};
	conn->reader = redisReaderCreateWithFunctions(&value_functions);
	if (!conn->reader) {
		rc = cv_fail_nomem(err);
		goto out;
	}
	conn->reader->privdata = conn;
	rc = cv_redis_socket_open(&conn->sock, until, err);
	if (rc < 0)
		goto out;
	if (place->tls)
		rc = cv_redis_tls_start(&conn->sock, until, err);
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
	cv_redis_tls_end(&conn->sock);
	if (conn->sock.fd >= 0)
		close(conn->sock.fd);
	if (conn->reader)
		redisReaderFree(conn->reader);
	cv_arena_clear(&conn->values);
	free(conn);
}

bool cv_redis_usable(const struct redis_conn *conn)
{
	struct pollfd poller = {.fd = conn->sock.fd, .events = POLLIN};

	/* Nobody speaks unasked here: what can be read is the end, or a reply nobody waits for. */
	return conn->reader->pos == conn->reader->len && poll(&poller, 1, 0) == 0;
}

int cv_redis_fd(const struct redis_conn *conn)
{
	return conn->sock.fd;
}

/* Bytes sent now, 0 when it had to wait, or a negative code. */
static ssize_t conn_send(struct redis_conn *conn, const char *data, size_t len,
			 const struct redis_until *until, struct convo_err *err)
{
	const char *late = "the server takes nothing more";
	ssize_t n;

	if (conn->sock.ssl)
		return cv_redis_tls_send(&conn->sock, data, len, until, late, err);
	n = send(conn->sock.fd, data, len, MSG_NOSIGNAL);
	if (n >= 0)
		return n;
	if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		return cv_redis_fail_errno(conn->sock.place, errno, err);
	return cv_redis_wait(conn->sock.place, conn->sock.fd, POLLOUT, until, late, err);
}

int cv_redis_write(struct redis_conn *conn, const char *data, size_t len,
		   const struct redis_until *until, size_t *sent, struct convo_err *err)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = conn_send(conn, data + done, len - done, until, err);

		if (n < 0)
			return (int)n;
		done += (size_t)n;
		*sent += (size_t)n;
	}
	return 0;
}

/* Bytes received, 0 when it had to wait, or a negative code. */
static ssize_t conn_receive(struct redis_conn *conn, const struct redis_until *until,
			    struct convo_err *err)
{
	const char *late = "no answer in time";
	ssize_t n;
	int rc;

	if (conn->sock.ssl)
		return cv_redis_tls_receive(&conn->sock, conn->chunk, READ_SIZE, until, late, err);
	rc = cv_redis_wait(conn->sock.place, conn->sock.fd, POLLIN, until, late, err);
	if (rc < 0)
		return rc;
	n = recv(conn->sock.fd, conn->chunk, READ_SIZE, 0);
	if (n == 0)
		return cv_redis_fail(conn->sock.place, CONVO_E_GONE, "connection closed", err);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return 0;
	return n < 0 ? cv_redis_fail_errno(conn->sock.place, errno, err) : n;
}

static int conn_fail_large(const struct redis_conn *conn, struct convo_err *err)
{
	return cv_redis_fail(conn->sock.place, CONVO_E_IO, "an answer is too large", err);
}

static int conn_fail_reader(const struct redis_conn *conn, struct convo_err *err)
{
	if (conn->items > MAX_ITEMS)
		return conn_fail_large(conn, err);
	if (conn->reader->err == REDIS_ERR_OOM)
		return cv_fail_nomem(err);
	return cv_redis_fail(conn->sock.place, CONVO_E_IO, "this does not answer like Redis", err);
}

int cv_redis_read(struct redis_conn *conn, const struct redis_until *until,
		  const struct redis_value **out, struct convo_err *err)
{
	void *reply = NULL;
	ssize_t n = 0;

	if (!conn->begun) {
		cv_arena_clear(&conn->values);
		conn->received = conn->items = 0;
	}
	conn->begun = true;
	for (;;) {
		if (redisReaderGetReply(conn->reader, &reply) != REDIS_OK)
			return conn_fail_reader(conn, err);
		if (reply)
			break;
		/* A server that never stops does not get longer for that. */
		if (n && cv_clock_mono_us() >= until->deadline_us)
			return cv_redis_fail(conn->sock.place, CONVO_E_TIMEOUT,
					     "no end of the answer in time", err);
		n = conn_receive(conn, until, err);
		if (n < 0)
			return (int)n;
		conn->received += (size_t)n;
		if (conn->received > MAX_REPLY)
			return conn_fail_large(conn, err);
		if (redisReaderFeed(conn->reader, conn->chunk, (size_t)n) != REDIS_OK)
			return conn_fail_reader(conn, err);
	}
	conn->begun = false;
	*out = reply;
	return 0;
}
