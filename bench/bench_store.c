/*
 * A store against its bare engine: append, load and list, side by side in one run, in turns of a
 * fraction of a second, so that what else the machine does meets both. See bench.h for the engines.
 *
 *     bench_store [-engine memory,sqlite] [-op append,load,list] [-events 100,10000,1000000]
 *                 [-callers 1,8,64] [-bytes 400,4000] [-turns 5] [-ms 200] [-dir DIR] [-url URL]
 *                 [-side store|bare]
 *
 * Engines: memory, sqlite, redis, postgres, pgbatch, mysql, mybatch. Servers are started for the run,
 * with every acknowledged write on disk (but Redis, which keeps nothing), unless -url names one.
 *
 * A line says how many operations a second both sides make, their ratio, the CPU of this program
 * and of the server in microseconds for one operation, and, where there is a goal, what is wanted.
 * The first length, number of callers and size are measured against each of the others.
 */
#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>

#include "server.h"

#define LAST 50
#define MAX_TURNS 101
#define MAX_CALLERS 256
#define MAX_LIST 8

static const struct bench_engine *const engines[] = {
	&bench_memory,
#ifdef CONVO_WITH_SQLITE
	&bench_sqlite,
#endif
#ifdef CONVO_WITH_REDIS
	&bench_redis,
#endif
#ifdef CONVO_WITH_POSTGRES
	&bench_postgres, &bench_pgbatch,
#endif
#ifdef CONVO_WITH_MYSQL
	&bench_mysql,    &bench_mybatch,
#endif
};

enum op { OP_APPEND, OP_LOAD, OP_LIST, OPS };

static const char *const op_names[OPS] = {"append", "load", "list"};

/* Why a goal may be missed: what ours does that the bare engine does not. */
#define WHY_MEMORY_APPEND "ids that occur once, a place in the list, bytes that loads may share"
#define WHY_SQLITE_APPEND "threads that take turns on few cores, where a flush costs less than that"
#define WHY_REDIS_APPEND                                                                       \
	"a script of five commands, each some 3 us: is it there, is the id new, store, note, " \
	"move in the list; the bare one has two"
#define WHY_REDIS_LIST \
	"a hash for each session: the bare script that reads 50 of them takes as long"
#define WHY_POSTGRES_LOAD \
	"rows of 15 columns, the bare ones have 3; a function keeps all before it sends"
#define WHY_POSTGRES_APPEND                                                           \
	"a second unique index, for ids; the session's row locked, and moved in the " \
	"index of the list"
#define WHY_MYSQL_LOAD "rows of 26 columns, the bare ones have 3; the session's row and its state"
#define WHY_MYSQL_APPEND \
	"a second unique index, for ids; the session's row moved in the index of the list"

/* What is wanted: a ratio to the bare engine, a rate, or microseconds of the server's CPU. */
static const struct goal {
	const char *engine;
	enum op op;
	size_t callers, bytes;
	double ratio, per_s, server_us;
	const char *why; /* it may be missed; or NULL */
} goals[] = {
	{"memory", OP_APPEND, 1, 400, 0, 1e6, 0, WHY_MEMORY_APPEND},
	{"memory", OP_LOAD, 1, 400, 0, 3e5, 0, NULL},
	{"memory", OP_LOAD, 1, 4000, 0, 3e5, 0, NULL},
	{"sqlite", OP_APPEND, 1, 400, 0.9, 0, 0, NULL},
	{"sqlite", OP_APPEND, 64, 400, 10, 0, 0, WHY_SQLITE_APPEND},
	{"redis", OP_APPEND, 1, 400, 0.8, 0, 0, WHY_REDIS_APPEND},
	{"redis", OP_APPEND, 64, 400, 0.8, 0, 0, WHY_REDIS_APPEND},
	{"redis", OP_LIST, 1, 400, 0, 0, 200, WHY_REDIS_LIST},
	{"postgres", OP_LOAD, 1, 400, 0.6, 0, 0, WHY_POSTGRES_LOAD},
	{"postgres", OP_LOAD, 8, 400, 0.6, 0, 0, WHY_POSTGRES_LOAD},
	{"pgbatch", OP_APPEND, 64, 400, 0.6, 0, 0, WHY_POSTGRES_APPEND},
	{"mysql", OP_LOAD, 1, 400, 0.6, 0, 0, WHY_MYSQL_LOAD},
	{"mysql", OP_LOAD, 8, 400, 0.6, 0, 0, WHY_MYSQL_LOAD},
	{"mysql", OP_APPEND, 64, 400, 2, 0, 0, WHY_MYSQL_APPEND},
};

