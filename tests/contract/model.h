/*
 * Random operations against a store and against a plain model of one; after each, both must say the
 * same. Each run has another seed, which it prints: CONVO_TEST_SEED repeats it, CONVO_TEST_OPS makes
 * it longer or shorter.
 *
 *     model.c            what the model knows, and the runs
 *     model_compare.c    whether the store says the same
 *     model_ops.c        creating, appending, state, the trash
 *     model_turns.c      leases, drafts, forks
 *     model_watch.c      what a watch has heard of
 */
#ifndef TESTS_CONTRACT_MODEL_H
#define TESTS_CONTRACT_MODEL_H

#include "contract.h"

#define USERS 2
#define NAMES 3
#define LIVES 4000
#define EVENTS 400
#define IDS 60000
#define VALUES 6
#define BATCH 6
#define LEASES 4 /* for each life of a session */

#define LEASE_SHORT_MS 1000
#define LEASE_LONG_MS 600000 /* longer than any run */

struct model_state {
	int value[VALUES]; /* 0: not set */
};

/** A draft, or what became of it. */
struct model_draft {
	int id;              /* index into model.ids */
	const char *message; /* NULL: there is none */
	bool whole;          /* it has all the fields it may have */
};

struct model_event {
	int id;              /* index into model.ids */
	const char *message; /* JSON */
	bool settled;        /* it was a draft */
	bool whole;          /* as there */
};

/** What one may hold a life by; all of them live as long as the model. */
struct model_lease {
	convo_lease *lease;
	bool is_short;    /* LEASE_SHORT_MS */
	int draft;        /* of its drafts, the id: index into model.ids; -1: none yet */
	int text, pieces; /* what was in the last one: draft_message() */
};

/** Who holds a life. All-zero: nobody has ever. */
struct model_held {
	const struct model_lease *lease; /* or who held it last; NULL also: who settled */
	bool going;                      /* it has not been ended ... */
	bool over;                       /* ... but its time is over */
	struct model_draft draft;
};

/** One life of a name. */
struct model_life {
	int user, name;
	char generation[CONVO_UUID_SIZE];
	int title; /* 0: none */
	struct model_state state;
	struct model_event event[EVENTS]; /* event[seq - 1] */
	int last_seq;
	int64_t floor; /* the first seq there ever was: a fork may begin late */
	struct model_lease lease[LEASES];
	struct model_held held;
	const struct model_life *origin; /* of which it is a fork; NULL: of none */
	int64_t origin_seq;
	int64_t expires; /* in steps; 0: never */
	int64_t purge;   /* in steps: when the trash forgets it */
	int64_t order;   /* of the last write, or of the deletion */
	int64_t clock;   /* of that write by its writer's clock: larger where that is later */
	int64_t latest;  /* the largest of those there were */
	int64_t written; /* the largest but for deletions: a restored one may stand by that */
	int64_t updated_ms;
	enum { LIFE_UNUSED, LIFE_LIVE, LIFE_TRASH, LIFE_GONE } where;
};

/** What has happened to a session, and what was known when it was loaded last after news of it. */
struct model_watched {
	bool watched;
	int64_t changes, seen;
	bool seen_living;
};

struct model {
	struct fx *fx;
	convo_store *store;      /* of this operation */
	convo_store *handles[2]; /* with the right clock, with the fast one */
	bool skewed;
	struct test_rng rng;
	int limit;          /* 0: none */
	int64_t ttl, trash; /* in steps; 0: no ttl */
	int64_t now;        /* in steps, by the clock of this operation */
	int64_t right;      /* in steps, by the right clock */
	int64_t writes;
	struct model_life *life; /* all there ever were */
	int lives;
	struct model_state user[USERS], app;
	const char *ids[IDS];
	int id_count;
	int texts;
	char *drafts[IDS]; /* messages of drafts, freed at the end */
	int draft_count;
	struct model_lease stray; /* of no life */
	convo_store *listener;    /* who watches: another handle, where there can be one */
	convo_watch *watch;
	struct model_watched watched[USERS][NAMES];
};

/* ---- model.c ---------------------------------------------------------------------------- */

/** State names the model uses, by scope: session, user, app. */
extern const char *const model_value_names[3][VALUES];
extern const char *const model_names[NAMES];
extern const char *const model_users[USERS];

