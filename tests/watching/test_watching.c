/*
 * Watching in bad times (flow.h): while 8 writers and 100 watchers are at it, connections are cut and fall
 * silent, what tells of news is killed, the server is killed and started again, and writers are killed. No
 * watcher may miss an event, or see one twice or out of order (W1 to W3). Then, in peace and at a moderate
 * pace, how soon news comes is measured.
 *
 *     test_watching [NAME]        one of: memory sqlite redis pgsql mysql
 *     test_watching -program FLOW NUMBER      what it starts: a program of the flow in that file
 *
 * CONVO_WATCH_EVENTS: so many events instead of 20,000, with more of everything; 0: in peace alone.
 * CONVO_TEST_SEED as ever.
 */
#include "flow.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <support/proxy.h>
#include <support/servers.h>
#include <support/test.h>

#define STUCK_US (100 * 1000000LL) /* without an event in so long a flow has stopped */
#define ROOM 1500                  /* bytes on disk for an event, at most */
#define PROGRAMS (FLOW_WRITERS + FLOW_LISTENERS)

/* What can go wrong with a server. */
struct set_up {
	const char *name;
	int server; /* enum server_kind, or -1 */
	const char
		*ears; /* for its own client: end the connections that hear; NULL: there are none */
};

struct conductor {
	const struct set_up *set_up;
	struct server *server;
	struct proxy *proxy;
	struct flow *flow;
	const char *flow_path; /* the file that it is in */
	struct test_rng rng;
	pid_t pid[PROGRAMS];
	int programs, running;
	bool is_long, peaceful;
	int restarts, restarted; /* of the server */
	int cuts, mutes, ears, kills;
	int64_t fault_at_us, ears_at_us, mute_at_us, kill_at_us;
};

/* ---- a program -------------------------------------------------------------------------- */

struct member {
	struct flow *flow;
	convo_store *store;
	uint32_t number; /* the writers, then the watchers */
	pthread_t thread;
};

static void *member_run(void *ctx)
{
	const struct member *member = ctx;

	if (member->number < FLOW_WRITERS)
		flow_write(member->flow, member->store, member->number);
	else
		flow_watch(member->flow, member->store, member->number - FLOW_WRITERS);
	return NULL;
}

/* Whether a member is in a program of a flow that has several. */
static bool member_is_in(uint32_t number, uint32_t program)
{
	if (number < FLOW_WRITERS)
		return number == program;
	return program == FLOW_WRITERS + number % FLOW_LISTENERS;
}

static void flow_run(struct flow *flow, uint32_t program)
{
	static struct member members[FLOW_WRITERS + FLOW_WATCHERS];
	const struct convo_store_options options = {
		.timeout_ms = 5000,
		.trash_ms = CONVO_OFF,
		.clean_interval_ms = program == 0 ? 2000 : CONVO_OFF,
		.max_connections = program < FLOW_WRITERS ? 2 : 6};
	convo_store *store = NULL;
	struct convo_err err;
	size_t count = 0;

	while (convo_store_open(&store, flow->url, &options, &err) < 0) {
		if (!flow_is_trouble(err.code))
			flow_wrong(flow, "open: %s", err.text);
		flow_nap_ms(50);
	}
	for (uint32_t i = 0; i < FLOW_WRITERS + FLOW_WATCHERS; i++) {
		if (!flow->apart || member_is_in(i, program))
			members[count++] = (struct member){flow, store, i, 0};
	}
	for (size_t i = 0; i < count; i++)
		must(pthread_create(&members[i].thread, NULL, member_run, &members[i]) == 0);
	for (size_t i = 0; i < count; i++)
		pthread_join(members[i].thread, NULL);
	convo_store_close(store);
}

/* ---- a flow in a file ------------------------------------------------------------------- */

static struct flow *flow_map(const char *path, int flags, size_t size)
{
	struct flow *flow = NULL;
	int fd = open(path, O_RDWR | flags, 0600);
	struct stat file;

