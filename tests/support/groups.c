/*
 * See groups.h. Each node is a server of servers.c; a kind here is how they are started, who of
 * them is the master, and what they must say to be called healthy.
 */
#include "groups.h"

#include "hosts.h"
#include "test.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define REPLACED_S 60
#define HEALTHY_S 180
#define POLL_MS 50

static double group_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool group_wait(const struct group *group, int i,
		       bool (*is_so)(const struct group *group, int i), double seconds)
{
	const struct timespec poll = {0, POLL_MS * 1000000L};
	double end = group_seconds() + seconds;

	while (!is_so(group, i)) {
		if (group_seconds() > end)
			return false;
		nanosleep(&poll, NULL);
	}
	return true;
}

/* "host:port,host:port" of the nodes from one to before another. */
static const char *group_hosts(const struct group *group, int from, int to)
{
	const char *hosts = "";

	for (int i = from; i < to; i++)
		hosts = test_text("%s%s%s:%d", hosts, i > from ? "," : "", group->node[i]->host,
				  group->node[i]->port);
	return hosts;
}

static bool group_all_up(const struct group *group)
{
	for (int i = 0; i < group->nodes; i++) {
		if (!server_is_up(group->node[i]))
			return false;
	}
	return true;
}

/* Add a node; false when it is not installed. */
static bool group_add(struct group *group, struct server *server)
{
	if (!server)
		return false;
	group->node[group->nodes++] = server;
	return true;
}

/* Where the next node is: NULL for this host. */
static const char *group_host(const struct group *group)
{
	return group->apart ? hosts_address() : NULL;
}

/* Start a node with these arguments, and add it. */
static bool group_start_node(struct group *group, enum server_kind kind, enum server_care care,
			     const char *const *args)
{
	const struct server_more more = {.args = args, .host = group_host(group)};

	return group_add(group, server_start_more(kind, care, &more));
}

/* Who "host:port" is, or the same with something else between them and after them. */
static int group_node_at(const struct group *group, const char *text)
{
	for (int i = 0; i < group->nodes; i++) {
		size_t len = strlen(group->node[i]->host);

		if (strncmp(text, group->node[i]->host, len) == 0 && text[len] &&
		    strtol(text + len + 1, NULL, 10) == group->node[i]->port)
			return i;
	}
	return -1;
}

/* The number after a name in a text of lines, such as INFO gives; -1 without it. */
static long group_number(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtol(at + strlen(name), NULL, 10) : -1;
}

static bool redis_replica_is_fed(const struct server *server)
{
	const char *info = server_try(server, "INFO replication");

	return strstr(info, "role:slave") && strstr(info, "master_link_status:up") &&
	       strstr(info, "master_sync_in_progress:0");
}

/* ---- Redis Cluster --------------------------------------------------------------------- */

static bool cluster_start(struct group *group)
{
	const char *create = "";

	for (int i = 0; i < 6; i++) {
		const char *const args[] = {"--cluster-enabled", "yes", "--cluster-config-file",
					    "nodes.conf", "--cluster-port",
					    test_text("%d", test_port()), "--cluster-node-timeout",
					    "2000", "--repl-diskless-sync-delay", "0",
					    /* each master keeps the one replica it has */
					    "--cluster-allow-replica-migration", "no", NULL};

		if (!group_start_node(group, SERVER_REDIS, SERVER_DURABLE, args))
			return false;
		create = test_text("%s %s:%d", create, group->node[i]->host, group->node[i]->port);
	}
	create = test_text("redis-cli --cluster create %s --cluster-replicas 1 --cluster-yes",
			   create);
	test_run_program((const char *[]){"/bin/sh", "-c", create, NULL});
	group->data = 6;
	group->url = test_text("redis+cluster://%s/", group_hosts(group, 0, 6));
	return true;
}

/* Whether a line of CLUSTER NODES, flags and all, serves the slot. */
static bool cluster_line_serves(const char *line, long slot)
{
	const char *at = strstr(line, " connected ");
	long first, last;
	int used;

	at = at ? at + strlen(" connected") : "";
	while (sscanf(at, " %ld%n", &first, &used) == 1) {
		at += used;
		last = first;
		if (sscanf(at, "-%ld%n", &last, &used) == 1)
			at += used;
		if (slot >= first && slot <= last)
			return true;
	}
	return false;
}

