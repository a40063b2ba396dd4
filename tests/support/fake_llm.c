/*
 * The stand-in for an endpoint; see fake_llm.h. One thread accepts, one serves each connection.
 */
#include "support/fake_llm.h"

#include "support/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_CONNECTIONS 1024
#define MOST_REQUESTS 64

struct fake_llm {
	const struct fake_reply *replies;
	size_t count, piece;
	fake_answer_fn answer; /* NULL: the replies are given */
	void *ctx;
	char base[64];
	int listener, stop[2]; /* a pipe that is closed to stop everybody */
	pthread_t acceptor;

	pthread_mutex_t lock; /* guards what follows */
	pthread_t workers[MOST_CONNECTIONS];
	size_t connections, requests, gone;
	char *request[MOST_REQUESTS];
};

struct fake_connection {
	struct fake_llm *server;
	int fd;
};

/* Wait until the socket can be read or the server stops. */
static bool fake_wait(struct fake_llm *server, int fd, int ms)
{
	struct pollfd fds[] = {{.fd = server->stop[0], .events = POLLIN},
			       {.fd = fd, .events = POLLIN}};

	poll(fds, fd < 0 ? 1 : 2, ms);
	return !fds[0].revents && (fd < 0 || fds[1].revents);
}

/* ---- the request ----------------------------------------------------------------------- */

static size_t fake_body_length(const char *head)
{
	const char *line = head;

	while ((line = strchr(line, '\n'))) {
		line++;
		if (strncasecmp(line, "content-length:", 15) == 0)
			return strtoul(line + 15, NULL, 10);
	}
	return 0;
}

/* Read one request into `in`; false when the client has gone. */
static bool fake_read(struct fake_connection *connection, struct cv_buf *in)
{
	for (;;) {
		const char *end = strstr(cv_buf_str(in), "\r\n\r\n");
		char bytes[65536];
		ssize_t got;

		if (end && in->len >= (size_t)(end + 4 - in->data) + fake_body_length(in->data))
			return true;
		if (!fake_wait(connection->server, connection->fd, -1))
			return false;
		got = recv(connection->fd, bytes, sizeof(bytes), 0);
		if (got <= 0 || cv_buf_add(in, bytes, (size_t)got) < 0)
			return false;
	}
}

static const struct fake_reply *fake_next(struct fake_llm *server, struct cv_buf *in)
{
	size_t n;

	pthread_mutex_lock(&server->lock);
	n = server->requests++;
	if (n < MOST_REQUESTS)
		server->request[n] = cv_buf_take(in);
	pthread_mutex_unlock(&server->lock);
	return &server->replies[n < server->count ? n : server->count - 1];
}

/* ---- the reply ------------------------------------------------------------------------- */

static bool fake_send_head(struct fake_connection *connection, const struct fake_reply *reply)
{
	struct cv_buf head = {0};
	bool ok;

	cv_buf_addf(&head, "HTTP/1.1 %d Fake\r\n%s", reply->status ? reply->status : 200,
		    reply->headers ? reply->headers : "");
	if (reply->end == FAKE_CHUNKED || reply->end == FAKE_HOLD)
		cv_buf_adds(&head, "Transfer-Encoding: chunked\r\n");
	if (reply->end == FAKE_LENGTH || reply->end == FAKE_LEAVE || reply->end == FAKE_CUT)
		cv_buf_addf(&head, "Content-Length: %zu\r\n",
			    reply->body_len + (reply->end == FAKE_CUT ? 10 : 0));
	if (reply->end == FAKE_CLOSE)
		cv_buf_adds(&head, "Connection: close\r\n");
	cv_buf_adds(&head, "\r\n");
	ok = test_send(connection->fd, head.data, head.len);
	cv_buf_clear(&head);
	return ok;
}

/* Send body bytes up to `until`, as pieces, in as few writes as a pause allows. */
static bool fake_send_until(struct fake_connection *connection, const struct fake_reply *reply,
			    size_t from, size_t until)
{
	bool chunked = reply->end == FAKE_CHUNKED || reply->end == FAKE_HOLD;
	size_t piece = connection->server->piece ? connection->server->piece : until - from;
	struct cv_buf out = {0};
	bool ok = true;

	for (; from < until && ok; from += piece) {
		size_t len = until - from < piece ? until - from : piece;

		if (chunked)
			cv_buf_addf(&out, "%zx\r\n", len);
		cv_buf_add(&out, reply->body + from, len);
		if (chunked)
			cv_buf_adds(&out, "\r\n");
	}
	if (out.len)
		ok = test_send(connection->fd, out.data, out.len);
	cv_buf_clear(&out);
	return ok;
}

