/*
 * A store against its bare engine: append and load, side by side in one run, in turns of a fraction
 * of a second, so that what else the machine does meets both. See bench.h for the engines.
 *
 *     bench_store [-engine memory,sqlite] [-op append,load] [-events 100,10000,1000000]
 *                 [-callers 1,8,64] [-turns 5] [-ms 200] [-dir DIR] [-url URL] [-side store|bare]
 *
 * Of servers the engines are redis and piped (Redis with many requests in flight), with -url.
 * CPU is in microseconds for one operation, all threads together.
 * The lengths of sessions are measured with one caller, the numbers of callers with the first
 * length, each caller on a session of its own.
 */
#include "bench.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>

#define MESSAGE_BYTES 400
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
	&bench_redis,    &bench_piped,
#endif
#ifdef CONVO_WITH_POSTGRES
	&bench_postgres, &bench_pgbatch,
#endif
#ifdef CONVO_WITH_MYSQL
	&bench_mysql,
#endif
};

static struct {
	const char *engine, *op, *dir, *url, *side;
	size_t events[MAX_LIST], callers[MAX_LIST];
	size_t events_count, callers_count;
	int turns, ms;
} option = {
	.engine = "memory,sqlite",
	.op = "append,load",
	.events = {100, 10000, 1000000},
	.callers = {1, 8, 64},
	.events_count = 3,
	.callers_count = 3,
	.turns = 5,
	.ms = 200,
};

void bench_die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("bench_store: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

void *bench_alloc(size_t size)
{
	void *memory = malloc(size);

	if (!memory)
		bench_die("out of memory");
	return memory;
}

/* ---- one measurement -------------------------------------------------------------------- */

enum op { OP_APPEND, OP_LOAD };

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
	char message[MESSAGE_BYTES + 1];
	enum op op;
	bool bare; /* the raw engine's turn */
	atomic_bool stop;
	size_t count;
	struct caller caller[MAX_CALLERS];
};

static void store_append(struct caller *caller)
{
	const struct convo_event event = {.message = caller->bench->message,
					  .message_len = MESSAGE_BYTES};
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
				      MESSAGE_BYTES);
}

static void raw_load(struct caller *caller)
{
	if (caller->bench->engine->load(caller->raw, &caller->key, LAST) < LAST * MESSAGE_BYTES)
		bench_die("the raw engine has loaded too little");
}

static void *caller_run(void *arg)
{
	struct caller *caller = arg;
	struct bench *bench = caller->bench;

	caller->done = 0;
	while (!atomic_load_explicit(&bench->stop, memory_order_relaxed)) {
		if (bench->op == OP_APPEND)
			bench->bare ? raw_append(caller) : store_append(caller);
		else
			bench->bare ? raw_load(caller) : store_load(caller);
		caller->done++;
	}
	return NULL;
}

static int64_t cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* What a turn came to. Where other programs want the same cores, `cpu` is the steadier one. */
struct rate {
	double per_s; /* operations */
	double cpu;   /* microseconds of it, each */
};

