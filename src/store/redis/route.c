/*
 * Routing; see route.h.
 *
 * A lookup goes from server to server until one answers, each with its share of the time, and begins
 * with another one each time: what a server that is cut off believes must not be the only truth. It
 * replaces the whole table at once. Servers that no longer serve anything go when nobody uses them.
 */
#include <store/redis/route.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <store/redis/redis.h>

#define MAX_NODES 1024 /* a cluster has fewer */
#define LOOK_US 50000  /* between two looks at the cancels of one who waits */

struct redis_route {
	struct redis_store *redis;
	struct redis_seed *seed;
	size_t seeds;
	char *master;
	struct redis_login login; /* of the sentinels */

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t looked;
	struct redis_node *node[MAX_NODES];
	size_t nodes;
	struct redis_node **slot; /* who serves it; NULL: nobody that is known */
	size_t slots;             /* 1 but in a cluster */
	bool doubted, looking;
	unsigned looks;                   /* lookups that came to an end of their own */
	struct convo_err why;             /* what the last one failed with; code 0: it told */
	const struct redis_node *suspect; /* not asked; only compared, it may be gone */
	size_t turn;                      /* who is asked first next time */
};

struct redis_lookup {
	struct redis_route *route;
	struct redis_node **slot;
	struct redis_node *node[MAX_NODES]; /* new ones */
	size_t nodes;
};

/* ---- nodes; with the lock held ------------------------------------------------------------- */

static struct redis_node *node_in(struct redis_node *const *node, size_t count, const char *host,
				  int port)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (node[i]->place.port == port && node[i]->host &&
		    strcmp(node[i]->host, host) == 0)
			return node[i];
	}
	return NULL;
}

/* Let go of those that serve nothing and that nobody uses. */
static void route_sweep(struct redis_route *route)
{
	size_t i, kept = 0;

	for (i = 0; i < route->nodes; i++)
		route->node[i]->listed = false;
	for (i = 0; i < route->slots; i++) {
		if (route->slot[i])
			route->slot[i]->listed = true;
	}
	for (i = 0; i < route->nodes; i++) {
		if (route->node[i]->listed || route->node[i]->users)
			route->node[kept++] = route->node[i];
		else
			cv_node_free(route->node[i]);
	}
	route->nodes = kept;
}

/* The node that is there; a new one, if there is none. NULL when memory or the table is out. */
static struct redis_node *route_node(struct redis_route *route, const char *host, int port)
{
	struct redis_node *node = node_in(route->node, route->nodes, host, port);

	if (node)
		return node;
	if (route->nodes == MAX_NODES)
		route_sweep(route);
	if (route->nodes == MAX_NODES ||
	    cv_node_new(&node, route->redis, host, port, NULL, NULL) < 0)
		return NULL;
	route->node[route->nodes++] = node;
	return node;
}

/* ---- making ----------------------------------------------------------------------------- */

void cv_redis_seeds_free(struct redis_seed *seed, size_t count)
{
	size_t i;

	for (i = 0; seed && i < count; i++) {
		free(seed[i].host);
		free(seed[i].path);
	}
	free(seed);
}

void cv_redis_login_clear(struct redis_login *login)
{
	volatile char *wipe = login->password;

	while (wipe && *wipe)
		*wipe++ = 0;
	free(login->user);
	free(login->password);
	*login = (struct redis_login){0};
}

/* Alone there is nothing to look up. */
static int route_add_alone(struct redis_route *route, struct convo_err *err)
{
	const struct redis_seed *seed = &route->seed[0];
	int rc =
		cv_node_new(&route->node[0], route->redis, seed->host, seed->port, seed->path, err);

	if (rc == 0) {
		route->nodes = 1;
		route->slot[0] = route->node[0];
	}
	return rc;
}

