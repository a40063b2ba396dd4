/*
 * What it costs to watch, by a handle of its own, and to write to sessions that are watched.
 *
 *     bench_watch [-engine memory,sqlite,redis,postgres,mysql] [-sessions 10000] [-seconds 5]
 *                 [-dir DIR]
 *
 * First many sessions are watched at once: the time until all of them are heard of, memory, the CPU of this
 * program and of the server while nothing happens, and how soon news comes of what happens to some. Then 1
 * and 8 callers append to 100 sessions of which 0, 1, or all are watched, in turns of a second, each setting
 * three times: the median counts. Servers keep every acknowledged write on disk.
 */
#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <convo/watch.h>

#include <base/clock.h>

#include "server.h"

#define MOST 1000000
#define WRITTEN 100 /* sessions that are written to */
#define CALLERS 8   /* at most */
#define ROUNDS 3    /* of each setting */
#define SAMPLES 100 /* of news */
#define SETTLE_MS 4000
#define MESSAGE \
	"{\"role\":\"user\",\"content\":\"A message of the usual length for one that is short.\"}"

static struct {
	const char *engine, *dir;
	size_t sessions, seconds;
} option = {.engine = "memory,sqlite,redis,postgres,mysql",
	    .dir = ".",
	    .sessions = 10000,
	    .seconds = 5};

struct bench {
	convo_store *store, *other; /* who writes, who watches */
	struct server *server;
	convo_watch *watch;
};

