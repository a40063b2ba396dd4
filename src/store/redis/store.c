/*
 * The Redis store, for Valkey too: every operation is one script (redis/<name>.lua), which is
 * atomic on the server and takes one round trip; docs/backends/redis.md tells the keys. Here
 * arguments become requests and answers become sessions; open.c opens, ask.c asks.
 */
#include <store/redis/store.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/fail.h>
#include <store/redis/event.h>

#define KEY_SIZE (40 + 2 * 3 * CONVO_MAX_NAME) /* of a user's key: names may triple */
#define LARGEST (INT64_C(1) << 53)             /* scripts count in doubles */

#define LOAD_BYTES (4 << 20)   /* of events in a script's answer, and at most one piece more */
#define FETCH_BYTES (16 << 20) /* the same for each command that fetches further ones */
#define FETCH_EVENTS 1000
#define LIST_STEPS 1000 /* most entries of sessions that are over to skip in one go */

static struct redis_store *redis_of(struct convo_store *store)
{
	return (struct redis_store *)store;
}

/* ---- keys ------------------------------------------------------------------------------- */

/* Add a name so that it cannot run into what stands around it. */
static char *key_add_name(char *to, const char *name)
{
	static const char digits[] = "0123456789ABCDEF";

	for (; *name; name++) {
		unsigned char c = (unsigned char)*name;

		if (strchr("%:{}", c)) {
			*to++ = '%';
			*to++ = digits[c >> 4];
			*to++ = digits[c & 15];
		} else {
			*to++ = (char)c;
		}
	}
	return to;
}

/* "convo:{app:user}", or "convo:{app}" for a user of NULL. */
static void key_make(char out[KEY_SIZE], const struct convo_store *store, const char *app,
		     const char *user)
{
	char *to = out + snprintf(out, KEY_SIZE, "%s:{", store->prefix);

	to = key_add_name(to, app);
	if (user) {
		*to++ = ':';
		to = key_add_name(to, user);
	}
	*to++ = '}';
	*to = '\0';
}

/* Begin the call of a script: its keys, the time, and the session, if it is about one. */
static void ask_begin(struct redis_ask *ask, enum redis_script_id script,
		      const struct convo_store *store, const struct store_call *call,
		      const struct convo_key *key)
{
	char user_key[KEY_SIZE], app_key[KEY_SIZE];

	key_make(user_key, store, key->app, key->user);
	key_make(app_key, store, key->app, NULL);
	cv_ask_begin(ask, (int)script, 2);
	cv_ask_add_text(ask, user_key);
	cv_ask_add_text(ask, app_key);
	cv_ask_add_int(ask, call->now_us);
}

static void ask_add_uuid(struct redis_ask *ask, const unsigned char *uuid)
{
	char text[CONVO_UUID_SIZE] = "";

	if (uuid)
		cv_uuid_format(text, uuid);
	cv_ask_add_text(ask, text);
}

static void ask_add_ttl(struct redis_ask *ask, const struct store_call *call)
{
	cv_ask_add_int(ask, call->ttl_us);
}

static const char *scope_letter(enum convo_scope scope)
{
	return scope == CONVO_SCOPE_APP ? "a" : scope == CONVO_SCOPE_USER ? "u" : "s";
}

static enum convo_scope scope_of(const struct redis_value *letter)
{
	return *letter->data == 'a'   ? CONVO_SCOPE_APP
	       : *letter->data == 'u' ? CONVO_SCOPE_USER
				      : CONVO_SCOPE_SESSION;
}

static void ask_add_changes(struct redis_ask *ask, const struct store_change *changes, size_t count)
{
	size_t i;

	cv_ask_add_int(ask, (int64_t)count);
	for (i = 0; i < count; i++) {
		cv_ask_add_int(ask, (int64_t)changes[i].event);
		cv_ask_add_text(ask, scope_letter(changes[i].scope));
		cv_ask_add(ask, changes[i].name.data, changes[i].name.len);
		cv_ask_add(ask, changes[i].value.data, changes[i].value.len);
	}
}