/* Who serves a slot as node i sees it; -1 for nobody. */
static int cluster_master_seen(const struct group *group, int i, long slot)
{
	const char *line = server_try(group->node[i], "CLUSTER NODES");

	while (line && *line) {
		const char *end = strchr(line, '\n');
		size_t len = end ? (size_t)(end - line) : strlen(line);
		const char *text = test_text("%.*s", (int)len, line);
		const char *address = strchr(text, ' ');

		if (address && strstr(text, "master") && !strstr(text, "fail") &&
		    cluster_line_serves(text, slot))
			return group_node_at(group, address + 1);
		line = end ? end + 1 : NULL;
	}
	return -1;
}

/* By the votes of those who are up: one that was paused sees the world of before. */
static int cluster_master_of(const struct group *group, long slot)
{
	int votes[GROUP_NODES] = {0};

	for (int i = 0; i < group->nodes; i++) {
		int seen = cluster_master_seen(group, i, slot);

		if (seen >= 0 && server_is_up(group->node[seen]) && ++votes[seen] > 2)
			return seen;
	}
	return -1;
}

static int cluster_master(const struct group *group, const char *key)
{
	long slot = 0;

	for (int i = 0; key && i < group->nodes; i++) {
		const char *answer =
			server_try(group->node[i], test_text("CLUSTER KEYSLOT '%s'", key));

		if (*answer) {
			slot = strtol(answer, NULL, 10);
			break;
		}
	}
	return cluster_master_of(group, slot);
}

/* Each of the ranges that a cluster of three is created with. */
static const long cluster_slots[] = {0, 5461, 10923};

static bool cluster_is_replaced(const struct group *group, int i)
{
	for (int s = 0; s < 3; s++) {
		int master = cluster_master_of(group, cluster_slots[s]);

		if (master < 0 || master == i)
			return false;
	}
	return true;
}

static bool cluster_is_healthy(const struct group *group)
{
	int masters = 0;

	for (int i = 0; i < group->nodes; i++) {
		const struct server *node = group->node[i];
		const char *info = server_try(node, "CLUSTER INFO");

		if (!strstr(info, "cluster_state:ok") ||
		    group_number(info, "cluster_slots_ok:") != 16384 ||
		    strstr(server_try(node, "CLUSTER NODES"), "fail"))
			return false;
		if (redis_replica_is_fed(node))
			continue;
		if (group_number(server_try(node, "INFO replication"), "connected_slaves:") != 1)
			return false;
		masters++;
	}
	return masters == 3 && cluster_is_replaced(group, -2);
}

/* ---- Redis Sentinel -------------------------------------------------------------------- */

static bool sentinel_start(struct group *group)
{
	static const char *const args[] = {"--repl-diskless-sync-delay", "0", NULL};
	const char *once[] = {"--replicaof", NULL, NULL, NULL};
	struct server_more more = {.args = args, .host = group_host(group)};
	const char *config;

	if (!group_add(group, server_start_more(SERVER_REDIS, SERVER_DURABLE, &more)))
		return false;
	/* Later it may be the master. */
	once[1] = group->node[0]->host;
	once[2] = test_text("%d", group->node[0]->port);
	more.once = once;
	for (int i = 0; i < 2; i++) {
		more.host = group_host(group);
		group_add(group, server_start_more(SERVER_REDIS, SERVER_DURABLE, &more));
	}
	config = test_text("sentinel monitor " GROUP_SENTINEL_NAME " %s %d 2\n"
			   "sentinel down-after-milliseconds " GROUP_SENTINEL_NAME " 1000\n"
			   "sentinel failover-timeout " GROUP_SENTINEL_NAME " 5000\n",
			   group->node[0]->host, group->node[0]->port);
	for (int i = 0; i < 3; i++)
		group_add(group, server_start_sentinel(group_host(group), config));
	group->data = 3;
	group->url =
		test_text("redis+sentinel://%s/" GROUP_SENTINEL_NAME, group_hosts(group, 3, 6));
	return true;
}

