/*
 * See servers.h. Each kind is a recipe: prepare a directory, name the command line, tell when it
 * answers. watch.c keeps the process.
 */
#include "servers.h"

#include "hosts.h"
#include "test.h"
#include "watch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HOST "127.0.0.1"
#define READY_S 30
#define POLL_MS 20
#define ARGS 48

/* A password that has to be escaped in a URL, in a conninfo string and in SQL. */
#define PASSWORD "p@ss:w/rd #'%"
#define PASSWORD_URL "p%40ss%3Aw%2Frd%20%23%27%25"
#define PASSWORD_SQL "p@ss:w/rd #''%"

struct server_inside {
	struct server server;
	struct watch *watch;
	struct watch_program program;
	const char *argv[ARGS], *again[ARGS]; /* the first time, and every other */
	const char *bin;                      /* the directory of its programs */
	int args;
	int ready_s;
	int databases;
	bool paused, cut_off;
	const struct server *primary; /* whose data it begins with, or NULL */
	bool (*ready)(const struct server *server);
};

/* ---- helpers --------------------------------------------------------------------------- */

static const char *server_find(const char *pattern)
{
	const char *found = NULL;
	glob_t hits = {0};

	if (glob(pattern, GLOB_BRACE, NULL, &hits) == 0)
		found = test_text("%s", hits.gl_pathv[hits.gl_pathc - 1]);
	globfree(&hits);
	if (!found)
		test_say("not installed: %s", pattern);
	return found;
}