	must(fd >= 0);
	must(!size || ftruncate(fd, (off_t)size) == 0);
	must(fstat(fd, &file) == 0);
	flow = mmap(NULL, (size_t)file.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(flow != MAP_FAILED);
	close(fd);
	return flow;
}

/* ---- the programs ----------------------------------------------------------------------- */

/* The proxy has threads, and whatever lock one of them holds at a fork is held for ever in the child: so a
 * program begins anew from its file, and until then does what a signal's handler may do. */
static void conductor_start(struct conductor *conductor, int program)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", program);
	fflush(NULL);
	conductor->pid[program] = fork();
	must(conductor->pid[program] >= 0);
	if (conductor->pid[program] == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* the ends of the proxy's connections, which must be its alone */
		for (int fd = 3; fd < 1024; fd++)
			close(fd);
		execl("/proc/self/exe", "test_watching", "-program", conductor->flow_path, number,
		      (char *)NULL);
		_exit(127);
	}
	conductor->running++;
}

/* See who has ended; one that should not have ends the test. */
static void conductor_reap(struct conductor *conductor)
{
	for (int i = 0; i < conductor->programs; i++) {
		int status = 0;

		if (!conductor->pid[i] ||
		    waitpid(conductor->pid[i], &status, WNOHANG) != conductor->pid[i])
			continue;
		conductor->pid[i] = 0;
		conductor->running--;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			must_not_reach("program %d ended by %s %d", i,
				       WIFSIGNALED(status) ? "signal" : "itself with",
				       WIFSIGNALED(status) ? WTERMSIG(status)
							   : WEXITSTATUS(status));
	}
}

static void conductor_kill_program(struct conductor *conductor)
{
	int program = (int)test_rng_below(&conductor->rng, FLOW_WRITERS);

	if (!conductor->pid[program])
		return;
	kill(conductor->pid[program], SIGKILL);
	must(waitpid(conductor->pid[program], NULL, 0) == conductor->pid[program]);
	conductor->running--;
	conductor->kills++;
	conductor_start(conductor, program);
}

/* ---- what goes wrong -------------------------------------------------------------------- */

/* Whether it is time, and when it will be again: some `ms` from now. */
static bool conductor_is_time(struct conductor *conductor, int64_t *at_us, size_t ms)
{
	int64_t now_us = flow_now_us();
	bool due = *at_us && *at_us <= now_us;

	if (!*at_us || due)
		*at_us = now_us + (int64_t)(ms / 2 + test_rng_below(&conductor->rng, ms)) * 1000;
	return due;
}

static void conductor_cut(struct conductor *conductor)
{
	static const enum proxy_fault faults[] = {PROXY_CUT, PROXY_CUT, PROXY_CUT, PROXY_DELAY};
	enum proxy_way way = test_rng_below(&conductor->rng, 2) ? PROXY_REQUEST : PROXY_REPLY;

	conductor->cuts += proxy_fired(conductor->proxy);
	proxy_arm(conductor->proxy, faults[test_rng_below(&conductor->rng, 4)], way,
		  test_rng_below(&conductor->rng, 200000));
}

static void conductor_restart(struct conductor *conductor)
{
	atomic_store(&conductor->flow->back_us, INT64_MAX);
	server_kill(conductor->server);
	flow_nap_ms((int)test_rng_below(&conductor->rng, 400));
	server_restart(conductor->server);
	atomic_store(&conductor->flow->back_us, flow_now_us());
	conductor->restarted++;
}

/* @return whether the server was away for a while */
static bool conductor_trouble(struct conductor *conductor)
{
	uint64_t written = atomic_load(&conductor->flow->written);
	uint64_t events = flow_events(conductor->flow);
	bool is_long = conductor->is_long;

	if (conductor->flow->apart && written < events &&
	    conductor_is_time(conductor, &conductor->kill_at_us, is_long ? 5000 : 1500))
		conductor_kill_program(conductor);
	if (!conductor->proxy)
		return false;
	if (conductor_is_time(conductor, &conductor->fault_at_us, is_long ? 1500 : 300))
		conductor_cut(conductor);
	if (conductor->set_up->ears &&
	    conductor_is_time(conductor, &conductor->ears_at_us, is_long ? 3000 : 700)) {
		server_try(conductor->server, conductor->set_up->ears);
		conductor->ears++;
	}
	/* It takes a while until a connection that is silent is taken for lost. */
	if (is_long && conductor_is_time(conductor, &conductor->mute_at_us, 60000)) {
		proxy_mute(conductor->proxy);
		conductor->mutes++;
	}
	if (conductor->restarted == conductor->restarts ||
	    written <= events * (uint64_t)(conductor->restarted + 1) /
			       (uint64_t)(conductor->restarts + 1))
		return false;
	conductor_restart(conductor);
	return true;
}