static void ask_add_event(struct redis_ask *ask, const struct store_event *event, int64_t now_ms)
{
	char *room = cv_ask_room(ask, cv_event_size(event));

	if (room)
		cv_event_pack(room, event, now_ms);
}

/* ---- answers ---------------------------------------------------------------------------- */

/* What an operation knows while it is asked for. */
struct redis_op {
	struct redis_store *redis;
	const struct convo_key *key;
	void *into; /* the operation's own */
};

/* The number in an item, which scripts pass on as text. */
static bool answer_number(const struct redis_value *item, int64_t *out)
{
	char *end;

	*out = item->integer;
	if (item->kind == REDIS_VALUE_INTEGER)
		return true;
	if (item->kind != REDIS_VALUE_STRING || !item->len)
		return false;
	errno = 0;
	*out = strtoll(item->data, &end, 10);
	return !errno && !*end;
}

/* 0, or the refusal that the answer begins with. */
static int answer_refusal(const struct redis_op *op, const struct redis_value *answer,
			  struct convo_err *err)
{
	const struct redis_value *item = answer->item;
	const bool more = answer->len > 1;

	switch (item[0].integer) {
	case 0:
		return 0;
	case CONVO_E_NOTFOUND:
		return cv_refuse_notfound(err, op->key);
	case CONVO_E_EXISTS:
		return cv_refuse_exists(err, op->key);
	case CONVO_E_CONFLICT:
		return cv_refuse_conflict(err, op->key, more ? item[1].integer : 0);
	case CONVO_E_TOOBIG:
		if (more && item[1].kind == REDIS_VALUE_STRING)
			return cv_refuse_state(err, scope_of(&item[1]));
	}
	return cv_redis_damaged(op->redis, err);
}

/* For operations that answer nothing but how it went. */
static int answer_plain(struct redis_ask *ask, const struct redis_value *answer,
			struct convo_err *err)
{
	return answer_refusal(ask->ctx, answer, err);
}

static bool is_list(const struct redis_value *value, size_t len)
{
	return value->kind == REDIS_VALUE_ARRAY && value->len >= len;
}

static struct cv_text text_of(const struct redis_value *value)
{
	return (struct cv_text){value->data, value->len};
}

/* ---- sessions --------------------------------------------------------------------------- */

static int create_answer(struct redis_ask *ask, const struct redis_value *answer,
			 struct convo_err *err)
{
	const struct redis_op *op = ask->ctx;
	const struct store_create *create = op->into;
	unsigned char generation[UUID_BYTES];

	/* Ours exists when the first try was carried out and its answer lost. */
	if (answer->item[0].integer == CONVO_E_EXISTS && answer->len > 1 &&
	    answer->item[1].kind == REDIS_VALUE_STRING &&
	    cv_uuid_parse(generation, answer->item[1].data) &&
	    memcmp(generation, create->generation, UUID_BYTES) == 0)
		return 0;
	return answer_refusal(op, answer, err);
}

static int redis_create(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, const struct store_create *create,
			struct convo_err *err)
{
	struct redis_op op = {redis_of(store), key, (void *)create};
	struct redis_ask ask = {.answer = create_answer, .ctx = &op, .repeat = true};
	int rc;

	ask_begin(&ask, REDIS_SCRIPT_CREATE, store, call, key);
	cv_ask_add_text(&ask, key->session);
	ask_add_ttl(&ask, call);
	ask_add_uuid(&ask, create->generation);
	cv_ask_add(&ask, create->title.data, create->title.len);
	ask_add_changes(&ask, create->changes, create->change_count);
	rc = cv_ask_run_grouped(op.redis, call, &ask, err);
	cv_ask_clear(&ask);
	return rc;
}

static int append_answer(struct redis_ask *ask, const struct redis_value *answer,
			 struct convo_err *err)
{
	const struct redis_op *op = ask->ctx;
	struct store_append *append = op->into;
	const struct redis_value *item = answer->item;
	size_t i;

