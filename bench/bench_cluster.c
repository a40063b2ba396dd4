/*
 * A Redis Cluster beside a single Redis, in turns in one run: what an append and a load cost on each,
 * and what two programs on two nodes reach beside one on one.
 *
 *     bench_cluster [-callers 8] [-bytes 400] [-turns 5] [-ms 500]
 *
 * Three masters without replicas and one server without a cluster, none of which keeps anything on
 * disk. First one node alone gets as many callers as the single server has, then each of them, which
 * on few cores also measures how the nodes get into each other's way. Where cores are fewer than servers
 * and programs the clock says little, so the goals are for the work: operations in a second of a
 * node's processor, which is what nodes with a core each would do. Round trips are counted last, by
 * proxies in front of the nodes.
 */
#include "bench.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>

#include "server.h"
#include "support/proxy.h"
#include "support/servers.h"
#include "support/test.h"

#define APP "bench"
#define NODES 3
#define LAST 50
#define MAX_CALLERS 64
#define MAX_TURNS 101
#define SLOTS 16384
#define WAIT_MS 30000

static struct {
	size_t callers, bytes;
	int turns, ms;
	const char *worker,
		*users; /* of one that this program has started: its URL, whose sessions */
} option = {.callers = 8, .bytes = 400, .turns = 5, .ms = 500};

static char message[65536];

/* ---- callers ---------------------------------------------------------------------------- */

struct crowd {
	convo_store *store;
	bool load;
	atomic_bool stop;
	size_t count;
	struct caller {
		struct crowd *crowd;
		char user[32];
		pthread_t thread;
		int64_t done;
	} caller[MAX_CALLERS * NODES];
};

static void caller_step(const struct caller *caller, bool load)
{
	const struct convo_event event = {.message = message, .message_len = option.bytes};
	const struct convo_key key = {APP, caller->user, "talk"};
	const struct convo_window window = {.n = LAST};
	convo_session *session = NULL;
	struct convo_err err;
	int rc = load ? convo_store_load(&session, caller->crowd->store, &key, &window, NULL, &err)
		      : convo_store_append(caller->crowd->store, &key, NULL, &event, 1, NULL, NULL,
					   &err);

	if (rc < 0)
		bench_die("%s: %s", load ? "load" : "append", err.text);
	convo_session_free(session);
}

static void *caller_run(void *arg)
{
	struct caller *caller = arg;

	caller->done = 0;
	while (!atomic_load_explicit(&caller->crowd->stop, memory_order_relaxed)) {
		caller_step(caller, caller->crowd->load);
		caller->done++;
	}
	return NULL;
}

/* Let them all work for a turn. @return operations */
static int64_t crowd_run(struct crowd *crowd, bool load)
{
	const struct timespec ts = {option.ms / 1000, option.ms % 1000 * 1000000L};
	int64_t done = 0;
	size_t i;

	crowd->load = load;
	crowd->stop = false;
	for (i = 0; i < crowd->count; i++) {
		if (pthread_create(&crowd->caller[i].thread, NULL, caller_run, &crowd->caller[i]))
			bench_die("cannot make threads");
	}
	nanosleep(&ts, NULL);
	crowd->stop = true;
	for (i = 0; i < crowd->count; i++) {
		pthread_join(crowd->caller[i].thread, NULL);
		done += crowd->caller[i].done;
	}
	return done;
}

static void crowd_open(struct crowd *crowd, const char *url)
{
	const struct convo_store_options opts = {.clean_interval_ms = CONVO_OFF,
						 .timeout_ms = 60000};
	struct convo_err err;

	if (convo_store_open(&crowd->store, url, &opts, &err) < 0)
		bench_die("%s", err.text);
}