/* Whom one sentinel names, up or not; -1 when it is not up itself. */
static int sentinel_names(const struct group *group, int i)
{
	const char *answer =
		server_try(group->node[i], "SENTINEL GET-MASTER-ADDR-BY-NAME " GROUP_SENTINEL_NAME);

	return group_node_at(group, answer);
}

static int sentinel_master(const struct group *group, const char *key)
{
	int votes[GROUP_NODES] = {0};

	(void)key;
	for (int i = 3; i < 6; i++) {
		int named = sentinel_names(group, i);

		if (named >= 0 && ++votes[named] > 1 &&
		    strstr(server_try(group->node[named], "INFO replication"), "role:master"))
			return named;
	}
	return -1;
}

static bool sentinel_is_replaced(const struct group *group, int i)
{
	int master = sentinel_master(group, NULL);

	return master >= 0 && master != i;
}

static bool sentinel_is_healthy(const struct group *group)
{
	int master = sentinel_master(group, NULL), fed = 0;

	for (int i = 3; i < 6; i++) {
		const char *says =
			server_try(group->node[i], "SENTINEL CKQUORUM " GROUP_SENTINEL_NAME);

		if (master < 0 || sentinel_names(group, i) != master ||
		    !strstr(says, "OK 3 usable Sentinels"))
			return false;
	}
	for (int i = 0; i < 3; i++)
		fed += redis_replica_is_fed(group->node[i]);
	return fed == 2;
}

/* A sentinel would tell it too, but only after some seconds in which it thinks itself a master. */
static void sentinel_restart(struct group *group, int i)
{
	int master = -1;

	server_restart(group->node[i]);
	for (int j = 3; i < group->data && j < 6 && master < 0; j++)
		master = sentinel_names(group, j);
	if (master >= 0 && master != i)
		server_ask(group->node[i], "REPLICAOF %s %d", group->node[master]->host,
			   group->node[master]->port);
}

/* ---- PostgreSQL ------------------------------------------------------------------------ */

static bool pair_start(struct group *group)
{
	static const char *const sync[] = {
		"-c", "wal_keep_size=256MB",         "-c", "wal_sender_timeout=10s",
		"-c", "wal_receiver_timeout=3s",     "-c", "wal_retrieve_retry_interval=200ms",
		"-c", "synchronous_standby_names=*", NULL};
	static const char *const async[] = {"-c", "wal_keep_size=256MB",
					    "-c", "wal_sender_timeout=10s",
					    "-c", "wal_receiver_timeout=3s",
					    "-c", "wal_retrieve_retry_interval=200ms",
					    NULL};
	struct server_more more = {.args = group->kind == GROUP_POSTGRES ? sync : async,
				   .host = group_host(group)};

	if (!group_add(group, server_start_more(SERVER_POSTGRES, SERVER_DURABLE, &more)))
		return false;
	more.primary = group->node[0];
	more.host = group_host(group);
	group_add(group, server_start_more(SERVER_POSTGRES, SERVER_DURABLE, &more));
	group->data = 2;
	group->url = test_text("postgres://convo@%s/postgres?target_session_attrs=read-write",
			       group_hosts(group, 0, 2));
	return true;
}

static int pair_master(const struct group *group, const char *key)
{
	(void)key;
	for (int i = 0; i < 2; i++) {
		if (strcmp(server_try(group->node[i], "SELECT pg_is_in_recovery()"), "f") == 0)
			return i;
	}
	return -1;
}

static bool pair_is_replaced(const struct group *group, int i)
{
	return pair_master(group, NULL) == 1 - i;
}

static bool pair_is_healthy(const struct group *group)
{
	int master = pair_master(group, NULL);

	return master >= 0 &&
	       strcmp(server_try(group->node[master],
				 "SELECT state, sync_state FROM pg_stat_replication"),
		      group->kind == GROUP_POSTGRES ? "streaming|sync" : "streaming|async") == 0;
}

/* Whether it was a standby when it ended. */
static bool pair_was_standby(const struct server *server)
{
	return access(test_path(server->dir, "data/standby.signal"), F_OK) == 0;
}