/* ---- a flow ----------------------------------------------------------------------------- */

static size_t flow_size(const struct flow *flow)
{
	return sizeof(*flow) +
	       (flow->pause_ms ? (size_t)FLOW_LANES * FLOW_SHARE * flow->quota : 0) *
		       sizeof(struct flow_stamp);
}

static int compare_us(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

	return (a > b) - (a < b);
}

/* How long after its acknowledgement an event was with a watcher. */
static void flow_tell_delays(const struct flow *flow, const char *name)
{
	size_t events = (size_t)flow_events(flow), count = events * FLOW_SHARE;
	int64_t *delay = calloc(count, sizeof(*delay));

	must(delay);
	for (size_t i = 0; i < count; i++) {
		const struct flow_stamp *stamp = &flow->stamp[i / FLOW_SHARE];
		int64_t us = stamp->seen[i % FLOW_SHARE] - stamp->acked;

		delay[i] = us > 0 ? us : 0;
	}
	qsort(delay, count, sizeof(*delay), compare_us);
	test_say("%s: in peace an event is with its watcher after %.1f ms (median), %.1f ms (99 "
		 "%%), "
		 "%.1f ms (all) of %zu",
		 name, (double)delay[count / 2] / 1e3, (double)delay[count * 99 / 100] / 1e3,
		 (double)delay[count - 1] / 1e3, count);
	free(delay);
}

/* What was written is what was seen, by each who watched. */
static void flow_must_be_whole(struct flow *flow)
{
	for (uint32_t i = 0; i < FLOW_LANES; i++) {
		struct flow_lane *lane = &flow->lane[i];
		uint64_t sum = 0;

		for (uint32_t part = 0; part < FLOW_SHARE; part++)
			sum += flow_part_state(&lane->part[part]).sum;
		for (uint32_t which = 0; which < FLOW_SHARE; which++) {
			if (lane->sum[which] != sum)
				flow_wrong(flow,
					   "lane %" PRIu32 ": watcher %" PRIu32
					   " has not seen what was acknowledged",
					   i, which);
		}
	}
}

static void conductor_run(struct conductor *conductor)
{
	struct flow *flow = conductor->flow;
	int64_t since_us = flow_now_us(), moved_us = since_us;
	uint64_t seen = 0;

	conductor->programs = flow->apart ? PROGRAMS : 1;
	for (int i = 0; i < conductor->programs; i++)
		conductor_start(conductor, i);
	while (conductor->running) {
		uint64_t now = atomic_load(&flow->seen) + atomic_load(&flow->written);

		if (now != seen)
			moved_us = flow_now_us();
		seen = now;
		if (flow_now_us() - moved_us > STUCK_US)
			must_not_reach("nothing moves: %" PRIu64 " written, %" PRIu64 " seen",
				       atomic_load(&flow->written), atomic_load(&flow->seen));
		if (!conductor->peaceful && conductor_trouble(conductor))
			moved_us = flow_now_us();
		conductor_reap(conductor);
		flow_nap_ms(10);
	}
	test_say("%s: %" PRIu64
		 " events, each to %d of %d watchers, in %.1f s; %d connections cut, "
		 "%d times all fell silent, %d times all ears were cut, %d restarts of the server, "
		 "%d kills "
		 "of a writer; longest way %.2f s",
		 conductor->set_up->name, flow_events(flow), FLOW_SHARE, FLOW_WATCHERS,
		 (double)(flow_now_us() - since_us) / 1e6, conductor->cuts, conductor->mutes,
		 conductor->ears, conductor->restarted, conductor->kills,
		 (double)atomic_load(&flow->late_us) / 1e6);
	flow_must_be_whole(flow);
	must_equal(flow_events(flow) * FLOW_SHARE, atomic_load(&flow->seen));
	must_equal(0, atomic_load(&flow->wrong));
}

