/*
 * What conversations cost on each engine: bytes of memory or disk for an event, a session, a name of
 * state and a deleted session, bytes written to logs, and processor time of the server and of this
 * program. All engines in one run, on private servers that keep every acknowledged write on disk.
 *
 *     bench_space [-engine memory,sqlite,redis,postgres,mysql] [-sessions 500] [-events 40]
 *                 [-callers 8] [-dir DIR]
 *
 * Two sets of sessions, ten to a user. The first gets -events events with messages of 400 bytes
 * each, one append an event and all sessions in turn, as when many people talk at once; the second a
 * quarter as many of 4,000 bytes. Every second one is an answer, with what the program notes of it.
 * Messages are of words, since PostgreSQL compresses what is long. Then state, and the first set is
 * deleted.
 */
#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "meters.h"
#include "server.h"

#define APP "bench"
#define PER_USER 10
#define NAMES 20 /* of state, in a session */
#define MAX_CALLERS 64
#define TEXT (1 << 20)
#define TITLE "A title of the usual length"

static struct {
	const char *engine, *dir;
	size_t sessions, events, callers;
} option = {.engine = "memory,sqlite,redis,postgres,mysql",
	    .dir = ".",
	    .sessions = 500,
	    .events = 40,
	    .callers = 8};

/* ---- words ------------------------------------------------------------------------------ */

static char text[TEXT];

static uint32_t words_random(uint32_t *state)
{
	*state = *state * 1664525U + 1013904223U;
	return *state >> 8;
}

/* Words of a language that nobody speaks, some of them far more often than others, as in any. */
static void words_make(void)
{
	static const char *const syllables[] = {"ka", "lo",  "mi", "ten", "ra",  "su", "no",  "vel",
						"di", "par", "o",  "ist", "han", "e",  "gru", "ti"};
	uint32_t state = 1;
	char word[2000][16];
	size_t i, used, len;

	for (i = 0; i < 2000; i++) {
		word[i][0] = '\0';
		for (used = words_random(&state) % 3 + 1; used; used--) {
			len = strlen(word[i]);
			snprintf(word[i] + len, sizeof(word[i]) - len, "%s",
				 syllables[words_random(&state) % 16]);
		}
	}
	for (used = 0; used < TEXT; used += len) {
		uint32_t a = words_random(&state) % 2000, b = words_random(&state) % 2000;

		i = (size_t)a * b / 2000; /* the first ones more often */
		len = strlen(word[i]);
		if (len > TEXT - used - 1)
			len = TEXT - used - 1;
		memcpy(text + used, word[i], len);
		text[used + len++] = ' ';
	}
}

/* A message of so many bytes in all, of words from somewhere in the text. */
static void words_message(char *out, size_t bytes, bool answer, uint32_t *state)
{
	int head = snprintf(out, bytes, "{\"role\":\"%s\",\"content\":\"",
			    answer ? "assistant" : "user");
	size_t at = words_random(state) % (TEXT - bytes);

	memcpy(out + head, text + at, bytes - (size_t)head - 2);
	memcpy(out + bytes - 2, "\"}", 2);
}

/* ---- work ------------------------------------------------------------------------------- */

struct session {
	char user[32], id[CONVO_MAX_NAME + 1];
};

struct space {
	const struct meter *meter;
	struct place place;
	const char *url;
	convo_store *store;
	struct session *session[2]; /* the two sets */
	double held;
};

struct work {
	struct space *space;
	size_t set, first, count; /* of the sessions */
	size_t rounds, bytes;
	bool load;
	pthread_t thread;
};

static struct convo_key session_key(const struct session *session)
{
	return (struct convo_key){APP, session->user, session->id};
}

static void session_append(struct space *space, const struct session *session, const char *message,
			   size_t bytes, bool answer)
{
	const struct convo_key key = session_key(session);
	struct convo_event event = {.message = message,
				    .message_len = bytes,
				    .turn = "0190a6b2-7c1e-7d3f-8a4b-5c6d7e8f9012"};
	struct convo_err err;

	if (answer) {
		event.model = "gpt-4o-mini";
		event.finish_reason = "stop";
		event.usage = "{\"prompt_tokens\":1234,\"completion_tokens\":123,"
			      "\"total_tokens\":1357}";
	}
	if (convo_store_append(space->store, &key, NULL, &event, 1, NULL, NULL, &err) < 0)
		bench_die("append: %s", err.text);
}

static void session_load(struct space *space, const struct session *session)
{
	const struct convo_key key = session_key(session);
	convo_session *loaded = NULL;
	struct convo_err err;

	if (convo_store_load(&loaded, space->store, &key, NULL, NULL, &err) < 0)
		bench_die("load: %s", err.text);
	convo_session_free(loaded);
}

static void *work_run(void *arg)
{
	struct work *work = arg;
	uint32_t state = (uint32_t)(work->first * 7919 + work->bytes + 1);
	char *message = bench_alloc(work->bytes + 1);
	size_t round, i;

	for (round = 0; round < work->rounds; round++) {
		for (i = work->first; i < work->first + work->count; i++) {
			const struct session *session = &work->space->session[work->set][i];

			if (work->load) {
				session_load(work->space, session);
				continue;
			}
			words_message(message, work->bytes, round % 2, &state);
			session_append(work->space, session, message, work->bytes, round % 2);
		}
	}
	free(message);
	return NULL;
}

