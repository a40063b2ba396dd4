/*
 * Opening a Redis store: from a URL to a pool of connections, and to a database that is ours.
 */
#include <store/redis/open.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <store/redis/ask.h>
#include <store/redis/redis.h>
#include <store/redis/tls.h>

#define SCHEMA "1"
#define GROUP_BYTES (1u << 20)
#define GROUP_LEADERS 2 /* more gain while the server flushes, and cost while it computes */

/* ---- connecting -------------------------------------------------------------------------- */

/* One command of the greeting. An answer of some kind is wanted, even where nothing is asked for:
 * a server that wants a password, or has too many clients, says so to the first command. */
static int hello_ask(struct redis_store *redis, struct redis_conn *conn, struct redis_ask *ask,
		     const struct redis_until *until, bool optional, struct convo_err *err)
{
	const struct redis_value *value;
	int rc = cv_ask_now(redis, conn, ask, until, &value, err);

	if (rc < 0 || value->kind != REDIS_VALUE_ERROR || cv_ask_error_passes(value))
		return rc;
	if (optional &&
	    (cv_ask_error_is(value, "NOPERM") || cv_ask_error_is(value, "ERR unknown command")))
		return 0;
	return cv_ask_refused(redis, value->data, NULL, err);
}

static int hello(struct redis_store *redis, struct redis_conn *conn,
		 const struct redis_until *until, struct convo_err *err)
{
	struct redis_ask auth = {0}, select = {0};
	int rc = 0;

	if (redis->password) {
		cv_ask_begin(&auth, REDIS_SCRIPTS, 0);
		cv_ask_add_text(&auth, "AUTH");
		if (redis->user)
			cv_ask_add_text(&auth, redis->user);
		cv_ask_add_text(&auth, redis->password);
		rc = hello_ask(redis, conn, &auth, until, false, err);
		if (rc < 0)
			goto out;
	}
	if (redis->database) {
		cv_ask_begin(&select, REDIS_SCRIPTS, 0);
		cv_ask_add_text(&select, "SELECT");
		cv_ask_add_int(&select, redis->database);
		rc = hello_ask(redis, conn, &select, until, false, err);
	} else if (!redis->password) {
		cv_ask_begin(&select, REDIS_SCRIPTS, 0);
		cv_ask_add_text(&select, "PING");
		rc = hello_ask(redis, conn, &select, until, true, err);
	}
out:
	cv_ask_clear(&auth);
	cv_ask_clear(&select);
	return rc;
}

static void *link_connect(struct convo_store *store, const struct store_call *call,
			  struct convo_err *err)
{
	struct redis_store *redis = (struct redis_store *)store;
	const struct redis_until *until = &((const struct redis_call *)call)->until;
	struct redis_conn *conn = NULL;

	if (cv_redis_connect(&conn, &redis->place, until, err) < 0)
		return NULL;
	if (hello(redis, conn, until, err) < 0) {
		cv_redis_disconnect(conn);
		return NULL;
	}
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

static const struct pool_driver link_driver = {
	.connect = link_connect, .disconnect = link_disconnect, .usable = link_usable};

/* ---- opening ----------------------------------------------------------------------------- */

static bool link_copy(char **out, const char *text)
{
	*out = text ? cv_memdup(text, strlen(text)) : NULL;
	return *out || !text;
}

static int read_database(struct redis_store *redis, const char *text, struct convo_err *err)
{
	const char *p;

	redis->database = 0;
	for (p = text; *p >= '0' && *p <= '9' && p - text < 6; p++)
		redis->database = redis->database * 10 + (*p - '0');
	if (*p)
		return cv_fail(err, CONVO_E_INVALID, "the Redis database must be a number");
	return 0;
}

/* Without a host, a path is a unix socket; with one it is the number of the database. */
static int link_read_place(struct redis_store *redis, const struct cv_url *url,
			   struct convo_err *err)
{
	const char *path = url->path && *url->path == '/' ? url->path + 1 : "";
	const char *database = cv_url_param(url, "db");
	bool has_host = url->host && *url->host;
	bool socket = !has_host && path[strspn(path, "0123456789")];
	/* Servers before version 6 know no other user, and not by name. */
	bool has_user = url->user && *url->user && strcmp(url->user, "default") != 0;
	bool copied;

