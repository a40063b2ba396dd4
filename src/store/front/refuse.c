/*
 * What every backend says in the same words.
 */
#include <store/backend.h>

#include <base/fail.h>

int cv_refuse_notfound(struct convo_err *err, const struct convo_key *key)
{
	return cv_fail(err, CONVO_E_NOTFOUND, "no session '%s'", key->session);
}

int cv_refuse_event(struct convo_err *err, const struct convo_key *key)
{
	return cv_fail(err, CONVO_E_NOTFOUND, "no such event in session '%s'", key->session);
}

int cv_refuse_trash(struct convo_err *err, const struct convo_key *key)
{
	return cv_fail(err, CONVO_E_NOTFOUND, "no session '%s' in the trash", key->session);
}

int cv_refuse_exists(struct convo_err *err, const struct convo_key *key)
{
	return cv_fail(err, CONVO_E_EXISTS, "session '%s' exists already", key->session);
}

int cv_refuse_conflict(struct convo_err *err, const struct convo_key *key, int64_t last_seq)
{
	cv_fail(err, CONVO_E_CONFLICT, "session '%s' has moved on to event %lld", key->session,
		(long long)last_seq);
	if (err)
		err->last_seq = last_seq;
	return CONVO_E_CONFLICT;
}

int cv_refuse_generation(struct convo_err *err, const struct convo_key *key, int64_t last_seq)
{
	cv_fail(err, CONVO_E_CONFLICT,
		"session '%s' is not the one it was: it was deleted and created again",
		key->session);
	if (err)
		err->last_seq = last_seq;
	return CONVO_E_CONFLICT;
}

int cv_refuse_busy(struct convo_err *err, const struct convo_key *key, int64_t last_seq,
		   int64_t left_us)
{
	cv_fail(err, CONVO_E_BUSY, "session '%s' is being answered", key->session);
	if (err) {
		err->last_seq = last_seq;
		err->busy_ms = left_us > 1000 ? left_us / 1000 : 1;
	}
	return CONVO_E_BUSY;
}

int cv_refuse_lease(struct convo_err *err, const struct convo_key *key, int64_t last_seq)
{
	cv_fail(err, CONVO_E_CONFLICT, "session '%s' is held by another one now, or by none",
		key->session);
	if (err)
		err->last_seq = last_seq;
	return CONVO_E_CONFLICT;
}

int cv_refuse_state(struct convo_err *err, enum convo_scope scope)
{
	return cv_fail(err, CONVO_E_TOOBIG, "the %s state would be larger than %u bytes",
		       scope == CONVO_SCOPE_APP    ? "app"
		       : scope == CONVO_SCOPE_USER ? "user"
						   : "session",
		       CONVO_MAX_STATE);
}