static void conductor_flow(struct conductor *conductor, const struct flow *plan)
{
	const char *path = test_path(test_dir(), "flow");
	struct flow *flow = flow_map(path, O_CREAT | O_TRUNC, flow_size(plan));
	const char *url = test_text("sqlite://%s/watching.db", test_dir());

	memcpy(flow, plan, sizeof(*plan));
	if (conductor->server)
		url = server_new_database(conductor->server);
	if (conductor->proxy)
		url = proxy_url(conductor->proxy, url);
	if (strcmp(conductor->set_up->name, "memory") == 0)
		url = "memory:";
	snprintf(flow->url, sizeof(flow->url), "%s", url);
	flow->apart = strcmp(url, "memory:") != 0;
	conductor->flow = flow;
	conductor->flow_path = path;
	conductor_run(conductor);
	if (flow->pause_ms)
		flow_tell_delays(flow, conductor->set_up->name);
	munmap(flow, flow_size(plan));
	unlink(path);
}

/* ---- the tests -------------------------------------------------------------------------- */

static void must_have_room(uint64_t events)
{
	struct statvfs fs;
	uint64_t room;

	must(statvfs(test_dir(), &fs) == 0);
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (room < events * ROOM)
		must_not_reach("%" PRIu64 " MB are free in %s, %" PRIu64 " may be needed",
			       room >> 20, test_dir(), events * ROOM >> 20);
}

static void watching_on(const struct set_up *set_up)
{
	const char *wanted = getenv("CONVO_WATCH_EVENTS");
	uint64_t events = wanted ? strtoull(wanted, NULL, 10) : 20000;
	struct conductor conductor = {.set_up = set_up, .is_long = wanted != NULL};
	/* A life of a long one has 10,000 events, so that what is stored at a time stays small. */
	struct flow storm = {.lives = 2, .quota = 50, .batch = 25};
	struct flow peace = {.lives = 1,
			     .quota = wanted ? 30 : 2,
			     .batch = 1,
			     .pause_ms = 1000 * FLOW_WRITERS / 200,
			     .wait_ms = 3000};

	if (wanted)
		storm = (struct flow){.lives = (uint32_t)((events + 999999) / 1000000),
				      .quota = 5000,
				      .batch = CONVO_MAX_BATCH_EVENTS};
	must(flow_events(&storm) >= events);
	must_have_room(flow_events(&storm));
	if (set_up->server >= 0) {
		conductor.server = server_start((enum server_kind)set_up->server, SERVER_DURABLE);
		if (!conductor.server)
			test_skip("no such server");
		conductor.proxy = proxy_start(conductor.server->host, conductor.server->port);
		conductor.restarts = wanted ? 5 : 1;
	}
	test_rng_init(&conductor.rng);
	if (events)
		conductor_flow(&conductor, &storm);
	proxy_end(conductor.proxy);
	conductor.proxy = NULL;
	conductor.peaceful = true;
	conductor.cuts = conductor.mutes = conductor.ears = conductor.restarted = conductor.kills =
		0;
	conductor_flow(&conductor, &peace);
	server_end(conductor.server);
}

#define SET_UP(name, ...)                                                                        \
	static void test_W3_no_watcher_misses_an_event_or_sees_one_twice_on_##name(void **state) \
	{                                                                                        \
		const struct set_up set_up = {#name, __VA_ARGS__};                               \
                                                                                                 \
		(void)state;                                                                     \
		watching_on(&set_up);                                                            \
	}

SET_UP(memory, -1, NULL)
SET_UP(sqlite, -1, NULL)
SET_UP(redis, SERVER_REDIS, "CLIENT KILL TYPE pubsub")
SET_UP(pgsql, SERVER_POSTGRES,
       "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE "
       "'SELECT convo_ear%' OR query LIKE 'LISTEN %'")
SET_UP(mysql, SERVER_MARIADB, NULL)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_W3_no_watcher_misses_an_event_or_sees_one_twice_on_memory),
		cmocka_unit_test(test_W3_no_watcher_misses_an_event_or_sees_one_twice_on_sqlite),
		cmocka_unit_test(test_W3_no_watcher_misses_an_event_or_sees_one_twice_on_redis),
		cmocka_unit_test(test_W3_no_watcher_misses_an_event_or_sees_one_twice_on_pgsql),
		cmocka_unit_test(test_W3_no_watcher_misses_an_event_or_sees_one_twice_on_mysql),
	};

	if (argc == 4 && strcmp(argv[1], "-program") == 0) {
		flow_run(flow_map(argv[2], 0, 0), (uint32_t)strtoul(argv[3], NULL, 10));
		return 0;
	}
	if (argc > 1)
		setenv("CONVO_TEST_FILTER", test_text("*_on_%s", argv[1]), 1);
	return TEST_RUN(tests);
}