/* Whether the connection is good for another request. */
static bool fake_answer(struct fake_connection *connection, const struct fake_reply *reply)
{
	size_t at = 0;

	if (reply->end == FAKE_DROP)
		return false;
	if (reply->end == FAKE_HANG) {
		fake_wait(connection->server, connection->fd, -1);
		return false;
	}
	if (!fake_send_head(connection, reply))
		return false;
	for (size_t i = 0; i < reply->pause_count; i++) {
		if (!fake_send_until(connection, reply, at, reply->pauses[i].at))
			return false;
		at = reply->pauses[i].at;
		/* A client that goes in the meantime makes the socket readable. */
		if (fake_wait(connection->server, connection->fd, reply->pauses[i].ms))
			return false;
	}
	if (!fake_send_until(connection, reply, at, reply->body_len))
		return false;
	if (reply->end == FAKE_CHUNKED)
		return test_send(connection->fd, "0\r\n\r\n", 5);
	if (reply->end == FAKE_HOLD)
		fake_wait(connection->server, connection->fd, -1);
	return reply->end == FAKE_LENGTH;
}

/* Whether the connection is good for another request. */
static bool fake_think(struct fake_connection *connection, struct cv_buf *in)
{
	struct fake_llm *server = connection->server;
	struct cv_buf body = {0};
	struct fake_reply reply = {.headers = "Content-Type: application/json\r\n",
				   .end = FAKE_LENGTH};
	bool good;

	reply.status = server->answer(server->ctx, cv_buf_str(in), &body);
	reply.body = cv_buf_str(&body);
	reply.body_len = body.len;
	pthread_mutex_lock(&server->lock);
	server->requests++;
	pthread_mutex_unlock(&server->lock);
	cv_buf_reset(in);
	good = fake_answer(connection, &reply);
	cv_buf_clear(&body);
	return good;
}

static bool fake_client_gone(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void *fake_serve(void *arg)
{
	struct fake_connection *connection = arg;
	struct fake_llm *server = connection->server;
	struct cv_buf in = {0};

	while (fake_read(connection, &in)) {
		const struct fake_reply *reply;

		if (server->answer) {
			if (fake_think(connection, &in))
				continue;
			break;
		}
		reply = fake_next(server, &in);

		if (fake_answer(connection, reply))
			continue;
		pthread_mutex_lock(&server->lock);
		server->gone += fake_client_gone(connection->fd);
		pthread_mutex_unlock(&server->lock);
		break;
	}
	cv_buf_clear(&in);
	close(connection->fd);
	free(connection);
	return NULL;
}

/* ---- starting and stopping -------------------------------------------------------------- */

static void *fake_accept(void *arg)
{
	struct fake_llm *server = arg;
	int one = 1;

	while (fake_wait(server, server->listener, -1)) {
		struct fake_connection *connection = calloc(1, sizeof(*connection));

		must(connection != NULL);
		connection->server = server;
		connection->fd = accept(server->listener, NULL, NULL);
		if (connection->fd < 0) {
			free(connection);
			continue;
		}
		setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		pthread_mutex_lock(&server->lock);
		must(server->connections < MOST_CONNECTIONS);
		must_equal(0, pthread_create(&server->workers[server->connections++], NULL,
					     fake_serve, connection));
		pthread_mutex_unlock(&server->lock);
	}
	return NULL;
}

static struct fake_llm *fake_begin(struct fake_llm *server)
{
	int port;

	pthread_mutex_init(&server->lock, NULL);
	must_equal(0, pipe(server->stop));
	server->listener = test_listen(&port);
	snprintf(server->base, sizeof(server->base), "http://127.0.0.1:%d/v1", port);
	must_equal(0, pthread_create(&server->acceptor, NULL, fake_accept, server));
	return server;
}

struct fake_llm *fake_llm_start(const struct fake_reply *replies, size_t count, size_t piece)
{
	struct fake_llm *server = calloc(1, sizeof(*server));

	must(server != NULL && count > 0);
	server->replies = replies;
	server->count = count;
	server->piece = piece;
	return fake_begin(server);
}

struct fake_llm *fake_llm_think(fake_answer_fn answer, void *ctx)
{
	struct fake_llm *server = calloc(1, sizeof(*server));

	must(server != NULL);
	server->answer = answer;
	server->ctx = ctx;
	return fake_begin(server);
}

const char *fake_llm_base(const struct fake_llm *server)
{
	return server->base;
}

static size_t fake_count(struct fake_llm *server, const size_t *counter)
{
	size_t count;

	pthread_mutex_lock(&server->lock);
	count = *counter;
	pthread_mutex_unlock(&server->lock);
	return count;
}

size_t fake_llm_requests(struct fake_llm *server)
{
	return fake_count(server, &server->requests);
}

size_t fake_llm_connections(struct fake_llm *server)
{
	return fake_count(server, &server->connections);
}

size_t fake_llm_gone(struct fake_llm *server)
{
	return fake_count(server, &server->gone);
}

const char *fake_llm_request(struct fake_llm *server, size_t n)
{
	const char *request;

	pthread_mutex_lock(&server->lock);
	request = n < MOST_REQUESTS && server->request[n] ? server->request[n] : "";
	pthread_mutex_unlock(&server->lock);
	return request;
}

void fake_llm_stop(struct fake_llm *server)
{
	close(server->stop[1]);
	pthread_join(server->acceptor, NULL);
	for (size_t i = 0; i < server->connections; i++)
		pthread_join(server->workers[i], NULL);
	for (size_t i = 0; i < MOST_REQUESTS; i++)
		free(server->request[i]);
	close(server->listener);
	close(server->stop[0]);
	pthread_mutex_destroy(&server->lock);
	free(server);
}