int cv_route_new(struct redis_route **out, struct redis_store *redis, struct redis_seed *seeds,
		 size_t count, const char *master, struct redis_login *login, struct convo_err *err)
{
	struct redis_route *route = cv_alloc(1, sizeof(*route));
	pthread_condattr_t clock;
	int rc = 0;

	if (!route) {
		cv_redis_seeds_free(seeds, count);
		cv_redis_login_clear(login);
		return cv_fail_nomem(err);
	}
	route->redis = redis;
	route->seed = seeds;
	route->seeds = count;
	route->login = *login;
	*login = (struct redis_login){0};
	pthread_mutex_init(&route->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&route->looked, &clock);
	pthread_condattr_destroy(&clock);
	route->slots = redis->mode == REDIS_CLUSTER ? REDIS_SLOTS : 1;
	route->slot = cv_alloc(route->slots, sizeof(*route->slot));
	route->master = master ? cv_memdup(master, strlen(master)) : NULL;
	if (!route->slot || (master && !route->master))
		rc = cv_fail_nomem(err);
	if (rc == 0 && redis->mode == REDIS_ALONE)
		rc = route_add_alone(route, err);
	if (rc < 0)
		cv_route_free(route);
	else
		*out = route;
	return rc;
}

void cv_route_free(struct redis_route *route)
{
	size_t i;

	if (!route)
		return;
	for (i = 0; i < route->nodes; i++)
		cv_node_free(route->node[i]);
	cv_redis_seeds_free(route->seed, route->seeds);
	cv_redis_login_clear(&route->login);
	pthread_cond_destroy(&route->looked);
	pthread_mutex_destroy(&route->lock);
	free(route->slot);
	free(route->master);
	free(route);
}

int cv_route_becomes_cluster(struct redis_store *redis, struct convo_err *err)
{
	struct redis_route *route = redis->route;
	struct redis_node **slot = cv_alloc(REDIS_SLOTS, sizeof(*slot));

	if (!slot)
		return cv_fail_nomem(err);
	redis->mode = REDIS_CLUSTER;
	free(route->slot);
	route->slot = slot;
	route->slots = REDIS_SLOTS;
	/* It was made to wait for its server. */
	cv_node_free(route->node[0]);
	route->nodes = 0;
	return 0;
}

/* ---- asking around --------------------------------------------------------------------- */

/* One that can be asked, copied, since servers may go. */
struct candidate {
	struct redis_place place;
	char name[200], host[CONVO_MAX_NAME + 1];
};

/* The servers that are known, if they can tell, and the seeds. */
static size_t look_count(const struct redis_route *route)
{
	return route->seeds + (route->redis->mode == REDIS_CLUSTER ? route->nodes : 0);
}

/* Find the i-th; false for one that is suspect. */
static bool look_candidate(struct redis_route *route, size_t i, struct candidate *out)
{
	const struct redis_store *redis = route->redis;
	size_t known = look_count(route) - route->seeds;
	const struct redis_seed *seed = i < known ? NULL : &route->seed[i - known];
	const struct redis_node *node = seed ? NULL : route->node[i];

	if (!seed && node == route->suspect)
		return false;
	out->place =
		(struct redis_place){out->name,
				     NULL,
				     seed ? seed->port : node->place.port,
				     seed ? seed->path : NULL,
				     redis->tls,
				     redis->mode == REDIS_SENTINEL ? &route->login : &redis->login};
	if (out->place.path) {
		snprintf(out->name, sizeof(out->name), "redis %.190s", out->place.path);
		return true;
	}
	snprintf(out->host, sizeof(out->host), "%s", seed ? seed->host : node->host);
	out->place.host = out->host;
	cv_node_name(out->name, sizeof(out->name), out->host, out->place.port);
	return true;
}