/* Let all callers work for a turn. */
static struct rate bench_turn(struct bench *bench, bool bare)
{
	struct timespec ts = {option.ms / 1000, option.ms % 1000 * 1000000L};
	int64_t begin_us = cv_clock_mono_us(), begin_cpu_us = cpu_us(), done = 0;
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
	rate.per_s = (double)done * 1e6 / (double)(cv_clock_mono_us() - begin_us);
	rate.cpu = (double)(cpu_us() - begin_cpu_us) / (double)(done ? done : 1);
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

/* Measure and print a line. @return the store's rate */
static double bench_measure(struct bench *bench, size_t events)
{
	double per_s[2][MAX_TURNS] = {{0}}, cpu[2][MAX_TURNS] = {{0}}, ratio[MAX_TURNS], store_rate;
	int i, bare;

	for (i = 0; i < option.turns; i++) {
		for (bare = 1; bare >= 0; bare--) {
			struct rate rate;

			if (option.side && strcmp(option.side, bare ? "store" : "bare") == 0)
				continue; /* for a profiler, which wants to see one of them */
			rate = bench_turn(bench, bare);
			per_s[bare][i] = rate.per_s;
			cpu[bare][i] = rate.cpu;
		}
		ratio[i] = per_s[0][i] / per_s[1][i];
	}
	store_rate = median(per_s[0], option.turns);
	printf("%-7s %-12s %8zu %7zu %10.0f %10.0f %10.2f %9.1f %9.1f\n", bench->engine->name,
	       bench->op == OP_APPEND ? "append" : "load last 50", events, bench->count, store_rate,
	       median(per_s[1], option.turns), median(ratio, option.turns),
	       median(cpu[0], option.turns), median(cpu[1], option.turns));
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
						.message_len = MESSAGE_BYTES};
	if (convo_store_create(bench->store, &caller->key, NULL, NULL, NULL, &err) < 0)
		bench_die("create: %s", err.text);
	for (done = 0; done < events; done += n) {
		n = events - done < CONVO_MAX_BATCH_EVENTS ? events - done : CONVO_MAX_BATCH_EVENTS;
		if (convo_store_append(bench->store, &caller->key, NULL, batch, n, NULL, NULL,
				       &err) < 0)
			bench_die("append: %s", err.text);
	}
	if (bench->engine->fill)
		bench->engine->fill(caller->raw, &caller->key, events, bench->message,
				    MESSAGE_BYTES);
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

/* Measure the wanted operations with so many callers and events. rate[] receives the store's */
static void bench_cell(struct bench *bench, const char *url, size_t count, size_t events,
		       double rate[2])
{
	bench_begin(bench, url, count, events);
	/* Loads come first: appends make the sessions longer. */
	if (strstr(option.op, "load")) {
		bench->op = OP_LOAD;
		rate[OP_LOAD] = bench_measure(bench, events);
	}
	if (strstr(option.op, "append")) {
		bench->op = OP_APPEND;
		rate[OP_APPEND] = bench_measure(bench, events);
	}
	bench_end(bench);
}

static void print_flat(const struct bench *bench, const char *op, double first, double last)
{
	if (first > 0 && last > 0)
		printf("%-7s %-12s costs %.2f times as much with %zu events as with %zu\n",
		       bench->engine->name, op, first / last,
		       option.events[option.events_count - 1], option.events[0]);
}

static void bench_engine_run(const struct bench_engine *engine, const char *dir)
{
	static struct bench bench;
	const char *url = option.url ? option.url : engine->url(dir);
	const struct convo_store_options opts = {.clean_interval_ms = -1, .timeout_ms = 60000};
	double rate[MAX_LIST][2] = {{0}}, other[2];
	struct convo_err err;
	size_t i;

	memset(&bench, 0, sizeof(bench));
	bench.engine = engine;
	memset(bench.message, 'x', MESSAGE_BYTES);
	memcpy(bench.message, "{\"role\":\"user\",\"content\":\"", 26);
	memcpy(bench.message + MESSAGE_BYTES - 2, "\"}", 2);
	if (convo_store_open(&bench.store, url, &opts, &err) < 0)
		bench_die("%s", err.text);
	for (i = 0; i < option.events_count; i++)
		bench_cell(&bench, url, option.callers[0], option.events[i], rate[i]);
	for (i = 1; i < option.callers_count; i++)
		bench_cell(&bench, url, option.callers[i], option.events[0], other);
	if (option.events_count > 1) {
		print_flat(&bench, "append", rate[0][0], rate[option.events_count - 1][0]);
		print_flat(&bench, "load last 50", rate[0][1], rate[option.events_count - 1][1]);
	}
	convo_store_close(bench.store);
}

/* ---- the command line ------------------------------------------------------------------- */

static size_t read_numbers(const char *text, size_t *out, size_t max)
{
	size_t count = 0;
	char *end;

	for (; *text && count < MAX_LIST; text = *end ? end + 1 : end) {
		out[count] = strtoul(text, &end, 10);
		if (end == text || !out[count] || out[count] > max)
			bench_die("not a list of numbers from 1 to %zu: %s", max, text);
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
		option.events_count = read_numbers(value, option.events, 1000000000);
	else if (strcmp(flag, "-callers") == 0)
		option.callers_count = read_numbers(value, option.callers, MAX_CALLERS);
	else if (strcmp(flag, "-turns") == 0 && read_numbers(value, &number, MAX_TURNS))
		option.turns = (int)number;
	else if (strcmp(flag, "-ms") == 0 && read_numbers(value, &number, 60000))
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
	printf("%-7s %-12s %8s %7s %10s %10s %10s %9s %9s\n", "engine", "operation", "events",
	       "callers", "store/s", "bare/s", "store/bare", "store CPU", "bare CPU");
	for (i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
		if (strstr(option.engine, engines[i]->name))
			bench_engine_run(engines[i], dir);
	}
	remove_dir(dir);
	return 0;
}
