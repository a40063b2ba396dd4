/*
 * What operations share; see op.h. docs/backends/redis.md tells the keys.
 */
#include <store/redis/op.h>

#include <stdio.h>
#include <string.h>

#include <store/redis/refuse.h>

#define KEY_SIZE (40 + 2 * 3 * CONVO_MAX_NAME) /* of a user's key: names may triple */
#define NOWHERE ":none"                        /* after a key: one that is never made */
#define LARGEST INT64_C(9000000000000000)      /* scripts count in doubles */

/* ---- keys and arguments ------------------------------------------------------------------ */

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

/* "convo:{app:user}", or "convo:{app}" for a user of NULL, and what follows. */
static void key_make(char out[KEY_SIZE], const struct convo_store *store, const char *app,
		     const char *user, const char *rest)
{
	char *to = out + snprintf(out, KEY_SIZE, "%s:{", store->prefix);

	to = key_add_name(to, app);
	if (user) {
		*to++ = ':';
		to = key_add_name(to, user);
	}
	*to++ = '}';
	memcpy(to, rest, strlen(rest) + 1);
}

bool cv_op_is_apart(const struct redis_op *op)
{
	return op->redis->mode == REDIS_CLUSTER;
}

void cv_op_begin(const struct redis_op *op, struct redis_ask *ask, enum redis_script_id script,
		 const char *app, const char *user)
{
	bool apart = cv_op_is_apart(op);
	char key[KEY_SIZE];

	key_make(key, &op->redis->base, app, user, "");
	cv_ask_begin(ask, script, 2);
	cv_ask_add_text(ask, key);
	if (apart) {
		ask->slot = cv_redis_slot(key);
		key_make(key, &op->redis->base, app, user, NOWHERE);
	} else {
		key_make(key, &op->redis->base, app, NULL, "");
	}
	cv_ask_add_text(ask, key);
	cv_ask_add_int(ask, op->call->now_us);
}

void cv_op_begin_session(const struct redis_op *op, struct redis_ask *ask,
			 enum redis_script_id script)
{
	cv_op_begin(op, ask, script, op->key->app, op->key->user);
	cv_ask_add_text(ask, op->key->session);
	cv_op_add_tell(op, ask);
}

int cv_op_run(const struct redis_op *op, struct redis_ask *ask, struct convo_err *err)
{
	int rc = cv_ask_run(op->redis, op->call, ask, err);

	cv_ask_clear(ask);
	return rc;
}

void cv_op_add_tell(const struct redis_op *op, struct redis_ask *ask)
{
	const char *how = cv_op_is_apart(op) ? "w" : "1";

	cv_ask_add_text(ask, op->redis->tells ? how : "");
}

void cv_op_session_key(char out[OP_KEY_SIZE], const struct convo_store *store,
		       const struct convo_key *key)
{
	key_make(out, store, key->app, key->user, ":s:");
	memcpy(out + strlen(out), key->session, strlen(key->session) + 1);
}

void cv_op_begin_app(const struct redis_op *op, struct redis_ask *ask, enum redis_script_id script)
{
	bool apart = cv_op_is_apart(op);
	char key[KEY_SIZE];

	key_make(key, &op->redis->base, op->key->app, NULL, "");
	cv_ask_begin(ask, script, apart ? 3 : 2);
	cv_ask_add_text(ask, key);
	cv_ask_add_text(ask, key);
	ask->slot = cv_redis_slot(key);
	if (apart) {
		key_make(key, &op->redis->base, op->key->app, NULL, NOWHERE);
		cv_ask_add_text(ask, key);
	}
	cv_ask_add_int(ask, op->call->now_us);
}

void cv_op_begin_command(const struct redis_op *op, struct redis_ask *ask, const char *command)
{
	char key[KEY_SIZE];

	key_make(key, &op->redis->base, op->key->app, NULL, "");
	cv_ask_begin(ask, REDIS_SCRIPTS, 0);
	cv_ask_add_text(ask, command);
	cv_ask_add_text(ask, key);
	ask->slot = cv_redis_slot(key);
}

