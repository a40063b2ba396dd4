/*
 * The beginning of a turn: the session, whose turn it is in it, and the question into the store; see run.h.
 */
#include <runner/run.h>

#include <convo/watch.h>

#include <string.h>

#include <base/fail.h>
#include <model/recall.h>
#include <runner/load.h>

/* How often a session may vanish, or appear, under our hands before we give up. */
#define BEGIN_ROUNDS 4

/* Once a turn is cancelled, its question is stored if the store does so within this time. */
#define HURRY_MS 1000

/* While another turn holds the session: how often to look without news of it. */
#define BUSY_LOOK_MS 1000

/* Behind the calls that outputs answer there may stand so much else: turns taken back, outputs. */
#define OUTPUTS_LEAST 128

/* ---- what an earlier run of the turn has stored ------------------------------------------ */

/* The answer as it was stored. */
static int known_answer(struct run *run, const struct convo_event *event, struct convo_err *err)
{
	struct turn *turn = run->turn;

	if (turn->answer)
		return 1;
	if (cv_answer_recall(&turn->answer, event, err) < 0)
		return cv_fail_nomem(err);
	turn->base.answer = turn->answer;
	turn->base.answer_seq = event->seq;
	turn->base.repeated = true;
	return 1;
}

/* Take what the session that was loaded shows of the turn. @return as cv_run_begin() */
static int known_scan(struct run *run, struct convo_err *err)
{
	struct question *said = &run->turn->said;
	size_t count = said->given ? convo_session_count(run->session) : 0;
	const struct convo_event *answer = NULL;

	for (size_t i = 0; i < count; i++) {
		const struct convo_event *event = convo_session_event(run->session, i);

		if (!event->turn || strcmp(event->turn, said->turn) != 0)
			continue;
		if (strcmp(event->id, said->answer_id) == 0)
			answer = event;
		for (size_t k = 0; k < said->count; k++) {
			if (strcmp(event->id, said->ids[k]) != 0)
				continue;
			said->seqs[k] = event->seq;
			run->known = true;
		}
	}
	run->turn->base.question_seq = said->seqs[0];
	return answer ? known_answer(run, answer, err) : 0;
}

/* Look for one event of the turn. @return 1: it is there, `out` is a session of it alone; 0; or a code */
static int known_look(convo_session **out, const struct run *run, const char *id,
		      struct convo_err *err)
{
	const struct convo_window window = {.kind = CONVO_WINDOW_AROUND, .n = 1, .id = id};
	int rc;

	if (!run->turn->said.given)
		return 0;
	rc = convo_store_load(out, run->runner->store, &run->key, &window, &run->call, err);
	if (rc == CONVO_E_NOTFOUND)
		return 0;
	return rc < 0 ? rc : 1;
}

/* Whether the question is stored, however long ago. */
static int known_question(struct run *run, struct convo_err *err)
{
	convo_session *found = NULL;
	int rc = run->known ? 0 : known_look(&found, run, run->turn->said.ids[0], err);

	run->known |= rc > 0;
	convo_session_free(found);
	return rc < 0 ? rc : run->known;
}

/* Give the session back, nothing of it being wanted any more. What fails is over with the lease's time. */
static void run_release(struct run *run)
{
	const struct convo_expect expect = {
		.generation = run->turn->generation, .lease = run->lease, .hold = CONVO_HOLD_END};

	if (run->held)
		convo_store_append(run->runner->store, &run->key, &expect, NULL, 0, NULL, NULL,
				   NULL);
	run->held = false;
}

/*
 * Once the question is stored and the session is ours: whether another one has answered. It stored that
 * before it gave the session up, and can no longer do so.
 */
static int run_look(struct run *run, struct convo_err *err)
{
	convo_session *found = NULL;
	int rc = known_look(&found, run, run->turn->said.answer_id, err);

	if (rc > 0)
		rc = known_answer(run, convo_session_event(found, 0), err);
	if (rc)
		run_release(run);
	convo_session_free(found);
	return rc;
}

/* ---- the session -------------------------------------------------------------------------- */