static void pair_restart(struct group *group, int i)
{
	if (!pair_was_standby(group->node[i]) && pair_is_replaced(group, i))
		server_follow(group->node[i], group->node[1 - i]);
	server_restart(group->node[i]);
}

void group_promote(struct group *group)
{
	struct server *standby;

	must(group->kind == GROUP_POSTGRES || group->kind == GROUP_POSTGRES_ASYNC);
	standby = group->node[pair_was_standby(group->node[0]) ? 0 : 1];
	server_kill(group->node[standby == group->node[0] ? 1 : 0]);
	must_equal_str("t", server_ask(standby, "SELECT pg_promote()"));
}

/* ---- Galera ---------------------------------------------------------------------------- */

#define GALERA_LIBRARY "/usr/lib/galera/libgalera_smm.so"

/*
 * As Debian's service does it: one that was killed has lost the number of what it holds, and would
 * be given everything anew by another, which takes no writes meanwhile.
 */
#define GALERA_AGAIN                                                               \
	"\"$@\" --wsrep-recover >recover 2>&1; cat recover; "                      \
	"at=$(sed -n 's/.*WSREP: Recovered position: *//p' recover | tail -n 1); " \
	"exec \"$@\" ${at:+--wsrep-start-position=$at}"

/* Node of that host and port for the others, among all of them. */
static bool galera_add(struct group *group, const char *host, int port, const char *all)
{
	const char *options = "--wsrep-provider-options=base_port=%d;gmcast.listen_addr=tcp://"
			      "%s:%d;ist.recv_addr=%s:%d;ist.recv_bind=%s;"
			      "gcache.size=16M;"
			      "evs.keepalive_period=PT0.3S;evs.inactive_check_period=PT0.2S;"
			      "evs.suspect_timeout=PT2S;evs.inactive_timeout=PT4S;"
			      /*
			       * On a busy machine they need more than one try to agree who
			       * they are. One that joins waits for it, and ends after 30 s as
			       * it comes.
			       */
			      "evs.install_timeout=PT3S;evs.join_retrans_period=PT0.3S;"
			      "pc.wait_prim_timeout=PT180S";
	const char *here = host ? host : "127.0.0.1";
	const char *const args[] = {
		"--binlog-format=ROW", "--innodb-autoinc-lock-mode=2",
		/* one alone can stand still, where nodes write to one row */
		"--wsrep-slave-threads=4",
		/*
		 * Each can miss that it is to push a writer aside, and the cluster stands still
		 * until it looks again: after so long, 50 s as it comes.
		 */
		"--innodb-lock-wait-timeout=1",
		/* killed, it goes on with its own data */
		"--innodb-doublewrite=1", "--wsrep-on=ON", "--wsrep-provider=" GALERA_LIBRARY,
		test_text("--wsrep-cluster-address=gcomm://%s", all),
		test_text("--wsrep-node-name=node%d", group->nodes),
		test_text("--wsrep-node-address=%s", here), "--wsrep-sst-method=rsync",
		test_text("--wsrep-sst-receive-address=%s:%d", here, test_port()),
		test_text(options, port, here, port, here, test_port(), here), NULL};
	const char *const once[] = {"--wsrep-new-cluster", NULL};
	struct server_more more = {
		.args = args, .host = host, .again = GALERA_AGAIN, .ready_s = HEALTHY_S};

	if (group->nodes)
		more.primary = group->node[0];
	else
		more.once = once;
	return group_add(group, server_start_more(SERVER_MARIADB, SERVER_FAST, &more));
}

static bool galera_start(struct group *group)
{
	const char *host[3], *all = "";
	const struct server *first;
	int port[3];

	if (access(GALERA_LIBRARY, R_OK) != 0 || access("/usr/bin/wsrep_sst_rsync", X_OK) != 0) {
		test_say("not installed: " GALERA_LIBRARY);
		return false;
	}
	for (int i = 0; i < 3; i++) {
		host[i] = group_host(group);
		port[i] = test_port();
		all = test_text("%s%s%s:%d", all, i ? "," : "", host[i] ? host[i] : "127.0.0.1",
				port[i]);
	}
	for (int i = 0; i < 3; i++) {
		if (!galera_add(group, host[i], port[i], all))
			return false;
	}
	group->data = 3;
	first = group->node[0];
	group->url = test_text("mysql://%.*s@%s/convo",
			       (int)(strchr(first->url + 8, '@') - first->url - 8), first->url + 8,
			       group_hosts(group, 0, 3));
	return true;
}