/* Add a caller with a session of that user, which holds what a load reads, once it was made. */
static void crowd_add(struct crowd *crowd, const char *user)
{
	struct caller *caller = &crowd->caller[crowd->count++];
	const struct convo_key key = {APP, caller->user, "talk"};
	struct convo_err err;
	int i;

	caller->crowd = crowd;
	snprintf(caller->user, sizeof(caller->user), "%s", user);
	if (convo_store_create(crowd->store, &key, NULL, NULL, NULL, &err) < 0) {
		if (err.code != CONVO_E_EXISTS)
			bench_die("create: %s", err.text);
		return;
	}
	for (i = 0; i < LAST; i++)
		caller_step(caller, false);
}

/* ---- the cluster ------------------------------------------------------------------------ */

struct cluster {
	struct server *node[NODES];
	const char *url;
};

static bool cluster_start(struct cluster *cluster)
{
	const char *create = "", *hosts = "";
	int i;

	for (i = 0; i < NODES; i++) {
		const char *const args[] = {"--cluster-enabled",
					    "yes",
					    "--cluster-config-file",
					    "nodes.conf",
					    "--cluster-port",
					    test_text("%d", test_port()),
					    NULL};

		cluster->node[i] = server_start_with(SERVER_REDIS, SERVER_FAST, args);
		if (!cluster->node[i])
			return false;
		create = test_text("%s 127.0.0.1:%d", create, cluster->node[i]->port);
		hosts = test_text("%s%s127.0.0.1:%d", hosts, i ? "," : "", cluster->node[i]->port);
	}
	create = test_text("redis-cli --cluster create %s --cluster-replicas 0 --cluster-yes",
			   create);
	test_run_program((const char *[]){"/bin/sh", "-c", create, NULL});
	cluster->url = test_text("redis+cluster://%s/", hosts);
	return true;
}

/* The slots were given out in order, a third to each node. */
static int cluster_node_of(const struct cluster *cluster, const char *user)
{
	const char *slot =
		server_ask(cluster->node[0], "CLUSTER KEYSLOT 'convo:{" APP ":%s}'", user);

	return (int)(strtol(slot, NULL, 10) * NODES / SLOTS);
}

/* Where the state of the app is, which every load asks for. */
static int cluster_app_node(const struct cluster *cluster)
{
	const char *slot = server_ask(cluster->node[0], "CLUSTER KEYSLOT 'convo:{" APP "}'");

	return (int)(strtol(slot, NULL, 10) * NODES / SLOTS);
}

/* Names of so many users of a node, with commas between. */
static const char *cluster_users(const struct cluster *cluster, int node, size_t count)
{
	const char *users = "";
	int i;

	for (i = 0; count; i++) {
		const char *user = test_text("user-%d", i);

		if (cluster_node_of(cluster, user) != node)
			continue;
		users = test_text("%s%s%s", users, *users ? "," : "", user);
		count--;
	}
	return users;
}

static void crowd_add_all(struct crowd *crowd, const char *users)
{
	char user[32];

	for (; *users; users += strcspn(users, ","), users += *users == ',') {
		snprintf(user, sizeof(user), "%.*s", (int)strcspn(users, ","), users);
		crowd_add(crowd, user);
	}
}

/* ---- figures ---------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, (size_t)option.turns, sizeof(*values), compare);
	return values[option.turns / 2];
}

/* What a load in a cluster does besides, and why its goal may be missed. */
#define WHY_LOAD \
	"the state of the app, which its own node is asked for; callers within 5 ms share that"

static bool print_goal(double ratio, double wanted)
{
	bool reached = ratio >= wanted;

	printf("  %.2f wanted: %s\n", wanted, reached ? "yes" : "NO");
	fflush(stdout);
	return reached;
}

/* What one turn came to. */
struct turn {
	double per_s;               /* by the clock */
	double node_us, program_us; /* of processor for an operation */
	double busiest;             /* node's part of node_us */
};

static struct turn turn_run(struct crowd *crowd, bool load, struct server *const *node, int nodes)
{
	int64_t used[NODES], begin_us = cv_clock_mono_us(), program_us = bench_cpu_us(), done;
	int64_t sum = 0, most = 0;
	struct turn turn;
	int i;

