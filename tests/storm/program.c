/*
 * A program of the storm: its writers append, each with ids of its own, to sessions that they share,
 * and make, delete and restore others, and write into their journals what they try and what comes
 * of it. One that takes the place of a program that was killed goes on where the journals end.
 *
 * What a call may not give is written down as wrong, with the reason, and the writer goes on.
 */
#include "journal.h"
#include "plan.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <base/clock.h>

/* How long the last calls are tried again once the storm is over. */
#define RESOLVE_US (60 * 1000000LL)
#define SKEW_US (600 * 1000000LL)
/*
 * A call that got no answer may still be carried out: by a server that stood still and reads, when
 * it goes on, what lay in its socket. Longer than the conductor lets one stand still.
 */
#define SETTLED_US (25 * 1000000LL)

enum life { LIFE_UNKNOWN, LIFE_NONE, LIFE_LIVES };

struct writer {
	const struct storm_plan *plan;
	convo_store *store;
	int number, fd;
	uint64_t rng;
	uint32_t next;                    /* number of its next event */
	int64_t acked[STORM_SESSIONS];    /* the last seq it was given there */
	struct journal_record open;       /* what the journal left open; what 0: nothing */
	bool open_maybe;                  /* and an attempt of it may have worked */
	enum life own;                    /* its own session */
	int64_t settled_us;               /* since when it may be looked at, if unknown */
	char generation[CONVO_UUID_SIZE]; /* of that, living */
	char deleted[CONVO_UUID_SIZE];    /* of that, when it was deleted last */
	pthread_t thread;
};

/* ---- small things ---------------------------------------------------------------------- */

static uint64_t writer_random(struct writer *writer, uint64_t below)
{
	uint64_t x = writer->rng;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	writer->rng = x;
	return (x >> 11) % below;
}

static void writer_nap(struct writer *writer, int ms)
{
	storm_nap_us((int64_t)(500 + writer_random(writer, 1000)) * ms);
}

static bool writer_is_late(const struct writer *writer, int64_t *over_us)
{
	if (!*writer->plan->over)
		return false;
	if (!*over_us)
		*over_us = storm_now_us();
	return storm_now_us() - *over_us > RESOLVE_US;
}

static void writer_note(struct writer *writer, struct journal_record record, enum journal_what what)
{
	record.what = what;
	journal_add(writer->fd, &record);
}

__attribute__((format(printf, 3, 4))) static void
writer_wrong(struct writer *writer, struct journal_record record, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(record.text, sizeof(record.text), fmt, args);
	va_end(args);
	writer_note(writer, record, JOURNAL_WRONG);
}

/* Codes that trouble with servers gives; NOTFOUND and the like are for who asked. */
static bool is_trouble(int code)
{
	return code == CONVO_E_TIMEOUT || code == CONVO_E_IO || code == CONVO_E_GONE ||
	       code == CONVO_E_READONLY;
}

/*
 * Write down how a call ended.
 *
 * @param allowed another code that it may give, or 0
 */
static enum journal_what writer_end(struct writer *writer, struct journal_record *record, int rc,
				    const struct convo_err *err, int64_t since_us, int allowed)
{
	struct journal_record end = *record;
	enum journal_what what = JOURNAL_ACK;

	end.took_us = storm_now_us() - since_us;
	if (rc < 0) {
		what = err->maybe ? JOURNAL_MAYBE : JOURNAL_NO;
		end.code = rc;
		snprintf(end.text, sizeof(end.text), "%s: %s", convo_code_name(rc), err->text);
	}
	writer_note(writer, end, what);
	if (rc < 0 && ((!is_trouble(rc) && rc != allowed) || strstr(err->text, "damaged")))
		writer_wrong(writer, end, "not a code of a server's trouble: %s: %s",
			     convo_code_name(rc), err->text);
	return what;
}

/* ---- appending ------------------------------------------------------------------------- */

/*
 * The numbers that an append gave. Those of a batch go on without a gap; but of one that is repeated
 * the limit may have removed the first events meanwhile, and they are stored anew, behind the rest.
 */