static void nap_ms(int64_t ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static struct convo_key key_of(char name[32], size_t number)
{
	snprintf(name, 32, "session %zu", number);
	return (struct convo_key){"bench", "ann", name};
}

static void append_to(struct bench *bench, size_t number)
{
	const struct convo_event event = {.message = MESSAGE};
	char name[32];
	const struct convo_key key = key_of(name, number);
	struct convo_err err;

	if (convo_store_append(bench->store, &key, NULL, &event, 1, NULL, NULL, &err) < 0)
		bench_die("append: %s", err.text);
}

static void create_all(struct bench *bench, size_t count)
{
	struct convo_err err;
	size_t i;

	for (i = 0; i < count; i++) {
		char name[32];
		const struct convo_key key = key_of(name, i);

		if (convo_store_create(bench->store, &key, NULL, NULL, NULL, &err) < 0)
			bench_die("create: %s", err.text);
	}
}

static void watch_from(struct bench *bench, size_t count)
{
	struct convo_err err;
	size_t i;

	if (convo_watch_new(&bench->watch, bench->other, &err) < 0)
		bench_die("watch: %s", err.text);
	for (i = 0; i < count; i++) {
		char name[32];
		const struct convo_key key = key_of(name, i);

		if (convo_watch_add(bench->watch, &key, NULL, &err) < 0)
			bench_die("watch: %s", err.text);
	}
}

/* Take what news there is until none comes for so long. @return how many */
static size_t hear_out(struct bench *bench, int64_t ms)
{
	const struct convo_call quiet = {.timeout_ms = ms};
	struct convo_err err;
	size_t count = 0;

	while (convo_watch_next(bench->watch, NULL, NULL, &quiet, &err) == 0)
		count++;
	return count;
}

/* ---- many ------------------------------------------------------------------------------- */

static double resident_mib(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long all = 0, resident = 0;

	if (file && fscanf(file, "%ld %ld", &all, &resident) != 2)
		resident = 0;
	if (file)
		fclose(file);
	return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

static int compare_ms(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

/* How soon news comes, 20 times a second of sessions here and there. */
static void many_news(struct bench *bench)
{
	const struct convo_call patient = {.timeout_ms = 20000};
	double ms[SAMPLES];
	struct convo_err err;
	size_t i;

	for (i = 0; i < SAMPLES; i++) {
		size_t number = (i * 7919) % option.sessions;
		struct convo_key key;
		char name[32];
		int64_t since_us;

		key_of(name, number);
		append_to(bench, number);
		since_us = cv_clock_mono_us();
		do {
			if (convo_watch_next(bench->watch, &key, NULL, &patient, &err) < 0)
				bench_die("news of %s: %s", name, err.text);
		} while (strcmp(key.session, name) != 0);
		ms[i] = (double)(cv_clock_mono_us() - since_us) / 1e3;
		nap_ms(30 + (int64_t)(i * 37 % 40));
	}
	qsort(ms, SAMPLES, sizeof(ms[0]), compare_ms);
	printf("  news after %.1f ms (median), %.1f ms (99 %%)\n", ms[SAMPLES / 2],
	       ms[SAMPLES * 99 / 100]);
}

static void many_measure(struct bench *bench)
{
	double before_mib, added_ms, heard_ms, seconds = (double)option.seconds;
	int64_t since_us, cpu_us, server_us;
	size_t news;

	create_all(bench, option.sessions);
	before_mib = resident_mib();
	since_us = cv_clock_mono_us();
	watch_from(bench, option.sessions);
	added_ms = (double)(cv_clock_mono_us() - since_us) / 1e3;
	news = hear_out(bench, 1500);
	heard_ms = (double)(cv_clock_mono_us() - since_us) / 1e3 - 1500;
	printf("  %zu sessions: added in %.0f ms, all known after %.0f ms (%zu news), %.1f MiB\n",
	       option.sessions, added_ms, heard_ms, news, resident_mib() - before_mib);
	hear_out(bench, SETTLE_MS);
	cpu_us = bench_cpu_us();
	server_us = bench_server_cpu_us(bench->server);
	news = hear_out(bench, (int64_t)option.seconds * 1000);
	printf("  while nothing happens: %.2f %% of a core here, %.2f %% in the server, %zu news\n",
	       (double)(bench_cpu_us() - cpu_us) / 1e4 / seconds,
	       (double)(bench_server_cpu_us(bench->server) - server_us) / 1e4 / seconds, news);
	many_news(bench);
	convo_watch_free(bench->watch);
	bench->watch = NULL;
}

/* ---- writing ---------------------------------------------------------------------------- */

struct caller {
	struct bench *bench;
	size_t number;
	int64_t until_us;
	size_t appends;
	pthread_t thread;
};

static void *caller_run(void *ctx)
{
	struct caller *caller = ctx;

	while (cv_clock_mono_us() < caller->until_us)
		append_to(caller->bench,
			  (caller->number * 13 + CALLERS * caller->appends++) % WRITTEN);
	return NULL;
}

/* What a round gave. */
struct round {
	double rate;      /* appends in a second */
	double server_us; /* of the server's CPU for each */
};

static struct round write_round(struct bench *bench, size_t callers)
{
	struct caller caller[CALLERS];
	int64_t since_us = cv_clock_mono_us(), cpu_us = bench_server_cpu_us(bench->server);
	size_t all = 0, i;

	for (i = 0; i < callers; i++) {
		caller[i] = (struct caller){
			.bench = bench, .number = i, .until_us = since_us + 1000000};
		if (pthread_create(&caller[i].thread, NULL, caller_run, &caller[i]) != 0)
			bench_die("no thread");
	}
	for (i = 0; i < callers; i++) {
		pthread_join(caller[i].thread, NULL);
		all += caller[i].appends;
	}
	return (struct round){(double)all * 1e6 / (double)(cv_clock_mono_us() - since_us),
			      (double)(bench_server_cpu_us(bench->server) - cpu_us) /
				      (double)(all ? all : 1)};
}

/* Whoever watches takes the news as it comes, and loads nothing: that is not the writers' cost. */
static void *listen_run(void *ctx)
{
	convo_cancel *cancel = ((void **)ctx)[1];
	struct bench *bench = ((void **)ctx)[0];
	const struct convo_call call = {.cancel = cancel};
	struct convo_err err;

	while (convo_watch_next(bench->watch, NULL, NULL, &call, &err) == 0)
		;
	return NULL;
}

static struct round write_setting(struct bench *bench, size_t callers, size_t watched)
{
	convo_cancel *cancel = NULL;
	struct convo_err err;
	pthread_t listener;
	void *ctx[2];
	struct round round;

	if (!watched)
		return write_round(bench, callers);
	watch_from(bench, watched);
	hear_out(bench, 1000);
	if (convo_cancel_new(&cancel, &err) < 0)
		bench_die("%s", err.text);
	ctx[0] = bench;
	ctx[1] = cancel;
	if (pthread_create(&listener, NULL, listen_run, ctx) != 0)
		bench_die("no thread");
	round = write_round(bench, callers);
	convo_cancel_request(cancel);
	pthread_join(listener, NULL);
	convo_cancel_free(cancel);
	convo_watch_free(bench->watch);
	bench->watch = NULL;
	nap_ms(300); /* until nobody listens */
	return round;
}

static int compare_rounds(const void *left, const void *right)
{
	return compare_ms(&((const struct round *)left)->rate,
			  &((const struct round *)right)->rate);
}

static void write_measure(struct bench *bench)
{
	static const size_t callers[] = {1, CALLERS}, watched[] = {0, 1, WRITTEN};
	size_t i, j, n;

	for (i = 0; i < 2; i++) {
		struct round round[3][ROUNDS];

		for (n = 0; n < ROUNDS; n++) {
			for (j = 0; j < 3; j++)
				round[j][n] = write_setting(bench, callers[i], watched[j]);
		}
		printf("  %zu caller%s:", callers[i], callers[i] > 1 ? "s" : "");
		for (j = 0; j < 3; j++) {
			qsort(round[j], ROUNDS, sizeof(round[j][0]), compare_rounds);
			printf("%s %.0f appends/s, %.0f us of the server's CPU each, with %zu of "
			       "%d watched",
			       j ? ";" : "", round[j][ROUNDS / 2].rate,
			       round[j][ROUNDS / 2].server_us, watched[j], WRITTEN);
		}
		printf("\n");
	}
}

/* ---- an engine -------------------------------------------------------------------------- */

static convo_store *open_one(const char *url)
{
	const struct convo_store_options options = {.clean_interval_ms = CONVO_OFF};
	convo_store *store = NULL;
	struct convo_err err;

	if (convo_store_open(&store, url, &options, &err) < 0)
		bench_die("open: %s", err.text);
	return store;
}

static void engine_measure(const char *name)
{
	bool memory = strcmp(name, "memory") == 0, sqlite = strcmp(name, "sqlite") == 0;
	struct bench bench = {0};
	char url[512];

	snprintf(url, sizeof(url), "memory:");
	if (sqlite) {
		snprintf(url, sizeof(url), "sqlite:%s/bench_watch_%ld.db", option.dir,
			 (long)getpid());
	} else if (!memory) {
		bench.server = bench_server_start_durable(name, NULL);
		if (!bench.server)
			return;
		snprintf(url, sizeof(url), "%s", bench_server_url(bench.server));
	}
	printf("%s\n", name);
	bench.store = open_one(url);
	bench.other = memory ? bench.store : open_one(url);
	many_measure(&bench);
	write_measure(&bench);
	if (!memory)
		convo_store_close(bench.other);
	convo_store_close(bench.store);
	bench_server_end(bench.server);
	if (sqlite) {
		static const char *const ends[] = {"", "-wal", "-shm"};
		char path[600];
		size_t i;

		for (i = 0; i < 3; i++) {
			snprintf(path, sizeof(path), "%s%s", url + strlen("sqlite:"), ends[i]);
			unlink(path);
		}
	}
}

static size_t number_of(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || !value || value > MOST)
		bench_die("'%s' is no number from 1 to %d", text, MOST);
	return value;
}

int main(int argc, char **argv)
{
	static const char *const engines[] = {"memory", "sqlite", "redis", "postgres", "mysql"};
	int i;

	for (i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "-engine") == 0)
			option.engine = argv[i + 1];
		else if (strcmp(argv[i], "-dir") == 0)
			option.dir = argv[i + 1];
		else if (strcmp(argv[i], "-sessions") == 0)
			option.sessions = number_of(argv[i + 1]);
		else if (strcmp(argv[i], "-seconds") == 0)
			option.seconds = number_of(argv[i + 1]);
		else
			bench_die("what is %s?", argv[i]);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (i != argc)
		bench_die("%s needs a value", argv[i]);
	if (option.sessions < WRITTEN)
		bench_die("-sessions is at least %d", WRITTEN);
	for (i = 0; i < (int)(sizeof(engines) / sizeof(engines[0])); i++) {
		if (bench_names(option.engine, engines[i]))
			engine_measure(engines[i]);
	}
	return 0;
}
