/*
 * Who may; see auth.h.
 */
#include "auth/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "auth/known.h"
#include "core/fail.h"

/* A request waits no longer for its key. */
#define READ_MS 2000

/* No client is told to wait for longer. */
#define MOST_WAIT_MS 3600000

#define BYTES_A_TOKEN 4

struct auth {
	const char *app, *user; /* of everybody; NULL: keys tell */
	convo_store *store;
	struct known *known;
};

int auth_one_user(struct auth **out, const char *app, const char *user, struct convo_err *err)
{
	struct auth *auth = calloc(1, sizeof(*auth));

	if (!auth)
		return fail(err, CONVO_E_NOMEM, "out of memory");
	auth->app = app;
	auth->user = user;
	*out = auth;
	return 0;
}

int auth_by_keys(struct auth **out, convo_store *store, struct convo_err *err)
{
	struct auth *auth = calloc(1, sizeof(*auth));

	if (auth)
		auth->known = known_new();
	if (!auth || !auth->known) {
		free(auth);
		return fail(err, CONVO_E_NOMEM, "out of memory");
	}
	auth->store = store;
	*out = auth;
	return 0;
}

void auth_free(struct auth *auth)
{
	if (!auth)
		return;
	known_free(auth->known);
	free(auth);
}

/* ---- by keys -------------------------------------------------------------------------- */

static bool auth_refuse(struct http_refusal *why)
{
	const struct http_refusal refusal = {
		.status = 401,
		.code = "invalid_api_key",
		.message = "a valid key is needed: Authorization: Bearer ck_...",
	};

	*why = refusal;
	return false;
}

/* What failed is the store: a client keeps its key, and comes again. */
static bool auth_is_away(struct http_refusal *why)
{
	const struct http_refusal refusal = {
		.status = 503,
		.code = "store_unavailable",
		.message = "the store that holds the keys does not answer",
		.retry_after = 2,
	};

	*why = refusal;
	return false;
}

/* The key that a request says, or NULL where there is none, two, or what cannot be one. */
static const char *auth_said(const struct http_request *request)
{
	static const char scheme[] = "Bearer";
	const size_t len = sizeof(scheme) - 1;
	const char *value = http_header(request, "Authorization");

	if (http_header_count(request, "Authorization") != 1 ||
	    strncasecmp(value, scheme, len) != 0 || value[len] != ' ')
		return NULL;
	value += len + strspn(value + len, " ");
	return key_is_whole(value) ? value : NULL;
}

/* @return as keys_get() */
static int auth_find(struct key_record *out, const struct auth *auth, const char *id,
		     convo_cancel *cancel)
{
	const struct convo_call call = {.timeout_ms = READ_MS, .cancel = cancel};
	int rc;

	if (known_get(out, auth->known, id))
		return 0;
	rc = keys_get(out, auth->store, id, &call, NULL);
	if (rc == 0)
		known_put(auth->known, out);
	return rc;
}

/* As OpenAI's servers write times: 20ms, 12s, 6m0s. */
static void auth_write_time(char out[24], int64_t ms)
{
	const long long seconds = (long long)(ms + 999) / 1000;

	if (ms < 1000)
		snprintf(out, 24, "%lldms", (long long)ms);
	else if (seconds < 60)
		snprintf(out, 24, "%llds", seconds);
	else
		snprintf(out, 24, "%lldm%llds", seconds / 60, seconds % 60);
}

static void auth_add_limit(struct http_request *request, const char *part, const char *what,
			   const char *value)
{
	char name[48];

	snprintf(name, sizeof(name), "x-ratelimit-%s-%s", part, what);
	http_add_header(request, name, value);
}

static void auth_tell_left(struct http_request *request, const char *what,
			   const struct bucket_left *left)
{
	char value[24];

	if (!left->limit)
		return;
	snprintf(value, sizeof(value), "%lld", (long long)left->limit);
	auth_add_limit(request, "limit", what, value);
	snprintf(value, sizeof(value), "%lld", (long long)left->left);
	auth_add_limit(request, "remaining", what, value);
	auth_write_time(value, left->reset_ms);
	auth_add_limit(request, "reset", what, value);
}

/* Whether the key's limits let it ask; else it is told when they will. */
static bool auth_within_limits(const struct auth *auth, const struct key_record *record,
			       struct http_request *request, struct http_refusal *why)
{
	struct http_refusal refusal = {
		.status = 429,
		.code = "rate_limit_exceeded",
		.message = "this key has used up its requests of a minute",
	};
	struct known_left left;
	bool ok = known_use_request(&left, auth->known, record);
	int64_t wait_ms = left.requests.wait_ms;

	auth_tell_left(request, "requests", &left.requests);
	auth_tell_left(request, "tokens", &left.tokens);
	if (ok)
		return true;
	if (left.tokens.wait_ms > wait_ms) {
		wait_ms = left.tokens.wait_ms;
		refusal.message = "this key has used up its tokens of a minute";
	}
	refusal.retry_after =
		wait_ms > MOST_WAIT_MS ? MOST_WAIT_MS / 1000 : (int)((wait_ms + 999) / 1000);
	*why = refusal;
	return false;
}

static bool auth_by_key(const struct auth *auth, struct http_request *request, struct http_who *who,
			struct http_refusal *why)
{
	const char *said = auth_said(request);
	struct key_record record;
	char id[KEY_ID_SIZE], hash[KEY_HEX_SIZE];
	int rc;

	if (!said)
		return auth_refuse(why);
	key_id(id, said);
	rc = auth_find(&record, auth, id, request->cancel);
	if (rc < 0 && rc != CONVO_E_NOTFOUND)
		return auth_is_away(why);
	if (rc < 0 || !key_hash(hash, said) || !key_hash_same(hash, record.hash) ||
	    !key_record_holds(&record, (int64_t)time(NULL) * 1000))
		return auth_refuse(why);
	memcpy(who->app, record.app, sizeof(who->app));
	memcpy(who->user, record.user, sizeof(who->user));
	memcpy(who->key, id, sizeof(id));
	who->rights = record.rights;
	return auth_within_limits(auth, &record, request, why);
}

bool auth_admit(void *ctx, struct http_request *request, struct http_who *who,
		struct http_refusal *why)
{
	const struct auth *auth = ctx;

	if (!auth->app)
		return auth_by_key(auth, request, who, why);
	snprintf(who->app, sizeof(who->app), "%s", auth->app);
	snprintf(who->user, sizeof(who->user), "%s", auth->user);
	who->rights = AUTH_READ | AUTH_CHAT | AUTH_ADMIN;
	return true;
}

void auth_spend(struct auth *auth, const struct http_request *request,
		const struct convo_answer *answer)
{
	int64_t asked, said;

	if (!auth || !auth->known || !answer)
		return;
	asked = answer->prompt_tokens >= 0 ? answer->prompt_tokens
					   : (int64_t)(request->body_len / BYTES_A_TOKEN);
	said = answer->completion_tokens >= 0 ? answer->completion_tokens
					      : (int64_t)(answer->text_len / BYTES_A_TOKEN);
	known_use_tokens(auth->known, request->who.key, asked + said);
}
