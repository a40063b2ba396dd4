/*
 * PostgreSQL, bare: libpq calling the functions of the store with the same arguments. Each caller
 * has a connection of its own. "postgres" asks and waits; "pgbatch" has many appends in one
 * pipeline, which is one transaction.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include <base/clock.h>

#define IN_FLIGHT 32

struct raw {
	PGconn *pg;
	int in_flight; /* appends of the pipeline that has not been ended */
};

static const char append_sql[] =
	"SELECT * FROM convo_append($1, $2, $3, $4, 0, 4194304, 0, NULL, -1, ARRAY[$5::uuid], "
	"'{0}', "
	"'{user}', '{user}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', ARRAY[$6::jsonb], '{NULL}', "
	"'{NULL}', '{NULL}', '{}', '{}', '{}', '{}')";
static const char load_sql[] = "SELECT * FROM convo_load($1, $2, $3, $4, 0, 0, $5, 0, NULL)";

static struct raw *pg_raw_open(const char *url, int index)
{
	struct raw *raw = bench_alloc(sizeof(*raw));

	(void)index;
	raw->pg = PQconnectdb(url);
	raw->in_flight = 0;
	if (PQstatus(raw->pg) != CONNECTION_OK)
		bench_die("%s", PQerrorMessage(raw->pg));
	return raw;
}

static void pg_take(struct raw *raw, PGresult *res)
{
	if (!res || PQresultStatus(res) != PGRES_TUPLES_OK)
		bench_die("%s", PQerrorMessage(raw->pg));
	PQclear(res);
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
}

static void pg_raw_close(struct raw *raw)
{
	piped_end(raw);
	PQfinish(raw->pg);
	free(raw);
}

/* The arguments of an append; an id takes the form 0x... of a bit string, which a uuid reads too. */
struct append_args {
	char now[32], id[2 * UUID_BYTES + 1];
	const char *value[6];
	int length[6];
};

static void append_args(struct append_args *args, const struct convo_key *key,
			const unsigned char *id, const char *message, size_t len)
{
	size_t i;

	snprintf(args->now, sizeof(args->now), "%lld", (long long)cv_clock_us());
	for (i = 0; i < UUID_BYTES; i++)
		snprintf(args->id + 2 * i, 3, "%02x", id[i]);
	args->value[0] = key->app;
	args->value[1] = key->user;
	args->value[2] = key->session;
	args->value[3] = args->now;
	args->value[4] = args->id;
	args->value[5] = message;
	args->length[5] = (int)len;
}

static void pg_raw_append(struct raw *raw, const struct convo_key *key, const unsigned char *id,
			  const char *message, size_t len)
{
	struct append_args args = {0};

	append_args(&args, key, id, message, len);
	pg_take(raw, PQexecParams(raw->pg, append_sql, 6, NULL, args.value, NULL, NULL, 1));
}

static void piped_raw_append(struct raw *raw, const struct convo_key *key, const unsigned char *id,
			     const char *message, size_t len)
{
	struct append_args args = {0};

	append_args(&args, key, id, message, len);
	if (!PQenterPipelineMode(raw->pg) ||
	    !PQsendQueryParams(raw->pg, append_sql, 6, NULL, args.value, NULL, NULL, 1))
		bench_die("%s", PQerrorMessage(raw->pg));
	if (++raw->in_flight == IN_FLIGHT)
		piped_end(raw);
}

static size_t pg_raw_load(struct raw *raw, const struct convo_key *key, size_t n)
{
	char now[32], count[32];
	const char *value[] = {key->app, key->user, key->session, now, count};
	size_t bytes = 0;
	PGresult *res;
	int i, message;

	snprintf(now, sizeof(now), "%lld", (long long)cv_clock_us());
	snprintf(count, sizeof(count), "%zu", n);
	res = PQexecParams(raw->pg, load_sql, 5, NULL, value, NULL, NULL, 1);
	message = PQfnumber(res, "message");
	for (i = 0; i < PQntuples(res); i++)
		bytes += (size_t)PQgetlength(res, i, message);
	pg_take(raw, res);
	return bytes;
}

static const char *pg_url(const char *dir)
{
	(void)dir;
	bench_die("PostgreSQL wants -url");
}

const struct bench_engine bench_postgres = {
	.name = "postgres",
	.url = pg_url,
	.open = pg_raw_open,
	.close = pg_raw_close,
	.append = pg_raw_append,
	.load = pg_raw_load,
};

const struct bench_engine bench_pgbatch = {
	.name = "pgbatch",
	.url = pg_url,
	.open = pg_raw_open,
	.close = pg_raw_close,
	.append = piped_raw_append,
	.load = pg_raw_load,
};
