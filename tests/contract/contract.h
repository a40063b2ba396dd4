/*
 * Inside the contract suite: what its tests are given and the steps they share.
 */
#ifndef TESTS_CONTRACT_CONTRACT_H
#define TESTS_CONTRACT_CONTRACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convo/store.h>
#include <convo/watch.h>

#include "contract/store_contract.h"
#include "support/json_same.h"
#include "support/test.h"

#define SECOND_US INT64_C(1000000)
#define HOUR_US (3600 * SECOND_US)
#define DAY_US (24 * HOUR_US)

/** What a test is given. */
struct fx {
	const struct store_contract *contract;
	char app[64];         /* an app nobody else has */
	convo_store *store;   /* no TTL, no event limit, 7 days of trash, no cleaning thread */
	convo_store *more[8]; /* by fx_open() */
	size_t more_count;
};

struct contract_test {
	const char *name;
	void (*run)(struct fx *fx);
	enum contract_needs {
		NEEDS_NOTHING = 0,
		NEEDS_SHARED = 1, /* further handles on the database of fx->store */
		NEEDS_FORK = 2,   /* the same, and fx->store is NULL: the test forks first */
		NEEDS_SCHEMA = 4, /* contract.has_schema */
	} needs;
};

#define CONTRACT_TEST(name)                \
	{                                  \
#name, name, NEEDS_NOTHING \
	}
#define CONTRACT_TEST_IF(name, needs) \
	{                             \
#name, name, needs    \
	}

/* The groups, each ending with an all-zero entry. */
extern const struct contract_test contract_names[];
extern const struct contract_test contract_values[];
extern const struct contract_test contract_numbers[];
extern const struct contract_test contract_sizes[];
extern const struct contract_test contract_sessions[];
extern const struct contract_test contract_windows[];
extern const struct contract_test contract_reader[];
extern const struct contract_test contract_lists[];
extern const struct contract_test contract_walks[];
extern const struct contract_test contract_clocks[];
extern const struct contract_test contract_trash[];
extern const struct contract_test contract_append[];
extern const struct contract_test contract_limit[];
extern const struct contract_test contract_state[];
extern const struct contract_test contract_lifetime[];
extern const struct contract_test contract_handles[];
extern const struct contract_test contract_calls[];
extern const struct contract_test contract_cost[];
extern const struct contract_test contract_model[];
extern const struct contract_test contract_turns[];
extern const struct contract_test contract_drafts[];
extern const struct contract_test contract_forks[];
extern const struct contract_test contract_watches[];

/** The URL for the next handle. Lives until the program ends. */
const char *fx_url(const struct fx *fx);

/** Open a further handle, closed after the test. `opts` as they are. */
convo_store *fx_open(struct fx *fx, const struct convo_store_options *opts);

/** Open one that is the caller's to close, for threads and processes. */
convo_store *fx_open_own(const struct fx *fx);

/** {fx->app, "u", session}; session is borrowed. */
struct convo_key fx_key(const struct fx *fx, const char *session);

void fx_create(convo_store *store, const struct convo_key *key);

/** An event of that id (NULL: none) whose message says `text`, which needs no escapes. */
struct convo_event fx_event(const char *id, const char *text);

/** Append one event or `n` of them, told apart by their text. @return the last seq */
int64_t fx_say(convo_store *store, const struct convo_key *key, const char *text);
int64_t fx_say_n(convo_store *store, const struct convo_key *key, size_t n);

/** Append one event that carries a delta. */
int64_t fx_say_state(convo_store *store, const struct convo_key *key, const char *state);

/** Load everything; must succeed; the caller's to free. */
convo_session *fx_load(convo_store *store, const struct convo_key *key);

/** The last seq of a session. */
int64_t fx_last_seq(convo_store *store, const struct convo_key *key);

/** The session is absent to load(). */
void fx_must_be_absent(convo_store *store, const struct convo_key *key);

/** Set one name. */
void fx_set(convo_store *store, const struct convo_key *key, const char *name, const char *json);

/** The value of one name is that JSON; NULL: it is not set. */
void fx_must_have(convo_store *store, const struct convo_key *key, const char *name,
		  const char *json);

/** How many sessions (app, user) lists, all pages. */
size_t fx_count(convo_store *store, const char *app, const char *user, enum convo_list_what what);

/** Events are seq first, first + 1 ...; `n` of them. */
void fx_must_run(const convo_session *session, int64_t first, size_t n);

/** A string of `len` times `c`; the caller's to free. */
char *fx_repeat(char c, size_t len);

/** A JSON string of exactly `len` bytes, quotes included; the caller's to free. */
char *fx_json_of(size_t len);

/** A message of exactly `len` bytes; the caller's to free. */
char *fx_message_of(size_t len);

/** A new UUID that lives until the program ends. */
const char *fx_uuid(void);

#endif
