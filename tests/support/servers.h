/*
 * Real servers, private to a test: in a directory of their own, on a free port of the loopback
 * interface, stopped when the test ends or crashes.
 */
#ifndef TESTS_SUPPORT_SERVERS_H
#define TESTS_SUPPORT_SERVERS_H

#include <stdbool.h>

enum server_kind {
	SERVER_REDIS,      /* no password */
	SERVER_REDIS_AUTH, /* password and ACL: `user` may use keys that begin with "convo" */
	SERVER_REDIS_TLS,  /* TLS alone, no password */
	SERVER_POSTGRES,   /* trusts everybody */
	SERVER_POSTGRES_SCRAM,
	SERVER_POSTGRES_TLS, /* with scram */
	SERVER_MARIADB,      /* with a password */
	SERVER_MARIADB_TLS,  /* with a password; `user` must use TLS */
	SERVER_KINDS
};

struct server {
	enum server_kind kind;
	const char *url;  /* for convo_store_open(), password included */
	const char *host; /* "127.0.0.1" but for hosts.h; the certificates also name "localhost" */
	int port;
	const char *socket;   /* unix socket; for PostgreSQL the directory it is in */
	const char *user;     /* "" when there is none */
	const char *password; /* "" when there is none; holds what must be escaped in a URL */
	const char *database;
	const char *ca_file; /* NULL without TLS */
	const char *dir;     /* removed at the end */
	struct server_inside *inside;
};

/** What a server promises to keep. */
enum server_care {
	SERVER_FAST,   /* survives kill -9 of itself; Redis keeps nothing */
	SERVER_DURABLE /* every acknowledged write is on disk */
};

/**
 * Start a server and wait until it answers.
 *
 * @return the server, for server_end(); NULL, with a line that says so, when its program is not
 *         installed. Any other trouble fails the test.
 */
struct server *server_start(enum server_kind kind, enum server_care care);

/** The same with more arguments for the program, NULL after the last; they must live on. */
struct server *server_start_with(enum server_kind kind, enum server_care care,
				 const char *const *args);

/** What a server of a group (groups.h) has besides. All-zero is nothing. */
struct server_more {
	const char *const *args; /* for the program, NULL after the last; they must live on */
	const char *const *once; /* the same for its first start only */
	const char *again;       /* a script for sh that starts it but the first time, as "$@" */
	int ready_s;             /* how long it may take until it answers; 0: 30 s */
	const struct server *primary; /* whose data it begins with: PostgreSQL, MariaDB */
	const char *host;             /* by hosts_address(), on which it is alone; NULL: this one */
};

/** Start a server that belongs to a group. NULL as above. */
struct server *server_start_more(enum server_kind kind, enum server_care care,
				 const struct server_more *more);

/**
 * Start a Redis Sentinel with that text in its configuration, beside port and socket.
 *
 * @param host as above
 */
struct server *server_start_sentinel(const char *host, const char *config);

/** A PostgreSQL that is stopped: its data are the primary's from now on, which it will follow. */
void server_follow(struct server *server, const struct server *primary);

/** Start PgBouncer in transaction mode in front of a SERVER_POSTGRES. NULL as above. */
struct server *server_start_pgbouncer(const struct server *postgres);

/** Stop it and remove its directory. NULL is fine. */
void server_end(struct server *server);

/** Stop it politely; kill -9 it. Either way server_restart() brings it back on the same port. */
void server_stop(struct server *server);
void server_kill(struct server *server);
void server_restart(struct server *server);

/** Its process, for measuring. */
int server_pid(const struct server *server);

/** SIGSTOP and SIGCONT: connections stay open, nothing answers. */
void server_pause(struct server *server);
void server_resume(struct server *server);

/** One on a host of its own: packets to and from it vanish; it is back in the network. */
void server_cut_off(struct server *server);
void server_mend(struct server *server);

/** Whether it runs: neither stopped, killed, paused nor cut off by the functions above. */
bool server_is_up(const struct server *server);

/**
 * Ask it something with its own client as its administrator: SQL, or for Redis one command.
 *
 * @param ... printf() format and arguments
 * @return what it printed, without the last newline; lives until the program ends
 */
const char *server_ask(const struct server *server, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/** The same, but "" where the server is not up or refuses. */
const char *server_try(const struct server *server, const char *text);

/** The URL of a new empty database on it; for Redis, of the next of its 16, emptied. */
const char *server_new_database(struct server *server);

/** Run a program and return what it printed on its standard output; fails unless it exits 0. */
const char *test_run_program(const char *const *argv);

#endif
