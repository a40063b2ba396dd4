/*
 * Opening a Redis store: from a URL to the servers, and to a database that is ours.
 */
#include <store/redis/open.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <store/redis/ask.h>
#include <store/redis/flight.h>
#include <store/redis/redis.h>
#include <store/redis/refuse.h>
#include <store/redis/route.h>
#include <store/redis/tls.h>

#define SCHEMA "1"
#define MAX_WAIT 99
#define ONE_DATABASE "a Redis Cluster has the database 0 alone"

/* ---- from a URL ---------------------------------------------------------------------------- */

/* What a URL says, on its way into the store. */
struct link {
	struct redis_seed *seed;
	size_t seeds;
	const char *master;       /* of the URL's path */
	const char *database;     /* the same */
	struct redis_login login; /* for the sentinels */
};

static bool link_copy(char **out, const char *text)
{
	*out = text ? cv_memdup(text, strlen(text)) : NULL;
	return *out || !text;
}

/* A number of few digits. */
static int read_number(int *out, const char *text, const char *what, struct convo_err *err)
{
	const char *p;

	*out = 0;
	for (p = text; *p >= '0' && *p <= '9' && p - text < 6; p++)
		*out = *out * 10 + (*p - '0');
	if (*p)
		return cv_fail(err, CONVO_E_INVALID, "%s must be a number", what);
	return 0;
}

/* Every host of the URL, or the socket. */
static int link_read_seeds(struct link *link, const struct redis_store *redis,
			   const struct cv_url *url, struct convo_err *err)
{
	int standard = redis->mode == REDIS_SENTINEL ? 26379 : 6379;
	struct cv_url_host host;

	link->seed = cv_alloc(REDIS_SEEDS, sizeof(*link->seed));
	if (!link->seed)
		return cv_fail_nomem(err);
	for (; cv_url_host_at(url, link->seeds, &host) == 1; link->seeds++) {
		struct redis_seed *seed;

		if (link->seeds == REDIS_SEEDS)
			return cv_fail(err, CONVO_E_INVALID, "a Redis URL names at most %d hosts",
				       REDIS_SEEDS);
		if (!host.name.len || host.name.len > CONVO_MAX_NAME)
			return cv_fail(err, CONVO_E_INVALID, "bad host in the Redis URL");
		seed = &link->seed[link->seeds];
		seed->port = host.port ? host.port : standard;
		seed->host = cv_memdup(host.name.data, host.name.len);
		if (!seed->host)
			return cv_fail_nomem(err);
	}
	return 0;
}

/* Without a host, a path is a unix socket; with one it is the number of the database, and with
 * sentinels the name of the master. */
static int link_read_path(struct link *link, const struct redis_store *redis,
			  const struct cv_url *url, struct convo_err *err)
{
	const char *path = url->path && *url->path == '/' ? url->path + 1 : "";
	bool socket = !link->seeds && path[strspn(path, "0123456789")];

	link->database = cv_url_param(url, "db");
	if (redis->mode == REDIS_SENTINEL) {
		link->master = path;
		if (!*path || strchr(path, '/'))
			return cv_fail(err, CONVO_E_INVALID,
				       "the URL names the master that the sentinels watch: "
				       "redis+sentinel://host:port/name");
	} else if (!socket && !link->database) {
		link->database = path;
	}
	if (link->seeds)
		return 0;
	link->seeds = 1;
	link->seed[0].port = redis->mode == REDIS_SENTINEL ? 26379 : 6379;
	if (!(socket ? link_copy(&link->seed[0].path, url->path)
		     : link_copy(&link->seed[0].host, "localhost")))
		return cv_fail_nomem(err);
	return 0;
}

/* Servers before version 6 know no other user, and not by name. */
static int link_read_login(struct redis_login *login, const char *user, const char *password,
			   struct convo_err *err)
{
	bool named = user && *user && strcmp(user, "default") != 0;

	if (!link_copy(&login->password, password) || (named && !link_copy(&login->user, user)))
		return cv_fail_nomem(err);
	return 0;
}

static void link_name(struct redis_store *redis, const struct link *link)
{
	static const char *const kinds[] = {
		[REDIS_ALONE] = "", [REDIS_CLUSTER] = "cluster ", [REDIS_SENTINEL] = "sentinel "};
	const struct redis_seed *seed = &link->seed[0];
	char name[200];

	if (seed->host)
		cv_node_name(name, sizeof(name), seed->host, seed->port);
	else
		snprintf(name, sizeof(name), "redis %.180s", seed->path);
	snprintf(redis->name, sizeof(redis->name), "redis %s%.160s%s", kinds[redis->mode],
		 name + strlen("redis "), link->seeds > 1 ? ",..." : "");
	if (link->master)
		snprintf(redis->base.where, sizeof(redis->base.where), "Redis (%s/%.60s/%d)",
			 redis->name + strlen("redis "), link->master, redis->login.database);
	else
		snprintf(redis->base.where, sizeof(redis->base.where), "Redis (%s/%d)",
			 redis->name + strlen("redis "), redis->login.database);
}

