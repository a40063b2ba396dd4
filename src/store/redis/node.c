/*
 * A server and the way to it; see node.h.
 */
#include <store/redis/node.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <store/redis/redis.h>
#include <store/redis/refuse.h>
#include <store/redis/request.h>

#define GROUP_BYTES (1u << 20)
#define GREET_SHARE 4       /* of the time of a try, to be greeted by one of many */
#define GREET_MIN_US 100000 /* but no less than that */
#define GROUP_LEADERS 2     /* more gain while the server flushes, and cost while it computes */

/* ---- connecting -------------------------------------------------------------------------- */

/* A connection that is being greeted. */
struct greeting {
	const struct redis_store *redis;
	const struct redis_place *place;
	struct redis_conn *conn;
	const struct redis_until *until;
};

/* One command of the greeting. An answer of some kind is wanted, even where nothing is asked for:
 * a server that wants a password, or has too many clients, says so to the first command. */
static int greet_ask(const struct greeting *greeting, struct redis_ask *ask, bool optional,
		     const struct redis_value **value, struct convo_err *err)
{
	int rc = cv_ask_now(greeting->redis, greeting->conn, ask, greeting->until, value, err);

	if (rc < 0 || (*value)->kind != REDIS_VALUE_ERROR || cv_redis_error_passes(*value))
		return rc;
	if (optional && (cv_redis_error_is(*value, "NOPERM") ||
			 cv_redis_error_is(*value, "ERR unknown command")))
		return 0;
	return cv_redis_refuse(greeting->place, (*value)->data, NULL, err);
}

static int greet_auth(const struct greeting *greeting, struct convo_err *err)
{
	const struct redis_login *login = greeting->place->login;
	const struct redis_value *value;
	struct redis_ask ask = {0};
	int rc;

	if (!login->password)
		return 0;
	cv_ask_begin(&ask, REDIS_SCRIPTS, 0);
	cv_ask_add_text(&ask, "AUTH");
	if (login->user)
		cv_ask_add_text(&ask, login->user);
	cv_ask_add_text(&ask, login->password);
	rc = greet_ask(greeting, &ask, false, &value, err);
	cv_ask_clear(&ask);
	return rc;
}

static int greet_select(const struct greeting *greeting, struct convo_err *err)
{
	const struct redis_login *login = greeting->place->login;
	const struct redis_value *value;
	struct redis_ask ask = {0};
	int rc;

	if (!login->database && login->password)
		return 0;
	cv_ask_begin(&ask, REDIS_SCRIPTS, 0);
	if (login->database) {
		cv_ask_add_text(&ask, "SELECT");
		cv_ask_add_int(&ask, login->database);
	} else {
		cv_ask_add_text(&ask, "PING");
	}
	rc = greet_ask(greeting, &ask, !login->database, &value, err);
	cv_ask_clear(&ask);
	return rc;
}

/* What sentinels say may be of before: a server that was the master is a replica now, and what it took
 * as long as it did not know of that is lost. */
static int greet_role(const struct greeting *greeting, struct convo_err *err)
{
	const struct redis_value *value;
	struct redis_ask ask = {0};
	int rc;

	if (!greeting->place->login->wants_master)
		return 0;
	cv_ask_begin(&ask, REDIS_SCRIPTS, 0);
	cv_ask_add_text(&ask, "ROLE");
	rc = greet_ask(greeting, &ask, false, &value, err);
	if (rc == 0 && value->kind == REDIS_VALUE_ARRAY && value->len &&
	    value->item[0].kind == REDIS_VALUE_STRING && strcmp(value->item[0].data, "master") != 0)
		rc = cv_redis_fail(greeting->place, CONVO_E_READONLY, "it is a read-only replica",
				   err);
	cv_ask_clear(&ask);
	return rc;
}

int cv_node_connect(struct redis_conn **out, const struct redis_store *redis,
		    const struct redis_place *place, const struct redis_until *until,
		    struct convo_err *err)
{
	struct greeting greeting = {redis, place, NULL, until};
	int rc = cv_redis_connect(&greeting.conn, place, until, err);

	if (rc < 0)
		return rc;
	rc = greet_auth(&greeting, err);
	if (rc == 0)
		rc = greet_select(&greeting, err);
	if (rc == 0)
		rc = greet_role(&greeting, err);
	if (rc < 0)
		cv_redis_disconnect(greeting.conn);
	else
		*out = greeting.conn;
	return rc;
}

static void *link_connect(struct convo_store *store, const struct store_call *call,
			  struct convo_err *err)
{
	const struct redis_call *redis_call = (const struct redis_call *)call;
	const struct redis_store *redis = (const struct redis_store *)store;
	struct redis_until until = redis_call->until;
	int64_t left_us = until.deadline_us - cv_clock_mono_us();
	struct redis_conn *conn = NULL;

	/* A server that stands still does not greet: it is soon asked for who has taken its place. */
	if (redis->mode != REDIS_ALONE && left_us > GREET_MIN_US)
		until.deadline_us -=
			left_us - (left_us / GREET_SHARE > GREET_MIN_US ? left_us / GREET_SHARE
									: GREET_MIN_US);
	(void)cv_node_connect(&conn, redis, &redis_call->node->place, &until, err);
	return conn;
}

static void link_disconnect(void *conn)
{
	cv_redis_disconnect(conn);
}

static bool link_usable(void *conn)
{
	return cv_redis_usable(conn);
}

static int link_socket(const void *conn)
{
	return cv_redis_fd(conn);
}

/* ---- nodes ------------------------------------------------------------------------------ */

void cv_node_name(char *out, size_t size, const char *host, int port)
{
	bool bare6 = strchr(host, ':');

	snprintf(out, size, "redis %s%.150s%s:%d", bare6 ? "[" : "", host, bare6 ? "]" : "", port);
}

static bool node_copy(char **out, const char *text)
{
	*out = text ? cv_memdup(text, strlen(text)) : NULL;
	return *out || !text;
}

int cv_node_new(struct redis_node **out, struct redis_store *redis, const char *host, int port,
		const char *path, struct convo_err *err)
{
	static const struct pool_driver alone = {.connect = link_connect,
						 .disconnect = link_disconnect,
						 .usable = link_usable,
						 .socket = link_socket};
	static const struct pool_driver one_of_many = {.connect = link_connect,
						       .disconnect = link_disconnect,
						       .usable = link_usable,
						       .socket = link_socket,
						       .hurried = true};
	struct redis_node *node = cv_alloc(1, sizeof(*node));
	int rc;

	if (!node || !node_copy(&node->host, host) || !node_copy(&node->path, path)) {
		cv_node_free(node);
		return cv_fail_nomem(err);
	}
	if (host)
		cv_node_name(node->name, sizeof(node->name), host, port);
	else
		snprintf(node->name, sizeof(node->name), "redis %.190s", path);
	node->redis = redis;
	node->place = (struct redis_place){node->name, node->host, port,
					   node->path, redis->tls, &redis->login};
	rc = cv_pool_new(&node->pool, &redis->base,
			 redis->mode == REDIS_ALONE ? &alone : &one_of_many, err);
	if (rc == 0)
		rc = cv_group_new(&node->group, redis->round, node, GROUP_LEADERS, REDIS_GROUP_JOBS,
				  GROUP_BYTES, err);
	if (rc < 0)
		cv_node_free(node);
	else
		*out = node;
	return rc;
}

void cv_node_free(struct redis_node *node)
{
	if (!node)
		return;
	cv_group_free(node->group);
	cv_pool_free(node->pool);
	free(node->host);
	free(node->path);
	free(node);
}
