/*
 * Asking a Redis Sentinel who the master is.
 */
#include <store/redis/route.h>

#include <stdlib.h>
#include <string.h>

#include <store/redis/redis.h>
#include <store/redis/refuse.h>

/* Host and port as texts, or nothing for a name that it does not know. */
static int sentinel_read(struct redis_lookup *lookup, const struct redis_value *value,
			 const struct redis_place *place, const char *master, struct convo_err *err)
{
	const struct redis_value *item = value->item;
	char *end;
	long port;

	if (value->kind == REDIS_VALUE_ERROR && strstr(value->data, "unknown command"))
		return cv_redis_fail(place, CONVO_E_INVALID, "it is no sentinel", err);
	if (value->kind == REDIS_VALUE_ERROR)
		return cv_redis_refuse(place, value->data, "SENTINEL", err);
	if (value->kind == REDIS_VALUE_NIL)
		return cv_fail(err, CONVO_E_INVALID,
			       "%s: the sentinel knows no master '%.60s': the URL names it, "
			       "redis+sentinel://host:port/name",
			       place->name, master);
	if (value->kind != REDIS_VALUE_ARRAY || value->len != 2 ||
	    item[0].kind != REDIS_VALUE_STRING || item[1].kind != REDIS_VALUE_STRING)
		return cv_redis_fail(place, CONVO_E_IO, "an unexpected answer", err);
	port = strtol(item[1].data, &end, 10);
	if (!item[0].len || strlen(item[0].data) != item[0].len || port < 1 || port > 65535 || *end)
		return cv_redis_fail(place, CONVO_E_IO, "an unexpected answer", err);
	return cv_route_found(lookup, item[0].data, (int)port, 0, 0, err);
}

int cv_sentinel_look(struct redis_lookup *lookup, struct redis_store *redis,
		     const struct redis_place *place, const char *master,
		     const struct redis_until *until, struct convo_err *err)
{
	struct redis_conn *conn = NULL;
	const struct redis_value *value;
	struct redis_ask ask = {0};
	int rc = cv_node_connect(&conn, redis, place, until, err);

	if (rc < 0)
		return rc;
	cv_ask_begin(&ask, REDIS_SCRIPTS, 0);
	cv_ask_add_text(&ask, "SENTINEL");
	cv_ask_add_text(&ask, "GET-MASTER-ADDR-BY-NAME");
	cv_ask_add_text(&ask, master);
	rc = cv_ask_now(redis, conn, &ask, until, &value, err);
	if (rc == 0)
		rc = sentinel_read(lookup, value, place, master, err);
	cv_ask_clear(&ask);
	cv_redis_disconnect(conn);
	return rc;
}