/** A number below n. */
size_t model_pick(struct model *m, size_t n);

struct convo_key model_key(const struct model *m, int user, int name);

/** An id that nobody has had yet. @return index into model.ids */
int model_new_id(struct model *m);

/** The value and the message of a number, as JSON. */
const char *model_value(int value);
const char *model_message(int text);

/** By the clock of this operation. */
bool model_lives(const struct model *m, const struct model_life *life);
bool model_in_trash(const struct model *m, const struct model_life *life);

/** The life that a name has now; NULL: none. */
struct model_life *model_find(struct model *m, int user, int name);

/** The life of that generation, which must be one there was. */
struct model_life *model_of(struct model *m, const char *generation);

/** A random life of the name in the trash, or NULL. */
struct model_life *model_pick_trash(struct model *m, int user, int name);

/** In front, whether the order of the writes counts or what the clocks of their writers said. */
bool model_precedes(const struct model_life *life, const struct model_life *other);

/** A new life of a name that has none. */
struct model_life *model_begin(struct model *m, int user, int name, const char *generation);

/** Something has happened to a session that those who watch it are to hear of. */
void model_touched(struct model *m, const struct model_life *life);

/** It has moved in its list; it was written to. Both are news. */
void model_moved(struct model *m, struct model_life *life);
void model_written(struct model *m, struct model_life *life);

/** The first seq that a life shows. */
int64_t model_first(const struct model *m, const struct model_life *life);

/** Which seq the shown events of a life have an id at; 0: none. */
int model_seq_of(const struct model *m, const struct model_life *life, int id);

/** Add an event to what a life has. */
void model_add_event(struct model_life *life, struct model_event event);

/* ---- model_compare.c -------------------------------------------------------------------- */

/** Load a window and compare all of it: it has the events `from` to `to`. */
void compare_window(struct model *m, int user, int name, const struct convo_window *window,
		    int64_t from, int64_t to);

/** All of a session, now and then with its draft. */
void compare_session(struct model *m, int user, int name);

/** Exactly those there are; no two the wrong way round. */
void compare_list(struct model *m, int user, bool trash);

/* ---- model_ops.c ------------------------------------------------------------------------ */

void op_create(struct model *m, int user, int name);
void op_append(struct model *m, int user, int name);
void op_rename(struct model *m, int user, int name);
void op_set(struct model *m, int user, int name);
void op_delete(struct model *m, int user, int name);
void op_restore(struct model *m, int user, int name);
void op_purge(struct model *m, int user, int name);
void op_window(struct model *m, int user, int name);
void op_clean(struct model *m);

/* ---- model_turns.c ---------------------------------------------------------------------- */

/** Make the leases of a life. */
void turns_begin(struct model_life *life);

/** Free those of all. */
void turns_end(struct model *m);

/** What an append is to do with a lease: nothing as often as not. `lease` may become NULL. */
enum convo_hold turns_pick(struct model *m, int user, int name, struct model_lease **lease);

/**
 * Whether an append under that lease may go on: 0, CONVO_E_BUSY or CONVO_E_CONFLICT. `in_the_way`
 * tells whether a draft has to be stored first.
 */
int turns_verdict(const struct model_life *life, const struct model_lease *lease,
		  enum convo_hold what, bool fresh, bool *in_the_way);

/** What was granted is so now. */
void turns_grant(struct model *m, struct model_life *life, const struct model_lease *lease,
		 enum convo_hold what);

/** The draft becomes an event, unless its id is one's already. @return its seq */
int64_t turns_settled(struct model *m, struct model_life *life);

void op_draft(struct model *m, int user, int name);
void op_settle(struct model *m, int user, int name);
void op_fork(struct model *m, int user, int name);

/** Some sessions are taken by holders who leave drafts and are gone; their time passes. */
void op_gone(struct model *m);

/* ---- model_watch.c ---------------------------------------------------------------------- */

void listen_begin(struct model *m);
void listen_end(struct model *m);

/** One session is watched no more, or again. */
void op_watch(struct model *m, int user, int name);

/** There is news of whatever changed, and of nothing that is not watched. */
void listen_now(struct model *m);

#endif