	if (item[0].integer == CONVO_E_CONFLICT && answer->len > 2)
		return cv_refuse_generation(err, op->key, item[1].integer);
	if (item[0].integer != 0)
		return answer_refusal(op, answer, err);
	if (answer->len != append->count + 1)
		return cv_redis_damaged(op->redis, err);
	for (i = 0; i < append->count; i++)
		append->events[i].seq = item[i + 1].integer;
	return 0;
}

static int redis_append(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, struct store_append *append,
			struct convo_err *err)
{
	struct redis_op op = {redis_of(store), key, append};
	struct redis_ask ask = {.answer = append_answer, .ctx = &op, .repeat = true};
	size_t i;
	int rc;

	ask_begin(&ask, REDIS_SCRIPT_APPEND, store, call, key);
	cv_ask_add_text(&ask, key->session);
	ask_add_ttl(&ask, call);
	cv_ask_add_int(&ask, call->event_limit);
	ask_add_uuid(&ask, append->generation);
	if (append->check_seq)
		cv_ask_add_int(&ask, append->after_seq);
	else
		cv_ask_add_text(&ask, "");
	cv_ask_add_int(&ask, call->now_ms);
	cv_ask_add_int(&ask, (int64_t)append->count);
	for (i = 0; i < append->count; i++) {
		cv_ask_add(&ask, append->events[i].id, UUID_BYTES);
		ask_add_event(&ask, &append->events[i], call->now_ms);
	}
	ask_add_changes(&ask, append->changes, append->change_count);
	rc = cv_ask_run_grouped(op.redis, call, &ask, err);
	cv_ask_clear(&ask);
	return rc;
}

static int redis_rename(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, struct cv_text title, struct convo_err *err)
{
	struct redis_op op = {redis_of(store), key, NULL};
	struct redis_ask ask = {.answer = answer_plain, .ctx = &op};
	int rc;

	ask_begin(&ask, REDIS_SCRIPT_RENAME, store, call, key);
	cv_ask_add_text(&ask, key->session);
	ask_add_ttl(&ask, call);
	cv_ask_add(&ask, title.data, title.len);
	rc = cv_ask_run(op.redis, call, &ask, err);
	cv_ask_clear(&ask);
	return rc;
}

static int redis_delete(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, struct convo_err *err)
{
	struct redis_op op = {redis_of(store), key, NULL};
	struct redis_ask ask = {.answer = answer_plain, .ctx = &op};
	int rc;

	ask_begin(&ask, REDIS_SCRIPT_DELETE, store, call, key);
	cv_ask_add_text(&ask, key->session);
	cv_ask_add_int(&ask, call->trash_us);
	rc = cv_ask_run(op.redis, call, &ask, err);
	cv_ask_clear(&ask);
	return rc;
}

static int restore_answer(struct redis_ask *ask, const struct redis_value *answer,
			  struct convo_err *err)
{
	const struct redis_op *op = ask->ctx;

	if (answer->item[0].integer == CONVO_E_NOTFOUND)
		return cv_refuse_trash(err, op->key);
	return answer_refusal(op, answer, err);
}

static int redis_restore(struct convo_store *store, const struct store_call *call,
			 const struct convo_key *key, const unsigned char *generation,
			 struct convo_err *err)
{
	struct redis_op op = {redis_of(store), key, NULL};
	struct redis_ask ask = {.answer = restore_answer, .ctx = &op};
	int rc;

	ask_begin(&ask, REDIS_SCRIPT_RESTORE, store, call, key);
	cv_ask_add_text(&ask, key->session);
	ask_add_ttl(&ask, call);
	ask_add_uuid(&ask, generation);
	rc = cv_ask_run(op.redis, call, &ask, err);
	cv_ask_clear(&ask);
	return rc;
}

static int purge_answer(struct redis_ask *ask, const struct redis_value *answer,
			struct convo_err *err)
{
	const struct redis_op *op = ask->ctx;
	bool *more = op->into;

