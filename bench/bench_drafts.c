/*
 * What it costs to save drafts: many turns at once, each with a lease and a draft a second that has
 * grown by as many tokens as a model says in that time, then the answer. CPU of this program and of
 * the server, in one second and for one draft.
 *
 *     bench_drafts [-engine memory,sqlite,redis,postgres,mysql] [-turns 100] [-tokens 100]
 *                  [-seconds 20] [-calls one,each] [-dir DIR] [-url URL]
 *
 * Servers are started for the run, with every acknowledged write on disk, unless -url names one,
 * whose CPU is then not told. The drafts of a second go in one call, as the runner saves them; or each
 * in one of its own and at its own moment, by ten threads, each with a tenth of the turns.
 */
#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>

#include "server.h"

#define THREADS 10
#define MOST_TURNS 10000
#define TOKEN " word"
#define HEAD "{\"role\":\"assistant\",\"content\":\""

static struct {
	const char *engine, *calls, *dir, *url;
	size_t turns, tokens, seconds;
} option = {.engine = "memory,sqlite,redis,postgres,mysql",
	    .calls = "one,each",
	    .dir = ".",
	    .turns = 100,
	    .tokens = 100,
	    .seconds = 20};

/* ---- turns ------------------------------------------------------------------------------ */

struct turn {
	char session[64], id[CONVO_UUID_SIZE];
	convo_lease *lease;
};

struct drafts {
	convo_store *store;
	struct turn *turn;
	int64_t begin_us, end_us; /* of what is measured */
	int64_t wait_us;          /* of all drafts, by atomic adds */
};

struct part {
	struct drafts *drafts;
	size_t first, step;
	pthread_t thread;
};

static struct convo_key turn_key(const struct turn *turn)
{
	return (struct convo_key){"bench", "drafter", turn->session};
}

static void turn_append(const struct drafts *drafts, const struct turn *turn, enum convo_hold hold,
			const char *id, const char *message)
{
	const struct convo_expect expect = {.lease = turn->lease, .hold = hold};
	const struct convo_event event = {.id = id, .message = message};
	const struct convo_key key = turn_key(turn);
	struct convo_err err;

	if (convo_store_append(drafts->store, &key, &expect, &event, 1, NULL, NULL, &err) < 0)
		bench_die("append: %s", err.text);
}

static void turn_begin(const struct drafts *drafts, struct turn *turn, size_t i, int run)
{
	unsigned char id[UUID_BYTES];
	struct convo_err err;
	struct convo_key key;

	snprintf(turn->session, sizeof(turn->session), "turn %zu of %ld, %d", i, (long)getpid(),
		 run);
	key = turn_key(turn);
	cv_uuid_new(id);
	cv_uuid_format(turn->id, id);
	if (convo_lease_new(&turn->lease, NULL, &err) < 0 ||
	    convo_store_create(drafts->store, &key, NULL, NULL, NULL, &err) < 0)
		bench_die("%s", err.text);
	turn_append(drafts, turn, CONVO_HOLD_TAKE, NULL, "{\"role\":\"user\",\"content\":\"?\"}");
}

/* The answer after so many tokens. */
static void turn_say(char *message, size_t tokens)
{
	char *at = message + sizeof(HEAD) - 1;
	size_t i;

	memcpy(message, HEAD, sizeof(HEAD));
	for (i = 0; i < tokens; i++, at += sizeof(TOKEN) - 1)
		memcpy(at, TOKEN, sizeof(TOKEN));
	memcpy(at, "\"}", 3);
}

static void turn_draft(struct drafts *drafts, struct turn *turn, const char *message)
{
	const struct convo_event event = {.id = turn->id, .message = message};
	const struct convo_key key = turn_key(turn);
	int64_t from_us = cv_clock_mono_us();
	struct convo_err err;

	if (convo_store_draft(drafts->store, &key, turn->lease, &event, NULL, &err) < 0)
		bench_die("draft: %s", err.text);
	__atomic_fetch_add(&drafts->wait_us, cv_clock_mono_us() - from_us, __ATOMIC_RELAXED);
}

static void sleep_until(int64_t us)
{
	int64_t left_us = us - cv_clock_mono_us();
	struct timespec ts = {.tv_sec = left_us / 1000000, .tv_nsec = left_us % 1000000 * 1000};

	if (left_us > 0)
		nanosleep(&ts, NULL);
}

/* A draft a second of every step-th turn, each at its own moment. */
static void *part_run(void *arg)
{
	struct part *part = arg;
	struct drafts *drafts = part->drafts;
	size_t most = option.tokens * option.seconds, second, i;
	char *message = bench_alloc(sizeof(HEAD) + most * (sizeof(TOKEN) - 1) + 3);

	for (second = 0; second < option.seconds; second++) {
		turn_say(message, (second + 1) * option.tokens);
		for (i = part->first; i < option.turns; i += part->step) {
			sleep_until(drafts->begin_us + (int64_t)second * 1000000 +
				    (int64_t)(i * 1000000 / option.turns));
			turn_draft(drafts, &drafts->turn[i], message);
		}
	}
	free(message);
	return NULL;
}