/* Processor time in microseconds for one operation, and bytes written. */
struct cost {
	double program, server, log[2];
};

/* All callers work on a set, each on sessions of its own. */
static struct cost space_work(struct space *space, struct work work)
{
	int64_t program = bench_cpu_us(), server = bench_server_cpu_us(space->place.server);
	const double operations = (double)(work.rounds * option.sessions);
	int64_t before[2] = {0}, after[2] = {0};
	struct work caller[MAX_CALLERS];
	struct cost cost;
	size_t i;

	if (space->meter->log)
		space->meter->log(&space->place, before);
	work.space = space;
	work.count = option.sessions / option.callers;
	for (i = 0; i < option.callers; i++) {
		caller[i] = work;
		caller[i].first = i * work.count;
		if (i + 1 == option.callers)
			caller[i].count = option.sessions - caller[i].first;
		if (pthread_create(&caller[i].thread, NULL, work_run, &caller[i]))
			bench_die("cannot make threads");
	}
	for (i = 0; i < option.callers; i++)
		pthread_join(caller[i].thread, NULL);
	cost.program = (double)(bench_cpu_us() - program) / operations;
	cost.server = (double)(bench_server_cpu_us(space->place.server) - server) / operations;
	if (space->meter->log)
		space->meter->log(&space->place, after);
	for (i = 0; i < 2; i++)
		cost.log[i] = (double)(after[i] - before[i]) / operations;
	return cost;
}

static void space_create(struct space *space, size_t set)
{
	const struct convo_create create = {.title = TITLE};
	struct convo_err err;
	size_t i;

	for (i = 0; i < option.sessions; i++) {
		struct session *session = &space->session[set][i];
		struct convo_key key = {APP, session->user, NULL};
		struct convo_created made;

		snprintf(session->user, sizeof(session->user), "user-%zu-%zu", set, i / PER_USER);
		if (convo_store_create(space->store, &key, &create, &made, NULL, &err) < 0)
			bench_die("create: %s", err.text);
		memcpy(session->id, made.session, sizeof(session->id));
	}
}

/* So many names in every session of the second set, as one call each. */
static void space_name(struct space *space)
{
	struct convo_item item[NAMES];
	char name[NAMES][32], value[NAMES][64];
	struct convo_err err;
	size_t i;

	for (i = 0; i < NAMES; i++) {
		snprintf(name[i], sizeof(name[i]), "name-of-16-by-%02zu", i);
		snprintf(value[i], sizeof(value[i]), "\"a value of some 40 bytes, number %06zu\"",
			 i);
		item[i] = (struct convo_item){name[i], value[i], 0};
	}
	for (i = 0; i < option.sessions; i++) {
		const struct convo_key key = session_key(&space->session[1][i]);

		if (convo_store_state_set(space->store, &key, item, NAMES, NULL, &err) < 0)
			bench_die("state_set: %s", err.text);
	}
}

static void space_delete(struct space *space, bool purge)
{
	struct convo_err err;
	size_t i;

	for (i = 0; i < option.sessions; i++) {
		const struct convo_key key = session_key(&space->session[0][i]);
		int rc = purge ? convo_store_purge(space->store, &key, NULL, NULL, &err)
			       : convo_store_delete(space->store, &key, NULL, &err);

		if (rc < 0)
			bench_die("delete: %s", err.text);
	}
	if (purge && convo_store_clean(space->store, NULL, NULL, &err) < 0)
		bench_die("clean: %s", err.text);
}

static void space_open(struct space *space)
{
	const struct convo_store_options opts = {.clean_interval_ms = CONVO_OFF,
						 .timeout_ms = 60000};
	struct convo_err err;

	if (convo_store_open(&space->store, space->url, &opts, &err) < 0)
		bench_die("%s", err.text);
}

/* By how many bytes it has grown since this was asked last. */
static double space_grown(struct space *space)
{
	double held, before = space->held;

	if (space->meter->reopen)
		convo_store_close(space->store);
	held = (double)space->meter->held(&space->place);
	if (space->meter->reopen)
		space_open(space);
	space->held = held;
	return held - before;
}

/* ---- the table -------------------------------------------------------------------------- */

static void print_head(void)
{
	printf("%-9s | %7s %6s %4s %6s %4s %6s %7s %5s | %6s %6s %7s %7s | %6s %6s %6s %6s\n", "",
	       "session", "event", "raw", "event", "raw", "name", "deleted", "freed", "log", "log",
	       "2nd log", "2nd log", "append", "", "load", "");
	printf("%-9s | %7s %6s %4s %6s %4s %6s %7s %5s | %6s %6s %7s %7s | %6s %6s %6s %6s\n",
	       "engine", "", "400", "", "4000", "", "", "", "", "400", "4000", "400", "4000", "us",
	       "server", "us", "server");
}

struct result {
	double session, small, large, name, deleted, freed; /* bytes; freed: a part of 1 */
	struct cost append, append_large, load;
};

