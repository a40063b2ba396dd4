/*
 * Loading as much of a session as a request may hold.
 */
#ifndef RUNNER_LOAD_H
#define RUNNER_LOAD_H

#include <runner/runner.h>

/**
 * Load the newest events before the seq `before` (0: all), more of them as long as what was taken back
 * leaves too few for the limits.
 *
 * @param least so many in any case
 * @param out set to the session, the caller's to free; untouched on failure
 * @return 0, or a code of convo_store_load()
 */
int cv_session_load(convo_session **out, const struct convo_runner *runner,
		    const struct convo_key *key, const struct context_limits *limits,
		    int64_t before, size_t least, const struct convo_call *call,
		    struct convo_err *err);

#endif
