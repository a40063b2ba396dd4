/*
 * Loading for a request; see load.h.
 */
#include <runner/load.h>

#include <stdint.h>
#include <stdlib.h>

#include <base/alloc.h>
#include <base/fail.h>

/* More events than the limits need are loaded at first: turns taken back and their markers. */
#define LOAD_SLACK 16

/* Whether the loaded window holds all that the limits can let pass. */
static bool load_is_enough(const convo_session *session, size_t reach, int64_t used)
{
	return (int64_t)convo_session_count(session) >= convo_session_meta(session)->count ||
	       (used >= 0 && (uint64_t)used >= reach);
}

static int64_t load_count(const convo_session *session)
{
	const struct convo_event **events;
	int64_t used;

	events = cv_alloc(convo_session_count(session), sizeof(*events));
	if (!events)
		return CONVO_E_NOMEM;
	used = convo_session_conversation(session, events);
	free(events);
	return used;
}

int cv_session_load(convo_session **out, const struct convo_runner *runner,
		    const struct convo_key *key, const struct context_limits *limits,
		    int64_t before, size_t least, const struct convo_call *call,
		    struct convo_err *err)
{
	size_t reach = cv_budget_reach(limits);
	size_t n = reach > SIZE_MAX / 8 ? 0 : reach + LOAD_SLACK;

	/* Between two summaries there are so many events: the newest is to be in sight. */
	if (n && runner->summary_events < SIZE_MAX / 8 && n < 2 * runner->summary_events)
		n = 2 * runner->summary_events;
	if (n && n < least)
		n = least;
	for (;;) {
		struct convo_window window = {.kind = before ? CONVO_WINDOW_BEFORE
							     : CONVO_WINDOW_LAST,
					      .n = n,
					      .seq = before};
		convo_session *session = NULL;
		int64_t used = 0;
		int rc = convo_store_load(&session, runner->store, key, &window, call, err);

		if (rc >= 0 && n)
			used = load_count(session);
		if (rc < 0 || used < 0) {
			convo_session_free(session);
			return rc < 0 ? rc : cv_fail_nomem(err);
		}
		if (!n || load_is_enough(session, reach, used)) {
			*out = session;
			return 0;
		}
		convo_session_free(session);
		n = n > SIZE_MAX / 4 ? 0 : n * 4;
	}
}