static struct {
	const char *engine, *op, *dir, *url, *side;
	size_t events[MAX_LIST], callers[MAX_LIST], bytes[MAX_LIST];
	size_t events_count, callers_count, bytes_count;
	int turns, ms;
} option = {
	.engine = "memory,sqlite",
	.op = "append,load,list",
	.events = {100, 10000, 1000000},
	.callers = {1, 8, 64},
	.bytes = {400, 4000},
	.events_count = 3,
	.callers_count = 3,
	.bytes_count = 2,
	.turns = 5,
	.ms = 200,
};

/* ---- one measurement -------------------------------------------------------------------- */

struct caller {
	struct bench *bench;
	struct raw *raw;
	struct convo_key key;
	char session[32];
	pthread_t thread;
	int64_t done; /* in this turn */
};

struct bench {
	const struct bench_engine *engine;
	convo_store *store;
	const struct server *server; /* NULL without one */
	char *message;
	size_t bytes; /* of it */
	enum op op;
	bool bare; /* the raw engine's turn */
	atomic_bool stop;
	size_t count;
	struct caller caller[MAX_CALLERS];
};

static void store_append(struct caller *caller)
{
	const struct convo_event event = {.message = caller->bench->message,
					  .message_len = caller->bench->bytes};
	struct convo_err err;

	if (convo_store_append(caller->bench->store, &caller->key, NULL, &event, 1, NULL, NULL,
			       &err) < 0)
		bench_die("append: %s", err.text);
}

static void store_load(struct caller *caller)
{
	const struct convo_window window = {.n = LAST};
	convo_session *session = NULL;
	struct convo_err err;

	if (convo_store_load(&session, caller->bench->store, &caller->key, &window, NULL, &err) < 0)
		bench_die("load: %s", err.text);
	convo_session_free(session);
}

static void raw_append(struct caller *caller)
{
	unsigned char id[UUID_BYTES];

	cv_uuid_new(id);
	caller->bench->engine->append(caller->raw, &caller->key, id, caller->bench->message,
				      caller->bench->bytes);
}

static void raw_load(struct caller *caller)
{
	if (caller->bench->engine->load(caller->raw, &caller->key, LAST) <
	    LAST * caller->bench->bytes)
		bench_die("the raw engine has loaded too little");
}

static void store_list(struct caller *caller)
{
	convo_cursor *cursor = NULL;
	struct convo_err err;
	size_t count = 0;

	if (convo_cursor_new(&cursor, "bench", "lister", CONVO_LIST_LIVE, &err) < 0 ||
	    convo_store_list(caller->bench->store, cursor, LAST, &count, NULL, &err) < 0)
		bench_die("list: %s", err.text);
	if (count != LAST)
		bench_die("a list is too short");
	convo_cursor_free(cursor);
}

static void raw_list(struct caller *caller)
{
	if (caller->bench->engine->list(caller->raw, LAST) != LAST)
		bench_die("the raw engine's list is too short");
}

static void *caller_run(void *arg)
{
	static void (*const runs[OPS][2])(struct caller *) = {
		[OP_APPEND] = {store_append, raw_append},
		[OP_LOAD] = {store_load, raw_load},
		[OP_LIST] = {store_list, raw_list},
	};
	struct caller *caller = arg;
	struct bench *bench = caller->bench;
	void (*run)(struct caller *) = runs[bench->op][bench->bare];

	caller->done = 0;
	while (!atomic_load_explicit(&bench->stop, memory_order_relaxed)) {
		run(caller);
		caller->done++;
	}
	return NULL;
}

/* What a turn came to. Where other programs want the same cores, `cpu` is the steadier one. */
struct rate {
	double per_s; /* operations */
	double cpu;   /* microseconds of it, each */
	double server_cpu;
};

/* Let all callers work for a turn. */
static struct rate bench_turn(struct bench *bench, bool bare)
{
	struct timespec ts = {option.ms / 1000, option.ms % 1000 * 1000000L};
	int64_t begin_us = cv_clock_mono_us(), begin_cpu_us = bench_cpu_us(), done = 0;
	int64_t begin_server_us = bench_server_cpu_us(bench->server);
	struct rate rate;
	size_t i;