	*more = answer->len > 1 && answer->item[1].integer;
	return answer_refusal(op, answer, err);
}

static int redis_purge(struct convo_store *store, const struct store_call *call,
		       const struct convo_key *key, const unsigned char *generation,
		       struct convo_err *err)
{
	bool more = true;
	struct redis_op op = {redis_of(store), key, &more};
	int rc = 0;

	while (rc >= 0 && more) {
		struct redis_ask ask = {.answer = purge_answer, .ctx = &op, .repeat = true};

		ask_begin(&ask, REDIS_SCRIPT_PURGE, store, call, key);
		cv_ask_add_text(&ask, key->session);
		ask_add_uuid(&ask, generation);
		rc = cv_ask_run(op.redis, call, &ask, err);
		cv_ask_clear(&ask);
	}
	return rc;
}

/* ---- load ------------------------------------------------------------------------------- */

/* A window on its way: what its script said, and how far its events have come. */
struct redis_load {
	struct convo_session *into;
	unsigned char generation[UUID_BYTES];
	bool around;
	int64_t next, high; /* seqs still to fetch */
	int64_t biggest;    /* bytes of the largest event */
	bool gone;          /* events went before they could be fetched */
};

/* Add events in a row, which begin at load->next. */
static int load_add_events(const struct redis_op *op, const struct redis_value *packed,
			   struct convo_err *err)
{
	struct redis_load *load = op->into;
	struct store_event event;
	size_t i;
	int rc = 0;

	for (i = 0; rc >= 0 && i < packed->len; i++) {
		const struct redis_value *item = &packed->item[i];

		if (item->kind == REDIS_VALUE_NIL) {
			load->gone = true;
			return 0;
		}
		if (item->kind != REDIS_VALUE_STRING || !cv_event_unpack(&event, text_of(item)))
			return cv_redis_damaged(op->redis, err);
		event.seq = load->next++;
		rc = cv_session_add_event(load->into, &event, err);
	}
	return rc;
}

static int load_add_meta(const struct redis_op *op, const struct redis_value *value,
			 struct convo_err *err)
{
	struct redis_load *load = op->into;
	struct store_meta meta = {.session = cv_text_of(op->key->session)};
	const struct redis_value *item = value->item;

	if (!is_list(value, 8) || item[0].kind != REDIS_VALUE_STRING ||
	    item[2].kind != REDIS_VALUE_STRING || !cv_uuid_parse(meta.generation, item[0].data) ||
	    !answer_number(&item[1], &meta.expires_us) ||
	    !answer_number(&item[3], &meta.created_us) ||
	    !answer_number(&item[4], &meta.updated_us) ||
	    !answer_number(&item[5], &meta.first_seq) || !answer_number(&item[6], &meta.last_seq) ||
	    !answer_number(&item[7], &load->biggest))
		return cv_redis_damaged(op->redis, err);
	meta.title = text_of(&item[2]);
	memcpy(load->generation, meta.generation, UUID_BYTES);
	return cv_session_set_meta(load->into, &meta, err);
}

/* The empty name is the scope's count of bytes. */
static int load_add_state(const struct redis_op *op, const struct redis_value *value,
			  enum convo_scope scope, struct convo_err *err)
{
	struct redis_load *load = op->into;
	size_t i;
	int rc = 0;

	if (!is_list(value, 0))
		return cv_redis_damaged(op->redis, err);
	for (i = 0; rc >= 0 && i + 1 < value->len; i += 2) {
		if (value->item[i].len)
			rc = cv_session_add_state(load->into, scope, text_of(&value->item[i]),
						  text_of(&value->item[i + 1]), err);
	}
	return rc;
}

static int load_answer(struct redis_ask *ask, const struct redis_value *answer,
		       struct convo_err *err)
{
	static const enum convo_scope scopes[] = {CONVO_SCOPE_SESSION, CONVO_SCOPE_USER,
						  CONVO_SCOPE_APP};
	const struct redis_op *op = ask->ctx;
	const struct redis_value *item = answer->item;
	struct redis_load *load = op->into;
	size_t i;
	int rc;

