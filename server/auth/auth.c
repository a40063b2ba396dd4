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
	const char *app, *user; /* of everybody; NULL: keys and tokens tell */
	convo_store *store;     /* of keys; NULL: none are taken */
	struct jwt *jwt;        /* NULL: no tokens are taken */
	int64_t jwt_rpm, jwt_tpm;
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

int auth_by(struct auth **out, const struct auth_ways *ways, struct convo_err *err)
{
	struct auth *auth = calloc(1, sizeof(*auth));
	int rc = 0;

	if (auth)
		auth->known = known_new();
	if (!auth || !auth->known) {
		free(auth);
		return fail(err, CONVO_E_NOMEM, "out of memory");
	}
	auth->store = ways->store;
	if (ways->jwt) {
		auth->jwt_rpm = ways->jwt->rpm;
		auth->jwt_tpm = ways->jwt->tpm;
		rc = jwt_new(&auth->jwt, ways->jwt, err);
	}
	if (rc < 0)
		auth_free(auth);
	else
		*out = auth;
	return rc;
}

void auth_free(struct auth *auth)
{
	if (!auth)
		return;
	known_free(auth->known);
	jwt_free(auth->jwt);
	free(auth);
}

/* ---- refusals ------------------------------------------------------------------------- */

/* Whatever is wrong with what was said. */
static bool auth_refuse(const struct auth *auth, struct http_refusal *why)
{
	static const char *const messages[2][2] = {
		{"nobody is let in",
		 "a valid token is needed: Authorization: Bearer HEAD.CLAIMS.SIGNATURE"},
		{"a valid key is needed: Authorization: Bearer ck_...",
		 "a valid key or token is needed: Authorization: Bearer ck_... or "
		 "HEAD.CLAIMS.SIGNATURE"},
	};
	const struct http_refusal refusal = {
		.status = 401,
		.code = "invalid_api_key",
		.message = messages[auth->store != NULL][auth->jwt != NULL],
	};

	*why = refusal;
	return false;
}

/* What failed is on our side: a client keeps what it has, and comes again. */
static bool auth_is_away(const char *code, const char *message, struct http_refusal *why)
{
	const struct http_refusal refusal = {
		.status = 503,
		.code = code,
		.message = message,
		.retry_after = 2,
	};

	*why = refusal;
	return false;
}

/* Who holds a token that was signed can read it: what is wrong with it is no secret. */
static bool auth_refuse_token(const struct auth *auth, enum jwt_end end, struct http_refusal *why)
{
	struct http_refusal refusal = {.status = 401, .code = "invalid_token"};

	switch (end) {
	case JWT_AWAY:
		return auth_is_away("keys_unavailable",
				    "the keys that tokens are checked with cannot be had", why);
	case JWT_EXPIRED:
		refusal.message = "the token has expired";
		break;
	case JWT_EARLY:
		refusal.message = "the token is not valid yet";
		break;
	case JWT_ISSUER:
		refusal.message = "the token is of another issuer";
		break;
	case JWT_AUDIENCE:
		refusal.message = "the token is for another audience";
		break;
	case JWT_CLAIMS:
		refusal.message = "the token lacks a claim, or a name in it can be nobody's";
		break;
	default:
		return auth_refuse(auth, why);
	}
	*why = refusal;
	return false;
}

/* What a request says after "Bearer", or NULL where there is nothing, or two. */
static const char *auth_said(const struct http_request *request)
{
	static const char scheme[] = "Bearer";
	const size_t len = sizeof(scheme) - 1;
	const char *value = http_header(request, "Authorization");

	if (http_header_count(request, "Authorization") != 1 ||
	    strncasecmp(value, scheme, len) != 0 || value[len] != ' ')
		return NULL;
	return value + len + strspn(value + len, " ");
}

/* ---- limits --------------------------------------------------------------------------- */

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

/* ---- keys and tokens ------------------------------------------------------------------ */

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

static bool auth_by_key(const struct auth *auth, const char *said, struct http_request *request,
			struct http_who *who, struct http_refusal *why)
{
	struct key_record record;
	char id[KEY_ID_SIZE], hash[KEY_HEX_SIZE];
	int rc;

	key_id(id, said);
	rc = auth_find(&record, auth, id, request->cancel);
	if (rc < 0 && rc != CONVO_E_NOTFOUND)
		return auth_is_away("store_unavailable",
				    "the store that holds the keys does not answer", why);
	if (rc < 0 || !key_hash(hash, said) || !key_hash_same(hash, record.hash) ||
	    !key_record_holds(&record, (int64_t)time(NULL) * 1000))
		return auth_refuse(auth, why);
	memcpy(who->app, record.app, sizeof(who->app));
	memcpy(who->user, record.user, sizeof(who->user));
	memcpy(who->key, id, sizeof(id));
	who->rights = record.rights;
	return auth_within_limits(auth, &record, request, why);
}

/* Limits of a token are its user's, and looked after as those of keys. */
static bool auth_by_token(const struct auth *auth, const char *said, struct http_request *request,
			  struct http_who *who, struct http_refusal *why)
{
	struct key_record record = {.rpm = auth->jwt_rpm, .tpm = auth->jwt_tpm};
	const enum jwt_end end = jwt_check(auth->jwt, said, (int64_t)time(NULL), who);

	if (end != JWT_FINE)
		return auth_refuse_token(auth, end, why);
	if (!record.rpm && !record.tpm)
		return true;
	snprintf(record.id, sizeof(record.id), "%.*s", KEY_ID_SIZE - 1, who->key);
	known_put(auth->known, &record);
	return auth_within_limits(auth, &record, request, why);
}

static bool auth_by_said(const struct auth *auth, struct http_request *request,
			 struct http_who *who, struct http_refusal *why)
{
	const char *said = auth_said(request);

	if (said && auth->store && key_is_whole(said))
		return auth_by_key(auth, said, request, who, why);
	if (said && auth->jwt)
		return auth_by_token(auth, said, request, who, why);
	return auth_refuse(auth, why);
}

bool auth_admit(void *ctx, struct http_request *request, struct http_who *who,
		struct http_refusal *why)
{
	const struct auth *auth = ctx;

	if (!auth->app)
		return auth_by_said(auth, request, who, why);
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