/* Outputs of tools must be those that the conversation waits for, unless they were stored before. */
static int run_check(struct run *run, struct convo_err *err)
{
	const struct question *said = &run->turn->said;
	struct convo_err none;
	int rc = 0;

	if (said->outputs && !run->known)
		rc = cv_context_check(run->session, said->events, said->count, err);
	if (rc == CONVO_E_INVALID && run->session && known_question(run, &none) > 0)
		return 0;
	return rc;
}

static int run_create(struct run *run, struct convo_err *err)
{
	struct convo_create create = {.title = run->turn->said.title};
	struct convo_created created;
	int rc = run->after_seq ? cv_fail(err, CONVO_E_CONFLICT, "there is no such session")
				: run_check(run, err);

	if (rc < 0)
		return rc;
	rc = convo_store_create(run->runner->store, &run->key, &create, &created, &run->call, err);
	if (rc < 0)
		return rc;
	memcpy(run->turn->generation, created.generation, sizeof(created.generation));
	run->turn->base.created = true;
	return 0;
}

/* Whether it goes behind what is there. */
static int run_check_end(struct run *run, struct convo_err *err)
{
	int64_t last = convo_session_meta(run->session)->last_seq;
	int rc = last == run->after_seq ? 1 : known_question(run, err);

	if (rc)
		return rc < 0 ? rc : 0;
	rc = cv_fail(err, CONVO_E_CONFLICT, "session '%s' has moved on", run->key.session);
	if (err)
		err->last_seq = last;
	return rc;
}

/* The session as it is, or a new one. @return as cv_run_begin() */
static int run_open(struct run *run, struct convo_err *err)
{
	const struct question *said = &run->turn->said;
	int rc;

	convo_session_free(run->session);
	run->session = NULL;
	run->turn->base.created = false;
	run->known = false;
	rc = cv_session_load(&run->session, run->runner, &run->key, &run->ask.plan.limits, 0,
			     said->outputs ? said->count + OUTPUTS_LEAST : 0, &run->call, err);
	if (rc == CONVO_E_NOTFOUND)
		return run_create(run, err);
	if (rc < 0)
		return rc;
	memcpy(run->turn->generation, convo_session_meta(run->session)->generation,
	       sizeof(run->turn->generation));
	rc = known_scan(run, err);
	if (rc)
		return rc;
	rc = run->fresh ? known_question(run, err) : 1;
	if (rc == 0)
		return cv_fail(err, CONVO_E_EXISTS, "session '%s' exists already",
			       run->key.session);
	if (rc >= 0 && run->after_seq)
		rc = run_check_end(run, err);
	return rc < 0 ? rc : run_check(run, err);
}

/* ---- the question ------------------------------------------------------------------------- */

/*
 * Store the question, and take the session with it. In a hurry it is only stored. Outputs are stored where
 * they were checked: behind what was loaded.
 */
static int run_store_question(struct run *run, struct convo_err *err)
{
	const struct question *said = &run->turn->said;
	struct convo_expect expect = {.generation = run->turn->generation,
				      .check_seq =
					      (said->outputs || run->after_seq) && !run->known};
	int rc;

	if (run->session)
		expect.after_seq = convo_session_meta(run->session)->last_seq;
	if (!run->hurry) {
		expect.lease = run->lease;
		expect.hold =
			run->when_busy == CONVO_BUSY_TAKE ? CONVO_HOLD_FORCE : CONVO_HOLD_TAKE;
	}
	rc = cv_runner_append(run->runner, &run->key, &expect, said->events, said->count,
			      run->hurry ? APPEND_ONCE : APPEND_SETTLE, &run->call, said->seqs,
			      err);
	run->held = rc >= 0 && expect.lease;
	if (rc >= 0)
		run->turn->base.question_seq = said->seqs[0];
	return rc;
}