	cv_session_reset(load->into);
	load->gone = false;
	if (item[0].integer == CONVO_E_NOTFOUND && answer->len > 1)
		return cv_refuse_event(err, op->key);
	if (item[0].integer)
		return answer_refusal(op, answer, err);
	if (answer->len < 8)
		return cv_redis_damaged(op->redis, err);
	rc = load_add_meta(op, &item[1], err);
	for (i = 0; rc >= 0 && i < 3; i++)
		rc = load_add_state(op, &item[2 + i], scopes[i], err);
	load->next = item[5].integer;
	load->high = item[6].integer;
	for (i = 8; rc >= 0 && i < answer->len; i++)
		rc = is_list(&item[i], 0) ? load_add_events(op, &item[i], err)
					  : cv_redis_damaged(op->redis, err);
	if (rc >= 0 && load->gone)
		return cv_fail(err, CONVO_E_VERSION,
			       "%s: events of session '%s' are missing; does it evict keys?",
			       op->redis->name, op->key->session);
	return rc;
}

static const char *window_name(enum convo_window_kind kind)
{
	switch (kind) {
	case CONVO_WINDOW_LAST:
		return "last";
	case CONVO_WINDOW_AFTER:
		return "after";
	case CONVO_WINDOW_BEFORE:
		return "before";
	case CONVO_WINDOW_AROUND:
		return "around";
	case CONVO_WINDOW_NONE:
		break;
	}
	return "none";
}

/* Meta, state and the first events, up to a number of bytes. */
static int load_begin(struct redis_op *op, const struct store_call *call,
		      const struct store_window *window, struct convo_err *err)
{
	const struct convo_store *store = &op->redis->base;
	struct redis_ask ask = {.answer = load_answer, .ctx = op, .repeat = true};
	char id[1 + UUID_BYTES] = "#";
	int rc;

	if (window->kind == CONVO_WINDOW_AROUND)
		memcpy(id + 1, window->around, UUID_BYTES);
	ask_begin(&ask, REDIS_SCRIPT_LOAD, store, call, op->key);
	cv_ask_add_text(&ask, op->key->session);
	cv_ask_add_text(&ask, window_name(window->kind));
	cv_ask_add_int(&ask, window->n);
	cv_ask_add_int(&ask, window->seq);
	cv_ask_add(&ask, id, sizeof(id));
	cv_ask_add_int(&ask, call->event_limit);
	cv_ask_add_int(&ask, LOAD_BYTES);
	rc = cv_ask_run(op->redis, call, &ask, err);
	cv_ask_clear(&ask);
	return rc;
}

static int load_more_answer(struct redis_ask *ask, const struct redis_value *answer,
			    struct convo_err *err)
{
	if (answer->kind != REDIS_VALUE_ARRAY)
		return cv_redis_damaged(((const struct redis_op *)ask->ctx)->redis, err);
	return load_add_events(ask->ctx, answer, err);
}

/* Some of the events that are left. They never change, so they still belong to the view. */
static int load_more(struct redis_op *op, const struct store_call *call, struct convo_err *err)
{
	struct redis_load *load = op->into;
	struct redis_ask ask = {.answer = load_more_answer, .ctx = op, .repeat = true};
	int64_t count = FETCH_BYTES / (load->biggest > 0 ? load->biggest : 1), seq;
	char name[KEY_SIZE + 3 + CONVO_UUID_SIZE], *end;
	int rc;

	count = count < 1 ? 1 : count > FETCH_EVENTS ? FETCH_EVENTS : count;
	key_make(name, &op->redis->base, op->key->app, op->key->user);
	end = name + strlen(name);
	memcpy(end, ":e:", 3);
	cv_uuid_format(end + 3, load->generation);
	cv_ask_begin(&ask, REDIS_SCRIPTS, 0);
	cv_ask_add_text(&ask, "HMGET");
	cv_ask_add_text(&ask, name);
	for (seq = load->next; seq <= load->high && seq < load->next + count; seq++)
		cv_ask_add_int(&ask, seq);
	rc = cv_ask_run(op->redis, call, &ask, err);
	cv_ask_clear(&ask);
	return rc;
}