static void append_numbers(struct writer *writer, const struct journal_record *record, bool again)
{
	const int64_t *seqs = record->seqs;
	struct storm_session session;
	bool anew = false;

	storm_session(&session, record->session);
	for (uint32_t i = 1; i < record->count; i++) {
		if (seqs[i] == seqs[i - 1] + 1)
			continue;
		if (again && session.kind == STORM_LIMITED && !anew && seqs[i] < seqs[0])
			anew = true;
		else
			writer_wrong(writer, *record,
				     "event %" PRIu32 " of the batch got the number %" PRId64
				     ", the one before it %" PRId64,
				     i, seqs[i], seqs[i - 1]);
	}
}

/* One try of an append. @return ACK, NO or MAYBE; *code is what the call gave */
static enum journal_what append_once(struct writer *writer, struct journal_record *record,
				     bool again, int *code)
{
	static _Thread_local struct storm_event made[STORM_BATCH];
	struct convo_event events[STORM_BATCH];
	struct convo_expect expect = {.generation = record->generation};
	int64_t seqs[STORM_BATCH] = {0}, since_us;
	struct storm_session session;
	struct convo_err err = {0};
	enum journal_what what;

	storm_session(&session, record->session);
	for (uint32_t i = 0; i < record->count; i++) {
		storm_event(&made[i], writer->number, record->n + i,
			    storm_is_stateful(session.kind));
		events[i] = made[i].event;
	}
	record->seq = 0;
	writer_note(writer, *record, JOURNAL_TRY);
	since_us = storm_now_us();
	*code = convo_store_append(writer->store, &session.key,
				   record->generation[0] ? &expect : NULL, events, record->count,
				   seqs, NULL, &err);
	record->seq = *code < 0 ? 0 : seqs[0];
	memcpy(record->seqs, seqs, sizeof(seqs));
	what = writer_end(writer, record, *code, &err, since_us,
			  session.kind == STORM_RACED ? *code : 0);
	if (what != JOURNAL_ACK)
		return what;
	append_numbers(writer, record, again);
	return what;
}

/* The highest of the numbers that it was given. */
static int64_t append_last(const struct journal_record *record)
{
	int64_t last = record->seq;

	for (uint32_t i = 1; i < record->count; i++)
		last = record->seqs[i] > last ? record->seqs[i] : last;
	return last;
}

/* Append until the outcome is known, or by chance give up what surely was not stored. */
static void append_until_known(struct writer *writer, struct journal_record record, bool maybe)
{
	int64_t over_us = 0;
	int code;

	for (;;) {
		enum journal_what what = append_once(writer, &record, maybe, &code);

		if (what == JOURNAL_ACK) {
			writer->acked[record.session] = append_last(&record);
			return;
		}
		maybe = maybe || what == JOURNAL_MAYBE;
		if (!is_trouble(code) || (!maybe && writer_random(writer, 3) == 0))
			return;
		if (writer_is_late(writer, &over_us)) {
			writer_wrong(writer, record, "no answer long after the storm");
			return;
		}
		writer_nap(writer, 60);
	}
}

static void writer_append(struct writer *writer, int session, const char *generation)
{
	struct journal_record record = {
		.op = JOURNAL_APPEND, .session = session, .n = writer->next, .count = 1};

	if (writer_random(writer, 4) == 0)
		record.count = 2 + (uint32_t)writer_random(writer, STORM_BATCH - 1);
	writer->next += record.count;
	snprintf(record.generation, sizeof(record.generation), "%s", generation);
	append_until_known(writer, record, false);
}

/* ---- other calls ----------------------------------------------------------------------- */

/*
 * Load a session's end: the meta, and that what it shows is in order. `gone` if it is absent.
 *
 * @return false when it could not be read
 */