/* Whether node i takes writes in a cluster of so many. */
static bool galera_is_one_of(const struct group *group, int i, int count)
{
	const char *status = server_try(group->node[i],
					"SHOW STATUS WHERE Variable_name IN ('wsrep_cluster_size',"
					"'wsrep_cluster_status', 'wsrep_local_state_comment',"
					"'wsrep_ready')");

	return group_number(status, "wsrep_cluster_size\t") == count &&
	       strstr(status, "wsrep_cluster_status\tPrimary") &&
	       strstr(status, "wsrep_local_state_comment\tSynced") &&
	       strstr(status, "wsrep_ready\tON");
}

static bool galera_are(const struct group *group, int count)
{
	for (int i = 0; i < 3; i++) {
		if (server_is_up(group->node[i]) && !galera_is_one_of(group, i, count))
			return false;
	}
	return true;
}

static int galera_master(const struct group *group, const char *key)
{
	(void)key;
	for (int i = 0; i < 3; i++) {
		if (galera_is_one_of(group, i, 3) || galera_is_one_of(group, i, 2))
			return i;
	}
	return -1;
}

static bool galera_is_replaced(const struct group *group, int i)
{
	int up = 0;

	for (int j = 0; j < 3; j++)
		up += j != i && server_is_up(group->node[j]);
	return up && galera_are(group, up);
}

static bool galera_is_healthy(const struct group *group)
{
	return galera_are(group, 3);
}

/* ---- what all have --------------------------------------------------------------------- */

static void plain_restart(struct group *group, int i)
{
	server_restart(group->node[i]);
}

static int alone_master(const struct group *group, const char *key)
{
	(void)key;
	return server_is_up(group->node[0]) ? 0 : -1;
}

static bool alone_is_replaced(const struct group *group, int i)
{
	(void)group;
	(void)i;
	return false;
}

static bool alone_is_healthy(const struct group *group)
{
	(void)group;
	return true;
}

static const struct group_recipe {
	bool (*start)(struct group *group);
	int (*master)(const struct group *group, const char *key);
	bool (*is_replaced)(const struct group *group, int i);
	bool (*is_healthy)(const struct group *group);
	void (*restart)(struct group *group, int i);
} recipe_of[GROUP_KINDS] = {
	[GROUP_REDIS_CLUSTER] = {cluster_start, cluster_master, cluster_is_replaced,
				 cluster_is_healthy, plain_restart},
	[GROUP_REDIS_SENTINEL] = {sentinel_start, sentinel_master, sentinel_is_replaced,
				  sentinel_is_healthy, sentinel_restart},
	[GROUP_POSTGRES] = {pair_start, pair_master, pair_is_replaced, pair_is_healthy,
			    pair_restart},
	[GROUP_POSTGRES_ASYNC] = {pair_start, pair_master, pair_is_replaced, pair_is_healthy,
				  pair_restart},
	[GROUP_GALERA] = {galera_start, galera_master, galera_is_replaced, galera_is_healthy,
			  plain_restart},
	[GROUP_ALONE] = {NULL, alone_master, alone_is_replaced, alone_is_healthy, plain_restart},
};

static struct group *group_new(enum group_kind kind, bool apart)
{
	struct group *group = calloc(1, sizeof(*group));

	must(group != NULL);
	group->kind = kind;
	group->apart = apart;
	if (!recipe_of[kind].start(group)) {
		group_end(group);
		return NULL;
	}
	group_wait_healthy(group);
	return group;
}

struct group *group_start(enum group_kind kind)
{
	return group_new(kind, false);
}

struct group *group_start_apart(enum group_kind kind)
{
	return hosts_enter() ? group_new(kind, true) : NULL;
}

struct group *group_alone(struct server *server)
{
	struct group *group = calloc(1, sizeof(*group));