static void print_result(const struct space *space, const struct result *result)
{
	printf("%-9s | %7.0f %6.0f %3.0f%% %6.0f %3.0f%% %6.0f %7.0f %4.0f%% | "
	       "%6.0f %6.0f %7.0f %7.0f | %6.1f %6.1f %6.1f %6.1f\n",
	       space->meter->engine, result->session, result->small, 40000 / result->small,
	       result->large, 400000 / result->large, result->name, result->deleted,
	       result->freed * 100, result->append.log[0], result->append_large.log[0],
	       result->append.log[1], result->append_large.log[1], result->append.program,
	       result->append.server, result->load.program, result->load.server);
	fflush(stdout);
}

static void space_measure(struct space *space)
{
	const size_t fewer = option.events / 4;
	const double sessions = (double)option.sessions;
	const double small = sessions * (double)option.events, large = sessions * (double)fewer;
	struct result result;

	/* What an engine makes when it is first used counts for nothing. */
	space_create(space, 1);
	space_work(space, (struct work){.set = 1, .rounds = 1, .bytes = 400});
	space_grown(space);

	space_create(space, 0);
	result.session = space_grown(space);
	result.append = space_work(space, (struct work){.rounds = option.events, .bytes = 400});
	result.small = space_grown(space);
	result.load = space_work(space, (struct work){.rounds = 4, .load = true});
	result.append_large =
		space_work(space, (struct work){.set = 1, .rounds = fewer, .bytes = 4000});
	result.large = space_grown(space);
	space_name(space);
	result.name = space_grown(space);
	space_delete(space, false);
	result.deleted = space_grown(space);
	space_delete(space, true);
	result.freed = -space_grown(space) / (result.session + result.small + result.deleted);

	result.session /= sessions;
	result.small /= small;
	result.large /= large;
	result.name /= sessions * NAMES;
	result.deleted /= sessions;
	print_result(space, &result);
}

static void space_run(const struct meter *meter, const char *dir)
{
	struct space space = {.meter = meter, .url = "memory:"};
	struct server *server = NULL;
	char path[600], url[700];
	size_t set;

	snprintf(path, sizeof(path), "%s/bench.db", dir);
	snprintf(url, sizeof(url), "%s:%s", meter->engine, path);
	if (meter->server) {
		server = bench_server_start_durable(meter->server, meter->args);
		if (!server)
			return;
		space.url = bench_server_url(server);
	} else if (meter->reopen) {
		space.url = url;
	}
	space.place = (struct place){server, path};
	for (set = 0; set < 2; set++)
		space.session[set] = bench_alloc(option.sessions * sizeof(struct session));
	space_open(&space);
	space_measure(&space);
	convo_store_close(space.store);
	for (set = 0; set < 2; set++)
		free(space.session[set]);
	bench_server_end(server);
	unlink(path);
}

/* ---- the command line ------------------------------------------------------------------- */

static size_t read_number(const char *value, size_t min, size_t max)
{
	char *end;
	size_t number = strtoul(value, &end, 10);

	if (end == value || *end || number < min || number > max)
		bench_die("not a number from %zu to %zu: %s", min, max, value);
	return number;
}

static void read_flag(const char *flag, const char *value)
{
	if (strcmp(flag, "-engine") == 0)
		option.engine = value;
	else if (strcmp(flag, "-dir") == 0)
		option.dir = value;
	else if (strcmp(flag, "-sessions") == 0)
		option.sessions = read_number(value, 100, 100000);
	else if (strcmp(flag, "-events") == 0)
		option.events = read_number(value, 4, 10000);
	else if (strcmp(flag, "-callers") == 0)
		option.callers = read_number(value, 1, MAX_CALLERS);
	else
		bench_die("unknown flag %s", flag);
}

int main(int argc, char **argv)
{
	char dir[512];
	size_t i;
	int arg;

	for (arg = 1; arg < argc; arg += 2) {
		if (arg + 1 == argc)
			bench_die("%s wants a value", argv[arg]);
		read_flag(argv[arg], argv[arg + 1]);
	}
	snprintf(dir, sizeof(dir), "%s/convo-bench-XXXXXX", option.dir);
	if (!mkdtemp(dir))
		bench_die("cannot make a directory in %s", option.dir);
	words_make();
	printf("Bytes each, and the part of it that is the message; freed: of what was deleted, "
	       "after "
	       "purging and cleaning.\nLogs: bytes written for an append. CPU in us: an append of "
	       "400, "
	       "a load of %zu events; %zu callers.\n",
	       option.events, option.callers);
	print_head();
	for (i = 0; i < bench_meter_count; i++) {
		if (bench_names(option.engine, bench_meters[i].engine))
			space_run(&bench_meters[i], dir);
	}
	for (i = 0; i < bench_meter_count; i++)
		printf("%-9s %s%s%s\n", bench_meters[i].engine, bench_meters[i].held_is,
		       bench_meters[i].log_is ? "; logs: " : "",
		       bench_meters[i].log_is ? bench_meters[i].log_is : "");
	return rmdir(dir) < 0;
}