static bool writer_look(struct writer *writer, int number, char generation[CONVO_UUID_SIZE],
			bool *gone)
{
	const struct convo_window window = {.n = number == STORM_SHAREDS ? 0 : 4};
	struct journal_record record = {.op = JOURNAL_READ, .session = number};
	const struct convo_meta *meta;
	struct storm_session session;
	convo_session *loaded = NULL;
	struct convo_err err = {0};
	int64_t since_us = storm_now_us(), seq;
	size_t count;
	int rc;

	storm_session(&session, number);
	rc = convo_store_load(&loaded, writer->store, &session.key, &window, NULL, &err);
	*gone = rc == CONVO_E_NOTFOUND;
	if (rc == 0)
		snprintf(record.generation, sizeof(record.generation), "%s",
			 convo_session_meta(loaded)->generation);
	if (writer_end(writer, &record, rc, &err, since_us,
		       session.kind < STORM_RACED ? 0 : CONVO_E_NOTFOUND) != JOURNAL_ACK)
		return *gone;
	meta = convo_session_meta(loaded);
	count = convo_session_count(loaded);
	memcpy(generation, record.generation, CONVO_UUID_SIZE);
	if (session.kind < STORM_RACED && meta->last_seq < writer->acked[number])
		writer_wrong(writer, record,
			     "the last event that is shown is %" PRId64 ", but %" PRId64
			     " is acknowledged",
			     meta->last_seq, writer->acked[number]);
	if (session.kind == STORM_LIMITED && count > STORM_LIMIT)
		writer_wrong(writer, record, "%zu events are shown", count);
	for (size_t i = 0; i < count; i++) {
		seq = convo_session_event(loaded, i)->seq;
		if (seq != meta->last_seq - (int64_t)(count - 1 - i))
			writer_wrong(writer, record,
				     "event %" PRId64 " is shown as %zu. of %zu up to %" PRId64,
				     seq, i + 1, count, meta->last_seq);
	}
	convo_session_free(loaded);
	return true;
}

static int call_create(struct writer *writer, const struct convo_key *key,
		       struct journal_record *record, struct convo_err *err)
{
	struct convo_created created = {0};
	int rc = convo_store_create(writer->store, key, NULL, &created, NULL, err);

	snprintf(record->generation, sizeof(record->generation), "%s", created.generation);
	return rc;
}

/* Create, delete or restore once. @return the code; *what says whether it may have worked */
static int writer_change(struct writer *writer, int number, enum journal_op op,
			 const char *generation, enum journal_what *what,
			 char made[CONVO_UUID_SIZE])
{
	struct journal_record record = {.op = op, .session = number};
	struct storm_session session;
	struct convo_err err = {0};
	int64_t since_us;
	int rc;

	storm_session(&session, number);
	snprintf(record.generation, sizeof(record.generation), "%s", generation);
	writer_note(writer, record, JOURNAL_TRY);
	since_us = storm_now_us();
	if (op == JOURNAL_CREATE)
		rc = call_create(writer, &session.key, &record, &err);
	else if (op == JOURNAL_DELETE)
		rc = convo_store_delete(writer->store, &session.key, NULL, &err);
	else
		rc = convo_store_restore(writer->store, &session.key, generation, NULL, &err);
	snprintf(made, CONVO_UUID_SIZE, "%s", record.generation);
	*what = writer_end(writer, &record, rc, &err, since_us,
			   op == JOURNAL_DELETE ? 0 : CONVO_E_EXISTS);
	return rc;
}

/* ---- a session of its own -------------------------------------------------------------- */

static void own_unknown(struct writer *writer, int64_t since_us)
{
	writer->own = LIFE_UNKNOWN;
	writer->settled_us = since_us + SETTLED_US;
}

/* What is true of the session when the outcome of what was done to it is unknown. */
static void own_look(struct writer *writer)
{
	bool gone = false;

	if (storm_now_us() < writer->settled_us)
		return;
	if (!writer_look(writer, STORM_FIRST_OWN + writer->number, writer->generation, &gone))
		return;
	writer->own = gone ? LIFE_NONE : LIFE_LIVES;
}

/* It lives, as far as one knows who alone may delete it. */
static void own_look_again(struct writer *writer)
{
	struct journal_record record = {.op = JOURNAL_READ,
					.session = STORM_FIRST_OWN + writer->number};
	char generation[CONVO_UUID_SIZE] = "";
	bool gone = false;

	if (!writer_look(writer, record.session, generation, &gone))
		return;
	if (gone != (writer->own == LIFE_NONE))
		writer_wrong(writer, record, "it is %s", gone ? "not there" : "there");
	else if (!gone && strcmp(generation, writer->generation) != 0)
		writer_wrong(writer, record, "it is %s and not %s", generation, writer->generation);
}

