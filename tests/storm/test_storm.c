/*
 * The storm (plan.h) on each set-up: 16 programs write, and while they do, nodes of the group are
 * killed, stopped and cut off, and the programs killed too; what was acknowledged must be there
 * (A1, A2, A5 to A8, L2, L3, S1, S4, S5). The conductor is this process.
 *
 *     test_storm [NAME]           one of: cluster sentinel postgres galera redis pgsql mysql sqlite
 *
 * CONVO_STORM_KILLS: so many kills of a node instead of 3, at a slower pace. CONVO_STORM_DIR: keep
 * the journals there. CONVO_TEST_SEED as ever.
 */
#include "plan.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <support/groups.h>
#include <support/test.h>

#define END_US (90 * 1000000LL)
#define REPLACED_S 20

/* A set-up: a group, a server alone, or neither, which is a file. */
struct set_up {
	const char *name;
	int group;          /* enum group_kind, or -1 */
	int server;         /* enum server_kind, or -1 */
	const char *option; /* what acknowledged must mean there, in the URL */
};

struct storm {
	const struct set_up *set_up;
	struct group *group;
	struct storm_plan plan;
	struct test_rng rng;
	pid_t pid[STORM_PROGRAMS];
	int lives[STORM_PROGRAMS]; /* how often each was started */
	int kills, nodes_killed, nodes_paused, nodes_cut_off, programs_killed, wrong;
	int64_t since_us;
};

/* What the conductor does, to be read beside the times in the journals. */
__attribute__((format(printf, 2, 3))) static void storm_tell(const struct storm *storm,
							     const char *fmt, ...)
{
	char text[200];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	test_say("%.3f s, %.1f: %s", (double)storm_now_us() / 1e6,
		 (double)(storm_now_us() - storm->since_us) / 1e6, text);
}

/* ---- the programs ---------------------------------------------------------------------- */

static void storm_start_program(struct storm *storm, int program)
{
	fflush(NULL);
	storm->pid[program] = fork();
	must(storm->pid[program] >= 0);
	if (storm->pid[program] == 0)
		storm_program(&storm->plan, program, storm->lives[program]);
	storm->lives[program]++;
}