	bench->bare = bare;
	bench->stop = false;
	for (i = 0; i < bench->count; i++) {
		if (pthread_create(&bench->caller[i].thread, NULL, caller_run, &bench->caller[i]))
			bench_die("cannot make threads");
	}
	nanosleep(&ts, NULL);
	bench->stop = true;
	for (i = 0; i < bench->count; i++) {
		pthread_join(bench->caller[i].thread, NULL);
		done += bench->caller[i].done;
	}
	if (bare && bench->engine->settle)
		bench->engine->settle(bench->caller[0].raw);
	rate.per_s = (double)done * 1e6 / (double)(cv_clock_mono_us() - begin_us);
	rate.cpu = (double)(bench_cpu_us() - begin_cpu_us) / (double)(done ? done : 1);
	rate.server_cpu = (double)(bench_server_cpu_us(bench->server) - begin_server_us) /
			  (double)(done ? done : 1);
	return rate;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int count)
{
	qsort(values, (size_t)count, sizeof(*values), compare);
	return values[count / 2];
}

static bool is_reached(const struct goal *goal, double ratio, double per_s, double server_us)
{
	if (goal->ratio > 0)
		printf("  %.2f wanted: ", goal->ratio);
	else if (goal->per_s > 0)
		printf("  %.0f/s wanted: ", goal->per_s);
	else
		printf("  %.0f us of server wanted: ", goal->server_us);
	return ratio >= goal->ratio && per_s >= goal->per_s &&
	       (goal->server_us <= 0 || server_us <= goal->server_us);
}

/* What is wanted of this cell, whether it was reached, and why not. */
static void print_goal(const struct bench *bench, double ratio, double per_s, double server_us)
{
	size_t i;

	for (i = 0; i < sizeof(goals) / sizeof(goals[0]); i++) {
		const struct goal *goal = &goals[i];
		bool reached;

		if (strcmp(goal->engine, bench->engine->name) != 0 || goal->op != bench->op ||
		    goal->callers != bench->count || goal->bytes != bench->bytes)
			continue;
		reached = is_reached(goal, ratio, per_s, server_us);
		fputs(reached ? "yes" : "NO", stdout);
		if (!reached && goal->why)
			printf("\n         ours besides: %s", goal->why);
	}
}

/* Measure and print a line. @return the store's rate */
static double bench_measure(struct bench *bench, size_t events)
{
	double per_s[2][MAX_TURNS] = {{0}}, cpu[2][MAX_TURNS] = {{0}};
	double server_cpu[2][MAX_TURNS] = {{0}}, ratio[MAX_TURNS] = {0}, store_rate, middle[3];
	bool has_bare = (bench->op == OP_APPEND && bench->engine->append) ||
			(bench->op == OP_LOAD && bench->engine->load) ||
			(bench->op == OP_LIST && bench->engine->list);
	int i, bare;

	for (i = 0; i < option.turns; i++) {
		for (bare = has_bare; bare >= 0; bare--) {
			struct rate rate;

			if (option.side && strcmp(option.side, bare ? "store" : "bare") == 0)
				continue; /* for a profiler, which wants to see one of them */
			rate = bench_turn(bench, bare);
			per_s[bare][i] = rate.per_s;
			cpu[bare][i] = rate.cpu;
			server_cpu[bare][i] = rate.server_cpu;
		}
		ratio[i] = has_bare ? per_s[0][i] / per_s[1][i] : 0;
	}
	store_rate = median(per_s[0], option.turns);
	middle[0] = median(per_s[1], option.turns);
	middle[1] = median(ratio, option.turns);
	middle[2] = median(server_cpu[0], option.turns);
	printf("%-8s %-6s %5zu %8zu %7zu %9.0f %9.0f %6.2f %8.1f %8.1f %8.1f %8.1f",
	       bench->engine->name, op_names[bench->op], bench->bytes, events, bench->count,
	       store_rate, middle[0], middle[1], median(cpu[0], option.turns),
	       median(cpu[1], option.turns), middle[2], median(server_cpu[1], option.turns));
	print_goal(bench, middle[1], store_rate, middle[2]);
	putchar('\n');
	fflush(stdout);
	return store_rate;
}

/* ---- sessions --------------------------------------------------------------------------- */