int cv_route_found(struct redis_lookup *lookup, const char *host, int port, unsigned first,
		   unsigned last, struct convo_err *err)
{
	struct redis_route *route = lookup->route;
	struct redis_node *node = node_in(lookup->node, lookup->nodes, host, port);

	if (last >= route->slots || strlen(host) > CONVO_MAX_NAME)
		return cv_fail(err, CONVO_E_IO, "%s: an unexpected answer", route->redis->name);
	if (!node && lookup->nodes == MAX_NODES)
		return cv_fail(err, CONVO_E_IO, "%s: an answer names more than %d servers",
			       route->redis->name, MAX_NODES);
	if (!node) {
		pthread_mutex_lock(&route->lock);
		node = route_node(route, host, port);
		if (node)
			node->users++; /* until the table is replaced */
		pthread_mutex_unlock(&route->lock);
		if (!node)
			return cv_fail_nomem(err);
		lookup->node[lookup->nodes++] = node;
	}
	for (; first <= last; first++)
		lookup->slot[first] = node;
	return 0;
}

/* Replace the table by what was found, if it was; forget what was found otherwise. */
static void look_adopt(struct redis_lookup *lookup, bool found)
{
	struct redis_route *route = lookup->route;

	pthread_mutex_lock(&route->lock);
	if (found) {
		memcpy(route->slot, lookup->slot, route->slots * sizeof(*route->slot));
		route->suspect = NULL;
	}
	while (lookup->nodes)
		lookup->node[--lookup->nodes]->users--;
	route_sweep(route);
	pthread_mutex_unlock(&route->lock);
	memset(lookup->slot, 0, route->slots * sizeof(*lookup->slot));
}

static int look_at(struct redis_lookup *lookup, const struct candidate *candidate,
		   const struct redis_until *until, struct convo_err *err)
{
	struct redis_route *route = lookup->route;
	int rc = route->redis->mode == REDIS_SENTINEL
			 ? cv_sentinel_look(lookup, route->redis, &candidate->place, route->master,
					    until, err)
			 : cv_cluster_look(lookup, route->redis, &candidate->place, until, err);

	look_adopt(lookup, rc == 0);
	return rc;
}

/* Whether a failure tells more than that a server is away. */
static bool look_tells(int rc)
{
	return rc != CONVO_E_GONE && rc != CONVO_E_TIMEOUT && rc != CONVO_E_IO;
}

/* Ask one after the other until one tells. If none does, the failure that tells most is told. */
static int route_look(struct redis_route *route, const struct redis_until *until,
		      struct convo_err *err)
{
	struct redis_lookup lookup = {.route = route};
	struct redis_until share = *until;
	struct candidate candidate;
	struct convo_err why = {0};
	size_t count, first, i;
	int rc = cv_fail(err, CONVO_E_GONE, "%s: nobody to ask", route->redis->name), one;
	bool fine;

	lookup.slot = cv_alloc(route->slots, sizeof(*lookup.slot));
	if (!lookup.slot)
		return cv_fail_nomem(err);
	pthread_mutex_lock(&route->lock);
	count = look_count(route);
	first = route->turn++;
	pthread_mutex_unlock(&route->lock);
	for (i = 0; i < count && rc != 0 && rc != CONVO_E_CANCELED; i++) {
		int64_t now_us = cv_clock_mono_us();

		pthread_mutex_lock(&route->lock);
		fine = (first + i) % count < look_count(route) &&
		       look_candidate(route, (first + i) % count, &candidate);
		pthread_mutex_unlock(&route->lock);
		if (!fine)
			continue;
		share.deadline_us = now_us + (until->deadline_us - now_us) / (int64_t)(count - i);
		one = look_at(&lookup, &candidate, &share, &why);
		if (one < 0 && one != CONVO_E_CANCELED && look_tells(rc))
			continue;
		rc = one;
		*err = why;
	}
	free(lookup.slot);
	return rc;
}

/* ---- taking ----------------------------------------------------------------------------- */

static bool until_is_canceled(const struct redis_until *until)
{
	size_t i = 0;

	while (i < until->cancels && !convo_cancel_requested(until->cancel[i]))
		i++;
	return i < until->cancels;
}

/* Wait, with the lock held, for the one who is looking; 0 when it is time to see. */
static int route_wait(struct redis_route *route, const struct redis_until *until,
		      struct convo_err *err)
{
	int64_t now_us = cv_clock_mono_us(), until_us = now_us + LOOK_US;
	struct timespec at;