/* Whether a scheme is one with TLS, "rediss" or "valkeys", whatever follows its plus. */
static bool scheme_has_tls(const char *scheme)
{
	size_t len = strcspn(scheme, "+");

	return len && scheme[len - 1] == 's' && strncmp(scheme, "redis", len) != 0;
}

static int link_read_tls(struct redis_store *redis, const struct link *link,
			 const struct cv_url *url, struct convo_err *err)
{
	if (!scheme_has_tls(url->scheme))
		return 0;
	if (link->seed[0].path)
		return cv_fail(err, CONVO_E_INVALID, "TLS wants a host, not a unix socket");
	return cv_redis_tls_new(&redis->tls, cv_url_param(url, "ca"), cv_url_param(url, "cert"),
				cv_url_param(url, "key"), err);
}

static int link_read_options(struct redis_store *redis, struct link *link, const struct cv_url *url,
			     struct convo_err *err)
{
	const char *wait = cv_url_param(url, "wait");
	int rc = link_read_login(&redis->login, url->user, url->password, err);

	if (rc == 0)
		rc = link_read_login(&link->login, cv_url_param(url, "sentinel_user"),
				     cv_url_param(url, "sentinel_password"), err);
	if (rc == 0)
		rc = read_number(&redis->login.database, link->database ? link->database : "",
				 "the Redis database", err);
	if (rc == 0)
		rc = read_number(&redis->wait, wait ? wait : "", "wait, the replicas to wait for,",
				 err);
	if (rc < 0)
		return rc;
	if (redis->wait > MAX_WAIT)
		return cv_fail(err, CONVO_E_INVALID, "wait is at most %d replicas", MAX_WAIT);
	if (redis->mode != REDIS_SENTINEL && (link->login.user || link->login.password))
		return cv_fail(err, CONVO_E_INVALID,
			       "sentinel_user and sentinel_password are for redis+sentinel://");
	if (redis->mode == REDIS_CLUSTER && redis->login.database)
		return cv_fail(err, CONVO_E_INVALID, ONE_DATABASE);
	return 0;
}

static int link_read(struct redis_store *redis, struct link *link, const struct cv_url *url,
		     struct convo_err *err)
{
	const char *plus = strchr(url->scheme, '+');
	int rc;

	if (plus)
		redis->mode = strcmp(plus, "+cluster") == 0 ? REDIS_CLUSTER : REDIS_SENTINEL;
	else if (url->host && strchr(url->host, ','))
		redis->mode = REDIS_CLUSTER;
	redis->login.wants_master = link->login.of_sentinels = redis->mode == REDIS_SENTINEL;
	rc = link_read_seeds(link, redis, url, err);
	if (rc == 0)
		rc = link_read_path(link, redis, url, err);
	if (rc == 0)
		rc = link_read_options(redis, link, url, err);
	if (rc < 0)
		return rc;
	link_name(redis, link);
	return link_read_tls(redis, link, url, err);
}

static int link_open(struct redis_store *redis, const struct cv_url *url, struct convo_err *err)
{
	struct link link = {0};
	int rc = link_read(redis, &link, url, err), i;

	redis->round = cv_ask_round;
	for (i = 0; i < REDIS_SCRIPTS; i++)
		cv_redis_sha1(redis->sha1[i], cv_redis_scripts[i].source, cv_redis_scripts[i].len);
	if (rc == 0)
		return cv_route_new(&redis->route, redis, link.seed, link.seeds, link.master,
				    &link.login, err);
	cv_redis_seeds_free(link.seed, link.seeds);
	cv_redis_login_clear(&link.login);
	return rc;
}

void cv_redis_close(struct convo_store *store)
{
	struct redis_store *redis = (struct redis_store *)store;

	cv_route_free(redis->route);
	cv_flights_free(redis->flights);
	cv_redis_tls_free(redis->tls);
	cv_redis_login_clear(&redis->login);
}

/* ---- the database ------------------------------------------------------------------------ */

/* What the version's answer tells beside it. */
struct opening {
	struct redis_store *redis;
	bool finds_cluster;
};

static int open_version_answer(struct redis_ask *ask, const struct redis_value *answer,
			       struct convo_err *err)
{
	struct opening *opening = ask->ctx;
	const struct redis_store *redis = opening->redis;
	const char *info = answer->kind == REDIS_VALUE_STRING ? answer->data : "";
	const char *version = strstr(info, "redis_version:");

	if (strstr(info, "redis_mode:sentinel"))
		return cv_fail(err, CONVO_E_INVALID,
			       "%s: it is a sentinel: write redis+sentinel://host:port/name",
			       redis->name);
	opening->finds_cluster = strstr(info, "redis_mode:cluster");
	if (!version || strtol(version + strlen("redis_version:"), NULL, 10) >= 5)
		return 0;
	return cv_fail(err, CONVO_E_UNSUPPORTED, "%s: version %.8s is too old, 5 is needed",
		       redis->name, version + strlen("redis_version:"));
}

