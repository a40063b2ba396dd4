/*
 * Announcing that users are watched; see announce.h.
 */
#include <store/redis/announce.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <store/redis/many.h>
#include <store/redis/op.h>

#define LASTS_MS 60000
#define AGAIN_US 20000000
#define FAILED_US 5000000 /* when one is tried again whose node was away */
#define RUN_US 1000000    /* news of others waits for so long */
#define TOGETHER 500

/* ---- users ------------------------------------------------------------------------------- */

static uint64_t user_hash(const struct convo_key *key)
{
	return cv_key_tag(&(struct convo_key){key->app, key->user, ""});
}

static struct announced_user *user_find(const struct announce *announce,
					const struct convo_key *key, uint64_t hash)
{
	struct chain_node *at = cv_chain_first(&announce->users, hash);

	for (; at; at = at->next) {
		struct announced_user *user = (struct announced_user *)at;

		if (strcmp(user->key.user, key->user) == 0 && strcmp(user->key.app, key->app) == 0)
			return user;
	}
	return NULL;
}

static struct announced_user *user_make(struct announce *announce, const struct convo_key *key,
					uint64_t hash)
{
	size_t app = strlen(key->app) + 1, name = strlen(key->user) + 1;
	struct announced_user *user = cv_alloc(1, sizeof(*user) + app + name);

	if (!user || !cv_chain_reserve(&announce->users, 1)) {
		free(user);
		return NULL;
	}
	memcpy(user->names, key->app, app);
	memcpy(user->names + app, key->user, name);
	user->key = (struct convo_key){.app = user->names, .user = user->names + app};
	user->chain.hash = hash;
	cv_chain_add(&announce->users, &user->chain);
	announce->at_us = 0;
	return user;
}

struct announced_user *cv_announce_add(struct announce *announce, const struct convo_key *key)
{
	uint64_t hash = user_hash(key);
	struct announced_user *user = user_find(announce, key, hash);

	if (!user)
		user = user_make(announce, key, hash);
	if (user)
		user->sessions++;
	return user;
}

void cv_announce_remove(struct announce *announce, struct announced_user *user)
{
	if (--user->sessions)
		return;
	cv_chain_remove(&announce->users, &user->chain);
	free(user);
}

void cv_announce_clear(struct announce *announce)
{
	size_t i;

	for (i = 0; i < announce->users.buckets; i++) {
		while (announce->users.bucket[i]) {
			struct chain_node *node = announce->users.bucket[i];

			announce->users.bucket[i] = node->next;
			free(node);
		}
	}
	cv_chain_clear(&announce->users);
}

/* ---- announcing -------------------------------------------------------------------------- */

/* Some that go together. */
struct announcing {
	struct redis_op op[TOGETHER];
	struct redis_ask ask[TOGETHER], *asks[TOGETHER];
	struct announced_user *user[TOGETHER];
	size_t count;
};

static void announcing_add(struct announcing *now, struct redis_store *redis,
			   const struct store_call *call, struct announced_user *user)
{
	struct redis_op *op = &now->op[now->count];
	struct redis_ask *ask = &now->ask[now->count];

	*op = (struct redis_op){redis, call, &user->key, NULL};
	*ask = (struct redis_ask){.answer = cv_op_plain, .ctx = op, .repeat = true, .reads = true};
	cv_op_begin(op, ask, REDIS_SCRIPT_EARS, user->key.app, user->key.user);
	cv_ask_add_int(ask, LASTS_MS);
	now->asks[now->count] = ask;
	now->user[now->count++] = user;
}

static void announcing_run(struct announcing *now, struct announce *announce,
			   const struct store_call *call)
{
	size_t i;

	(void)cv_ask_run_many(announce->redis, call, now->asks, now->count, NULL);
	for (i = 0; i < now->count; i++) {
		struct announced_user *user = now->user[i];
		bool done = now->ask[i].done && now->ask[i].job.rc == 0;

		announce->gap = announce->gap || (done && user->failed);
		user->failed = !done;
		user->at_us = cv_clock_mono_us() + (done ? AGAIN_US : FAILED_US);
		cv_ask_clear(&now->ask[i]);
	}
	now->count = 0;
}

int cv_announce_run(struct announce *announce, struct convo_err *err)
{
	int64_t now_us = cv_clock_mono_us();
	const struct store_call call = {.now_us = cv_clock_us(), .deadline_us = now_us + RUN_US};
	struct announcing *now;
	size_t i;

	if (now_us < announce->at_us)
		return 0;
	now = cv_alloc(1, sizeof(*now));
	if (!now)
		return cv_fail_nomem(err);
	announce->at_us = now_us + AGAIN_US;
	for (i = 0; i < announce->users.buckets; i++) {
		struct chain_node *at = announce->users.bucket[i];

		for (; at; at = at->next) {
			struct announced_user *user = (struct announced_user *)at;

			if (user->at_us <= now_us)
				announcing_add(now, announce->redis, &call, user);
			if (now->count == TOGETHER)
				announcing_run(now, announce, &call);
		}
	}
	if (now->count)
		announcing_run(now, announce, &call);
	for (i = 0; i < announce->users.buckets; i++) {
		const struct chain_node *at = announce->users.bucket[i];

		for (; at; at = at->next) {
			const struct announced_user *user = (const struct announced_user *)at;

			if (user->at_us < announce->at_us)
				announce->at_us = user->at_us;
		}
	}
	free(now);
	return 0;
}
