/*
 * Asking a node of a Redis Cluster which slots are where.
 */
#include <store/redis/route.h>

#include <string.h>

#include <store/redis/redis.h>
#include <store/redis/refuse.h>

static int cluster_unexpected(const struct redis_place *place, struct convo_err *err)
{
	return cv_redis_fail(place, CONVO_E_IO, "an unexpected answer", err);
}

/* The address that is to be used; without one it is that of the node which tells. */
static const char *cluster_host(const struct redis_value *value, const struct redis_place *place)
{
	if (value->kind == REDIS_VALUE_NIL ||
	    (value->kind == REDIS_VALUE_STRING && (!value->len || !strcmp(value->data, "?"))))
		return place->host;
	if (value->kind != REDIS_VALUE_STRING || strlen(value->data) != value->len)
		return NULL;
	return value->data;
}

/* Slots from first to last, their master, its replicas: [first, last, [host, port, ...], ...] */
static int cluster_take(struct redis_lookup *lookup, const struct redis_value *range,
			const struct redis_place *place, struct convo_err *err)
{
	const struct redis_value *item = range->item, *master;
	const char *host;

	if (range->kind != REDIS_VALUE_ARRAY || range->len < 3)
		return cluster_unexpected(place, err);
	master = &item[2];
	if (item[0].kind != REDIS_VALUE_INTEGER || item[1].kind != REDIS_VALUE_INTEGER ||
	    item[0].integer < 0 || item[0].integer > item[1].integer ||
	    item[1].integer >= REDIS_SLOTS || master->kind != REDIS_VALUE_ARRAY ||
	    master->len < 2 || master->item[1].kind != REDIS_VALUE_INTEGER ||
	    master->item[1].integer < 1 || master->item[1].integer > 65535)
		return cluster_unexpected(place, err);
	host = cluster_host(&master->item[0], place);
	if (!host)
		return cluster_unexpected(place, err);
	return cv_route_found(lookup, host, (int)master->item[1].integer, (unsigned)item[0].integer,
			      (unsigned)item[1].integer, err);
}

static int cluster_read(struct redis_lookup *lookup, const struct redis_value *value,
			const struct redis_place *place, struct convo_err *err)
{
	size_t i;
	int rc;

	if (value->kind == REDIS_VALUE_ERROR)
		return cv_redis_refuse(place, value->data, "CLUSTER", err);
	if (value->kind != REDIS_VALUE_ARRAY)
		return cluster_unexpected(place, err);
	if (!value->len)
		return cv_redis_fail(place, CONVO_E_GONE,
				     "it knows of no server with slots: is the cluster made yet?",
				     err);
	for (i = 0; i < value->len; i++) {
		rc = cluster_take(lookup, &value->item[i], place, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int cv_cluster_look(struct redis_lookup *lookup, struct redis_store *redis,
		    const struct redis_place *place, const struct redis_until *until,
		    struct convo_err *err)
{
	struct redis_conn *conn = NULL;
	const struct redis_value *value;
	struct redis_ask ask = {0};
	int rc = cv_node_connect(&conn, redis, place, until, err);

	if (rc < 0)
		return rc;
	cv_ask_begin(&ask, REDIS_SCRIPTS, 0);
	cv_ask_add_text(&ask, "CLUSTER");
	cv_ask_add_text(&ask, "SLOTS");
	rc = cv_ask_now(redis, conn, &ask, until, &value, err);
	if (rc == 0)
		rc = cluster_read(lookup, value, place, err);
	cv_ask_clear(&ask);
	cv_redis_disconnect(conn);
	return rc;
}