static void own_delete(struct writer *writer)
{
	char ignored[CONVO_UUID_SIZE];
	enum journal_what what;
	int rc = writer_change(writer, STORM_FIRST_OWN + writer->number, JOURNAL_DELETE,
			       writer->generation, &what, ignored);

	if (rc < 0 && what == JOURNAL_NO)
		return;
	writer->own = LIFE_NONE;
	if (rc < 0)
		own_unknown(writer, storm_now_us());
	memcpy(writer->deleted, writer->generation, sizeof(writer->deleted));
}

static void own_revive(struct writer *writer)
{
	bool restore = writer->deleted[0] && writer_random(writer, 2);
	char made[CONVO_UUID_SIZE];
	enum journal_what what;
	int rc = writer_change(writer, STORM_FIRST_OWN + writer->number,
			       restore ? JOURNAL_RESTORE : JOURNAL_CREATE,
			       restore ? writer->deleted : "", &what, made);

	if (rc == CONVO_E_EXISTS) {
		struct journal_record record = {.op = JOURNAL_CREATE,
						.session = STORM_FIRST_OWN + writer->number};

		writer_wrong(writer, record, "it exists, though it was deleted");
	}
	if (rc < 0) {
		if (what == JOURNAL_MAYBE)
			own_unknown(writer, storm_now_us());
		return;
	}
	writer->own = LIFE_LIVES;
	memcpy(writer->generation, made, sizeof(made));
}

static void own_step(struct writer *writer)
{
	uint64_t chance = writer_random(writer, 10);

	if (writer->own == LIFE_UNKNOWN)
		own_look(writer);
	else if (chance < 2)
		own_look_again(writer);
	else if (writer->own == LIFE_NONE)
		own_revive(writer);
	else if (chance == 2)
		own_delete(writer);
	else
		writer_append(writer, STORM_FIRST_OWN + writer->number, writer->generation);
}

/* ---- a session of several, which comes and goes ----------------------------------------- */

static void raced_step(struct writer *writer)
{
	int number = STORM_SHAREDS + 1 + (int)writer_random(writer, STORM_RACES);
	char generation[CONVO_UUID_SIZE] = "", made[CONVO_UUID_SIZE];
	enum journal_what what;
	bool gone = false;

	if (!writer_look(writer, number, generation, &gone))
		return;
	if (gone)
		writer_change(writer, number, JOURNAL_CREATE, "", &what, made);
	else if (writer_random(writer, 8) == 0)
		writer_change(writer, number, JOURNAL_DELETE, generation, &what, made);
	else
		writer_append(writer, number, generation);
}

/* ---- the life of a writer -------------------------------------------------------------- */

static void writer_step(struct writer *writer)
{
	uint64_t chance = writer_random(writer, 20);
	char generation[CONVO_UUID_SIZE];
	int program = writer->number / STORM_THREADS, number;
	bool gone;

	if (program % 4 == 3) /* its store has a limit, so it writes where there is one */
		number = STORM_SHAREDS;
	else
		number = (writer->number + (int)(chance & 1)) % STORM_SHAREDS;
	if (chance < 2)
		writer_look(writer, number, generation, &gone);
	else if (chance < 5 && program % 4 != 3)
		own_step(writer);
	else if (chance < 7 && program % 4 != 3)
		raced_step(writer);
	else
		writer_append(writer, number, "");
}

/* What the journal says of the writer's own session. `before`: how it was before the last try. */
static void replay_own(struct writer *writer, const struct journal_record *record,
		       enum life *before)
{
	if (record->what == JOURNAL_TRY)
		*before = writer->own;
	if (record->what == JOURNAL_TRY || record->what == JOURNAL_MAYBE) {
		own_unknown(writer, record->at_us);
	} else if (record->what == JOURNAL_ACK) {
		writer->own = record->op == JOURNAL_DELETE ? LIFE_NONE : LIFE_LIVES;
		memcpy(writer->generation, record->generation, sizeof(writer->generation));
	} else if (record->op != JOURNAL_READ) {
		writer->own = *before;
	} else if (record->code == CONVO_E_NOTFOUND) {
		writer->own = LIFE_NONE;
	}
	if (record->op == JOURNAL_DELETE)
		memcpy(writer->deleted, record->generation, sizeof(writer->deleted));
}