static void session_fill(struct bench *bench, struct caller *caller, size_t events)
{
	static struct convo_event batch[CONVO_MAX_BATCH_EVENTS];
	struct convo_err err;
	size_t done, n, i;

	for (i = 0; i < CONVO_MAX_BATCH_EVENTS; i++)
		batch[i] = (struct convo_event){.message = bench->message,
						.message_len = bench->bytes};
	if (convo_store_create(bench->store, &caller->key, NULL, NULL, NULL, &err) < 0)
		bench_die("create: %s", err.text);
	for (done = 0; done < events; done += n) {
		n = events - done < CONVO_MAX_BATCH_EVENTS ? events - done : CONVO_MAX_BATCH_EVENTS;
		if (convo_store_append(bench->store, &caller->key, NULL, batch, n, NULL, NULL,
				       &err) < 0)
			bench_die("append: %s", err.text);
	}
	bench->engine->fill(caller->raw, &caller->key, events, bench->message, bench->bytes);
}

static void bench_begin(struct bench *bench, const char *url, size_t count, size_t events)
{
	static int round;
	size_t i;

	round++;
	bench->count = count;
	for (i = 0; i < count; i++) {
		struct caller *caller = &bench->caller[i];

		snprintf(caller->session, sizeof(caller->session), "s-%d-%zu", round, i);
		caller->bench = bench;
		caller->key = (struct convo_key){"bench", "user", caller->session};
		caller->raw = bench->engine->open(url, (int)i);
		session_fill(bench, caller, events);
	}
}

static void bench_end(struct bench *bench)
{
	size_t i;

	for (i = 0; i < bench->count; i++)
		bench->engine->close(bench->caller[i].raw);
}

/* Whether an operation is wanted and this engine has it. */
static bool bench_wants(const struct bench *bench, enum op op)
{
	if (!strstr(option.op, op_names[op]))
		return false;
	if (op == OP_LIST) /* once for a store, not for each way of its engine */
		return bench->engine->load;
	return op == OP_LOAD ? bench->engine->load != NULL : bench->engine->append != NULL;
}

/* Measure the wanted operations with so many callers, events and bytes. rate[] receives the store's */
static void bench_cell(struct bench *bench, const char *url, size_t count, size_t events,
		       size_t bytes, double rate[OPS])
{
	static const enum op order[] = {OP_LIST, OP_LOAD, OP_APPEND}; /* appends make longer */
	size_t i;

	bench->bytes = bytes;
	bench->message = bench_alloc(bytes + 1);
	memset(bench->message, 'x', bytes);
	memcpy(bench->message, "{\"role\":\"user\",\"content\":\"", 26);
	memcpy(bench->message + bytes - 2, "\"}", 2);
	bench_begin(bench, url, count, events);
	for (i = 0; i < OPS; i++) {
		if (!bench_wants(bench, order[i]))
			continue;
		bench->op = order[i];
		rate[order[i]] = bench_measure(bench, events);
	}
	bench_end(bench);
	free(bench->message);
}

static void print_flat(const struct bench *bench, enum op op, double first, double last)
{
	if (first > 0 && last > 0)
		printf("%-8s %-6s costs %.2f times as much with %zu events as with %zu\n",
		       bench->engine->name, op_names[op], first / last,
		       option.events[option.events_count - 1], option.events[0]);
}

static void bench_cells(struct bench *bench, const char *url)
{
	double rate[MAX_LIST][OPS] = {{0}}, other[OPS];
	size_t i;

	for (i = 0; i < option.events_count; i++)
		bench_cell(bench, url, option.callers[0], option.events[i], option.bytes[0],
			   rate[i]);
	for (i = 1; i < option.callers_count; i++)
		bench_cell(bench, url, option.callers[i], option.events[0], option.bytes[0], other);
	for (i = 1; i < option.bytes_count; i++)
		bench_cell(bench, url, option.callers[0], option.events[0], option.bytes[i], other);
	if (option.events_count > 1) {
		print_flat(bench, OP_APPEND, rate[0][OP_APPEND],
			   rate[option.events_count - 1][OP_APPEND]);
		print_flat(bench, OP_LOAD, rate[0][OP_LOAD],
			   rate[option.events_count - 1][OP_LOAD]);
	}
}

