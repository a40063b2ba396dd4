/*
 * Keys in a store; see keys.h.
 */
#include "auth/keys.h"

#include <stdio.h>
#include <string.h>

#include <convo/text.h>

#include "app/reserved.h"
#include "auth/who.h"
#include "core/fail.h"
#include "core/json.h"

#define NAME_PREFIX "app:key/"
#define NAME_SIZE (sizeof(NAME_PREFIX) + KEY_ID_SIZE)

static const struct convo_key keys_place = {.app = RESERVED_APPS "keys"};

bool key_record_holds(const struct key_record *record, int64_t now_ms)
{
	return !record->revoked_ms && (!record->expires_ms || now_ms < record->expires_ms);
}

/* ---- as JSON -------------------------------------------------------------------------- */

static bool record_string(char *out, size_t size, const json_t *object, const char *name)
{
	const char *value = json_string_at(object, name);
	size_t len = value ? strlen(value) : size;

	if (len >= size)
		return false;
	memcpy(out, value, len + 1);
	return true;
}

static bool record_number(int64_t *out, const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	*out = json_integer_value(value);
	return !value || (json_is_integer(value) && *out >= 0);
}

/* What somebody has put there who is not us is no key. */
static bool record_read(struct key_record *out, const char *id, const char *json)
{
	json_t *object = json_read(json, strlen(json), NULL);
	const char *rights = json_string_at(object, "rights");
	bool ok;

	memset(out, 0, sizeof(*out));
	ok = key_is_id(id) && rights && rights_read(&out->rights, rights) &&
	     record_string(out->hash, sizeof(out->hash), object, "hash") &&
	     strlen(out->hash) == KEY_HEX_SIZE - 1 &&
	     record_string(out->app, sizeof(out->app), object, "app") &&
	     !app_is_reserved(out->app) &&
	     record_string(out->user, sizeof(out->user), object, "user") &&
	     record_string(out->note, sizeof(out->note), object, "note") &&
	     record_number(&out->created_ms, object, "created") &&
	     record_number(&out->expires_ms, object, "expires") &&
	     record_number(&out->revoked_ms, object, "revoked") &&
	     record_number(&out->rpm, object, "rpm") && out->rpm <= KEY_LIMIT_MAX &&
	     record_number(&out->tpm, object, "tpm") && out->tpm <= KEY_LIMIT_MAX;
	if (ok)
		memcpy(out->id, id, KEY_ID_SIZE);
	json_decref(object);
	return ok;
}

static bool record_write(struct text *out, const struct key_record *record)
{
	return text_addf(out, "{\"hash\":\"%s\",\"app\":", record->hash) &&
	       json_quotes(out, record->app) && text_adds(out, ",\"user\":") &&
	       json_quotes(out, record->user) && text_adds(out, ",\"rights\":\"") &&
	       rights_write(out, record->rights) && text_adds(out, "\",\"note\":") &&
	       json_quotes(out, record->note) &&
	       text_addf(out,
			 ",\"created\":%lld,\"expires\":%lld,\"revoked\":%lld,\"rpm\":%lld,"
			 "\"tpm\":%lld}",
			 (long long)record->created_ms, (long long)record->expires_ms,
			 (long long)record->revoked_ms, (long long)record->rpm,
			 (long long)record->tpm);
}

/* ---- in the store --------------------------------------------------------------------- */

int keys_get(struct key_record *out, convo_store *store, const char *id,
	     const struct convo_call *call, struct convo_err *err)
{
	char name[NAME_SIZE];
	char *json = NULL;
	int rc;

	snprintf(name, sizeof(name), NAME_PREFIX "%s", id);
	rc = convo_store_state_get(&json, store, &keys_place, name, call, err);
	if (rc == 0 && !record_read(out, id, json))
		rc = fail(err, CONVO_E_NOTFOUND, "%s is no key", id);
	convo_free(json);
	return rc;
}

int keys_put(convo_store *store, const struct key_record *record, struct convo_err *err)
{
	char name[NAME_SIZE];
	struct text json = {0};
	struct convo_item item = {.name = name};
	int rc = who_check(record->app, record->user, err);

	if (rc < 0)
		return rc;
	snprintf(name, sizeof(name), NAME_PREFIX "%s", record->id);
	if (record_write(&json, record)) {
		item.json = json.data;
		rc = convo_store_state_set(store, &keys_place, &item, 1, NULL, err);
	} else {
		rc = fail(err, CONVO_E_NOMEM, "out of memory");
	}
	text_clear(&json);
	return rc;
}

int keys_each(convo_store *store, void (*each)(void *ctx, const struct key_record *record),
	      void *ctx, struct convo_err *err)
{
	const size_t prefix = sizeof(NAME_PREFIX) - 1;
	convo_state *state = NULL;
	struct key_record record;
	const struct convo_item *item;
	size_t i;
	int rc = convo_store_state_list(&state, store, &keys_place, CONVO_SCOPE_APP, NULL, err);

	if (rc < 0)
		return rc;
	for (i = 0; (item = convo_state_at(state, i)); i++)
		if (!strncmp(item->name, NAME_PREFIX, prefix) &&
		    record_read(&record, item->name + prefix, item->json))
			each(ctx, &record);
	convo_state_free(state);
	return 0;
}
