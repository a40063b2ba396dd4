/*
 * What a storm is: many programs write into a handful of sessions of one store while its servers
 * and they themselves are killed, and at the end everything that was acknowledged is looked for.
 *
 * Each program has one or more writers, which are its threads. What a writer writes follows from its
 * number and a count, so that whoever finds an event knows what it must look like.
 */
#ifndef TESTS_STORM_PLAN_H
#define TESTS_STORM_PLAN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <convo/store.h>

enum {
	STORM_PROGRAMS = 16,
	STORM_THREADS = 3, /* most writers in a program */
	STORM_WRITERS = STORM_PROGRAMS * STORM_THREADS,
	STORM_LIMIT = 25, /* events that STORM_LIMITED keeps */
	STORM_BATCH = 8,  /* most events of an append */
	STORM_USERS = 3,
	STORM_DELTAS = 5, /* most names in an event's state */
	STORM_RING = 8,
	STORM_TIMEOUT_MS = 5000
};

enum storm_kind {
	STORM_SHARED,  /* made before the storm, never deleted */
	STORM_LIMITED, /* the same, with a limit of STORM_LIMIT events */
	STORM_RACED,   /* made, written and deleted by some at once */
	STORM_OWN      /* made, written, deleted and restored by one writer */
};

/* Sessions by their number: the shared ones, the limited one, the raced ones, one for each writer. */
enum { STORM_SHAREDS = 4, STORM_RACES = 2, STORM_FIRST_OWN = STORM_SHAREDS + 1 + STORM_RACES };

#define STORM_SESSIONS (STORM_FIRST_OWN + STORM_WRITERS)

struct storm_plan {
	const char *url;
	const char *dir; /* where the journals are */
	int pace_ms;     /* between two calls of a writer */
	uint64_t seed;
	atomic_bool *over; /* finish what is open, and end */
};

struct storm_session {
	enum storm_kind kind;
	struct convo_key key;
	int user; /* the number of key.user */
	char name[32];
};

/** The session of that number; its key points into `out`. */
void storm_session(struct storm_session *out, int number);

/** How many writers a program has, and who they are. */
int storm_threads(int program);
int storm_writer(int program, int thread);

/** A change that an event makes to the state. */
struct storm_delta {
	enum convo_scope scope;
	char name[40];
	char value[40]; /* JSON; "null" removes the name */
};

/** The event that a writer numbered n, 1 and up. The convo_event points into it. */
struct storm_event {
	char id[CONVO_UUID_SIZE];
	char author[16];
	char message[768];
	char state[512];
	struct storm_delta delta[STORM_DELTAS];
	int deltas;
	struct convo_event event;
};

/** @param stateful whether the session is one whose events change state */
void storm_event(struct storm_event *out, int writer, uint32_t n, bool stateful);

/** Whether events of that session change state: where nothing is deleted by others. */
bool storm_is_stateful(enum storm_kind kind);

/** Who wrote an event, by its id. @return false for an id of nobody's */
bool storm_parse_id(const char *id, int *writer, uint32_t *n);

/** A clock for durations that all programs share. */
int64_t storm_now_us(void);

void storm_nap_us(int64_t us);

/** Be a program of the storm until it is over, then end the process. After fork(). */
void storm_program(const struct storm_plan *plan, int program, int life) __attribute__((noreturn));

/** Read everything back. @return how many things are wrong, each printed in a line */
int storm_check(const struct storm_plan *plan, const char *what);

#endif