static void storm_reap(struct storm *storm, int program, bool killed)
{
	int status = 0;

	must(waitpid(storm->pid[program], &status, 0) == storm->pid[program]);
	storm->pid[program] = 0;
	if (killed ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
		   : WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	test_say("WRONG: program %d ended by %s %d", program,
		 WIFSIGNALED(status) ? "signal" : "itself with",
		 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	storm->wrong++;
}

static void storm_kill_program(struct storm *storm)
{
	int program = (int)test_rng_below(&storm->rng, STORM_PROGRAMS);

	kill(storm->pid[program], SIGKILL);
	storm_reap(storm, program, true);
	storm->programs_killed++;
	storm_start_program(storm, program);
}

/* Wait for some milliseconds, and kill programs meanwhile: half of them over a run. */
static void storm_nap(struct storm *storm, int ms)
{
	int programs = STORM_PROGRAMS / 2 / storm->kills + 1;

	for (int i = 0; i < programs; i++) {
		storm_nap_us((int64_t)ms * 1000 / (programs + 1));
		if (storm->programs_killed < (storm->nodes_killed + 1) * programs)
			storm_kill_program(storm);
	}
	storm_nap_us((int64_t)ms * 1000 / (programs + 1));
}

static int storm_random(struct storm *storm, int from, int to)
{
	return from + (int)test_rng_below(&storm->rng, (size_t)(to - from));
}

static void storm_end_programs(struct storm *storm)
{
	int64_t since = storm_now_us();

	atomic_store(storm->plan.over, true);
	for (int i = 0; i < STORM_PROGRAMS; i++) {
		siginfo_t info = {0};

		while (waitid(P_PID, (id_t)storm->pid[i], &info, WEXITED | WNOHANG | WNOWAIT) ==
			       0 &&
		       info.si_pid == 0 && storm_now_us() - since < END_US)
			storm_nap_us(20000);
		if (info.si_pid == 0)
			kill(storm->pid[i], SIGKILL); /* told by storm_reap() */
		storm_reap(storm, i, false);
	}
}

/* ---- the nodes ------------------------------------------------------------------------- */

static bool storm_is_pair(const struct storm *storm)
{
	return storm->set_up->group == GROUP_POSTGRES;
}

static int storm_victim(struct storm *storm)
{
	/* as often as not who takes the writes, of some user of ours */
	static const char *const keys[] = {"a", "b", "c", "d"};
	int master = group_master(storm->group, keys[storm_random(storm, 0, 4)]);

	if (master >= 0 && storm_random(storm, 0, 2))
		return master;
	return storm_random(storm, 0, storm->group->nodes);
}

/* Another takes its place, or it comes back before anybody has noticed. */
static void storm_kill(struct storm *storm, int node)
{
	struct group *group = storm->group;
	bool was_master = group_master(group, NULL) == node;

	storm_tell(storm, "kill node %d", node);
	group_kill(group, node);
	storm_nap(storm, storm_random(storm, 20, 400));
	if (group->nodes > 1 && storm_random(storm, 0, 3)) {
		if (storm_is_pair(storm) && was_master)
			group_promote(group);
		/* Those who are left may lose each other on a machine so busy: then it is needed. */
		storm_tell(storm, "node %d is %sreplaced", node,
			   group_is_replaced_within(group, node, REPLACED_S) ? "" : "not ");
		storm_nap(storm, storm_random(storm, 20, 1000));
	}
	storm_tell(storm, "start node %d", node);
	group_restart(group, node);
	storm_tell(storm, "node %d is back", node);
	storm->nodes_killed++;
}

/* Stand still, or be cut off, for a moment or for longer than it takes to be replaced. */
static void storm_silence(struct storm *storm, int node)
{
	struct group *group = storm->group;
	bool was_master = group_master(group, NULL) == node, is_long = storm_random(storm, 0, 2);
	bool cut = group->apart && storm_random(storm, 0, 2);

	storm_tell(storm, "node %d %s for %s", node, cut ? "is cut off" : "stands still",
		   is_long ? "long" : "a moment");
	(cut ? group_cut_off : group_pause)(group, node);
	storm->nodes_paused += !cut;
	storm->nodes_cut_off += cut;
	storm_nap(storm,
		  is_long ? storm_random(storm, 5500, 9000) : storm_random(storm, 300, 1500));
	if (is_long && storm_is_pair(storm) && was_master)
		group_promote(group); /* which kills it */
	(cut ? group_mend : group_resume)(group, node);
	if (!server_pid(group->node[node]))
		group_restart(group, node);
	storm_tell(storm, "node %d goes on", node);
}

static void storm_conduct(struct storm *storm)
{
	while (storm->nodes_killed < storm->kills) {
		if (!storm->group) {
			storm_nap(storm, storm_random(storm, 300, 1500));
			storm->nodes_killed++; /* there is none: the programs alone are killed */
			continue;
		}
		group_wait_healthy(storm->group);
		storm_tell(storm, "healthy, %d kills", storm->nodes_killed);
		storm_nap(storm, storm_random(storm, 200, 1500));
		storm_kill(storm, storm_victim(storm));
		if (storm->nodes_killed % 3 == 2) {
			group_wait_healthy(storm->group);
			storm_silence(storm, storm_victim(storm));
		}
	}
	if (storm->group)
		group_wait_healthy(storm->group);
	storm_nap(storm, 500);
}

/* ---- a storm --------------------------------------------------------------------------- */

/* In a process of its own: after fork() nobody may use a store. */
static void storm_make_sessions(void *ctx, int index)
{
	const struct storm *storm = ctx;
	const struct convo_store_options options = {.timeout_ms = 30000,
						    .clean_interval_ms = CONVO_OFF};
	struct storm_session session;
	convo_store *store = NULL;
	struct convo_err err;

	(void)index;
	must_pass(convo_store_open(&store, storm->plan.url, &options, &err));
	for (int i = 0; i <= STORM_SHAREDS; i++) {
		storm_session(&session, i);
		must_pass(convo_store_create(store, &session.key, NULL, NULL, NULL, &err));
	}
	convo_store_close(store);
}

static bool storm_start_servers(struct storm *storm)
{
	const struct set_up *set_up = storm->set_up;
	struct server *server;

	if (set_up->group >= 0) {
		storm->group = group_start_apart((enum group_kind)set_up->group);
		if (!storm->group)
			storm->group = group_start((enum group_kind)set_up->group);
	} else if (set_up->server >= 0) {
		server = server_start((enum server_kind)set_up->server, SERVER_DURABLE);
		storm->group = server ? group_alone(server) : NULL;
	} else {
		storm->plan.url = test_text("sqlite://%s/storm.db", test_dir());
		return true;
	}
	if (storm->group)
		storm->plan.url = test_text("%s%s", group_new_database(storm->group),
					    set_up->option ? set_up->option : "");
	return storm->group != NULL;
}

static void storm_on(const struct set_up *set_up)
{
	const char *kills = getenv("CONVO_STORM_KILLS"), *dir = getenv("CONVO_STORM_DIR");
	struct storm storm = {.set_up = set_up, .kills = kills ? (int)strtol(kills, NULL, 10) : 3};

	if (!storm_start_servers(&storm))
		test_skip("no servers of this kind");
	must(storm.kills > 0);
	test_rng_init(&storm.rng);
	storm.plan.dir = dir && dir[0] ? dir : test_dir();
	storm.plan.pace_ms = kills ? 150 : 40;
	storm.plan.seed = test_rng_next(&storm.rng);
	storm.plan.over = test_shared(sizeof(*storm.plan.over));
	storm.since_us = storm_now_us();
	test_processes(1, storm_make_sessions, &storm);
	for (int i = 0; i < STORM_PROGRAMS; i++)
		storm_start_program(&storm, i);
	storm_conduct(&storm);
	storm_end_programs(&storm);
	test_say("%s: %d kills of a node, %d times one stood still, %d times one was cut off, %d "
		 "kills of a program",
		 set_up->name, storm.group ? storm.nodes_killed : 0, storm.nodes_paused,
		 storm.nodes_cut_off, storm.programs_killed);
	storm.wrong += storm_check(&storm.plan, set_up->name);
	test_shared_free(storm.plan.over, sizeof(*storm.plan.over));
	group_end(storm.group);
	if (storm.wrong)
		must_not_reach("%d things are wrong", storm.wrong);
}

#define SET_UP(name, ...)                                          \
	static void test_A7_a_storm_on_##name(void **state)        \
	{                                                          \
		const struct set_up set_up = {#name, __VA_ARGS__}; \
                                                                   \
		(void)state;                                       \
		storm_on(&set_up);                                 \
	}

SET_UP(cluster, GROUP_REDIS_CLUSTER, -1, "?wait=1")
/*
 * Both replicas: of a master that is cut off for a moment one replica may not have heard of its
 * successor, which is the other, and with wait=1 the two of them go on acknowledging.
 */
SET_UP(sentinel, GROUP_REDIS_SENTINEL, -1, "?wait=2")
SET_UP(postgres, GROUP_POSTGRES, -1, NULL)
SET_UP(galera, GROUP_GALERA, -1, NULL)
SET_UP(redis, -1, SERVER_REDIS, NULL)
SET_UP(pgsql, -1, SERVER_POSTGRES, NULL)
SET_UP(mysql, -1, SERVER_MARIADB, NULL)
SET_UP(sqlite, -1, -1, NULL)

int main(int argc, char **argv)
{
	const struct CMUnitTest storms[] = {
		cmocka_unit_test(test_A7_a_storm_on_cluster),
		cmocka_unit_test(test_A7_a_storm_on_sentinel),
		cmocka_unit_test(test_A7_a_storm_on_postgres),
		cmocka_unit_test(test_A7_a_storm_on_galera),
		cmocka_unit_test(test_A7_a_storm_on_redis),
		cmocka_unit_test(test_A7_a_storm_on_pgsql),
		cmocka_unit_test(test_A7_a_storm_on_mysql),
		cmocka_unit_test(test_A7_a_storm_on_sqlite),
	};

	if (argc > 1)
		setenv("CONVO_TEST_FILTER", test_text("*_storm_on_%s", argv[1]), 1);
	return TEST_RUN(storms);
}