void cv_op_add_change(struct redis_ask *ask, const struct store_change *change)
{
	static const char *const letters[] = {
		[CONVO_SCOPE_SESSION] = "s", [CONVO_SCOPE_USER] = "u", [CONVO_SCOPE_APP] = "a"};

	cv_ask_add_int(ask, (int64_t)change->event);
	cv_ask_add_text(ask, letters[change->scope]);
	cv_ask_add(ask, change->name.data, change->name.len);
	cv_ask_add(ask, change->value.data, change->value.len);
}

void cv_op_add_uuid(struct redis_ask *ask, const unsigned char *uuid)
{
	char text[CONVO_UUID_SIZE] = "";

	if (uuid)
		cv_uuid_format(text, uuid);
	cv_ask_add_text(ask, text);
}

/* ---- answers ---------------------------------------------------------------------------- */

int cv_op_damaged(const struct redis_op *op, struct convo_err *err)
{
	return cv_redis_damaged(op->redis->name, err);
}

bool cv_op_number(const struct redis_value *item, int64_t *out)
{
	size_t i;

	*out = item->integer;
	if (item->kind == REDIS_VALUE_INTEGER)
		return *out >= 0 && *out <= LARGEST;
	if (item->kind != REDIS_VALUE_STRING || !item->len || item->len > 16)
		return false;
	for (i = 0, *out = 0; i < item->len; i++) {
		if (item->data[i] < '0' || item->data[i] > '9')
			return false;
		*out = *out * 10 + (item->data[i] - '0');
	}
	return *out <= LARGEST;
}

bool cv_op_text(const struct redis_value *item, struct cv_text *out)
{
	if (item->kind != REDIS_VALUE_STRING || memchr(item->data, 0, item->len))
		return false;
	*out = (struct cv_text){item->data, item->len};
	return true;
}

bool cv_op_uuid(const struct redis_value *item, unsigned char *out)
{
	return item->kind == REDIS_VALUE_STRING && item->len == CONVO_UUID_SIZE - 1 &&
	       cv_uuid_parse(out, item->data);
}

bool cv_op_scope(const struct redis_value *item, enum convo_scope *out)
{
	if (item->kind != REDIS_VALUE_STRING || item->len != 1 || !strchr("sua", *item->data))
		return false;
	*out = *item->data == 'a'   ? CONVO_SCOPE_APP
	       : *item->data == 'u' ? CONVO_SCOPE_USER
				    : CONVO_SCOPE_SESSION;
	return true;
}

int cv_op_refusal(const struct redis_op *op, const struct redis_value *answer,
		  struct convo_err *err)
{
	const struct redis_value *item = answer->item;
	enum convo_scope scope;
	int64_t last, left;

	switch (item[0].integer) {
	case 0:
		return 0;
	case CONVO_E_NOTFOUND:
		return cv_refuse_notfound(err, op->key);
	case CONVO_E_EXISTS:
		return cv_refuse_exists(err, op->key);
	case CONVO_E_CONFLICT:
		if (answer->len < 2 || !cv_op_number(&item[1], &last))
			break;
		/* With one more item it is the generation that differs, or the lease. */
		if (answer->len == 2)
			return cv_refuse_conflict(err, op->key, last);
		return item[2].integer == 2 ? cv_refuse_lease(err, op->key, last)
					    : cv_refuse_generation(err, op->key, last);
	case CONVO_E_BUSY:
		if (answer->len > 2 && cv_op_number(&item[1], &last) &&
		    cv_op_number(&item[2], &left))
			return cv_refuse_busy(err, op->key, last, left);
		break;
	case CONVO_E_TOOBIG:
		if (answer->len > 1 && cv_op_scope(&item[1], &scope))
			return cv_refuse_state(err, scope);
	}
	return cv_op_damaged(op, err);
}

int cv_op_plain(struct redis_ask *ask, const struct redis_value *answer, struct convo_err *err)
{
	if (answer->item[0].integer == 0 && answer->len != 1)
		return cv_op_damaged(ask->ctx, err);
	return cv_op_refusal(ask->ctx, answer, err);
}
