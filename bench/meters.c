/*
 * See meters.h. Servers are asked with their own clients.
 */
#include "meters.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <convo/store.h>

#include "bench.h"
#include "support/servers.h"

/* The number after a name in a text of many lines. */
static int64_t number_after(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	if (!at)
		bench_die("no %s in: %.200s", name, text);
	return strtoll(at + strlen(name), NULL, 10);
}

static int64_t number_of(const char *text)
{
	char *end;
	int64_t number = strtoll(text, &end, 10);

	if (end == text)
		bench_die("not a number: %.200s", text);
	return number;
}

/* ---- memory ----------------------------------------------------------------------------- */

static int64_t memory_held(const struct place *place)
{
	struct mallinfo2 info = mallinfo2();

	(void)place;
	return (int64_t)(info.uordblks + info.hblkhd);
}

/* ---- SQLite ----------------------------------------------------------------------------- */

#ifdef CONVO_WITH_SQLITE
static int64_t file_size(const char *path, const char *suffix)
{
	char name[600];
	struct stat st;

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	return stat(name, &st) == 0 ? (int64_t)st.st_size : 0;
}

/* The log is as long as it was once, so only the file counts, after what the log holds went there:
 * the last one who closes a file does that. */
static int64_t sqlite_held(const struct place *place)
{
	return file_size(place->path, "");
}

/* All that this program writes: the log, and what goes from there into the file. */
static void sqlite_log(const struct place *place, int64_t log[2])
{
	char text[1024] = "";
	FILE *file = fopen("/proc/self/io", "r");

	(void)place;
	if (file) {
		text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
		fclose(file);
	}
	log[0] = number_after(text, "wchar: ");
}
#endif

/* ---- Redis ------------------------------------------------------------------------------ */

#ifdef CONVO_WITH_REDIS
static int64_t redis_held(const struct place *place)
{
	return number_after(server_ask(place->server, "INFO memory"), "used_memory:");
}

static void redis_log(const struct place *place, int64_t log[2])
{
	log[0] = number_after(server_ask(place->server, "INFO persistence"), "aof_current_size:");
}

static const char *const redis_args[] = {"--auto-aof-rewrite-percentage", "0", NULL};
#endif

/* ---- PostgreSQL ------------------------------------------------------------------------- */

#ifdef CONVO_WITH_POSTGRES
static int64_t postgres_held(const struct place *place)
{
	server_ask(place->server, "VACUUM");
	return number_of(server_ask(place->server,
				    "SELECT sum(pg_total_relation_size(oid)) FROM pg_class "
				    "WHERE relkind = 'r' AND relname LIKE 'convo%%'"));
}

static void postgres_log(const struct place *place, int64_t log[2])
{
	log[0] = number_of(
		server_ask(place->server, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"));
}
#endif

/* ---- MySQL ------------------------------------------------------------------------------ */

#ifdef CONVO_WITH_MYSQL
static const char *const mysql_tables[] = {"sessions", "events", "scopes", "state"};

static int64_t mysql_held(const struct place *place)
{
	size_t i;

	for (i = 0; i < sizeof(mysql_tables) / sizeof(mysql_tables[0]); i++)
		server_ask(place->server, "ANALYZE TABLE convo_%s", mysql_tables[i]);
	return number_of(server_ask(place->server,
				    "SELECT SUM(data_length + index_length) FROM "
				    "information_schema.tables WHERE table_schema = DATABASE()"));
}

static void mysql_log(const struct place *place, int64_t log[2])
{
	log[0] = number_after(server_ask(place->server,
					 "SHOW GLOBAL STATUS LIKE 'Innodb_lsn_current'"),
			      "Innodb_lsn_current\t");
	log[1] = number_after(server_ask(place->server,
					 "SHOW GLOBAL STATUS LIKE 'Binlog_bytes_written'"),
			      "Binlog_bytes_written\t");
}

static const char *const mysql_args[] = {"--log-bin=binlog", "--binlog-format=ROW", "--server-id=1",
					 NULL};
#endif

const struct meter bench_meters[] = {
	{.engine = "memory", .held_is = "malloc'ed", .held = memory_held},
#ifdef CONVO_WITH_SQLITE
	{.engine = "sqlite",
	 .held_is = "size of the file",
	 .log_is = "all that is written, log and file",
	 .reopen = true,
	 .held = sqlite_held,
	 .log = sqlite_log},
#endif
#ifdef CONVO_WITH_REDIS
	{.engine = "redis",
	 .server = "redis",
	 .args = redis_args,
	 .held_is = "used_memory",
	 .log_is = "append-only file",
	 .held = redis_held,
	 .log = redis_log},
#endif
#ifdef CONVO_WITH_POSTGRES
	{.engine = "postgres",
	 .server = "postgres",
	 .held_is = "tables and indexes after VACUUM",
	 .log_is = "WAL, which replicas read",
	 .held = postgres_held,
	 .log = postgres_log},
#endif
#ifdef CONVO_WITH_MYSQL
	{.engine = "mysql",
	 .server = "mysql",
	 .args = mysql_args,
	 .held_is = "pages of tables and indexes",
	 .log_is = "redo log; and a binary log, which replicas read",
	 .held = mysql_held,
	 .log = mysql_log},
#endif
};

const size_t bench_meter_count = sizeof(bench_meters) / sizeof(bench_meters[0]);