	for (i = 0; i < nodes; i++)
		used[i] = bench_server_cpu_us(node[i]);
	done = crowd_run(crowd, load);
	turn.per_s = (double)done * 1e6 / (double)(cv_clock_mono_us() - begin_us);
	turn.program_us = (double)(bench_cpu_us() - program_us) / (double)done;
	for (i = 0; i < nodes; i++) {
		used[i] = bench_server_cpu_us(node[i]) - used[i];
		sum += used[i];
		most = used[i] > most ? used[i] : most;
	}
	turn.node_us = (double)sum / (double)done;
	turn.busiest = (double)most / (double)sum;
	return turn;
}

static void print_head(void)
{
	printf("%-7s %8s %9s %9s %6s %8s %8s %6s %8s %8s %8s\n", "what", "callers", "single/s",
	       "cluster/s", "ratio", "node us", "nodes us", "ratio", "us", "us", "busiest");
}

/* Both in turns; the ratio of operations in a second of a node's processor has the goal. */
static void bench_beside(struct crowd *single, struct server *server, struct crowd *crowd,
			 const struct cluster *cluster, bool load)
{
	double per_s[2][MAX_TURNS], node_us[2][MAX_TURNS], us[2][MAX_TURNS], ratio[2][MAX_TURNS];
	double busiest[MAX_TURNS], work;
	int i, side;

	for (i = 0; i < option.turns; i++) {
		for (side = 0; side < 2; side++) {
			struct turn turn = side ? turn_run(crowd, load, cluster->node, NODES)
						: turn_run(single, load, &server, 1);

			per_s[side][i] = turn.per_s;
			node_us[side][i] = turn.node_us;
			us[side][i] = turn.program_us;
			busiest[i] = turn.busiest;
		}
		ratio[0][i] = per_s[1][i] / per_s[0][i];
		ratio[1][i] = node_us[0][i] / node_us[1][i];
	}
	work = median(ratio[1]);
	printf("%-7s %8zu %9.0f %9.0f %6.2f %8.1f %8.1f %6.2f %8.1f %8.1f %7.0f%%",
	       load ? "load" : "append", crowd->count, median(per_s[0]), median(per_s[1]),
	       median(ratio[0]), median(node_us[0]), median(node_us[1]), work, median(us[0]),
	       median(us[1]), median(busiest) * 100);
	if (!print_goal(work, 0.9) && load)
		printf("         ours besides: %s\n", WHY_LOAD);
}

/* ---- two programs ----------------------------------------------------------------------- */

/* One that was started: append for a turn, and say how often and what that took. */
static int worker_run(const char *url, const char *users)
{
	static struct crowd crowd;
	int64_t begin_us, done;

	crowd_open(&crowd, url);
	crowd_add_all(&crowd, users);
	begin_us = bench_cpu_us();
	done = crowd_run(&crowd, false);
	printf("%" PRId64 " %" PRId64 "\n", done, bench_cpu_us() - begin_us);
	convo_store_close(crowd.store);
	return 0;
}

static FILE *worker_start(const char *self, const char *url, const char *users)
{
	FILE *pipe = popen(test_text("exec '%s' -worker '%s' -users '%s' -bytes %zu -ms %d", self,
				     url, users, option.bytes, option.ms),
			   "r");

	if (!pipe)
		bench_die("cannot start myself");
	return pipe;
}

static void worker_end(FILE *pipe, double *done, double *us)
{
	if (fscanf(pipe, "%lf %lf", done, us) != 2 || *done < 1)
		bench_die("a program has said nothing");
	pclose(pipe);
}

/* So many programs, each on a node of its own. Adds up operations in a second of their own, of the
 * nodes' processors, and of the clock. */