/* A draft a second of all turns. */
static void together_run(struct drafts *drafts)
{
	char *message = bench_alloc(sizeof(HEAD) +
				    option.tokens * option.seconds * (sizeof(TOKEN) - 1) + 3);
	struct convo_draft *draft = bench_alloc(option.turns * sizeof(*draft));
	struct convo_event *event = bench_alloc(option.turns * sizeof(*event));
	struct convo_key *key = bench_alloc(option.turns * sizeof(*key));
	struct convo_err err;
	size_t second, i;

	for (second = 0; second < option.seconds; second++) {
		int64_t from_us;

		turn_say(message, (second + 1) * option.tokens);
		for (i = 0; i < option.turns; i++) {
			struct turn *turn = &drafts->turn[i];

			key[i] = turn_key(turn);
			event[i] = (struct convo_event){.id = turn->id, .message = message};
			draft[i] = (struct convo_draft){
				.key = &key[i], .lease = turn->lease, .event = &event[i]};
		}
		sleep_until(drafts->begin_us + (int64_t)(second + 1) * 1000000);
		from_us = cv_clock_mono_us();
		for (i = 0; i < option.turns; i += CONVO_MAX_BATCH_EVENTS) {
			size_t left = option.turns - i;

			if (convo_store_drafts(
				    drafts->store, &draft[i],
				    left < CONVO_MAX_BATCH_EVENTS ? left : CONVO_MAX_BATCH_EVENTS,
				    NULL, &err) < 0)
				bench_die("drafts: %s", err.text);
		}
		drafts->wait_us += (cv_clock_mono_us() - from_us) * (int64_t)option.turns;
	}
	free(key);
	free(event);
	free(draft);
	free(message);
}

/* ---- measuring -------------------------------------------------------------------------- */

static void each_run(struct drafts *drafts)
{
	struct part part[THREADS];
	size_t i;

	for (i = 0; i < THREADS; i++) {
		part[i] = (struct part){.drafts = drafts, .first = i, .step = THREADS};
		if (pthread_create(&part[i].thread, NULL, part_run, &part[i]) != 0)
			bench_die("no thread");
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(part[i].thread, NULL);
}

static void drafts_run(struct drafts *drafts, bool together)
{
	drafts->begin_us = cv_clock_mono_us();
	if (together)
		together_run(drafts);
	else
		each_run(drafts);
	drafts->end_us = cv_clock_mono_us();
}

static void drafts_measure(const char *name, const char *url, const struct server *server,
			   bool together)
{
	struct drafts drafts = {.turn = bench_alloc(option.turns * sizeof(struct turn))};
	double count = (double)(option.turns * option.seconds), seconds;
	int64_t ours_us, server_us;
	struct convo_err err;
	size_t i;

	if (convo_store_open(&drafts.store, url, NULL, &err) < 0)
		bench_die("%s: %s", name, err.text);
	for (i = 0; i < option.turns; i++)
		turn_begin(&drafts, &drafts.turn[i], i, together);
	ours_us = bench_cpu_us();
	server_us = bench_server_cpu_us(server);
	drafts_run(&drafts, together);
	ours_us = bench_cpu_us() - ours_us;
	server_us = bench_server_cpu_us(server) - server_us;
	seconds = (double)(drafts.end_us - drafts.begin_us) / 1e6;
	printf("%-10s %-4s %6.0f/s %8.2f %% program %8.2f %% server %8.1f us program %8.1f us "
	       "server "
	       "%8.0f us to wait\n",
	       name, together ? "one" : "each", count / seconds, (double)ours_us / seconds / 1e4,
	       (double)server_us / seconds / 1e4, (double)ours_us / count,
	       (double)server_us / count, (double)drafts.wait_us / count);
	for (i = 0; i < option.turns; i++) {
		turn_append(&drafts, &drafts.turn[i], CONVO_HOLD_END, drafts.turn[i].id,
			    "{\"role\":\"assistant\",\"content\":\"!\"}");
		convo_lease_free(drafts.turn[i].lease);
	}
	convo_store_close(drafts.store);
	free(drafts.turn);
}

static void drafts_ways(const char *name, const char *url, const struct server *server)
{
	if (bench_names(option.calls, "one"))
		drafts_measure(name, url, server, true);
	if (bench_names(option.calls, "each"))
		drafts_measure(name, url, server, false);
}

static void engine_measure(const char *name)
{
	struct server *server = NULL;
	char url[512];

	if (strcmp(name, "memory") == 0) {
		snprintf(url, sizeof(url), "memory:");
	} else if (strcmp(name, "sqlite") == 0) {
		snprintf(url, sizeof(url), "sqlite:%s/drafts-%ld.db", option.dir, (long)getpid());
	} else {
		server = bench_server_start_durable(name, NULL);
		if (!server)
			return;
		snprintf(url, sizeof(url), "%s", bench_server_url(server));
	}
	drafts_ways(name, url, server);
	bench_server_end(server);
	if (strcmp(name, "sqlite") == 0) {
		static const char *const ends[] = {"", "-wal", "-shm"};
		char path[512];
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

	if (*end || !value || value > MOST_TURNS)
		bench_die("'%s' is no number from 1 to %d", text, MOST_TURNS);
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
		else if (strcmp(argv[i], "-url") == 0)
			option.url = argv[i + 1];
		else if (strcmp(argv[i], "-calls") == 0)
			option.calls = argv[i + 1];
		else if (strcmp(argv[i], "-turns") == 0)
			option.turns = number_of(argv[i + 1]);
		else if (strcmp(argv[i], "-tokens") == 0)
			option.tokens = number_of(argv[i + 1]);
		else if (strcmp(argv[i], "-seconds") == 0)
			option.seconds = number_of(argv[i + 1]);
		else
			bench_die("what is %s?", argv[i]);
	}
	if (i != argc)
		bench_die("%s needs a value", argv[i]);
	printf("%zu turns, a draft a second of each, of %zu tokens more, for %zu s\n", option.turns,
	       option.tokens, option.seconds);
	if (option.url) {
		drafts_ways("url", option.url, NULL);
		return 0;
	}
	for (i = 0; i < (int)(sizeof(engines) / sizeof(engines[0])); i++) {
		if (bench_names(option.engine, engines[i]))
			engine_measure(engines[i]);
	}
	return 0;
}
