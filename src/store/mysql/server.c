/*
 * What a server says of itself, and what our statements rely on; see driver.h. Galera and Group
 * Replication are known by their variables, which a server without them lacks.
 */
#include <store/mysql/driver.h>

#include <stdio.h>
#include <strings.h>

#include <base/clock.h>
#include <base/fail.h>
#include <store/mysql/db.h>

#define SERVER_LOOK_US 1000000 /* between two looks at whether a host still takes writes */

#define SERVER_VARIABLES                                                                   \
	"SHOW VARIABLES WHERE Variable_name IN ('max_allowed_packet', 'read_only', "       \
	"'super_read_only', 'innodb_read_only', 'transaction_read_only', 'tx_read_only', " \
	"'wsrep_on', 'group_replication_consistency')"

#define SERVER_STATUS                                                            \
	"SHOW STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_connected', " \
	"'wsrep_cluster_status', 'wsrep_local_state', 'wsrep_local_state_comment')"

/* What is kept of the answers. */
struct server_view {
	int64_t max_packet;
	bool read_only, galera;
	bool lags; /* a new primary may answer before it has applied what the old one acknowledged */

	/* of a node */
	bool ready;
	int state;
	char words[64]; /* its state, for a person */
};

static bool server_is_on(const char *value)
{
	return strcasecmp(value, "OFF") != 0 && strcmp(value, "0") != 0;
}

static void server_variable(void *ctx, char **column, unsigned count)
{
	struct server_view *view = ctx;
	const char *name = column[0], *value = count > 1 ? column[1] : NULL;

	if (!name || !value)
		return;
	if (strcasecmp(name, "max_allowed_packet") == 0)
		view->max_packet = strtoll(value, NULL, 10);
	else if (strcasecmp(name, "wsrep_on") == 0)
		view->galera = server_is_on(value);
	else if (strcasecmp(name, "group_replication_consistency") == 0)
		view->lags = strcasecmp(value, "EVENTUAL") == 0;
	else
		view->read_only = view->read_only || server_is_on(value);
}

static void server_status(void *ctx, char **column, unsigned count)
{
	struct server_view *view = ctx;
	const char *name = column[0], *value = count > 1 ? column[1] : NULL;

	if (!name || !value)
		return;
	if (strcasecmp(name, "wsrep_ready") == 0)
		view->ready = server_is_on(value);
	else if (strcasecmp(name, "wsrep_local_state") == 0)
		view->state = (int)strtol(value, NULL, 10);
	else if (strcasecmp(name, "wsrep_cluster_status") == 0
			 ? strcasecmp(value, "Primary") != 0
			 : strcasecmp(name, "wsrep_local_state_comment") == 0 && !*view->words)
		snprintf(view->words, sizeof(view->words), "%.40s", value);
}

/* States of a node: 2 gives its data to another one and may block, 3 has not caught up, 4 is synced. */
static int server_node(struct my_db *db, struct server_view *view, struct convo_err *err)
{
	enum pool_fate fate = POOL_KEEP;
	int rc = cv_my_ask(db, SERVER_STATUS, server_status, view, &fate, err);

	if (rc)
		return rc;
	if (!view->ready)
		return cv_my_unready(db->where, *view->words ? view->words : "not ready", err);
	db->galera = true;
	if (db->rank == MY_WRITES && view->state != 4)
		db->rank = MY_LESSER;
	/* Reads and writes that begin wait until what other nodes have acknowledged is there. */
	return cv_my_ask(db, "SET SESSION wsrep_sync_wait = 7", NULL, NULL, &fate, err);
}

static int server_look(struct my_db *db, struct convo_err *err)
{
	enum pool_fate fate = POOL_KEEP;
	struct server_view view = {0};
	int rc = cv_my_ask(db, SERVER_VARIABLES, server_variable, &view, &fate, err);

	if (rc)
		return rc;
	db->looked_us = cv_clock_mono_us();
	db->max_packet = view.max_packet;
	if (db->max_packet < MY_PACKET_MIN)
		return cv_fail(
			err, CONVO_E_UNSUPPORTED,
			"%s: its max_allowed_packet is %lld, and convo needs 16M: SET GLOBAL "
			"max_allowed_packet = %ld, and in its configuration",
			db->where, (long long)db->max_packet, MY_PACKET_MIN);
	db->rank = view.read_only ? MY_READS : MY_WRITES;
	if (view.galera)
		return server_node(db, &view, err);
	if (view.lags)
		return cv_my_ask(db,
				 "SET SESSION group_replication_consistency = "
				 "'BEFORE_ON_PRIMARY_FAILOVER'",
				 NULL, NULL, &fate, err);
	return 0;
}

static void server_flag(void *ctx, char **column, unsigned count)
{
	if (count && column[0])
		*(bool *)ctx = server_is_on(column[0]);
}

int cv_my_look_again(struct my_db *db, const struct store_call *call, enum pool_fate *fate,
		     struct convo_err *err)
{
	const int64_t now_us = cv_clock_mono_us();
	bool read_only = false;
	int rc;

	if (db->plan->host_count == 1 || db->galera || now_us - db->looked_us < SERVER_LOOK_US)
		return 0;
	cv_my_begin(db, call);
	store_work_trip(call);
	rc = cv_my_ask(db, "SELECT @@GLOBAL.read_only", server_flag, &read_only, fate, err);
	if (rc)
		return rc;
	db->looked_us = now_us;
	if (!read_only || db->rank == MY_READS)
		return 0;
	*fate = POOL_UNSENT;
	return cv_fail(err, CONVO_E_GONE, "%s: takes no writes any more", db->where);
}

int cv_my_set_up(struct my_db *db, struct convo_err *err)
{
	const long long wait_s = db->plan->lock_wait_s;
	enum pool_fate fate = POOL_KEEP;
	char sql[320];
	int rc;

	db->mariadb = strstr(mysql_get_server_info(db->my), "MariaDB") != NULL;
	snprintf(sql, sizeof(sql),
		 "SET SESSION autocommit = 1, time_zone = '+00:00', innodb_lock_wait_timeout = "
		 "%lld, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
		 wait_s);
	if (db->mariadb)
		snprintf(sql + strlen(sql), sizeof(sql) - strlen(sql),
			 ", idle_transaction_timeout = %lld", wait_s + 1);
	rc = cv_my_ask(db, sql, NULL, NULL, &fate, err);
	if (rc)
		return rc;
	rc = cv_my_ask(db, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", NULL, NULL,
		       &fate, err);
	return rc ? rc : server_look(db, err);
}
