/*
 * The servers other tests run on: that each starts, answers, survives a kill, can be paused, and
 * is gone afterwards.
 */
#include "support/servers.h"
#include "support/test.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *server_write_something(const struct server *server)
{
	if (server->kind <= SERVER_REDIS_TLS)
		return server_ask(server, "SET convo:test kept");
	return server_ask(server, "CREATE TABLE kept (n INT); INSERT INTO kept VALUES (7)");
}

static const char *server_read_something(const struct server *server)
{
	if (server->kind <= SERVER_REDIS_TLS)
		return server_ask(server, "GET convo:test");
	return server_ask(server, "SELECT n FROM kept");
}

static void server_life(enum server_kind kind)
{
	struct server *server = server_start(kind, SERVER_DURABLE);
	const char *dir, *before;
	struct stat st;

	if (!server)
		test_skip("no server of this kind");
	dir = test_text("%s", server->dir);
	server_write_something(server);
	before = server_read_something(server);
	must(strlen(before) > 0);
	server_kill(server);
	server_restart(server);
	must_equal_str(before, server_read_something(server));
	server_stop(server);
	server_restart(server);
	must_equal_str(before, server_read_something(server));
	server_pause(server);
	server_resume(server);
	must_equal_str(before, server_read_something(server));
	must(strcmp(server_new_database(server), server_new_database(server)) != 0);
	server_end(server);
	must(stat(dir, &st) != 0);
}

static void redis_lives(void **state)
{
	(void)state;
	server_life(SERVER_REDIS);
}

static void redis_with_passwords_lives(void **state)
{
	(void)state;
	server_life(SERVER_REDIS_AUTH);
}

static void redis_with_tls_lives(void **state)
{
	(void)state;
	server_life(SERVER_REDIS_TLS);
}

static void postgres_lives(void **state)
{
	(void)state;
	server_life(SERVER_POSTGRES);
}

static void postgres_with_scram_lives(void **state)
{
	(void)state;
	server_life(SERVER_POSTGRES_SCRAM);
}

static void postgres_with_tls_lives(void **state)
{
	(void)state;
	server_life(SERVER_POSTGRES_TLS);
}

static void mariadb_lives(void **state)
{
	(void)state;
	server_life(SERVER_MARIADB);
}

static void mariadb_with_tls_lives(void **state)
{
	(void)state;
	server_life(SERVER_MARIADB_TLS);
}

static void pgbouncer_stands_in_front_of_postgres(void **state)
{
	struct server *postgres = server_start(SERVER_POSTGRES, SERVER_FAST), *bouncer;

	(void)state;
	if (!postgres)
		test_skip("no PostgreSQL");
	bouncer = server_start_pgbouncer(postgres);
	if (!bouncer) {
		server_end(postgres);
		test_skip("no PgBouncer");
	}
	server_write_something(bouncer);
	must_equal_str("7", server_read_something(postgres));
	server_end(bouncer);
	server_end(postgres);
}

/* A test that crashes leaves no server and no directory. */
static void servers_end_with_a_crashed_test(void **state)
{
	int ends[2], port = 0;
	char dir[256] = "";
	struct timespec wait = {0, 20000000};
	struct stat st;
	pid_t pid;

	(void)state;
	must(pipe(ends) == 0);
	pid = fork();
	if (pid == 0) {
		struct server *server = server_start(SERVER_REDIS, SERVER_FAST);

		if (server) {
			must(write(ends[1], &server->port, sizeof(port)) > 0);
			must(write(ends[1], server->dir, strlen(server->dir)) > 0);
		}
		kill(getpid(), SIGKILL);
	}
	must(waitpid(pid, NULL, 0) == pid);
	close(ends[1]);
	if (read(ends[0], &port, sizeof(port)) <= 0)
		test_skip("no Redis");
	must(read(ends[0], dir, sizeof(dir) - 1) > 0);
	close(ends[0]);
	for (int i = 0; i < 250 && stat(dir, &st) == 0; i++)
		nanosleep(&wait, NULL);
	must(stat(dir, &st) != 0);
}

int main(void)
{
	const struct CMUnitTest servers[] = {
		cmocka_unit_test(redis_lives),
		cmocka_unit_test(redis_with_passwords_lives),
		cmocka_unit_test(redis_with_tls_lives),
		cmocka_unit_test(postgres_lives),
		cmocka_unit_test(postgres_with_scram_lives),
		cmocka_unit_test(postgres_with_tls_lives),
		cmocka_unit_test(pgbouncer_stands_in_front_of_postgres),
		cmocka_unit_test(mariadb_lives),
		cmocka_unit_test(mariadb_with_tls_lives),
		cmocka_unit_test(servers_end_with_a_crashed_test),
	};

	return TEST_RUN(servers);
}