static void bench_programs(const char *self, const struct cluster *cluster,
			   const char *const *users, int count, double rate[3])
{
	double done[NODES], us[NODES];
	int64_t used[NODES];
	FILE *pipe[NODES];
	int i;

	rate[0] = rate[1] = rate[2] = 0;
	for (i = 0; i < count; i++)
		used[i] = bench_server_cpu_us(cluster->node[i]);
	for (i = 0; i < count; i++)
		pipe[i] = worker_start(self, cluster->url, users[i]);
	for (i = 0; i < count; i++)
		worker_end(pipe[i], &done[i], &us[i]);
	for (i = 0; i < count; i++) {
		used[i] = bench_server_cpu_us(cluster->node[i]) - used[i];
		rate[0] += done[i] * 1e6 / us[i];
		rate[1] += done[i] * 1e6 / (double)used[i];
		rate[2] += done[i] * 1000 / option.ms;
	}
}

static void bench_two(const struct cluster *cluster)
{
	static const char *const what[] = {"a second of the programs' processor",
					   "a second of the nodes' processor",
					   "a second of the clock, all on these cores"};
	const char *users[2] = {cluster_users(cluster, 0, option.callers),
				cluster_users(cluster, 1, option.callers)};
	double rate[2][3], one[3][MAX_TURNS], two[3][MAX_TURNS], ratio[3][MAX_TURNS];
	char self[512];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int i, k;

	if (len < 0)
		bench_die("who am I?");
	self[len] = '\0';
	bench_programs(self, cluster, users, 2, rate[0]); /* makes the sessions */
	for (i = 0; i < option.turns; i++) {
		bench_programs(self, cluster, users, 1, rate[0]);
		bench_programs(self, cluster, users, 2, rate[1]);
		for (k = 0; k < 3; k++) {
			one[k][i] = rate[0][k];
			two[k][i] = rate[1][k];
			ratio[k][i] = rate[1][k] / rate[0][k];
		}
	}
	for (k = 0; k < 3; k++) {
		double middle = median(ratio[k]);

		printf("two programs on two nodes: %.0f appends in %s; one on one: %.0f; ratio "
		       "%.2f",
		       median(two[k]), what[k], median(one[k]), middle);
		if (k < 2)
			print_goal(middle, 1.7);
		else
			putchar('\n');
	}
}

/* ---- round trips ------------------------------------------------------------------------ */

/* From now on clients are told of the proxies' ports. */
static void proxies_announce(const struct cluster *cluster, struct proxy *const *proxy)
{
	const struct timespec poll = {0, 50000000};
	int i, k, ms;

	for (i = 0; i < NODES; i++)
		server_ask(cluster->node[i], "CONFIG SET cluster-announce-port %d",
			   proxy_port(proxy[i]));
	for (ms = 0, k = 0; k < NODES * NODES && ms < WAIT_MS; ms += 50) {
		for (k = 0; k < NODES * NODES; k++) {
			const char *slots = server_ask(cluster->node[k / NODES], "CLUSTER SLOTS");

			if (!strstr(slots, test_text("%d", proxy_port(proxy[k % NODES]))))
				break;
		}
		nanosleep(&poll, NULL);
	}
	if (k < NODES * NODES)
		bench_die("the nodes do not tell each other of their proxies");
}

/* Run one operation, its first byte to each node held back for 20 ms: so it takes 20 ms for each
 * round trip that waits for another. Add up how often a node was asked. @return that time in ms */
static double trip(const struct caller *caller, bool load, struct proxy *const *proxy,
		   size_t *asked)
{
	int64_t begin_us;
	double ms;
	int i;

	for (i = 0; i < NODES; i++)
		proxy_arm(proxy[i], PROXY_DELAY, PROXY_REQUEST, 0);
	begin_us = cv_clock_mono_us();
	caller_step(caller, load);
	ms = (double)(cv_clock_mono_us() - begin_us) / 1000;
	for (i = 0; i < NODES; i++)
		*asked += proxy_turns(proxy[i]);
	return ms;
}