/* Run a program as `uid`. @return its exit status; *output lives until the program ends */
static int server_run(uid_t uid, gid_t gid, const char *const *argv, const char **output)
{
	char text[16384];
	size_t len = 0;
	ssize_t n;
	int ends[2], status;
	pid_t pid;

	must(pipe(ends) == 0);
	fflush(NULL);
	pid = fork();
	must(pid >= 0);
	if (pid == 0) {
		dup2(ends[1], 1);
		dup2(ends[1], 2);
		for (int fd = 3; fd < 256; fd++)
			close(fd);
		if (uid && (setgid(gid) != 0 || setuid(uid) != 0))
			_exit(127);
		setenv("LC_ALL", "C.UTF-8", 1);
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	close(ends[1]);
	while ((n = read(ends[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	close(ends[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	while (len > 0 && text[len - 1] == '\n')
		len--;
	text[len] = '\0';
	*output = test_text("%.4000s", text);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static const char *server_run_ok(uid_t uid, gid_t gid, const char *const *argv)
{
	const char *output;
	int status = server_run(uid, gid, argv, &output);

	if (status != 0)
		must_not_reach("%s ended with %d: %s", argv[0], status, output);
	return output;
}

const char *test_run_program(const char *const *argv)
{
	return server_run_ok(0, 0, argv);
}

static void server_arg(struct server_inside *in, const char *arg)
{
	must(in->args < ARGS - 1);
	in->argv[in->args++] = arg;
}

static void server_args(struct server_inside *in, const char *const *args)
{
	for (; args && *args; args++)
		server_arg(in, *args);
}

static void server_write_file(const struct server_inside *in, const char *name, const char *text)
{
	const char *path = test_path(in->server.dir, name);
	FILE *f = fopen(path, "w");

	must(f != NULL);
	must(fputs(text, f) >= 0);
	must(fclose(f) == 0);
	must(chmod(path, 0600) == 0);
	if (in->program.uid)
		must(chown(path, in->program.uid, in->program.gid) == 0);
}

/* A certificate authority, and a certificate for localhost: ca.crt, server.crt, server.key. */
static void server_make_certificates(struct server_inside *in)
{
	const char *dir = in->server.dir;
	const char *script = test_text(
		"cd '%s' && exec 2>&1 && "
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
		"-subj '/CN=convo test CA' -keyout ca.key -out ca.crt && "
		"openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
		"-subj /CN=localhost -keyout server.key -out server.csr && "
		"printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' >san && "
		"openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 "
		"-extfile san -out server.crt && chmod 600 server.key && chmod 644 ca.crt",
		dir);
	const char *argv[] = {"/bin/sh", "-c", script, NULL};

	server_run_ok(in->program.uid, in->program.gid, argv);
	in->server.ca_file = test_path(dir, "ca.crt");
}

/* Connect to it, send some bytes, and read what comes within a second. @return its length */
static ssize_t server_talk(const struct server *server, const char *send_text, size_t send_len,
			   char *reply, size_t size)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server->port)};
	struct timeval wait = {1, 0};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ssize_t n = -1;

	must(inet_pton(AF_INET, server->host, &at.sin_addr) == 1);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0) {
		if (send_len == 0 || send(fd, send_text, send_len, MSG_NOSIGNAL) > 0)
			n = size == 0 ? 0 : recv(fd, reply, size, 0);
	}
	close(fd);
	return n;
}

/* The last lines it wrote; its directory goes with the test. */
static const char *server_log_end(const struct server *server)
{
	FILE *f = fopen(test_path(server->dir, "log"), "r");
	char text[700];
	size_t len = 0;

	if (f) {
		if (fseek(f, -(long)sizeof(text), SEEK_END) != 0)
			rewind(f);
		len = fread(text, 1, sizeof(text), f);
		fclose(f);
	}
	return test_text("%.*s", (int)len, text);
}

static void server_wait_ready(struct server_inside *in)
{
	struct timespec poll = {0, POLL_MS * 1000000L};

	for (int ms = 0; ms < in->ready_s * 1000 && !watch_has_ended(in->watch); ms += POLL_MS) {
		if (in->ready(&in->server))
			return;
		nanosleep(&poll, NULL);
	}
	must_not_reach("%s on port %d %s; its log ends with\n%s", in->argv[0], in->server.port,
		       watch_has_ended(in->watch) ? "has ended" : "does not answer",
		       server_log_end(&in->server));
}

/* The account a server runs as when the test is root, who is refused by some. */
static void server_become(struct server_inside *in, const char *name)
{
	struct passwd *pw = NULL;

	if (geteuid() == 0) {
		pw = getpwnam(name);
		if (!pw)
			pw = getpwnam("nobody");
		must(pw != NULL);
		in->program.uid = pw->pw_uid;
		in->program.gid = pw->pw_gid;
		must(chown(in->server.dir, pw->pw_uid, pw->pw_gid) == 0);
	}
	must(chmod(in->server.dir, 0755) == 0);
}

/* ---- Redis ----------------------------------------------------------------------------- */

static bool redis_ready(const struct server *server)
{
	char reply[64];
	ssize_t n;

	if (server->kind == SERVER_REDIS_TLS)
		return server_talk(server, NULL, 0, reply, 0) == 0 &&
		       strcmp(server_try(server, "PING"), "PONG") == 0;
	n = server_talk(server, "PING\r\n", 6, reply, sizeof(reply));
	return n > 0 && (memcmp(reply, "+PONG", 5) == 0 || memcmp(reply, "-NOAUTH", 7) == 0);
}

static void redis_secure(struct server_inside *in, const char *port)
{
	struct server *server = &in->server;

	if (server->kind == SERVER_REDIS_TLS) {
		server_make_certificates(in);
		server_args(in, (const char *[]){"--port", "0", "--tls-port", port,
						 "--tls-cert-file", "server.crt", "--tls-key-file",
						 "server.key", "--tls-ca-cert-file", "ca.crt",
						 "--tls-auth-clients", "no", NULL});
		server->url = test_text("rediss://localhost:%s/0?ca=%s", port, server->ca_file);
		return;
	}
	server_args(in, (const char *[]){"--port", port, NULL});
	server->url = test_text("redis://%s:%s/0", server->host, port);
	if (server->kind == SERVER_REDIS_AUTH) {
		const char *users = "user default on >admin ~* &* +@all\n"
				    "user convo on #%s ~convo* &* +@all -@dangerous\n";
		const char *hash[] = {"/bin/sh", "-c",
				      "printf '%s' \"$0\" | sha256sum | cut -c1-64", PASSWORD,
				      NULL};

		server_write_file(in, "users.acl", test_text(users, test_run_program(hash)));
		server_args(in, (const char *[]){"--aclfile", "users.acl", NULL});
		server->user = "convo";
		server->password = PASSWORD;
		server->url =
			test_text("redis://convo:%s@%s:%s/0", PASSWORD_URL, server->host, port);
	}
}

static void redis_prepare(struct server_inside *in, enum server_care care)
{
	struct server *server = &in->server;
	const char *port = test_text("%d", server->port);

	server->socket = test_path(server->dir, "redis.sock");
	server->database = "0";
	server_arg(in, test_path(in->bin, "redis-server"));
	redis_secure(in, port);
	server_args(in, (const char *[]){"--bind", server->host, "--protected-mode", "no",
					 "--unixsocket", server->socket, "--save", "",
					 "--daemonize", "no", NULL});
	server_args(in, care == SERVER_DURABLE ? (const char *[]){"--appendonly", "yes",
								  "--appendfsync", "always", NULL}
					       : (const char *[]){"--appendonly", "no", NULL});
	in->program.stop_signal = SIGTERM;
	in->ready = redis_ready;
}

static int redis_ask(const struct server_inside *in, const char *text, const char **output)
{
	const struct server *server = &in->server;
	const char *script =
		test_text("'%s/redis-cli' -s '%s' %s %s", in->bin, server->socket,
			  server->password[0] ? "--no-auth-warning -a admin" : "", text);
	const char *argv[] = {"/bin/sh", "-c", script, NULL};

	return server_run(0, 0, argv, output);
}

/* ---- PostgreSQL ------------------------------------------------------------------------ */

static bool postgres_ready(const struct server *server)
{
	const char *argv[] = {test_path(server->inside->bin, "pg_isready"),
			      "-q",
			      "-h",
			      server->socket,
			      "-p",
			      test_text("%d", server->port),
			      NULL};
	const char *output;

	return server_run(0, 0, argv, &output) == 0;
}

/* initdb lets in this machine alone. */
static void postgres_let_in(const char *data)
{
	FILE *f = fopen(test_path(data, "pg_hba.conf"), "a");

	must(f != NULL);
	must(fputs("host all,replication all samenet trust\n", f) >= 0);
	must(fclose(f) == 0);
}

static void postgres_init(struct server_inside *in, const char *data)
{
	bool trust = in->server.kind == SERVER_POSTGRES;
	const char *argv[] = {test_path(in->bin, "initdb"),
			      "-D",
			      data,
			      "-U",
			      "convo",
			      "-N",
			      "-E",
			      "UTF8",
			      "--locale=C.UTF-8",
			      "--auth-local=trust",
			      trust ? "--auth-host=trust" : "--auth-host=scram-sha-256",
			      trust ? NULL : test_text("--pwfile=%s/pw", in->server.dir),
			      NULL};

	if (!trust)
		server_write_file(in, "pw", PASSWORD "\n");
	server_run_ok(in->program.uid, in->program.gid, argv);
	if (in->program.apart)
		postgres_let_in(data);
}

void server_follow(struct server *server, const struct server *primary)
{
	const struct server_inside *in = server->inside;
	const char *data = test_path(server->dir, "data");
	const char *argv[] = {test_path(in->bin, "pg_basebackup"),
			      "-h",
			      primary->host,
			      "-p",
			      test_text("%d", primary->port),
			      "-U",
			      primary->user,
			      "-D",
			      data,
			      "-R",
			      "-N",
			      "-X",
			      "stream",
			      "-c",
			      "fast",
			      NULL};

	const char *output;
	int status = 1;

	must_equal(SERVER_POSTGRES, server->kind);
	/* The primary may miss it on a busy machine, and close its stream. */
	for (int i = 0; i < 5 && status != 0; i++) {
		test_remove_tree(data);
		status = server_run(in->program.uid, in->program.gid, argv, &output);
	}
	if (status != 0)
		must_not_reach("%s: %s", argv[0], output);
}

static void postgres_prepare(struct server_inside *in, enum server_care care)
{
	struct server *server = &in->server;
	const char *data = test_path(server->dir, "data");
	const char *port = test_text("%d", server->port);

	server_become(in, "postgres");
	if (in->primary)
		server_follow(server, in->primary);
	else
		postgres_init(in, data);
	server->socket = server->dir;
	server->user = "convo";
	server->database = "postgres";
	server->url = test_text("postgres://convo@%s:%s/postgres", server->host, port);
	server_args(in, (const char *[]){test_path(in->bin, "postgres"), "-D", data, "-p", port,
					 "-k", server->socket, "-c",
					 test_text("listen_addresses=%s", server->host), "-c",
					 "shared_buffers=32MB", "-c",
					 care == SERVER_DURABLE ? "fsync=on" : "fsync=off", NULL});
	if (server->kind != SERVER_POSTGRES) {
		server->password = PASSWORD;
		server->url = test_text("postgres://convo:%s@%s:%s/postgres", PASSWORD_URL,
					server->host, port);
	}
	if (server->kind == SERVER_POSTGRES_TLS) {
		server_make_certificates(in);
		server_args(in,
			    (const char *[]){
				    "-c", "ssl=on", "-c",
				    test_text("ssl_cert_file=%s/server.crt", server->dir), "-c",
				    test_text("ssl_key_file=%s/server.key", server->dir), NULL});
		server->url = test_text("postgres://convo:%s@localhost:%s/"
					"postgres?sslmode=verify-full&sslrootcert=%s",
					PASSWORD_URL, port, server->ca_file);
	}
	in->program.stop_signal = SIGQUIT; /* at once; recovers at the next start */
	in->ready = postgres_ready;
}

static int postgres_ask(const struct server_inside *in, const char *text, const char **output)
{
	const struct server *server = &in->server;
	const char *argv[] = {test_path(in->bin, "psql"),
			      "-XAtq",
			      "-v",
			      "ON_ERROR_STOP=1",
			      "-h",
			      server->socket,
			      "-p",
			      test_text("%d", server->port),
			      "-U",
			      "convo",
			      "-d",
			      server->database,
			      "-c",
			      text,
			      NULL};

	return server_run(0, 0, argv, output);
}

/* ---- PgBouncer ------------------------------------------------------------------------- */

static void pgbouncer_prepare(struct server_inside *in, const struct server *behind)
{
	struct server *server = &in->server;

	server_become(in, "postgres");
	server->socket = server->dir;
	server->user = "convo";
	server->database = behind->database;
	server->url = test_text("postgres://convo@" HOST ":%d/%s", server->port, server->database);
	server_write_file(in, "users.txt", "\"convo\" \"\"\n");
	server_write_file(in, "bouncer.ini",
			  test_text("[databases]\n* = host=" HOST " port=%d user=convo\n"
				    "[pgbouncer]\nlisten_addr = " HOST "\nlisten_port = %d\n"
				    "unix_socket_dir = %s\nauth_type = any\n"
				    "auth_file = %s/users.txt\npool_mode = transaction\n"
				    "default_pool_size = 4\nmax_client_conn = 200\n"
				    "admin_users = convo\n",
				    behind->port, server->port, server->dir, server->dir));
	server_args(in, (const char *[]){test_path(in->bin, "pgbouncer"), "bouncer.ini", NULL});
	in->program.stop_signal = SIGTERM;
	in->ready = postgres_ready;
}

/* ---- MariaDB --------------------------------------------------------------------------- */

/* It listens when it is ready, and speaks first: the packet's fifth byte is the version, 10. */
static bool mariadb_ready(const struct server *server)
{
	char reply[64];

	return server_talk(server, NULL, 0, reply, sizeof(reply)) > 5 && reply[4] == 10;
}

static void mariadb_init(struct server_inside *in, const char *data)
{
	const char *argv[] = {test_path(in->bin, "mariadb-install-db"), "--no-defaults",
			      test_text("--datadir=%s", data),
			      "--auth-root-authentication-method=normal", "--skip-test-db",
			      /* two at once meet in the tables they sort */
			      test_text("--tmpdir=%s", in->server.dir), NULL};
	bool tls = in->server.kind == SERVER_MARIADB_TLS;

	if (in->primary) {
		must(mkdir(data, 0700) == 0); /* to be filled by Galera */
		must(chown(data, in->program.uid, in->program.gid) == 0);
		server_write_file(in, "init.sql", "");
		return;
	}
	server_run_ok(in->program.uid, in->program.gid, argv);
	server_write_file(in, "init.sql",
			  test_text("CREATE DATABASE IF NOT EXISTS convo;\n"
				    "CREATE USER IF NOT EXISTS 'convo'@'%%' IDENTIFIED BY "
				    "'%s'%s;\n"
				    "GRANT ALL ON `convo%%`.* TO 'convo'@'%%';\n",
				    PASSWORD_SQL, tls ? " REQUIRE SSL" : ""));
}

static void mariadb_prepare(struct server_inside *in, enum server_care care)
{
	struct server *server = &in->server;
	const char *dir = server->dir, *data = test_path(dir, "data");
	bool tls = server->kind == SERVER_MARIADB_TLS;

	server_become(in, "mysql");
	mariadb_init(in, data);
	server->socket = test_path(dir, "mysql.sock");
	server->user = "convo";
	server->password = PASSWORD;
	server->database = "convo";
	server->url =
		test_text("mysql://convo:%s@%s:%d/convo", PASSWORD_URL, server->host, server->port);
	server_args(in, (const char *[]){server_find("/usr/{sbin,bin}/mariadbd"), "--no-defaults",
					 test_text("--datadir=%s", data),
					 test_text("--port=%d", server->port),
					 test_text("--bind-address=%s", server->host),
					 test_text("--socket=%s", server->socket),
					 test_text("--pid-file=%s/pid", dir),
					 /* one that starts removes the tables of others there */
					 test_text("--tmpdir=%s", dir),
					 test_text("--init-file=%s/init.sql", dir),
					 "--innodb-buffer-pool-size=64M",
					 "--innodb-log-file-size=32M", "--performance-schema=OFF",
					 "--skip-name-resolve", "--max-allowed-packet=64M", NULL});
	if (care != SERVER_DURABLE)
		server_args(in, (const char *[]){"--innodb-flush-log-at-trx-commit=0",
						 "--innodb-doublewrite=0",
						 "--innodb-flush-method=nosync", NULL});
	if (tls) {
		server_make_certificates(in);
		server_args(in, (const char *[]){test_text("--ssl-ca=%s/ca.crt", dir),
						 test_text("--ssl-cert=%s/server.crt", dir),
						 test_text("--ssl-key=%s/server.key", dir), NULL});
		server->url = test_text("mysql://convo:%s@localhost:%d/convo?ca=%s", PASSWORD_URL,
					server->port, server->ca_file);
	}
	in->program.stop_signal = SIGTERM;
	in->ready = mariadb_ready;
}

static int mariadb_ask(const struct server_inside *in, const char *text, const char **output)
{
	const char *argv[] = {test_path(in->bin, "mariadb"),
			      "--no-defaults",
			      "-N",
			      "-B",
			      "-u",
			      "root",
			      "-S",
			      in->server.socket,
			      "-D",
			      in->server.database,
			      "-e",
			      text,
			      NULL};

	return server_run(0, 0, argv, output);
}

/* ---- what all have --------------------------------------------------------------------- */

static const struct server_recipe {
	const char *program; /* where to look for it */
	void (*prepare)(struct server_inside *in, enum server_care care);
	int (*ask)(const struct server_inside *in, const char *text, const char **output);
} recipe_of[SERVER_KINDS] = {
	[SERVER_REDIS] = {"/usr/{local/,}bin/redis-server", redis_prepare, redis_ask},
	[SERVER_REDIS_AUTH] = {"/usr/{local/,}bin/redis-server", redis_prepare, redis_ask},
	[SERVER_REDIS_TLS] = {"/usr/{local/,}bin/redis-server", redis_prepare, redis_ask},
	[SERVER_POSTGRES] = {"/usr/lib/postgresql/*/bin/initdb", postgres_prepare, postgres_ask},
	[SERVER_POSTGRES_SCRAM] = {"/usr/lib/postgresql/*/bin/initdb", postgres_prepare,
				   postgres_ask},
	[SERVER_POSTGRES_TLS] = {"/usr/lib/postgresql/*/bin/initdb", postgres_prepare,
				 postgres_ask},
	[SERVER_MARIADB] = {"/usr/bin/mariadb-install-db", mariadb_prepare, mariadb_ask},
	[SERVER_MARIADB_TLS] = {"/usr/bin/mariadb-install-db", mariadb_prepare, mariadb_ask},
};

/* A server to be filled in, or NULL when the program is not there. */
static struct server_inside *server_new(enum server_kind kind, const char *pattern,
					const char *host)
{
	const char *program = server_find(pattern);
	struct server_inside *in;

	if (!program)
		return NULL;
	in = calloc(1, sizeof(*in));
	must(in != NULL);
	in->bin = test_text("%.*s", (int)(strrchr(program, '/') - program), program);
	in->server.inside = in;
	in->server.kind = kind;
	in->server.host = host ? host : HOST;
	in->program.apart = host != NULL;
	in->server.port = test_port();
	in->server.user = "";
	in->server.password = "";
	in->server.dir = test_dir();
	return in;
}

/* The same words every other time, by a script if there is one. */
static void server_words_again(struct server_inside *in, const char *script)
{
	const char *const shell[] = {"/bin/sh", "-c", script, "sh"};
	int before = script ? 4 : 0;

	must(before + in->args < ARGS);
	if (script)
		memcpy(in->again, shell, sizeof(shell));
	memcpy(in->again + before, in->argv, (size_t)in->args * sizeof(in->argv[0]));
}

static struct server *server_launch(struct server_inside *in, const struct server_more *more)
{
	server_words_again(in, more->again);
	server_args(in, more->once);
	in->ready_s = more->ready_s ? more->ready_s : READY_S;
	in->program.argv = in->argv;
	in->program.again = in->again;
	in->program.dir = in->server.dir;
	in->program.log = test_path(in->server.dir, "log");
	in->watch = watch_new(&in->program);
	if (in->program.apart)
		hosts_add(in->server.host, watch_watcher(in->watch));
	watch_restart(in->watch);
	server_wait_ready(in);
	return &in->server;
}

struct server *server_start_more(enum server_kind kind, enum server_care care,
				 const struct server_more *more)
{
	struct server_inside *in = server_new(kind, recipe_of[kind].program, more->host);

	if (!in)
		return NULL;
	in->primary = more->primary;
	recipe_of[kind].prepare(in, care);
	server_args(in, more->args);
	return server_launch(in, more);
}

struct server *server_start_with(enum server_kind kind, enum server_care care,
				 const char *const *args)
{
	return server_start_more(kind, care, &(struct server_more){.args = args});
}

struct server *server_start(enum server_kind kind, enum server_care care)
{
	return server_start_more(kind, care, &(struct server_more){0});
}

struct server *server_start_sentinel(const char *host, const char *config)
{
	struct server_inside *in = server_new(SERVER_REDIS, recipe_of[SERVER_REDIS].program, host);

	if (!in)
		return NULL;
	in->server.socket = test_path(in->server.dir, "redis.sock");
	in->server.database = "";
	in->server.url = "";
	server_write_file(in, "sentinel.conf",
			  test_text("port %d\nbind %s\nprotected-mode no\nunixsocket %s\n%s",
				    in->server.port, in->server.host, in->server.socket, config));
	server_args(in, (const char *[]){test_path(in->bin, "redis-server"), "sentinel.conf",
					 "--sentinel", NULL});
	in->program.stop_signal = SIGTERM;
	in->ready = redis_ready;
	return server_launch(in, &(struct server_more){0});
}

struct server *server_start_pgbouncer(const struct server *postgres)
{
	struct server_inside *in;

	must_equal(SERVER_POSTGRES, postgres->kind);
	in = server_new(SERVER_POSTGRES, "/usr/{local/,}{s,}bin/pgbouncer", NULL);
	if (!in)
		return NULL;
	pgbouncer_prepare(in, postgres);
	in->bin = postgres->inside->bin; /* psql and pg_isready */
	return server_launch(in, &(struct server_more){0});
}

void server_end(struct server *server)
{
	if (!server)
		return;
	watch_end(server->inside->watch);
	free(server->inside);
}

void server_stop(struct server *server)
{
	watch_stop(server->inside->watch);
	server->inside->paused = false;
}

void server_kill(struct server *server)
{
	watch_kill(server->inside->watch);
	server->inside->paused = false;
}

void server_restart(struct server *server)
{
	watch_restart(server->inside->watch);
	server_wait_ready(server->inside);
}

void server_pause(struct server *server)
{
	watch_pause(server->inside->watch);
	server->inside->paused = true;
}

void server_resume(struct server *server)
{
	watch_resume(server->inside->watch);
	server->inside->paused = false;
}

void server_cut_off(struct server *server)
{
	must(server->inside->program.apart);
	hosts_cut(server->host);
	server->inside->cut_off = true;
}

void server_mend(struct server *server)
{
	hosts_mend(server->host);
	server->inside->cut_off = false;
}

bool server_is_up(const struct server *server)
{
	const struct server_inside *in = server->inside;

	return watch_pid(in->watch) > 0 && !in->paused && !in->cut_off;
}

const char *server_ask(const struct server *server, const char *fmt, ...)
{
	const char *output;
	char text[4096];
	va_list args;
	int status;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	status = recipe_of[server->kind].ask(server->inside, text, &output);
	if (status != 0)
		must_not_reach("%s gave %d: %s", text, status, output);
	return output;
}

const char *server_try(const struct server *server, const char *text)
{
	const char *output;

	if (!server_is_up(server))
		return "";
	return recipe_of[server->kind].ask(server->inside, text, &output) == 0 ? output : "";
}

/* The server's URL with another database, which stands between the last '/' and the '?'. */
static const char *server_url_of(const struct server *server, const char *database)
{
	const char *query = strchr(server->url, '?');
	size_t end = query ? (size_t)(query - server->url) : strlen(server->url);

	while (server->url[end - 1] != '/')
		end--;
	return test_text("%.*s%s%s", (int)end, server->url, database, query ? query : "");
}

const char *server_new_database(struct server *server)
{
	int number = ++server->inside->databases;
	const char *name = test_text("convo_%d", number);

	if (server->kind <= SERVER_REDIS_TLS) {
		name = test_text("%d", number % 16);
		server_ask(server, "-n %s FLUSHDB", name);
	} else {
		server_ask(server, "CREATE DATABASE %s", name);
	}
	return server_url_of(server, name);
}

int server_pid(const struct server *server)
{
	return (int)watch_pid(server->inside->watch);
}