	if (until_is_canceled(until))
		return cv_fail(err, CONVO_E_CANCELED, "%s: canceled", route->redis->name);
	if (now_us >= until->deadline_us)
		return cv_fail(err, CONVO_E_TIMEOUT, "%s: nobody told in time which server it is",
			       route->redis->name);
	if (until_us > until->deadline_us)
		until_us = until->deadline_us;
	at = (struct timespec){(time_t)(until_us / 1000000), until_us % 1000000 * 1000};
	pthread_cond_timedwait(&route->looked, &route->lock, &at);
	return 0;
}

/* Find out where the slots are, for all, with the lock held but meanwhile. */
static int route_look_for_all(struct redis_route *route, const struct redis_until *until,
			      struct convo_err *err)
{
	struct convo_err why = {0};
	int rc;

	route->looking = true;
	route->doubted = false;
	pthread_mutex_unlock(&route->lock);
	rc = route_look(route, until, &why);
	pthread_mutex_lock(&route->lock);
	route->looking = false;
	pthread_cond_broadcast(&route->looked);
	if (rc == CONVO_E_CANCELED)
		return cv_fail(err, why.code, "%s", why.text);
	/* One whose time was short tells nothing to those who have more. */
	if (rc != CONVO_E_TIMEOUT)
		route->looks++;
	route->why = why;
	route->why.code = rc;
	return 0;
}

static int route_fail(const struct redis_route *route, unsigned slot, struct convo_err *err)
{
	if (route->why.code)
		return cv_fail(err, route->why.code, "%s", route->why.text);
	return cv_fail(err, CONVO_E_GONE,
		       "%s: no server serves slot %u: start the one that did, or its replica",
		       route->redis->name, slot);
}

/* Find out, with the lock held, who serves a slot. One lookup is enough for all who wait for it; when
 * nobody tells, what was known before is good enough. */
static int route_find(struct redis_route *route, unsigned slot, const struct redis_until *until,
		      struct redis_node **out, struct convo_err *err)
{
	unsigned looks = route->looks;
	bool looked = false;
	int rc = 0;

	while (rc == 0 && !*out) {
		looked = looked || route->looks != looks;
		if (route->slot[slot] && (looked || !route->doubted))
			*out = route->slot[slot];
		else if (looked)
			rc = route_fail(route, slot, err);
		else if (route->looking)
			rc = route_wait(route, until, err);
		else
			looked = (rc = route_look_for_all(route, until, err)) == 0;
	}
	return rc;
}

int cv_route_take(struct redis_store *redis, struct redis_ask *ask, const struct redis_until *until,
		  struct convo_err *err)
{
	struct redis_route *route = redis->route;
	int rc;

	if (redis->mode == REDIS_ALONE) {
		ask->node = route->node[0];
		return 0;
	}
	pthread_mutex_lock(&route->lock);
	ask->asking = ask->detour;
	ask->node = ask->detour;
	ask->detour = NULL;
	rc = route_find(route, redis->mode == REDIS_CLUSTER ? ask->slot : 0, until, &ask->node,
			err);
	if (rc == 0 && !ask->asking)
		ask->node->users++;
	pthread_mutex_unlock(&route->lock);
	return rc;
}

void cv_route_give(struct redis_store *redis, struct redis_ask *ask)
{
	struct redis_route *route = redis->route;

	if (redis->mode == REDIS_ALONE)
		return;
	pthread_mutex_lock(&route->lock);
	if (ask->node)
		ask->node->users--;
	else if (ask->detour)
		ask->detour->users--;
	if (!ask->node)
		ask->detour = NULL;
	ask->node = NULL;
	pthread_mutex_unlock(&route->lock);
}