static void replay_append(struct writer *writer, const struct journal_record *record)
{
	struct journal_record *open = &writer->open;

	if (record->what == JOURNAL_TRY && record->n >= writer->next) {
		writer->next = record->n + record->count;
		writer->open_maybe = false;
	}
	if (record->what == JOURNAL_ACK)
		writer->acked[record->session] = append_last(record);
	/* A call that was cut short by the kill is as good as one of unknown outcome. */
	if (record->what == JOURNAL_MAYBE)
		writer->open_maybe = true;
	if (record->what == JOURNAL_TRY)
		*open = *record;
	else if (record->what == JOURNAL_ACK ||
		 (record->what == JOURNAL_NO && (!writer->open_maybe || !is_trouble(record->code))))
		open->what = 0;
}

static void writer_replay(struct writer *writer)
{
	enum life before = LIFE_NONE;
	size_t count;
	struct journal_record *records = journal_read(writer->plan->dir, writer->number, &count);

	for (size_t i = 0; i < count; i++) {
		const struct journal_record *record = &records[i];

		if (record->what == JOURNAL_WRONG)
			continue;
		if (record->op == JOURNAL_APPEND)
			replay_append(writer, record);
		else if (record->session == STORM_FIRST_OWN + writer->number)
			replay_own(writer, record, &before);
	}
	free(records);
}

static void *writer_run(void *arg)
{
	struct writer *writer = arg;

	if (writer->open.what) {
		struct journal_record record = writer->open;

		record.text[0] = '\0';
		append_until_known(writer, record, true);
	}
	while (!*writer->plan->over) {
		writer_step(writer);
		writer_nap(writer, writer->plan->pace_ms);
	}
	return NULL;
}

/* ---- the program ----------------------------------------------------------------------- */

static convo_store *program_open(struct writer *writer, int program)
{
	const struct convo_store_options options = {
		.timeout_ms = STORM_TIMEOUT_MS,
		.clean_interval_ms = program == 0 ? 2000 : CONVO_OFF,
		.event_limit = program % 4 == 3 ? STORM_LIMIT : 0,
		.trash_ms = program % 2 ? 0 : 24 * 3600 * 1000};
	struct journal_record record = {.op = JOURNAL_OPEN};
	int64_t since_us, over_us = 0;
	convo_store *store = NULL;
	struct convo_err err = {0};
	int rc;

	for (;;) {
		since_us = storm_now_us();
		err = (struct convo_err){0};
		rc = convo_store_open(&store, writer->plan->url, &options, &err);
		writer_end(writer, &record, rc, &err, since_us, 0);
		if (rc >= 0)
			return store;
		if (writer_is_late(writer, &over_us)) {
			writer_wrong(writer, record, "cannot open long after the storm");
			_exit(1);
		}
		writer_nap(writer, 100);
	}
}

void storm_program(const struct storm_plan *plan, int program, int life)
{
	static struct writer writers[STORM_THREADS];
	int threads = storm_threads(program);
	convo_store *store;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	cv_clock_shift_us((program % 3 - 1) * SKEW_US);
	for (int i = 0; i < threads; i++) {
		struct writer *writer = &writers[i];

		writer->plan = plan;
		writer->number = storm_writer(program, i);
		writer->fd = journal_open(plan->dir, writer->number);
		writer->rng =
			plan->seed * 2654435761u + (uint64_t)(life * 1000 + writer->number) + 1;
		writer->next = 1;
		writer->own = LIFE_NONE;
		writer_replay(writer);
	}
	store = program_open(&writers[0], program);
	for (int i = 0; i < threads; i++) {
		writers[i].store = store;
		if (pthread_create(&writers[i].thread, NULL, writer_run, &writers[i]) != 0)
			_exit(72);
	}
	for (int i = 0; i < threads; i++)
		pthread_join(writers[i].thread, NULL);
	convo_store_close(store);
	_exit(0);
}