/* Until the turn that holds the session has ended: look at every news of it, and now and then. */
static int run_wait(struct run *run, convo_watch *watch, struct convo_err *err)
{
	int rc = convo_watch_add(watch, &run->key, NULL, err);

	while (rc >= 0) {
		const struct convo_call call = {.cancel = run->call.cancel,
						.timeout_ms = err->busy_ms < BUSY_LOOK_MS
								      ? err->busy_ms + 1
								      : BUSY_LOOK_MS};

		rc = convo_watch_next(watch, NULL, NULL, &call, err);
		if (rc < 0 && rc != CONVO_E_TIMEOUT)
			return rc;
		rc = run_store_question(run, err);
		if (rc != CONVO_E_BUSY)
			return rc;
		rc = 0;
	}
	return rc;
}

/* Store the question and take the session, if need be after the turn that holds it. */
static int run_take(struct run *run, struct convo_err *err)
{
	const struct convo_listener *to = run->listener;
	convo_watch *watch = NULL;
	int rc = run_store_question(run, err);

	if (rc != CONVO_E_BUSY || run->when_busy != CONVO_BUSY_WAIT)
		return rc;
	run->waits = true;
	if (to && to->on_busy && to->on_busy(to->ctx, err->busy_ms))
		return cv_fail(err, CONVO_E_CANCELED, "stopped while it waited");
	rc = convo_watch_new(&watch, run->runner->store, err);
	if (rc >= 0)
		rc = run_wait(run, watch, err);
	convo_watch_free(watch);
	run->waits = rc == CONVO_E_CANCELED;
	return rc;
}

/*
 * What others have appended since the session was loaded, an answer that was waited for above all, is
 * a part of the conversation; a question that was stored long ago, and what came after it, is not.
 */
static int run_reload(struct run *run, struct convo_err *err)
{
	int64_t seq = run->turn->base.question_seq;
	int64_t last = run->session ? convo_session_meta(run->session)->last_seq : 0;
	convo_session *session = NULL;
	int rc;

	if (seq == last + 1 || run->hurry)
		return 0;
	rc = cv_session_load(&session, run->runner, &run->key, &run->ask.plan.limits, seq, 0,
			     &run->call, err);
	if (rc < 0)
		return seq <= last ? rc : 0;
	convo_session_free(run->session);
	run->session = session;
	return 0;
}

/*
 * Whether to begin once more. Others may create the session, delete it or let it expire between two
 * of our steps; a creation may have been carried out; and what was typed is to be kept when a cancel
 * ended a call, if the store is quick.
 */
static bool run_again(struct run *run, int rc, bool opened, const struct convo_err *err)
{
	if (rc == CONVO_E_CANCELED && run->waits)
		return false; /* it is not begun, and another one is being answered */
	if (rc == CONVO_E_CANCELED && !run->hurry) {
		run->hurry = true;
		run->call = (struct convo_call){.timeout_ms = HURRY_MS};
		return true;
	}
	if (rc == CONVO_E_EXISTS && !opened && run->fresh)
		return false;
	if (rc == CONVO_E_CONFLICT && !opened && run->after_seq)
		return false;
	if (err->maybe && !opened && !run->hurry)
		return true;
	return rc == CONVO_E_EXISTS || rc == CONVO_E_NOTFOUND || rc == CONVO_E_CONFLICT;
}

/* The question is stored. @return as cv_run_begin() */
static int run_ready(struct run *run, struct convo_err *err)
{
	int rc = run_look(run, err);

	if (rc)
		return rc;
	rc = run_reload(run, err);
	if (rc < 0)
		run_release(run);
	return rc;
}

int cv_run_begin(struct run *run, convo_cancel *cancel, struct convo_err *err)
{
	int round, rc = 0;

	run->call = (struct convo_call){.cancel = cancel};
	for (round = 0; round < BEGIN_ROUNDS; round++) {
		bool opened;

		err->maybe = false;
		rc = run_open(run, err);
		if (rc > 0)
			return rc;
		opened = rc >= 0;
		if (opened)
			rc = run_take(run, err);
		if (rc >= 0)
			return run_ready(run, err);
		if (!run_again(run, rc, opened, err))
			break;
		/* What is there at a second look may be our own doing: then it counts as fresh. */
		if (opened || err->maybe || rc != CONVO_E_CANCELED)
			run->fresh = false;
	}
	return rc;
}