void cv_route_explain(struct redis_store *redis, const struct redis_ask *ask, struct convo_err *err)
{
	struct redis_route *route = redis->route;
	struct convo_err told = *err;

	pthread_mutex_lock(&route->lock);
	if (redis->mode == REDIS_CLUSTER)
		(void)cv_fail(err, told.code,
			      "%.110s; nobody else serves slot %u: start it, or its replica",
			      told.text, ask->slot);
	else if (route->why.code)
		(void)cv_fail(err, told.code, "%.110s; asked for another master: %.90s", told.text,
			      route->why.text);
	else
		(void)cv_fail(err, told.code, "%.110s; the sentinels name no other master",
			      told.text);
	pthread_mutex_unlock(&route->lock);
	err->maybe = told.maybe;
}

void cv_route_doubt(struct redis_store *redis, const struct redis_node *node)
{
	struct redis_route *route = redis->route;

	pthread_mutex_lock(&route->lock);
	route->doubted = true;
	route->suspect = node;
	pthread_mutex_unlock(&route->lock);
}

/* ---- looking over all -------------------------------------------------------------------- */

bool cv_route_after(struct redis_store *redis, const char *after, char *name, size_t size,
		    unsigned *slot)
{
	struct redis_route *route = redis->route;
	const struct redis_node *best = NULL;
	unsigned i;

	pthread_mutex_lock(&route->lock);
	for (i = 0; i < route->slots; i++) {
		const struct redis_node *node = route->slot[i];

		if (!node || node == best || strcmp(node->name, after) <= 0 ||
		    (best && strcmp(node->name, best->name) > 0))
			continue;
		best = node;
		*slot = i;
	}
	if (best)
		snprintf(name, size, "%s", best->name);
	pthread_mutex_unlock(&route->lock);
	return best;
}

bool cv_route_slot_of(struct redis_store *redis, const char *name, unsigned *slot)
{
	struct redis_route *route = redis->route;
	unsigned i = 0;

	pthread_mutex_lock(&route->lock);
	while (i < route->slots && (!route->slot[i] || strcmp(route->slot[i]->name, name) != 0))
		i++;
	*slot = i;
	pthread_mutex_unlock(&route->lock);
	return i < route->slots;
}

bool cv_route_lists(struct redis_store *redis, const struct redis_node *node)
{
	struct redis_route *route = redis->route;
	unsigned i = 0;

	pthread_mutex_lock(&route->lock);
	while (i < route->slots && route->slot[i] != node)
		i++;
	pthread_mutex_unlock(&route->lock);
	return i < route->slots;
}

/* ---- being sent on ---------------------------------------------------------------------- */

/* Read "7 host:port", where the host may be an address with colons, or nothing: that of the one who
 * says it. */
static bool sent_on_read(const char *text, unsigned *slot, char host[CONVO_MAX_NAME + 1], int *port)
{
	const char *colon = strrchr(text, ':'), *space = strchr(text, ' ');
	char *end;
	long number = strtol(text, &end, 10);

	if (!colon || !space || colon < space || end != space || number < 0 ||
	    number >= REDIS_SLOTS || colon - space - 1 > CONVO_MAX_NAME)
		return false;
	*slot = (unsigned)number;
	snprintf(host, CONVO_MAX_NAME + 1, "%.*s", (int)(colon - space - 1), space + 1);
	number = strtol(colon + 1, &end, 10);
	*port = (int)number;
	return number > 0 && number < 65536 && !*end;
}

bool cv_route_sent_on(struct redis_node *from, struct redis_ask *ask, const char *error)
{
	struct redis_route *route = from->redis->route;
	bool moved = strncmp(error, "MOVED ", 6) == 0, once = strncmp(error, "ASK ", 4) == 0;
	char host[CONVO_MAX_NAME + 1];
	struct redis_node *node;
	unsigned slot;
	int port;

	if (route->slots == 1 || !(moved || once) ||
	    !sent_on_read(error + (moved ? 6 : 4), &slot, host, &port) || (!*host && !from->host))
		return false;
	pthread_mutex_lock(&route->lock);
	node = route_node(route, *host ? host : from->host, port);
	if (node && moved) {
		route->slot[slot] = node;
		route->doubted = true;
	}
	if (node && once && !ask->detour) {
		node->users++;
		ask->detour = node;
	}
	pthread_mutex_unlock(&route->lock);
	return true;
}