/* The sessions of a user of its own, for lists. */
static void make_sessions(convo_store *store)
{
	struct convo_create create = {.title = "A title of the usual length"};
	struct convo_err err;
	int i;

	for (i = 0; i < BENCH_SESSIONS; i++) {
		struct convo_key key = {"bench", "lister", NULL};

		if (convo_store_create(store, &key, &create, NULL, NULL, &err) < 0)
			bench_die("create: %s", err.text);
	}
}

static void bench_engine_run(const struct bench_engine *engine, const char *dir)
{
	static struct bench bench;
	const struct convo_store_options opts = {.clean_interval_ms = CONVO_OFF,
						 .timeout_ms = 60000};
	struct server *server = NULL;
	char path[600];
	const char *url = option.url;
	struct convo_err err;

	memset(&bench, 0, sizeof(bench));
	bench.engine = engine;
	if (!url && engine->server) {
		server = bench_server_start(engine->server);
		if (!server)
			return;
		url = bench_server_url(server);
	} else if (!url) {
		snprintf(path, sizeof(path), "%s:%s/bench.db", engine->name, dir);
		url = strcmp(engine->name, "memory") == 0 ? "memory:" : path;
	}
	bench.server = server;
	printf("%s: bare is %s\n", engine->name, engine->bare);
	if (convo_store_open(&bench.store, url, &opts, &err) < 0)
		bench_die("%s", err.text);
	make_sessions(bench.store);
	bench_cells(&bench, url);
	convo_store_close(bench.store);
	bench_server_end(server);
}

/* ---- the command line ------------------------------------------------------------------- */

static size_t read_numbers(const char *text, size_t *out, size_t min, size_t max)
{
	size_t count = 0;
	char *end;

	for (; *text && count < MAX_LIST; text = *end ? end + 1 : end) {
		out[count] = strtoul(text, &end, 10);
		if (end == text || out[count] < min || out[count] > max)
			bench_die("not a list of numbers from %zu to %zu: %s", min, max, text);
		count++;
	}
	return count;
}

static void read_flag(const char *flag, const char *value)
{
	size_t number;

	if (strcmp(flag, "-engine") == 0)
		option.engine = value;
	else if (strcmp(flag, "-op") == 0)
		option.op = value;
	else if (strcmp(flag, "-dir") == 0)
		option.dir = value;
	else if (strcmp(flag, "-side") == 0)
		option.side = value;
	else if (strcmp(flag, "-url") == 0)
		option.url = value;
	else if (strcmp(flag, "-events") == 0)
		option.events_count = read_numbers(value, option.events, 1, 1000000000);
	else if (strcmp(flag, "-callers") == 0)
		option.callers_count = read_numbers(value, option.callers, 1, MAX_CALLERS);
	else if (strcmp(flag, "-bytes") == 0)
		option.bytes_count = read_numbers(value, option.bytes, 64, 60000);
	else if (strcmp(flag, "-turns") == 0 && read_numbers(value, &number, 1, MAX_TURNS))
		option.turns = (int)number;
	else if (strcmp(flag, "-ms") == 0 && read_numbers(value, &number, 1, 60000))
		option.ms = (int)number;
	else
		bench_die("unknown flag %s", flag);
}

/* A directory of its own in `under`, on the disk that is to be measured. */
static const char *make_dir(const char *under)
{
	static char dir[512];

	snprintf(dir, sizeof(dir), "%s/convo-bench-XXXXXX", under);
	if (!mkdtemp(dir))
		bench_die("cannot make a directory in %s", under);
	return dir;
}

static void remove_dir(const char *dir)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/bench.db", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/bench.db-wal", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/bench.db-shm", dir);
	unlink(path);
	if (rmdir(dir) < 0)
		bench_die("cannot remove %s", dir);
}

int main(int argc, char **argv)
{
	const char *dir;
	size_t i;
	int arg;

	for (arg = 1; arg < argc; arg += 2) {
		if (arg + 1 == argc)
			bench_die("%s wants a value", argv[arg]);
		read_flag(argv[arg], argv[arg + 1]);
	}
	dir = make_dir(option.dir ? option.dir : ".");
	printf("%-8s %-6s %5s %8s %7s %9s %9s %6s %8s %8s %8s %8s\n", "engine", "what", "bytes",
	       "events", "callers", "store/s", "bare/s", "ratio", "us", "bare us", "server",
	       "bare sv");
	for (i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
		if (bench_names(option.engine, engines[i]->name))
			bench_engine_run(engines[i], dir);
	}
	remove_dir(dir);
	return 0;
}
