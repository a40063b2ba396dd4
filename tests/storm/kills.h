/*
 * Programs that are killed in the middle of an answer (test_kills.c): the answer that they are given,
 * the endpoint that gives it and knows when it sent what, and the program.
 */
#ifndef TESTS_STORM_KILLS_H
#define TESTS_STORM_KILLS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <convo/store.h>

#include <support/test.h>

#define KILLS_DELTAS 200
#define KILLS_PACE_MS 15    /* between two of them: an answer takes 3 s */
#define KILLS_LEASE_MS 4000 /* a shorter one would have drafts saved more often */
#define KILLS_APP "kills"
#define KILLS_USER "u"

/** How a program ends that was fenced, and one that failed otherwise. */
#define KILLS_FENCED 10
#define KILLS_FAILED 11

/** The answer: its deltas, as text and as the bytes of a stream. Made once, before threads begin. */
struct kills_script {
	char *text, *body;
	size_t text_len, body_len;
	size_t text_end[KILLS_DELTAS], body_end[KILLS_DELTAS];
};

void kills_script_make(struct kills_script *script);
void kills_script_clear(struct kills_script *script);

/** What was sent of it when. All-zero: nothing yet. */
struct kills_sent {
	size_t bytes;                /* of the body */
	int64_t at_us[KILLS_DELTAS]; /* when the last byte of each went out; 0: it has not */
};

/** How long before `us` came what is missing first of an answer of which so many bytes are there. */
int64_t kills_missing_us(const struct kills_script *script, const struct kills_sent *sent,
			 size_t text_len, int64_t us);

/* ---- kills_endpoint.c ------------------------------------------------------------------- */

/** An endpoint for one program at a time. */
struct kills_endpoint {
	const struct kills_script *script;
	int listener, fd;
	const char *base; /* its URL */
};

void kills_endpoint_open(struct kills_endpoint *endpoint, const struct kills_script *script);
void kills_endpoint_close(struct kills_endpoint *endpoint);

/** Wait for the question of a program, at most a minute. */
void kills_endpoint_asked(struct kills_endpoint *endpoint);

/**
 * Send the body up to a byte, at its pace or at once.
 *
 * @return false when the program has gone
 */
bool kills_endpoint_send(struct kills_endpoint *endpoint, struct kills_sent *sent, size_t until,
			 int pace_ms);

/** That was all for this program. */
void kills_endpoint_hang_up(struct kills_endpoint *endpoint);

/* ---- kills_program.c -------------------------------------------------------------------- */

/**
 * Ask one question, waiting for its turn.
 *
 * @param words URL of the store, URL of the endpoint, session, question
 * @return for main() to return: 0, KILLS_FENCED or KILLS_FAILED
 */
int kills_program(char **words);

/* ---- kills_case.c ----------------------------------------------------------------------- */

/** What the cases of a test share: a store, in which each has a session of its own, and the answer. */
struct kills {
	const char *url; /* NULL: in memory */
	convo_store *store;
	struct kills_script script;
	struct test_rng rng;
	pthread_mutex_t lock; /* guards rng */
};

void kills_open(struct kills *kills, const char *url);
void kills_close(struct kills *kills);

/** A number below that. Thread-safe. */
size_t kills_random(struct kills *kills, size_t below);

/** Load a session, with its draft; the caller's to free. Its numbers have no gap, no id is there twice. */
convo_session *kills_load(const struct kills *kills, const char *session);

/** The event is that question; is it? */
void kills_must_ask(const struct convo_event *event, const char *text);
bool kills_asks(const struct convo_event *event, const char *text);

/** The words of an answer, which are a beginning of the script. @return how many bytes of it */
size_t kills_said(const struct kills *kills, const struct convo_event *event);

/** Start the program that asks: kills_program(). */
pid_t kills_start(const struct kills *kills, const struct kills_endpoint *endpoint,
		  const char *session, const char *question);

/** Wait for its end; one that does not end is killed. @return as waitpid() tells it */
int kills_end(pid_t pid);

/** It ends by itself, with that code. */
void kills_must_exit(pid_t pid, int code);

#endif