static int redis_load(struct convo_store *store, const struct store_call *call,
		      const struct convo_key *key, const struct store_window *window,
		      struct convo_session *into, struct convo_err *err)
{
	struct redis_load load = {.into = into};
	struct redis_op op = {redis_of(store), key, &load};
	int rc;

	/* Events that others remove while a large window is read make it begin anew. */
	do {
		rc = load_begin(&op, call, window, err);
		while (rc >= 0 && !load.gone && load.next <= load.high)
			rc = load_more(&op, call, err);
	} while (rc >= 0 && load.gone);
	return rc;
}

/* ---- list ------------------------------------------------------------------------------- */

struct redis_list {
	struct store_page *into;
	bool complete;
};

static int list_add(const struct redis_op *op, const struct redis_value *value,
		    struct convo_err *err)
{
	const struct redis_list *list = op->into;
	struct store_meta meta = {0};
	const struct redis_value *item = value->item;

	if (!is_list(value, 11) || item[0].kind != REDIS_VALUE_STRING ||
	    item[2].kind != REDIS_VALUE_STRING || item[7].kind != REDIS_VALUE_STRING ||
	    !cv_uuid_parse(meta.generation, item[0].data) ||
	    !answer_number(&item[3], &meta.created_us) ||
	    !answer_number(&item[4], &meta.updated_us) ||
	    !answer_number(&item[5], &meta.first_seq) || !answer_number(&item[6], &meta.last_seq) ||
	    !answer_number(&item[8], &meta.expires_us) || !answer_number(&item[10], &meta.position))
		return cv_redis_damaged(op->redis, err);
	if (item[9].kind != REDIS_VALUE_NIL && !answer_number(&item[9], &meta.deleted_us))
		return cv_redis_damaged(op->redis, err);
	meta.title = text_of(&item[2]);
	meta.session = text_of(&item[7]);
	return cv_page_add(list->into, &meta, err);
}

static int list_answer(struct redis_ask *ask, const struct redis_value *answer,
		       struct convo_err *err)
{
	const struct redis_op *op = ask->ctx;
	struct redis_list *list = op->into;
	int rc = 0;
	size_t i;

	cv_page_reset(list->into);
	if (answer->item[0].integer != 0 || answer->len < 2)
		return cv_redis_damaged(op->redis, err);
	list->complete = answer->item[1].integer;
	for (i = 2; rc >= 0 && i < answer->len; i++)
		rc = list_add(op, &answer->item[i], err);
	return rc;
}

static int redis_list(struct convo_store *store, const struct store_call *call, const char *app,
		      const char *user, bool trash, const struct store_place *place, size_t n,
		      struct store_page *into, struct convo_err *err)
{
	struct redis_list list = {.into = into};
	const struct convo_key key = {.app = app, .user = user};
	struct redis_op op = {redis_of(store), &key, &list};
	char from[32] = "+inf";
	int rc = 0;

	/* No two entries of a list have the same position. */
	if (place->position < LARGEST)
		snprintf(from, sizeof(from), "(%lld", (long long)place->position);
	while (rc >= 0 && !list.complete) {
		struct redis_ask ask = {.answer = list_answer, .ctx = &op, .repeat = true};

		ask_begin(&ask, REDIS_SCRIPT_LIST, store, call, &key);
		cv_ask_add_text(&ask, trash ? "trash" : "live");
		cv_ask_add_text(&ask, from);
		cv_ask_add_int(&ask, (int64_t)n);
		cv_ask_add_int(&ask, (int64_t)n + LIST_STEPS);
		rc = cv_ask_run(op.redis, call, &ask, err);
		cv_ask_clear(&ask);
	}
	return rc;
}

/* ---- state ------------------------------------------------------------------------------ */

