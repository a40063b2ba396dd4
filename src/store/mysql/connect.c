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

/* Errors of servers: there is no such database; it cannot serve, whatever the reason. */
#define MY_NO_DATABASE 1049
#define MY_NOT_NOW 1047
#define MY_LIBRARY 2000 /* from here on the library's own, up to 3000 */

/* ---- connecting ----------------------------------------------------------------------- */

static void my_library_init(void)
{
	mysql_library_init(0, NULL, NULL);
}

static struct my_db *my_new(struct my_plan *plan, size_t host, struct convo_err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct my_db *db = cv_alloc(1, sizeof(*db));

	pthread_once(&once, my_library_init);
	if (db) {
		db->plan = plan;
		db->host = host;
		db->where = cv_my_host_where(plan, host);
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
	int status = mysql_real_connect_start(&ret, db->my, address, plan->user, plan->password,
					      database, plan->host[db->host].port, plan->socket,
					      CLIENT_FOUND_ROWS);

	while (status) {
		/* The socket does not exist before the first start has returned. */
		status = cv_my_wait(db, status);
		status = mysql_real_connect_cont(&ret, db->my, status);
	}
	if (ret)
		return 0;
	*number = mysql_errno(db->my);
	if (db->ended == MY_LATE)
		return cv_fail(err, CONVO_E_TIMEOUT, "%s: cannot connect in time", db->where);
	if (db->ended == MY_STOPPED)
		return cv_fail(err, CONVO_E_CANCELED, "%s: canceled", db->where);
	return cv_my_refuse(plan, db->where, *number, mysql_error(db->my), false, err);
}

/* Connect to an address, NULL for the socket, and set up; `number` is the server's error. */
static struct my_db *my_open(struct my_plan *plan, size_t host, const char *address,
			     const char *database, const struct store_call *call, unsigned *number,
			     struct convo_err *err)
{
	struct my_db *db = my_new(plan, host, err);
	int rc;

	*number = 0;
	if (!db)
		return NULL;
	cv_my_begin(db, call);
	if (my_set_options(db, err) != 0)
		goto fail;
	if (my_connect(db, address, database, number, err) != 0)
		goto fail;
	rc = cv_my_set_up(db, err);
	if (rc == 0)
		return db;
	if (rc == MY_AGAIN)
		cv_sql_in_the_way(err, db->where);
	*number = MY_NOT_NOW;
fail:
	db->broken = true;
	cv_my_close(db);
	return NULL;
}

/* A share of the time that is left, where `parties` want some. */
static struct store_call my_share(const struct store_call *call, size_t parties)
{
	struct store_call share = *call;
	int64_t now_us = cv_clock_mono_us();

	if (call->deadline_us > now_us)
		share.deadline_us = now_us + (call->deadline_us - now_us) / (int64_t)parties;
	return share;
}

static size_t my_addresses(const struct addrinfo *address)
{
	size_t count = 0;

	for (; address; address = address->ai_next)
		count++;
	return count;
}

/*
 * Connect to the first of a host's addresses that can be connected to. With a certificate to be
 * verified it is the library that goes through them: the name is looked up here first, so that a
 * name server which is silent costs the timeout and no more.
 */
static struct my_db *my_open_host(struct my_plan *plan, size_t host, const char *database,
				  const struct store_call *call, unsigned *number,
				  struct convo_err *err)
{
	const char *name = plan->host[host].name;
	struct addrinfo *list = NULL, *at;
	struct my_db *db = NULL;
	struct convo_err why;
	int rc;

	if (plan->socket)
		return my_open(plan, host, NULL, database, call, number, err);
	*number = 0;
	rc = cv_resolve(&list, name, (int)plan->host[host].port, call->deadline_us, &why);
	if (rc < 0) {
		cv_fail(err, rc == CONVO_E_IO ? CONVO_E_GONE : rc, "%s: %s",
			cv_my_host_where(plan, host), why.text);
		return NULL;
	}
	if (plan->verify) { /* a certificate is compared with what the library is given */
		db = my_open(plan, host, name, database, call, number, err);
		goto out;
	}
	why.code = CONVO_E_GONE;
	for (at = list; at && !db && why.code == CONVO_E_GONE; at = at->ai_next) {
		struct store_call share = my_share(call, my_addresses(at));
		char address[NI_MAXHOST];

		if (getnameinfo(at->ai_addr, at->ai_addrlen, address, sizeof(address), NULL, 0,
				NI_NUMERICHOST) == 0)
			db = my_open(plan, host, address, database, &share, number, &why);
		if (!db && why.code == CONVO_E_TIMEOUT && at->ai_next)
			why.code = CONVO_E_GONE;
	}
	if (!db && err)
		*err = why;
out:
	freeaddrinfo(list);
	return db;
}

/* ---- hosts ------------------------------------------------------------------------------ */

/* The way through the hosts of a plan. */
struct my_walk {
	struct my_db *best; /* the best of those that answered; the first of equals */
	size_t refused;     /* hosts that cannot be used at all */
	bool told;          /* the one of `why` has said so itself */
	unsigned number;    /* what it says */
	struct convo_err why;
};

/* Keep the better one. */
static void my_walk_take(struct my_walk *walk, struct my_db *db)
{
	if (walk->best && walk->best->rank >= db->rank) {
		cv_my_close(db);
		return;
	}
	cv_my_close(walk->best);
	walk->best = db;
}

/* A server that says why it refuses tells more than one that is not there. */
static void my_walk_refuse(struct my_walk *walk, unsigned number, const struct convo_err *why)
{
	bool told = number && (number < MY_LIBRARY || number >= MY_LIBRARY + 1000);

	if (!walk->refused++ || told || !walk->told) {
		walk->why = *why;
		walk->number = number;
		walk->told = told;
	}
}

/* Whether the next host is to be asked. */
static bool my_walk_goes_on(const struct my_walk *walk, const struct my_plan *plan)
{
	if (walk->best && walk->best->rank == MY_WRITES)
		return false;
	if (!walk->refused)
		return true;
	return walk->why.code != CONVO_E_CANCELED && walk->why.code != CONVO_E_NOMEM &&
	       !(walk->number == MY_NO_DATABASE && plan->create_database);
}

/*
 * What can be used of what was found. A host that takes no writes may be behind the one that does, so
 * that it must not be read from while that one may come back: only if no host is missing, and all of
 * them take none.
 */
static struct my_db *my_walk_end(struct my_walk *walk, struct my_plan *plan, struct convo_err *err)
{
	struct my_db *db = walk->best;

	if (db && (db->rank > MY_READS || !walk->refused)) {
		if (db->rank > MY_READS)
			atomic_store(&plan->first, db->host);
		return db;
	}
	cv_my_close(db);
	if (db)
		cv_fail(err, walk->why.code, "%s; none of the other hosts takes writes",
			walk->why.text);
	else
		cv_fail(err, walk->why.code, "%s", walk->why.text);
	return NULL;
}

/* Connect to the first host that takes writes, the one that did so last before others. */
static struct my_db *my_open_any(struct my_plan *plan, const char *database,
				 const struct store_call *call, unsigned *number,
				 struct convo_err *err)
{
	const size_t first = atomic_load(&plan->first), count = plan->host_count;
	struct my_walk walk = {0};
	size_t i;

	for (i = 0; i < count && my_walk_goes_on(&walk, plan); i++) {
		struct store_call share = my_share(call, count - i);
		struct convo_err why;
		struct my_db *db =
			my_open_host(plan, (first + i) % count, database, &share, number, &why);

		if (db)
			my_walk_take(&walk, db);
		else
			my_walk_refuse(&walk, *number, &why);
	}
	*number = walk.number;
	return my_walk_end(&walk, plan, err);
}

/* ---- a missing database --------------------------------------------------------------- */

/* Create it. Somebody else may do so at the same moment. */
static int my_create_database(struct my_plan *plan, const struct store_call *call,
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

struct my_db *cv_my_open(struct my_plan *plan, const struct store_call *call, struct convo_err *err)
{
	struct convo_err why;
	unsigned number;
	struct my_db *db = my_open_any(plan, plan->database, call, &number, &why);

	/* 1044 says that it is missing too, or that this user may not know. */
	if (!db && number == MY_NO_DATABASE && plan->create_database) {
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

int cv_my_socket(const struct my_db *db)
{
	return mysql_get_socket(db->my);
}

bool cv_my_skips(const struct my_db *db)
{
	return db->mariadb || mysql_get_server_version(db->my) >= 80001;
}

bool cv_my_is_galera(const struct my_db *db)
{
	return db->galera;
}

const char *cv_my_where(const struct my_db *db)
{
	return db->where;
}