	if (has_host && strchr(url->host, ','))
		return cv_fail(err, CONVO_E_INVALID, "a Redis URL names one host");
	copied = socket ? link_copy(&redis->path, url->path)
			: link_copy(&redis->host, has_host ? url->host : "localhost");
	if (!copied || !link_copy(&redis->password, url->password) ||
	    (has_user && !link_copy(&redis->user, url->user)))
		return cv_fail_nomem(err);
	redis->place.name = redis->name;
	redis->place.host = redis->host;
	redis->place.port = url->port ? url->port : 6379;
	redis->place.path = redis->path;
	return read_database(redis, database ? database : socket ? "" : path, err);
}

static void link_name(struct redis_store *redis)
{
	const char *host = redis->host;
	bool bare6 = host && strchr(host, ':');

	if (host)
		snprintf(redis->name, sizeof(redis->name), "redis %s%.150s%s:%d", bare6 ? "[" : "",
			 host, bare6 ? "]" : "", redis->place.port);
	else
		snprintf(redis->name, sizeof(redis->name), "redis %.190s", redis->path);
	snprintf(redis->base.where, sizeof(redis->base.where), "Redis (%s/%d)",
		 redis->name + strlen("redis "), redis->database);
}

static int link_read_tls(struct redis_store *redis, const struct cv_url *url, struct convo_err *err)
{
	if (strcmp(url->scheme, "rediss") != 0 && strcmp(url->scheme, "valkeys") != 0)
		return 0;
	if (!redis->host)
		return cv_fail(err, CONVO_E_INVALID, "TLS wants a host, not a unix socket");
	return cv_redis_tls_new(&redis->place.tls, cv_url_param(url, "ca"),
				cv_url_param(url, "cert"), cv_url_param(url, "key"), err);
}

static int link_open(struct redis_store *redis, const struct cv_url *url, struct convo_err *err)
{
	int rc = link_read_place(redis, url, err), i;

	if (rc < 0)
		return rc;
	link_name(redis);
	rc = link_read_tls(redis, url, err);
	if (rc < 0)
		return rc;
	for (i = 0; i < REDIS_SCRIPTS; i++)
		cv_redis_sha1(redis->sha1[i], cv_redis_scripts[i].source, cv_redis_scripts[i].len);
	rc = cv_pool_new(&redis->pool, &redis->base, &link_driver, err);
	if (rc < 0)
		return rc;
	return cv_group_new(&redis->group, cv_ask_round, redis, GROUP_LEADERS, REDIS_GROUP_JOBS,
			    GROUP_BYTES, err);
}

void cv_redis_close(struct convo_store *store)
{
	struct redis_store *redis = (struct redis_store *)store;

	cv_group_free(redis->group);
	cv_pool_free(redis->pool);
	cv_redis_tls_free(redis->place.tls);
	if (redis->password)
		memset(redis->password, 0, strlen(redis->password));
	free(redis->password);
	free(redis->user);
	free(redis->host);
	free(redis->path);
}

/* ---- the database ------------------------------------------------------------------------ */

static int open_version_answer(struct redis_ask *ask, const struct redis_value *answer,
			       struct convo_err *err)
{
	const struct redis_store *redis = ask->ctx;
	const char *version =
		answer->kind == REDIS_VALUE_STRING ? strstr(answer->data, "redis_version:") : NULL;

	if (!version || strtol(version + strlen("redis_version:"), NULL, 10) >= 5)
		return 0;
	return cv_fail(err, CONVO_E_UNSUPPORTED, "%s: version %.8s is too old, 5 is needed",
		       redis->name, version + strlen("redis_version:"));
}

/* Not being allowed to ask is no reason to refuse: the script that opens tells what is missing. */
static int open_check_version(struct redis_store *redis, const struct store_call *call,
			      struct convo_err *err)
{
	struct redis_ask ask = {
		.answer = open_version_answer, .ctx = redis, .repeat = true, .optional = true};
	int rc;

	cv_ask_begin(&ask, REDIS_SCRIPTS, 0);
	cv_ask_add_text(&ask, "INFO");
	cv_ask_add_text(&ask, "server");
	rc = cv_ask_run(redis, call, &ask, err);
	cv_ask_clear(&ask);
	return rc;
}

static int open_answer(struct redis_ask *ask, const struct redis_value *answer,
		       struct convo_err *err)
{
	const struct redis_store *redis = ask->ctx;
	const struct redis_value *item = answer->item, *schema = &item[1];

	if (answer->len < 2 || schema->kind != REDIS_VALUE_STRING)
		return cv_fail(err, CONVO_E_IO, "%s: an unexpected answer", redis->name);
	if (answer->len > 3 && item[2].kind == REDIS_VALUE_STRING &&
	    item[3].kind == REDIS_VALUE_STRING)
		return cv_ask_refused(redis, item[3].data, item[2].data, err);
	if (strcmp(schema->data, SCHEMA) == 0)
		return 0;
	if (!schema->len)
		return cv_fail(err, CONVO_E_VERSION, "%s: no store with the prefix '%s' yet",
			       redis->name, redis->base.prefix);
	if (strtol(schema->data, NULL, 10) > strtol(SCHEMA, NULL, 10))
		return cv_fail(err, CONVO_E_VERSION,
			       "%s: the store is of a newer convo (schema %.8s, known " SCHEMA ")",
			       redis->name, schema->data);
	return cv_fail(err, CONVO_E_VERSION, "%s: the key '%s:schema' is not of convo", redis->name,
		       redis->base.prefix);
}

static int open_check_schema(struct redis_store *redis, const struct store_call *call,
			     struct convo_err *err)
{
	struct redis_ask ask = {.answer = open_answer, .ctx = redis, .repeat = true};
	char name[64];
	int rc;

	cv_ask_begin(&ask, REDIS_SCRIPT_OPEN, 2);
	snprintf(name, sizeof(name), "%s:schema", redis->base.prefix);
	cv_ask_add_text(&ask, name);
	snprintf(name, sizeof(name), "%s:scratch", redis->base.prefix);
	cv_ask_add_text(&ask, name);
	cv_ask_add_int(&ask, call->now_us);
	cv_ask_add_text(&ask, SCHEMA);
	cv_ask_add_int(&ask, !redis->base.opts.check_schema);
	rc = cv_ask_run(redis, call, &ask, err);
	cv_ask_clear(&ask);
	return rc;
}

int cv_redis_open(struct convo_store *store, const struct store_call *call,
		  const struct cv_url *url, struct convo_err *err)
{
	struct redis_store *redis = (struct redis_store *)store;
	int rc = link_open(redis, url, err);

	if (rc < 0)
		return rc;
	rc = open_check_version(redis, call, err);
	if (rc < 0)
		return rc;
	return open_check_schema(redis, call, err);
}
