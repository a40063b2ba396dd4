/*
 * How the thread of those who watch learns what others did: the ear, and marks. See watched.h.
 */
#include <store/front/watched.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <store/front/call.h>

#define EAR_MARKS_US 15000000 /* between two looks beside an ear */
#define RETRY_MOST_US 5000000
#define MARKS_MOST_MS 60000 /* once it gets so much time a question gets no more */

/* ---- the ear ------------------------------------------------------------------------------ */

void cv_ear_drop(struct store_hub *hub)
{
	if (!hub->ear)
		return;
	hub->store->be->ear_close(hub->ear);
	hub->ear = NULL;
	hub->ear_at_us = cv_clock_mono_us() + hub->retry_us;
	hub->retry_us = 2 * hub->retry_us < RETRY_MOST_US ? 2 * hub->retry_us : RETRY_MOST_US;
	hub->marks_at_us = 0;
}

static void ear_lost(struct store_hub *hub, struct hub_session *session)
{
	(void)hub;
	session->heard = false;
}

void cv_ear_tell(struct store_hub *hub, struct hub_session *session)
{
	bool on = session->entries != NULL;

	if (!hub->ear || session->heard == on)
		return;
	if (hub->store->be->ear_set(hub->ear, &session->key, on, NULL) < 0) {
		cv_ear_drop(hub);
		cv_watched_each(hub, ear_lost);
		return;
	}
	session->heard = on;
}

static void ear_new(struct store_hub *hub, struct hub_session *session)
{
	session->heard = false;
	cv_ear_tell(hub, session);
	cv_watched_news(session);
}

void cv_ear_try(struct store_hub *hub)
{
	const struct convo_call how = {.cancel = hub->closing};
	const struct cv_backend *be = hub->store->be;
	struct store_call call;
	int rc;

	if (!be->ear_open || hub->ear || hub->deaf || cv_clock_mono_us() < hub->ear_at_us ||
	    cv_call_begin(&call, hub->store, &how, NULL) < 0)
		return;
	rc = be->ear_open(hub->store, &call, &hub->ear, NULL);
	if (rc < 0) {
		hub->ear = NULL;
		hub->deaf = rc == CONVO_E_UNSUPPORTED;
		hub->ear_at_us = cv_clock_mono_us() + hub->retry_us;
		hub->retry_us =
			2 * hub->retry_us < RETRY_MOST_US ? 2 * hub->retry_us : RETRY_MOST_US;
		return;
	}
	pthread_mutex_lock(&hub->lock);
	cv_watched_each(hub, ear_new);
	pthread_mutex_unlock(&hub->lock);
	hub->marks_at_us = cv_clock_mono_us() + FOLLOW_US;
}

/* ---- marks -------------------------------------------------------------------------------- */

static void marks_list(struct store_hub *hub, struct hub_session *session)
{
	if (cv_grow((void **)&hub->asked, &hub->asked_cap, hub->asked_count + 1,
		    sizeof(struct hub_session *)))
		hub->asked[hub->asked_count++] = session;
}

/*
 * A question that got no answer in time gets twice the time when it is asked again: those who load may keep a slow
 * server so busy that it would never have its turn among them.
 */
static void marks_patience(struct store_hub *hub, int rc)
{
	int64_t ms = hub->marks_ms ? hub->marks_ms : hub->store->opts.timeout_ms;

	if (rc != CONVO_E_TIMEOUT)
		hub->marks_ms = 0;
	else if (ms < MARKS_MOST_MS)
		hub->marks_ms = 2 * ms;
}

static bool marks_ask(struct store_hub *hub, struct hub_session **sessions, size_t count)
{
	const struct convo_call how = {.cancel = hub->closing, .timeout_ms = hub->marks_ms};
	const struct convo_key *keys[STORE_MARKS];
	uint64_t marks[STORE_MARKS];
	struct store_call call;
	size_t i;
	int rc;

	for (i = 0; i < count; i++)
		keys[i] = &sessions[i]->key;
	rc = cv_call_begin(&call, hub->store, &how, NULL);
	if (rc == 0)
		rc = hub->store->be->marks(hub->store, &call, keys, count, marks, NULL);
	marks_patience(hub, rc);
	if (rc)
		return false;
	pthread_mutex_lock(&hub->lock);
	for (i = 0; i < count; i++) {
		if (!sessions[i]->marked || sessions[i]->mark != marks[i])
			cv_watched_news(sessions[i]);
		sessions[i]->marked = true;
		sessions[i]->mark = marks[i];
	}
	pthread_mutex_unlock(&hub->lock);
	return true;
}

void cv_marks_try(struct store_hub *hub)
{
	size_t i, n;

	if (cv_clock_mono_us() < hub->marks_at_us)
		return;
	pthread_mutex_lock(&hub->lock);
	hub->asked_count = 0;
	cv_watched_each(hub, marks_list);
	pthread_mutex_unlock(&hub->lock);
	for (i = 0; i < hub->asked_count; i += n) {
		n = hub->asked_count - i < STORE_MARKS ? hub->asked_count - i : STORE_MARKS;
		if (!marks_ask(hub, &hub->asked[i], n))
			break;
	}
	hub->marks_at_us =
		cv_clock_mono_us() + (hub->ear ? EAR_MARKS_US : hub->store->be->marks_us);
}
