/*
 * The keys of a store: app state of an application that nothing else can name (app/reserved.h), a name
 * "app:key/ID" each. All that share a store share its keys.
 */
#ifndef SERVER_AUTH_KEYS_H
#define SERVER_AUTH_KEYS_H

#include <convo/store.h>

#include "auth/key.h"
#include "auth/rights.h"

/** Longest note, in bytes. */
#define KEY_NOTE_MAX 120

/** Largest limit. */
#define KEY_LIMIT_MAX 1000000000

/** What is known of a key. Times are of Unix, in ms; 0: there is none. */
struct key_record {
	char id[KEY_ID_SIZE];
	char hash[KEY_HEX_SIZE];
	char app[CONVO_MAX_NAME + 1], user[CONVO_MAX_NAME + 1];
	char note[KEY_NOTE_MAX + 1];
	unsigned rights;
	int64_t created_ms, expires_ms, revoked_ms;
	int64_t rpm, tpm; /* requests and tokens a minute; 0: no limit */
};

/** Whether it can be used at this moment. */
bool key_record_holds(const struct key_record *record, int64_t now_ms);

/**
 * Read one.
 *
 * @return 0; CONVO_E_NOTFOUND: there is none, or what is there is no key; or as convo_store_state_get()
 */
int keys_get(struct key_record *out, convo_store *store, const char *id,
	     const struct convo_call *call, struct convo_err *err);

/** Store one, or store it again. @return 0, CONVO_E_INVALID for names that are none, or as convo_store_state_set() */
int keys_put(convo_store *store, const struct key_record *record, struct convo_err *err);

/** Hand over each, sorted by id. @return 0, or as convo_store_state_list() */
int keys_each(convo_store *store, void (*each)(void *ctx, const struct key_record *record),
	      void *ctx, struct convo_err *err);

#endif
