/*
 * PostgreSQL, bare: libpq and one table. Each caller has a connection of its own. "postgres" inserts
 * and waits; in "pgbatch" all share one connection, with many inserts in a pipeline, which is one
 * transaction.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#define IN_FLIGHT 32
#define OID_JSONB 3802
#define OID_TEXT 25
#define OID_UUID 2950
#define OID_INT4 23

struct raw {
	PGconn *pg;
	int in_flight; /* appends of the pipeline that has not been ended */
};

static void pg_take(struct raw *raw, PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	if (!res || (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK))
		bench_die("%s", PQerrorMessage(raw->pg));
	PQclear(res);
}

static struct raw *pg_raw_open(const char *url, int index)
{
	static const Oid add[] = {OID_TEXT, OID_UUID, OID_JSONB}, events[] = {OID_TEXT, OID_INT4};
	struct raw *raw = bench_alloc(sizeof(*raw));

	raw->pg = PQconnectdb(url);
	if (PQstatus(raw->pg) != CONNECTION_OK)
		bench_die("%s", PQerrorMessage(raw->pg));
	if (index == 0)
		pg_take(raw, PQexec(raw->pg,
				    "SET client_min_messages = warning;"
				    "CREATE TABLE IF NOT EXISTS raw_sessions (session text PRIMARY "
				    "KEY, last bigint);"
				    "CREATE TABLE IF NOT EXISTS raw (session text, seq bigint, id "
				    "uuid, role text, message jsonb, PRIMARY KEY (session, seq))"));
	pg_take(raw,
		PQprepare(raw->pg, "add",
			  "WITH s AS (INSERT INTO raw_sessions AS r VALUES ($1, 1) ON CONFLICT "
			  "(session) DO UPDATE SET last = r.last + 1 RETURNING last) INSERT INTO "
			  "raw SELECT $1, last, $2, 'user', $3 FROM s",
			  3, add));
	pg_take(raw, PQprepare(raw->pg, "events",
			       "SELECT seq, role, message FROM raw WHERE session = $1 ORDER BY seq "
			       "DESC LIMIT $2",
			       2, events));
	return raw;
}

static pthread_mutex_t piped_lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static struct raw *piped;
static int piped_users;

static struct raw *piped_raw_open(const char *url, int index)
{
	pthread_mutex_lock(&piped_lock);
	if (!piped_users++)
		piped = pg_raw_open(url, index);
	pthread_mutex_unlock(&piped_lock);
	return piped;
}

/* End the pipeline and wait for all of it. */
static void piped_end(struct raw *raw)
{
	if (!raw->in_flight)
		return;
	if (!PQpipelineSync(raw->pg))
		bench_die("%s", PQerrorMessage(raw->pg));
	for (; raw->in_flight; raw->in_flight--) {
		pg_take(raw, PQgetResult(raw->pg));
		if (PQgetResult(raw->pg))
			bench_die("one result too many");
	}
	PQclear(PQgetResult(raw->pg)); /* the end */
	PQexitPipelineMode(raw->pg);
}

static void pg_raw_close(struct raw *raw)
{
	PQfinish(raw->pg);
	free(raw);
}

static void piped_raw_close(struct raw *raw)
{
	pthread_mutex_lock(&piped_lock);
	piped_end(raw);
	if (!--piped_users)
		pg_raw_close(raw);
	pthread_mutex_unlock(&piped_lock);
}

/* What an insert binds: the message as jsonb's binary form, a version and the text. */
struct add_args {
	const char *value[3];
	int length[3], format[3];
	char *message;
};

static void add_args(struct add_args *args, const struct convo_key *key, const unsigned char *id,
		     const char *message, size_t len)
{
	args->message = bench_alloc(len + 1);
	args->message[0] = 1;
	memcpy(args->message + 1, message, len);
	*args = (struct add_args){
		.value = {key->session, (const char *)id, args->message},
		.length = {(int)strlen(key->session), UUID_BYTES, (int)len + 1},
		.format = {1, 1, 1},
		.message = args->message,
	};
}

static void pg_raw_append(struct raw *raw, const struct convo_key *key, const unsigned char *id,
			  const char *message, size_t len)
{
	struct add_args args;

	add_args(&args, key, id, message, len);
	pg_take(raw, PQexecPrepared(raw->pg, "add", 3, args.value, args.length, args.format, 1));
	free(args.message);
}

static void piped_raw_append(struct raw *raw, const struct convo_key *key, const unsigned char *id,
			     const char *message, size_t len)
{
	struct add_args args;

	add_args(&args, key, id, message, len);
	pthread_mutex_lock(&piped_lock);
	if (!PQenterPipelineMode(raw->pg) ||
	    !PQsendQueryPrepared(raw->pg, "add", 3, args.value, args.length, args.format, 1))
		bench_die("%s", PQerrorMessage(raw->pg));
	if (++raw->in_flight == IN_FLIGHT)
		piped_end(raw);
	pthread_mutex_unlock(&piped_lock);
	free(args.message);
}

/* An open transaction would keep alive all that the store writes anew meanwhile. */
static void piped_raw_settle(struct raw *raw)
{
	pthread_mutex_lock(&piped_lock);
	piped_end(raw);
	pthread_mutex_unlock(&piped_lock);
}

static void pg_raw_fill(struct raw *raw, const struct convo_key *key, size_t n, const char *message,
			size_t len)
{
	char count[32], *text = bench_alloc(len + 1);
	const char *value[] = {key->session, text, count};

	memcpy(text, message, len);
	snprintf(count, sizeof(count), "%zu", n);
	pg_take(raw,
		PQexecParams(raw->pg,
			     "INSERT INTO raw SELECT $1, i, gen_random_uuid(), 'user', $2 FROM "
			     "generate_series(1, $3::int) AS i",
			     3, (const Oid[]){OID_TEXT, OID_JSONB, OID_TEXT}, value, NULL, NULL,
			     0));
	pg_take(raw, PQexecParams(raw->pg, "INSERT INTO raw_sessions VALUES ($1, $2::int)", 2,
				  (const Oid[]){OID_TEXT, OID_TEXT},
				  (const char *[]){key->session, count}, NULL, NULL, 0));
	free(text);
}

static size_t pg_raw_load(struct raw *raw, const struct convo_key *key, size_t n)
{
	int count = (int)htonl((uint32_t)n), i;
	const char *value[] = {key->session, (const char *)&count};
	const int length[] = {(int)strlen(key->session), 4}, format[] = {1, 1};
	PGresult *res = PQexecPrepared(raw->pg, "events", 2, value, length, format, 1);
	size_t bytes = 0;

	for (i = 0; i < PQntuples(res); i++)
		bytes += (size_t)PQgetlength(res, i, 2);
	pg_take(raw, res);
	return bytes;
}

const struct bench_engine bench_postgres = {
	.name = "postgres",
	.bare = "one insert, one select",
	.server = "postgres",
	.open = pg_raw_open,
	.close = pg_raw_close,
	.append = pg_raw_append,
	.load = pg_raw_load,
	.fill = pg_raw_fill,
};

const struct bench_engine bench_pgbatch = {
	.name = "pgbatch",
	.bare = "one pipeline, 32 inserts at a time",
	.server = "postgres",
	.open = piped_raw_open,
	.close = piped_raw_close,
	.append = piped_raw_append,
	.settle = piped_raw_settle,
	.fill = pg_raw_fill,
};
