/*
 * Threads that write and read under whatever happens to the servers: they append to a session each and to
 * one that they share, and look whether everything acknowledged is there once, in its order.
 */
#ifndef TESTS_STORE_REDIS_LOAD_H
#define TESTS_STORE_REDIS_LOAD_H

#include <support/test.h>

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include <base/clock.h>

#define WRITERS 4

/* Threads that append to a session each, and to one that they share, until they are told to stop. */
struct load {
	convo_store *store;
	atomic_bool over;
	atomic_int done[WRITERS]; /* appends of each that were acknowledged */
	atomic_int failed;        /* calls that were not, if they may */
	bool may_fail;
	atomic_llong longest_us, silence_us, last_us;
};

static inline struct convo_key load_key(int writer, char name[32])
{
	snprintf(name, 32, "own %d", writer);
	return (struct convo_key){"app", "user", writer < 0 ? "s" : name};
}

static inline void load_begin(struct load *load, convo_store *store)
{
	struct convo_err err;
	char name[32];

	*load = (struct load){.store = store};
	load->last_us = cv_clock_mono_us();
	for (int i = -1; i < WRITERS; i++) {
		const struct convo_key key = load_key(i, name);

		must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	}
}

/* How long calls take, and how long there is none that succeeds. */
static inline void load_note(struct load *load, int64_t begun_us, bool success)
{
	int64_t now_us = cv_clock_mono_us();

	if (now_us - begun_us > load->longest_us)
		load->longest_us = now_us - begun_us;
	if (!success)
		return;
	if (now_us - load->last_us > load->silence_us)
		load->silence_us = now_us - load->last_us;
	load->last_us = now_us;
}

/* Append the n-th event of a writer, again until it is stored; its id makes that safe (A2). */
static inline void load_append(struct load *load, const struct convo_key *key, int writer, int n)
{
	const char *message = test_text("{\"role\":\"user\",\"content\":\"%d %d\"}", writer, n);
	const char *id = test_text("0197b0a1-%04x-7000-8000-%04x%08x", writer,
				   strcmp(key->session, "s") != 0, n);
	const struct convo_event event = {.id = id, .message = message};
	struct convo_err err;
	int rc;

	do {
		int64_t begun_us = cv_clock_mono_us();

		rc = convo_store_append(load->store, key, NULL, &event, 1, NULL, NULL, &err);
		load_note(load, begun_us, rc == 0);
		load->failed += rc < 0;
		if (rc < 0 && !load->may_fail)
			must_not_reach("append: %s (%d)", err.text, rc);
	} while (rc < 0);
}

/* The events of a session are the first n of the writer, or those of all, each once, in their order. */
static inline void load_must_be_whole(struct load *load, const struct convo_key *key, int writer,
				      int n)
{
	convo_session *session = NULL;
	struct convo_err err;
	int next[WRITERS] = {0}, from, number;

	must_pass(convo_store_load(&session, load->store, key, NULL, NULL, &err));
	for (size_t i = 0; i < convo_session_count(session); i++) {
		const struct convo_event *event = convo_session_event(session, i);

		must_equal(i + 1, event->seq);
		must_equal(2, sscanf(event->message, "{\"role\":\"user\",\"content\":\"%d %d",
				     &from, &number));
		must(from >= 0 && from < WRITERS && (writer < 0 || from == writer));
		must_equal(next[from], number);
		next[from]++;
	}
	for (int i = 0; i < WRITERS; i++) {
		if (writer < 0 || i == writer)
			must_equal(writer < 0 ? load->done[i] : n, next[i]);
	}
	convo_session_free(session);
}

/* Write and read until it is over: what the threads from 1 on do. */
static inline void load_run(struct load *load, int index)
{
	const struct timespec breath = {0, 1000000};
	int64_t end_us = cv_clock_mono_us() + 60 * 1000000LL;
	int writer = index - 1, n = 0;
	char name[32], none[32];
	const struct convo_key own = load_key(writer, name), shared = load_key(-1, none);

	while (!load->over && cv_clock_mono_us() < end_us) {
		load_append(load, &shared, writer, n);
		load_append(load, &own, writer, n);
		atomic_store(&load->done[writer], ++n);
		if (n % 4 == 0)
			load_must_be_whole(load, &own, writer, n);
		nanosleep(&breath, NULL);
	}
}

static inline void load_end(struct load *load, const char *what)
{
	char name[32];
	int total = 0;

	for (int i = 0; i < WRITERS; i++) {
		const struct convo_key key = load_key(i, name);

		load_must_be_whole(load, &key, i, load->done[i]);
		total += load->done[i];
	}
	load_must_be_whole(load, &(struct convo_key){"app", "user", "s"}, -1, 0);
	test_say("%s: %d appends, %d failed tries, longest %lld ms, longest silence %lld ms", what,
		 2 * total, load->failed, load->longest_us / 1000, load->silence_us / 1000);
}

#endif