/* Not being allowed to ask is no reason to refuse: the script that opens tells what is missing. */
static int open_check_version(struct redis_store *redis, const struct store_call *call,
			      struct convo_err *err)
{
	struct opening opening = {.redis = redis};
	struct redis_ask ask = {.answer = open_version_answer,
				.ctx = &opening,
				.repeat = true,
				.optional = true,
				.reads = true};
	int rc;

	cv_ask_begin(&ask, REDIS_SCRIPTS, 0);
	cv_ask_add_text(&ask, "INFO");
	cv_ask_add_text(&ask, "server");
	rc = cv_ask_run(redis, call, &ask, err);
	cv_ask_clear(&ask);
	if (rc < 0 || !opening.finds_cluster || redis->mode != REDIS_ALONE)
		return rc;
	if (redis->login.database)
		return cv_fail(err, CONVO_E_INVALID, "%s: " ONE_DATABASE, redis->name);
	return cv_route_becomes_cluster(redis, err);
}

static int open_try_answer(struct redis_ask *ask, const struct redis_value *answer,
			   struct convo_err *err)
{
	(void)ask;
	(void)answer;
	(void)err;
	return 0;
}

/* Whether we may use a command that a script cannot try for us. */
static int open_try(struct redis_store *redis, const struct store_call *call,
		    const char *const *word, size_t words, struct convo_err *err)
{
	struct redis_ask ask = {.answer = open_try_answer, .repeat = true, .reads = true};
	size_t i;
	int rc;

	cv_ask_begin(&ask, REDIS_SCRIPTS, 0);
	for (i = 0; i < words; i++)
		cv_ask_add_text(&ask, word[i]);
	rc = cv_ask_run(redis, call, &ask, err);
	cv_ask_clear(&ask);
	return rc;
}

/* Where they were refused later, it would look like too few replicas, and like servers that send us in
 * circles. */
static int open_check_commands(struct redis_store *redis, const struct store_call *call,
			       struct convo_err *err)
{
	static const char *const wait[] = {"WAIT", "0", "1"}, *const asking[] = {"ASKING"};
	int rc = redis->wait ? open_try(redis, call, wait, 3, err) : 0;

	if (rc == 0 && redis->mode == REDIS_CLUSTER)
		rc = open_try(redis, call, asking, 1, err);
	return rc;
}

static int open_answer(struct redis_ask *ask, const struct redis_value *answer,
		       struct convo_err *err)
{
	struct redis_store *redis = ask->ctx;
	const struct redis_value *item = answer->item, *schema = &item[1];

	if (answer->len < 2 || schema->kind != REDIS_VALUE_STRING)
		return cv_fail(err, CONVO_E_IO, "%s: an unexpected answer", redis->name);
	redis->tells = answer->len > 2 && item[2].integer == 1;
	if (answer->len > 4 && item[3].kind == REDIS_VALUE_STRING &&
	    item[4].kind == REDIS_VALUE_STRING)
		return cv_redis_refuse(&ask->node->place, item[4].data, item[3].data, err);
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

/* Both keys are in one slot of a cluster, and no key of a user's is so. */
static int open_check_schema(struct redis_store *redis, const struct store_call *call,
			     struct convo_err *err)
{
	const char *prefix = redis->base.prefix;
	struct redis_ask ask = {.answer = open_answer, .ctx = redis, .repeat = true};
	char name[128];
	int rc;

	cv_ask_begin(&ask, REDIS_SCRIPT_OPEN, 2);
	snprintf(name, sizeof(name), "%s:schema", prefix);
	cv_ask_add_text(&ask, name);
	ask.slot = cv_redis_slot(name);
	snprintf(name, sizeof(name), "%s:{%s:schema}:scratch", prefix, prefix);
	cv_ask_add_text(&ask, name);
	cv_ask_add_int(&ask, call->now_us);
	cv_ask_add_text(&ask, SCHEMA);
	cv_ask_add_int(&ask, !redis->base.opts.check_schema);
	cv_ask_add_int(&ask, redis->mode == REDIS_CLUSTER);
	rc = cv_ask_run(redis, call, &ask, err);
	cv_ask_clear(&ask);
	return rc;
}

int cv_redis_open(struct convo_store *store, const struct store_call *call,
		  const struct cv_url *url, struct convo_err *err)
{
	struct redis_store *redis = (struct redis_store *)store;
	int rc = link_open(redis, url, err);

	if (rc == 0)
		rc = cv_flights_new(&redis->flights, err);
	if (rc == 0)
		rc = open_check_version(redis, call, err);
	if (rc == 0)
		rc = open_check_commands(redis, call, err);
	if (rc == 0)
		rc = open_check_schema(redis, call, err);
	redis->reached = rc == 0;
	return rc;
}