/* The key with what scripts need where a call needs none: any user's key will do. */
static struct convo_key state_key(const struct convo_key *key)
{
	struct convo_key full = *key;

	if (!full.user)
		full.user = "";
	return full;
}

static int redis_state_set(struct convo_store *store, const struct store_call *call,
			   const struct convo_key *key, const struct store_change *changes,
			   size_t count, struct convo_err *err)
{
	const struct convo_key full = state_key(key);
	struct redis_op op = {redis_of(store), key, NULL};
	struct redis_ask ask = {.answer = answer_plain, .ctx = &op};
	bool of_session = false;
	size_t i;
	int rc;

	for (i = 0; i < count; i++)
		of_session = of_session || changes[i].scope == CONVO_SCOPE_SESSION;
	ask_begin(&ask, REDIS_SCRIPT_STATE_SET, store, call, &full);
	cv_ask_add_text(&ask, of_session ? key->session : "");
	ask_add_ttl(&ask, call);
	ask_add_changes(&ask, changes, count);
	rc = cv_ask_run(op.redis, call, &ask, err);
	cv_ask_clear(&ask);
	return rc;
}

static int state_list_answer(struct redis_ask *ask, const struct redis_value *answer,
			     struct convo_err *err)
{
	const struct redis_op *op = ask->ctx;
	const struct redis_value *item = answer->item;
	int rc = answer_refusal(op, answer, err);
	size_t i, j;

	cv_state_reset(op->into);
	for (i = 1; rc >= 0 && i + 1 < answer->len; i += 2) {
		if (item[i].kind != REDIS_VALUE_STRING || !is_list(&item[i + 1], 0))
			return cv_redis_damaged(op->redis, err);
		for (j = 0; rc >= 0 && j + 1 < item[i + 1].len; j += 2) {
			const struct redis_value *pair = &item[i + 1].item[j];

			if (pair[0].len)
				rc = cv_state_add(op->into, scope_of(&item[i]), text_of(pair),
						  text_of(pair + 1), err);
		}
	}
	return rc;
}

static int redis_state_list(struct convo_store *store, const struct store_call *call,
			    const struct convo_key *key, unsigned scopes,
			    const struct cv_text *name, struct convo_state *into,
			    struct convo_err *err)
{
	const struct convo_key full = state_key(key);
	struct redis_op op = {redis_of(store), key, into};
	struct redis_ask ask = {.answer = state_list_answer, .ctx = &op, .repeat = true};
	char letters[4] = "", *letter = letters;
	int rc;

	if (scopes & CONVO_SCOPE_SESSION)
		*letter++ = 's';
	if (scopes & CONVO_SCOPE_USER)
		*letter++ = 'u';
	if (scopes & CONVO_SCOPE_APP)
		*letter = 'a';
	ask_begin(&ask, REDIS_SCRIPT_STATE_LIST, store, call, &full);
	cv_ask_add_text(&ask, scopes & CONVO_SCOPE_SESSION ? key->session : "");
	cv_ask_add_text(&ask, letters);
	cv_ask_add(&ask, name ? name->data : "", name ? name->len : 0);
	rc = cv_ask_run(op.redis, call, &ask, err);
	cv_ask_clear(&ask);
	return rc;
}

/* There is no clean(): the server forgets by itself; see docs/backends/redis.md. */

static const char *const redis_params[] = {"db", "ca", "cert", "key", NULL};

const struct cv_backend cv_backend_redis = {
	.scheme = "redis",
	.params = redis_params,
	.title = "Redis",
	.size = sizeof(struct redis_store),
	.default_prefix = "convo",
	.open = cv_redis_open,
	.close = cv_redis_close,
	.create = redis_create,
	.load = redis_load,
	.append = redis_append,
	.rename = redis_rename,
	.list = redis_list,
	.delete = redis_delete,
	.restore = redis_restore,
	.purge = redis_purge,
	.state_set = redis_state_set,
	.state_list = redis_state_list,
};
