/*
 * Connecting to MySQL or MariaDB, and what is known of a connection; see db.h.
 */
#include <store/mysql/db.h>

#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>
#include <base/resolve.h>
#include <store/mysql/driver.h>

/* ---- connecting ----------------------------------------------------------------------- */

static void my_library_init(void)
{
	mysql_library_init(0, NULL, NULL);
}

static struct my_db *my_new(const struct my_plan *plan, struct convo_err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct my_db *db = cv_alloc(1, sizeof(*db));

	pthread_once(&once, my_library_init);
	if (db) {
		db->plan = plan;
		db->my = mysql_init(NULL);
	}
	if (db && db->my)
		return db;
	free(db);
	cv_fail_nomem(err);
	return NULL;
}

static int my_set_options(struct my_db *db, struct convo_err *err)
{
	const struct my_plan *plan = db->plan;
	const my_bool tls = plan->tls, verify = plan->verify;
	const unsigned off = 0, tcp = MYSQL_PROTOCOL_TCP;
	const unsigned long most = MY_PACKET_MAX;
	int bad = mysql_options(db->my, MYSQL_OPT_NONBLOCK, NULL);

	bad |= mysql_options(db->my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	bad |= mysql_options(db->my, MYSQL_OPT_MAX_ALLOWED_PACKET, &most);
	/* A server must not be able to ask for files. */
	bad |= mysql_options(db->my, MYSQL_OPT_LOCAL_INFILE, &off);
	/* The library would take "localhost" for a socket that nobody has named. */
	if (!plan->socket)
		bad |= mysql_options(db->my, MYSQL_OPT_PROTOCOL, &tcp);
	if (plan->tls)
		bad |= mysql_ssl_set(db->my, plan->key, plan->cert, plan->ca, NULL, NULL);
	/* Both are said always: what they are without that depends on the version. */
	bad |= mysql_options(db->my, MYSQL_OPT_SSL_ENFORCE, &tls);
	bad |= mysql_options(db->my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
	return bad ? cv_fail_nomem(err) : 0;
}

/* CLIENT_FOUND_ROWS: rows count as changed that already were as they are to be. */
static int my_connect(struct my_db *db, const char *address, const char *database, unsigned *number,
		      struct convo_err *err)
{
	const struct my_plan *plan = db->plan;
	MYSQL *ret = NULL;
	int status =
		mysql_real_connect_start(&ret, db->my, address, plan->user, plan->password,
					 database, plan->port, plan->socket, CLIENT_FOUND_ROWS);

	while (status) {
		/* The socket does not exist before the first start has returned. */
		status = cv_my_wait(db, status);
		status = mysql_real_connect_cont(&ret, db->my, status);
	}
	if (ret)
		return 0;
	*number = mysql_errno(db->my);
	if (db->ended == MY_LATE)
		return cv_fail(err, CONVO_E_TIMEOUT, "%s: cannot connect in time", plan->where);
	if (db->ended == MY_STOPPED)
		return cv_fail(err, CONVO_E_CANCELED, "%s: canceled", plan->where);
	return cv_my_refuse(plan, *number, mysql_error(db->my), false, err);
}

/* What our statements rely on, whatever the server's defaults are. */
static int my_set_up(struct my_db *db, struct convo_err *err)
{
	const long long wait_s = db->plan->lock_wait_s;
	enum pool_fate fate = POOL_KEEP;
	bool found = false;
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
	if (rc)
		return rc;
	return cv_my_ask(db, "SELECT @@max_allowed_packet", &db->max_packet, &found, &fate, err);
}

/* Connect to an address, NULL for the socket, and set up; `number` is the server's error. */
static struct my_db *my_open(const struct my_plan *plan, const char *address, const char *database,
			     const struct store_call *call, unsigned *number, struct convo_err *err)
{
	struct my_db *db = my_new(plan, err);

	*number = 0;
	if (!db)
		return NULL;
	cv_my_begin(db, call);
	if (my_set_options(db, err) != 0)
		goto fail;
	if (my_connect(db, address, database, number, err) != 0)
		goto fail;
	if (my_set_up(db, err) != 0)
		goto fail;
	return db;
fail:
	db->broken = true;
	cv_my_close(db);
	return NULL;
}

/* A share of the time that is left, for one of several addresses. */
static struct store_call my_share(const struct store_call *call, const struct addrinfo *address)
{
	struct store_call share = *call;
	int64_t now_us = cv_clock_mono_us(), left = 0;

	for (; address; address = address->ai_next)
		left++;
	if (call->deadline_us > now_us)
		share.deadline_us = now_us + (call->deadline_us - now_us) / left;
	return share;
}

/*
 * Connect to the first of the host's addresses that can be connected to. With a certificate to be
 * verified it is the library that goes through them: the name is looked up here first, so that a
 * name server which is silent costs the timeout and no more.
 */
static struct my_db *my_open_any(const struct my_plan *plan, const char *database,
				 const struct store_call *call, unsigned *number,
				 struct convo_err *err)
{
	struct addrinfo *list = NULL, *at;
	struct my_db *db = NULL;
	struct convo_err why;
	int rc;

	if (plan->socket)
		return my_open(plan, NULL, database, call, number, err);
	*number = 0;
	rc = cv_resolve(&list, plan->host, (int)plan->port, call->deadline_us, &why);
	if (rc < 0) {
		cv_fail(err, rc == CONVO_E_IO ? CONVO_E_GONE : rc, "%s: %s", plan->where, why.text);
		return NULL;
	}
	if (plan->verify) { /* a certificate is compared with what the library is given */
		db = my_open(plan, plan->host, database, call, number, err);
		goto out;
	}
	why.code = CONVO_E_GONE;
	for (at = list; at && !db && why.code == CONVO_E_GONE; at = at->ai_next) {
		struct store_call share = my_share(call, at);
		char address[NI_MAXHOST];

		if (getnameinfo(at->ai_addr, at->ai_addrlen, address, sizeof(address), NULL, 0,
				NI_NUMERICHOST) == 0)
			db = my_open(plan, address, database, &share, number, &why);
		if (!db && why.code == CONVO_E_TIMEOUT && at->ai_next)
			why.code = CONVO_E_GONE;
	}
	if (!db && err)
		*err = why;
out:
	freeaddrinfo(list);
	return db;
}

/* ---- a missing database --------------------------------------------------------------- */

/* Create it. Somebody else may do so at the same moment. */
static int my_create_database(const struct my_plan *plan, const struct store_call *call,
			      struct convo_err *err)
{
	enum pool_fate fate = POOL_KEEP;
	struct cv_buf sql = {0};
	const char *p = plan->database;
	struct convo_err why;
	unsigned number;
	struct my_db *db = my_open_any(plan, NULL, call, &number, &why);
	int rc;

	if (!db)
		return cv_fail(err, why.code, "%s", why.text);
	rc = cv_buf_adds(&sql, "CREATE DATABASE IF NOT EXISTS `");
	for (; rc == 0 && *p; p++)
		rc = cv_buf_addf(&sql, *p == '`' ? "`%c" : "%c", *p);
	if (rc == 0)
		rc = cv_buf_adds(&sql, "` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
	if (rc < 0)
		cv_buf_fail(err, rc);
	else
		rc = cv_my_plain(db, sql.data, NULL, NULL, call, &fate, err);
	cv_buf_clear(&sql);
	cv_my_close(db);
	return rc;
}

struct my_db *cv_my_open(const struct my_plan *plan, const struct store_call *call,
			 struct convo_err *err)
{
	struct convo_err why;
	unsigned number;
	struct my_db *db = my_open_any(plan, plan->database, call, &number, &why);

	/* 1049: it is missing. 1044: it is, or this user may not know. */
	if (!db && number == 1049 && plan->create_database) {
		if (my_create_database(plan, call, err) != 0)
			return NULL;
		return my_open_any(plan, plan->database, call, &number, err);
	}
	if (!db && err)
		*err = why;
	return db;
}

void cv_my_hang_up(struct my_db *db)
{
	db->broken = true;
	if (mysql_get_socket(db->my) >= 0)
		shutdown(mysql_get_socket(db->my), SHUT_RDWR);
}

void cv_my_close(struct my_db *db)
{
	size_t i;

	if (!db)
		return;
	/* The library says goodbye, and must not wait for anybody to take it. */
	if (db->broken)
		cv_my_hang_up(db);
	for (i = 0; i < MY_TEXTS; i++) {
		if (db->stmt[i])
			mysql_stmt_close(db->stmt[i]);
	}
	mysql_close(db->my);
	cv_buf_clear(&db->row);
	cv_buf_clear(&db->more);
	free(db->many);
	free(db);
}

bool cv_my_usable(const struct my_db *db)
{
	struct pollfd fd = {.fd = mysql_get_socket(db->my), .events = POLLIN};

	/* An idle server says nothing; what there is to read is its farewell. */
	return !db->broken && fd.fd >= 0 && poll(&fd, 1, 0) == 0;
}

bool cv_my_skips(const struct my_db *db)
{
	return db->mariadb || mysql_get_server_version(db->my) >= 80001;
}

const struct my_plan *cv_my_plan_of(const struct my_db *db)
{
	return db->plan;
}