	must(group != NULL);
	*group = (struct group){.kind = GROUP_ALONE, .url = server->url, .data = 1};
	group_add(group, server);
	return group;
}

void group_end(struct group *group)
{
	if (!group)
		return;
	for (int i = group->nodes - 1; i >= 0; i--)
		server_kill(group->node[i]);
	for (int i = 0; i < group->nodes; i++)
		server_end(group->node[i]);
	free(group);
}

void group_kill(struct group *group, int i)
{
	server_kill(group->node[i]);
}

void group_restart(struct group *group, int i)
{
	recipe_of[group->kind].restart(group, i);
}

void group_pause(struct group *group, int i)
{
	server_pause(group->node[i]);
}

void group_resume(struct group *group, int i)
{
	server_resume(group->node[i]);
}

void group_cut_off(struct group *group, int i)
{
	server_cut_off(group->node[i]);
}

void group_mend(struct group *group, int i)
{
	server_mend(group->node[i]);
}

int group_master(const struct group *group, const char *key)
{
	return recipe_of[group->kind].master(group, key);
}

bool group_is_replaced(const struct group *group, int i)
{
	return recipe_of[group->kind].is_replaced(group, i);
}

/* What the nodes say, for whoever looks for the reason. */
static void group_tell(const struct group *group)
{
	static const char *const question[GROUP_KINDS] = {
		[GROUP_REDIS_CLUSTER] = "CLUSTER NODES",
		[GROUP_REDIS_SENTINEL] = "INFO",
		[GROUP_POSTGRES] = "SELECT pg_is_in_recovery(), state, sync_state "
				   "FROM (SELECT 1) one LEFT JOIN pg_stat_replication ON true",
		[GROUP_POSTGRES_ASYNC] = "SELECT pg_is_in_recovery()",
		[GROUP_GALERA] =
			"SHOW STATUS WHERE Variable_name IN ('wsrep_cluster_size',"
			"'wsrep_cluster_status', 'wsrep_local_state_comment', "
			"'wsrep_ready', 'wsrep_incoming_addresses', 'wsrep_last_committed',"
			"'wsrep_local_recv_queue', 'wsrep_flow_control_status')",
	};

	for (int i = 0; i < group->nodes && question[group->kind]; i++)
		test_say("node %d, %s: %.1500s", i, server_is_up(group->node[i]) ? "up" : "not up",
			 server_try(group->node[i], question[group->kind]));
}

bool group_is_replaced_within(const struct group *group, int i, double seconds)
{
	return group_wait(group, i, group_is_replaced, seconds);
}

void group_wait_replaced(const struct group *group, int i)
{
	if (group_is_replaced_within(group, i, REPLACED_S))
		return;
	group_tell(group);
	must_not_reach("nobody has taken the place of node %d on port %d", i, group->node[i]->port);
}

bool group_is_healthy(const struct group *group)
{
	return group_all_up(group) && recipe_of[group->kind].is_healthy(group);
}

static bool group_has_healed(const struct group *group, int i)
{
	(void)i;
	return group_is_healthy(group);
}

void group_wait_healthy(const struct group *group)
{
	if (group_wait(group, 0, group_has_healed, HEALTHY_S))
		return;
	group_tell(group);
	must_not_reach("the group of %s does not become healthy", group->url);
}

const char *group_new_database(struct group *group)
{
	const char *url, *slash;

	if (group->kind == GROUP_ALONE)
		return server_new_database(group->node[0]);
	group_wait_healthy(group);
	if (group->kind <= GROUP_REDIS_SENTINEL) {
		for (int i = 0; i < group->data; i++) {
			if (!redis_replica_is_fed(group->node[i]))
				server_ask(group->node[i], "FLUSHALL");
		}
		return group->url;
	}
	/* The master's URL has the new name; the hosts are ours. */
	url = server_new_database(group->node[group_master(group, NULL)]);
	slash = strrchr(url, '/');
	return test_text("%.*s%s%s", (int)(strrchr(group->url, '/') - group->url), group->url,
			 slash, strchr(group->url, '?') ? strchr(group->url, '?') : "");
}