static void bench_trips(const struct cluster *cluster)
{
	static struct crowd crowd;
	struct proxy *proxy[NODES];
	double ms, best;
	size_t asked;
	int i, load, away = 0;

	for (i = 0; i < NODES; i++)
		proxy[i] = proxy_start("127.0.0.1", cluster->node[i]->port);
	proxies_announce(cluster, proxy);
	crowd_open(&crowd, cluster->url);
	/* Of a user whose state is on another node than the app's. */
	while (cluster_node_of(cluster, test_text("user-%d", away)) == cluster_app_node(cluster))
		away++;
	crowd_add(&crowd, test_text("user-%d", away));
	for (load = 0; load < 2; load++) {
		asked = 0;
		best = 1e9;
		caller_step(&crowd.caller[0], load);
		for (i = 0; i < 20; i++) {
			ms = trip(&crowd.caller[0], load, proxy, &asked);
			best = ms < best ? ms : best;
		}
		printf("%s: %.2f requests; each held back by 20 ms it takes %.1f ms: %.0f round "
		       "trip",
		       load ? "load" : "append", (double)asked / 20, best, best / 20);
		print_goal(1.0 / (double)(int)(best / 20 + 0.5), 1.0);
	}
	convo_store_close(crowd.store);
	for (i = 0; i < NODES; i++)
		proxy_end(proxy[i]);
}

/* ---- all of it -------------------------------------------------------------------------- */

static void bench_run(struct server *server, const struct cluster *cluster)
{
	static struct crowd single, crowd, one;
	int other = (cluster_app_node(cluster) + 1) % NODES;
	size_t i;

	crowd_open(&single, bench_server_url(server));
	crowd_open(&crowd, cluster->url);
	crowd_open(&one, cluster->url);
	for (i = 0; i < NODES; i++)
		crowd_add_all(&crowd, cluster_users(cluster, (int)i, option.callers));
	crowd_add_all(&one, cluster_users(cluster, other, option.callers));
	for (i = 0; i < option.callers; i++)
		crowd_add(&single, crowd.caller[i].user);
	puts("All that call are of one node, which has not the state of the app:");
	print_head();
	bench_beside(&single, server, &one, cluster, true);
	bench_beside(&single, server, &one, cluster, false);
	puts("Each node has its callers, and all share these cores:");
	print_head();
	bench_beside(&single, server, &crowd, cluster, true);
	bench_beside(&single, server, &crowd, cluster, false);
	convo_store_close(single.store);
	convo_store_close(crowd.store);
	convo_store_close(one.store);
	bench_two(cluster);
	bench_trips(cluster);
}

static void read_flag(const char *flag, const char *value)
{
	size_t number = strtoul(value, NULL, 10);

	if (strcmp(flag, "-callers") == 0 && number >= 1 && number <= MAX_CALLERS)
		option.callers = number;
	else if (strcmp(flag, "-bytes") == 0 && number >= 64 && number <= 60000)
		option.bytes = number;
	else if (strcmp(flag, "-turns") == 0 && number >= 1 && number <= MAX_TURNS)
		option.turns = (int)number;
	else if (strcmp(flag, "-ms") == 0 && number >= 1 && number <= 60000)
		option.ms = (int)number;
	else if (strcmp(flag, "-worker") == 0)
		option.worker = value;
	else if (strcmp(flag, "-users") == 0)
		option.users = value;
	else
		bench_die("not a flag and its value: %s %s", flag, value);
}

int main(int argc, char **argv)
{
	struct cluster cluster = {0};
	struct server *server;
	int arg, i;

	for (arg = 1; arg < argc; arg += 2) {
		if (arg + 1 == argc)
			bench_die("%s wants a value", argv[arg]);
		read_flag(argv[arg], argv[arg + 1]);
	}
	memset(message, 'x', option.bytes);
	memcpy(message, "{\"role\":\"user\",\"content\":\"", 26);
	memcpy(message + option.bytes - 2, "\"}", 2);
	if (option.worker && option.users)
		return worker_run(option.worker, option.users);
	server = bench_server_start("redis");
	if (server && cluster_start(&cluster))
		bench_run(server, &cluster);
	for (i = 0; i < NODES; i++)
		bench_server_end(cluster.node[i]);
	bench_server_end(server);
	return 0;
}
