/*
 * After the storm: what the journals say that was acknowledged, and what the store says that it
 * has. Every life of every session is read, those in the trash by restoring them one by one.
 */
#include "journal.h"
#include "plan.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <support/json_same.h>
#include <support/test.h>

/* What a call may take beyond its timeout on a machine that is busy with a storm. */
#define LATE_US 1000000
#define MAX_TOLD 40

enum told {
	TOLD_NOTHING,
	TOLD_TRIED,   /* a call was made and has not returned */
	TOLD_REFUSED, /* every call failed, and surely */
	TOLD_MAYBE,
	TOLD_ACKED
};

/* An event as its writer knows it. */
struct sent {
	enum told told;
	bool maybe, seen;
	bool anew; /* of its batch, some were removed by a limit and stored again behind the rest */
	int session, life;
	uint32_t first, count; /* its batch */
	int64_t seq;
	char generation[CONVO_UUID_SIZE];
};

struct life {
	int session;
	bool lives, found;
	char generation[CONVO_UUID_SIZE]; /* "" for those that have one life only */
	char made_by[48];
};

/* One change of state that must have been made; of those to one name the last one counts. */
struct change {
	int owner; /* a life, or OWNER_USER + its number, or OWNER_APP */
	int64_t order;
	char name[40], value[40];
};

enum { OWNER_USER = 1 << 24, OWNER_APP = 1 << 25 };

struct check {
	const struct storm_plan *plan;
	convo_store *store;
	int wrong;
	struct sent *sent[STORM_WRITERS];
	uint32_t sents[STORM_WRITERS]; /* their number, and one: they count from 1 */
	struct life *lives;
	int life_count, life_room;
	struct change *changes;
	size_t change_count, change_room;
	int64_t *acks; /* when */
	size_t ack_count, ack_room;
	int64_t longest_us;
	size_t events, maybes, refused, unanswered;
	char longest[760];
};

__attribute__((format(printf, 2, 3))) static void check_wrong(struct check *check, const char *fmt,
							      ...)
{
	char text[1500];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (check->wrong++ < MAX_TOLD)
		test_say("WRONG: %s", text);
}

/* Room for one more in an array of `size` bytes each. */
static void check_grow(void *array, size_t count, size_t *room, size_t size)
{
	void **at = array;

	if (count < *room)
		return;
	*room = *room ? *room * 2 : 1024;
	*at = realloc(*at, *room * size);
	must(*at != NULL);
}

static int check_life(struct check *check, int session, const char *generation)
{
	struct storm_session is;
	size_t room = (size_t)check->life_room;
	int i;

	storm_session(&is, session);
	if (is.kind < STORM_RACED)
		generation = "";
	for (i = 0; i < check->life_count; i++) {
		if (check->lives[i].session == session &&
		    strcmp(check->lives[i].generation, generation) == 0)
			return i;
	}
	check_grow(&check->lives, (size_t)check->life_count, &room, sizeof(*check->lives));
	check->life_room = (int)room;
	check->lives[check->life_count] = (struct life){.session = session};
	memcpy(check->lives[check->life_count].generation, generation, strlen(generation) + 1);
	return check->life_count++;
}

/* ---- the journals ---------------------------------------------------------------------- */

static void take_append(struct check *check, int writer, const struct journal_record *record)
{
	bool anew = false;

	for (uint32_t i = 1; i < record->count && record->what == JOURNAL_ACK; i++)
		anew = anew || record->seqs[i] < record->seqs[i - 1];
	for (uint32_t i = 0; i < record->count; i++) {
		struct sent *sent = &check->sent[writer][record->n + i];

		if (record->what == JOURNAL_TRY) {
			sent->maybe = sent->maybe || sent->told == TOLD_TRIED;
			sent->told = TOLD_TRIED;
			sent->session = record->session;
			sent->first = record->n;
			sent->count = record->count;
			memcpy(sent->generation, record->generation, sizeof(sent->generation));
		} else if (record->what == JOURNAL_ACK) {
			sent->told = TOLD_ACKED;
			sent->seq = record->seqs[i];
			sent->anew = anew;
		} else if (record->what == JOURNAL_MAYBE) {
			sent->maybe = true;
			sent->told = TOLD_MAYBE;
		} else if (record->what == JOURNAL_NO) {
			sent->told = sent->maybe ? TOLD_MAYBE : TOLD_REFUSED;
		}
	}
}

static void take_ack(struct check *check, int writer, const struct journal_record *record)
{
	char text[600];
	int life;

	check_grow(&check->acks, check->ack_count, &check->ack_room, sizeof(*check->acks));
	check->acks[check->ack_count++] = record->at_us;
	if (record->op != JOURNAL_CREATE && record->op != JOURNAL_RESTORE)
		return;
	life = check_life(check, record->session, record->generation);
	if (record->op == JOURNAL_CREATE && check->lives[life].made_by[0]) {
		journal_tell(text, sizeof(text), writer, record);
		check_wrong(check, "two creations gave one generation: %s, and %s", text,
			    check->lives[life].made_by);
	}
	if (record->op == JOURNAL_CREATE)
		snprintf(check->lives[life].made_by, sizeof(check->lives[life].made_by),
			 "writer %d", writer);
}

static void take_record(struct check *check, int writer, const struct journal_record *record)
{
	char text[700];

	journal_tell(text, sizeof(text), writer, record);
	if (record->what == JOURNAL_WRONG)
		check_wrong(check, "writer %d: %s", writer, text);
	if (record->took_us > check->longest_us) {
		check->longest_us = record->took_us;
		snprintf(check->longest, sizeof(check->longest), "writer %d: %s", writer, text);
	}
	if (record->took_us > STORM_TIMEOUT_MS * 1000 + LATE_US && record->what != JOURNAL_WRONG)
		check_wrong(check, "writer %d: a call took longer than the timeout: %s", writer,
			    text);
	check->maybes += record->what == JOURNAL_MAYBE;
	check->refused += record->what == JOURNAL_NO;
	if (record->what == JOURNAL_ACK)
		take_ack(check, writer, record);
	if (record->op == JOURNAL_APPEND)
		take_append(check, writer, record);
}

static void take_journal(struct check *check, int writer)
{
	size_t count;
	struct journal_record *records = journal_read(check->plan->dir, writer, &count);
	uint32_t last = 0;

	for (size_t i = 0; i < count; i++) {
		if (records[i].op == JOURNAL_APPEND && records[i].n + records[i].count > last)
			last = records[i].n + records[i].count;
	}
	check->sents[writer] = last;
	check->sent[writer] = calloc(last + 1, sizeof(struct sent));
	must(check->sent[writer] != NULL);
	for (size_t i = 0; i < count; i++)
		take_record(check, writer, &records[i]);
	free(records);
	for (uint32_t n = 1; n < last; n++) {
		struct sent *sent = &check->sent[writer][n];

		sent->life = check_life(check, sent->session, sent->generation);
		check->events += sent->told == TOLD_ACKED;
		check->unanswered += sent->told == TOLD_TRIED || sent->told == TOLD_MAYBE;
	}
}

/* ---- events ---------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
	return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static void match_content(struct check *check, const char *session, int writer, uint32_t n,
			  const struct convo_event *event)
{
	struct storm_session is;
	struct storm_event want;

	storm_session(&is, check->sent[writer][n].session);
	storm_event(&want, writer, n, storm_is_stateful(is.kind));
	if (!json_same(want.message, event->message) || !same_text(want.author, event->author) ||
	    !same_text("user", event->role) || !event->state != !want.event.state ||
	    (event->state && !json_same(want.state, event->state)))
		check_wrong(check,
			    "'%s': event %" PRId64 " is not what %d.%" PRIu32
			    " was: %.200s, state %.200s, by '%s'",
			    session, event->seq, writer, n, event->message,
			    event->state ? event->state : "none", event->author);
}

/* What is read of a life, event after event. */
struct reading {
	int life;
	const char *name;
	int64_t last_seq, last_time_ms;
	uint32_t last_n[STORM_WRITERS];
	int batch_writer; /* whose batch must go on with this event */
	uint32_t batch_next, batch_end;
};

/* Batches are whole, but for the first one of a session that has a limit. */
static void match_batch(struct check *check, struct reading *reading, int writer, uint32_t n,
			const struct sent *sent, int64_t seq)
{
	bool goes_on = reading->batch_next < reading->batch_end;

	if (sent->anew)
		return;
	if (goes_on && (writer != reading->batch_writer || n != reading->batch_next))
		check_wrong(check,
			    "'%s': event %" PRId64 " is %d.%" PRIu32 " and not %d.%" PRIu32
			    " of the batch before it",
			    reading->name, seq, writer, n, reading->batch_writer,
			    reading->batch_next);
	else if (n != sent->first && !goes_on && !(reading->last_seq == 0 && seq > 1))
		check_wrong(check,
			    "'%s': event %" PRId64 " is %d.%" PRIu32 ", the batch from %" PRIu32
			    " on is not before it",
			    reading->name, seq, writer, n, sent->first);
	reading->batch_writer = writer;
	reading->batch_next = n + 1;
	reading->batch_end = sent->first + sent->count;
}

static void match_sent(struct check *check, struct reading *reading, int writer, uint32_t n,
		       int64_t seq)
{
	struct sent *sent = &check->sent[writer][n];

	if (sent->seen)
		check_wrong(check,
			    "'%s': %d.%" PRIu32 " is there twice, the second time as %" PRId64,
			    reading->name, writer, n, seq);
	if (sent->life != reading->life)
		check_wrong(check,
			    "'%s': event %" PRId64 ", %d.%" PRIu32 ", was sent to session %d %s",
			    reading->name, seq, writer, n, sent->session, sent->generation);
	if (sent->told == TOLD_REFUSED)
		check_wrong(check,
			    "'%s': event %" PRId64 " is %d.%" PRIu32
			    ", of which each call said that nothing was stored",
			    reading->name, seq, writer, n);
	if (sent->told == TOLD_ACKED && sent->seq != seq)
		check_wrong(check,
			    "'%s': %d.%" PRIu32 " is %" PRId64 ", it was acknowledged as %" PRId64,
			    reading->name, writer, n, seq, sent->seq);
	if (n <= reading->last_n[writer] && !sent->anew)
		check_wrong(check,
			    "'%s': event %" PRId64 " is %d.%" PRIu32 ", and %" PRIu32
			    " of this writer is before it",
			    reading->name, seq, writer, n, reading->last_n[writer]);
	match_batch(check, reading, writer, n, sent, seq);
	if (n > reading->last_n[writer])
		reading->last_n[writer] = n;
	sent->seen = true;
	sent->seq = seq;
}

static void match_event(struct check *check, struct reading *reading,
			const struct convo_event *event)
{
	uint32_t n;
	int writer;

	if (reading->last_seq && event->seq != reading->last_seq + 1)
		check_wrong(check, "'%s': after event %" PRId64 " comes %" PRId64, reading->name,
			    reading->last_seq, event->seq);
	if (event->time_ms < reading->last_time_ms)
		check_wrong(check,
			    "'%s': the time of event %" PRId64 " is %" PRId64
			    ", that of the one before %" PRId64,
			    reading->name, event->seq, event->time_ms, reading->last_time_ms);
	if (!storm_parse_id(event->id, &writer, &n) || n >= check->sents[writer] ||
	    check->sent[writer][n].told == TOLD_NOTHING) {
		check_wrong(check, "'%s': nobody has sent event %" PRId64 ", %s", reading->name,
			    event->seq, event->id);
	} else {
		match_sent(check, reading, writer, n, event->seq);
		match_content(check, reading->name, writer, n, event);
	}
	reading->last_seq = event->seq;
	reading->last_time_ms = event->time_ms;
}

/* Everything acknowledged that the session must show has been seen. */
static void match_missing(struct check *check, const struct reading *reading, int64_t first_seq)
{
	for (int writer = 0; writer < STORM_WRITERS; writer++) {
		for (uint32_t n = 1; n < check->sents[writer]; n++) {
			const struct sent *sent = &check->sent[writer][n];

			if (sent->told != TOLD_ACKED || sent->life != reading->life || sent->seen ||
			    sent->seq < first_seq)
				continue;
			check_wrong(check,
				    "'%s': %d.%" PRIu32 ", acknowledged as %" PRId64 ", is missing",
				    reading->name, writer, n, sent->seq);
		}
	}
}

static void match_meta(struct check *check, const struct reading *reading,
		       const struct convo_meta *meta, int64_t first_seq, size_t count)
{
	const struct life *life = &check->lives[reading->life];
	bool limited = life->session == STORM_SHAREDS;

	if (meta->count != (int64_t)count || (count && meta->last_seq != reading->last_seq))
		check_wrong(check,
			    "'%s': %zu events up to %" PRId64 " are there, it says %" PRId64
			    " up to %" PRId64,
			    reading->name, count, reading->last_seq, meta->count, meta->last_seq);
	if (count && !limited && first_seq != 1)
		check_wrong(check, "'%s': the first event is %" PRId64, reading->name, first_seq);
	if (limited && count > STORM_LIMIT + STORM_BATCH)
		check_wrong(check, "'%s': %zu events are kept", reading->name, count);
	if (life->generation[0] && strcmp(life->generation, meta->generation) != 0)
		check_wrong(check, "'%s': it is %s and not %s", reading->name, meta->generation,
			    life->generation);
}

/* ---- state ----------------------------------------------------------------------------- */

static void change_add(struct check *check, int owner, int64_t order,
		       const struct storm_delta *delta)
{
	struct change *change;

	check_grow(&check->changes, check->change_count, &check->change_room,
		   sizeof(*check->changes));
	change = &check->changes[check->change_count++];
	change->owner = owner;
	change->order = order;
	memcpy(change->name, delta->name, sizeof(change->name));
	memcpy(change->value, delta->value, sizeof(change->value));
}

static int change_compare(const void *a, const void *b)
{
	const struct change *x = a, *y = b;
	int names = strcmp(x->name, y->name);

	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	if (names)
		return names;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* The state that the events which are there have made: of each name the last change, no nulls. */
static void change_all(struct check *check)
{
	static struct storm_event event;
	struct storm_session is;
	size_t kept = 0;

	for (int writer = 0; writer < STORM_WRITERS; writer++) {
		for (uint32_t n = 1; n < check->sents[writer]; n++) {
			const struct sent *sent = &check->sent[writer][n];

			if (sent->told != TOLD_ACKED && !sent->seen)
				continue;
			storm_session(&is, sent->session);
			storm_event(&event, writer, n, storm_is_stateful(is.kind));
			for (int i = 0; i < event.deltas; i++) {
				enum convo_scope scope = event.delta[i].scope;

				if (scope == CONVO_SCOPE_SESSION)
					change_add(check, sent->life, sent->seq, &event.delta[i]);
				else
					change_add(check,
						   scope == CONVO_SCOPE_APP ? OWNER_APP
									    : OWNER_USER + is.user,
						   n, &event.delta[i]);
			}
		}
	}
	if (check->change_count)
		qsort(check->changes, check->change_count, sizeof(*check->changes), change_compare);
	for (size_t i = 0; i < check->change_count; i++) {
		const struct change *change = &check->changes[i], *next = change + 1;
		bool last = i + 1 == check->change_count || next->owner != change->owner ||
			    strcmp(next->name, change->name) != 0;

		if (last && strcmp(change->value, "null") != 0)
			check->changes[kept++] = *change;
	}
	check->change_count = kept;
}

/* The state that is there against the one that must be: both sorted by name. */
static void match_state(struct check *check, int owner, const char *name,
			const struct convo_key *key, unsigned scopes)
{
	convo_state *state = NULL;
	struct convo_err err;
	size_t i = 0, j = 0, count;

	must_pass(convo_store_state_list(&state, check->store, key, scopes, NULL, &err));
	count = convo_state_count(state);
	while (i < check->change_count && check->changes[i].owner != owner)
		i++;
	for (;;) {
		const struct change *want =
			i < check->change_count && check->changes[i].owner == owner
				? &check->changes[i]
				: NULL;
		const struct convo_item *have = j < count ? convo_state_at(state, j) : NULL;
		int order = !want ? 1 : !have ? -1 : strcmp(want->name, have->name);

		if (!want && !have)
			break;
		if (order < 0)
			check_wrong(check, "state of %s: '%s' is missing, it must be %s", name,
				    want->name, want->value);
		else if (order > 0)
			check_wrong(check, "state of %s: '%s' is %.40s, and must not be there",
				    name, have->name, have->json);
		else if (!json_same(want->value, have->json))
			check_wrong(check, "state of %s: '%s' is %.40s, and must be %s", name,
				    have->name, have->json, want->value);
		i += order <= 0;
		j += order >= 0;
	}
	convo_state_free(state);
}

/* ---- lives ----------------------------------------------------------------------------- */

/* Read a life that lives just now, the events or the state. */
static void life_events(struct check *check, int number)
{
	struct life *life = &check->lives[number];
	const struct convo_event *event;
	convo_reader *reader = NULL;
	struct reading reading = {.life = number};
	struct storm_session is;
	struct convo_err err;
	int64_t first_seq = 0;
	size_t count = 0;

	storm_session(&is, life->session);
	reading.name =
		test_text("%s%s%s", is.name, life->generation[0] ? " " : "", life->generation);
	must_pass(convo_reader_new(&reader, &is.key, NULL, &err));
	for (;;) {
		int rc = convo_store_read(&event, check->store, reader, NULL, &err);

		if (rc < 0)
			check_wrong(check, "'%s': after event %" PRId64 ": %s: %s", reading.name,
				    reading.last_seq, convo_code_name(rc), err.text);
		if (rc < 0 || !event)
			break;
		if (count++ == 0)
			first_seq = event->seq;
		match_event(check, &reading, event);
	}
	if (reading.batch_next < reading.batch_end)
		check_wrong(check, "'%s': the batch of %d.%" PRIu32 " is not whole", reading.name,
			    reading.batch_writer, reading.batch_next);
	if (convo_reader_meta(reader))
		match_meta(check, &reading, convo_reader_meta(reader), first_seq, count);
	match_missing(check, &reading, first_seq);
	convo_reader_free(reader);
	life->found = true;
}

static void life_state(struct check *check, int number)
{
	struct storm_session is;

	storm_session(&is, check->lives[number].session);
	match_state(check, number, is.name, &is.key, CONVO_SCOPE_SESSION);
}

/* What is listed of a user's sessions, as lives. */
static void life_list(struct check *check, int user, enum convo_list_what what)
{
	const struct convo_meta *metas;
	convo_cursor *cursor = NULL;
	struct storm_session is;
	struct convo_err err;
	size_t count;

	storm_session(&is, user);
	must_pass(convo_cursor_new(&cursor, is.key.app, is.key.user, what, &err));
	for (;;) {
		must_pass(test_list(check->store, cursor, 200, &metas, &count, &err));
		if (!count)
			break;
		for (size_t i = 0; i < count; i++) {
			int number = user, life;

			for (; number < STORM_SESSIONS; number += STORM_USERS) {
				storm_session(&is, number);
				if (strcmp(is.name, metas[i].session) == 0)
					break;
			}
			if (number >= STORM_SESSIONS) {
				check_wrong(check, "there is a session '%s'", metas[i].session);
				continue;
			}
			life = check_life(check, number, metas[i].generation);
			check->lives[life].found = true;
			check->lives[life].lives = what == CONVO_LIST_LIVE;
		}
	}
	convo_cursor_free(cursor);
}

/* Do it to every life: to those in the trash one by one, after what lives of their name. */
static void life_each(struct check *check, void (*visit)(struct check *check, int number))
{
	struct storm_session is;
	struct convo_err err;

	for (int session = 0; session < STORM_SESSIONS; session++) {
		int living = -1;

		storm_session(&is, session);
		for (int i = 0; i < check->life_count; i++) {
			if (check->lives[i].session == session && check->lives[i].lives)
				living = i;
		}
		if (living >= 0)
			visit(check, living);
		for (int i = 0; i < check->life_count; i++) {
			const struct life *life = &check->lives[i];

			if (life->session != session || !life->found || i == living)
				continue;
			must_pass(convo_store_delete(check->store, &is.key, NULL, &err));
			must_pass(convo_store_restore(check->store, &is.key, life->generation, NULL,
						      &err));
			visit(check, i);
		}
		/* What is looked at twice must begin twice with the same one. */
		if (living >= 0 && check->lives[living].generation[0]) {
			must_pass(convo_store_delete(check->store, &is.key, NULL, &err));
			must_pass(convo_store_restore(check->store, &is.key,
						      check->lives[living].generation, NULL, &err));
		} else if (living < 0) {
			must_pass(convo_store_delete(check->store, &is.key, NULL, &err));
		}
	}
}

static void life_missing(struct check *check)
{
	struct storm_session is;

	for (int i = 0; i < check->life_count; i++) {
		const struct life *life = &check->lives[i];
		bool acked = life->made_by[0] != '\0';

		for (int writer = 0; writer < STORM_WRITERS && !acked; writer++) {
			for (uint32_t n = 1; n < check->sents[writer]; n++)
				acked = acked || (check->sent[writer][n].life == i &&
						  check->sent[writer][n].told == TOLD_ACKED);
		}
		storm_session(&is, life->session);
		if (acked && !life->found)
			check_wrong(check, "'%s': the life %s is neither there nor in the trash",
				    is.name, life->generation);
	}
}

/* ---- all of it ------------------------------------------------------------------------- */

static int compare_times(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void check_figures(struct check *check, const char *what)
{
	int64_t gap = 0, span = 0;

	if (check->ack_count) {
		qsort(check->acks, check->ack_count, sizeof(*check->acks), compare_times);
		span = check->acks[check->ack_count - 1] - check->acks[0];
	}
	for (size_t i = 1; i < check->ack_count; i++) {
		if (check->acks[i] - check->acks[i - 1] > gap)
			gap = check->acks[i] - check->acks[i - 1];
	}
	test_say("%s: %zu events acknowledged in %d sessions, %zu calls maybe, %zu calls refused, "
		 "%zu events left open; longest call %.3f s, longest time without any success "
		 "%.1f s, %.0f s in all",
		 what, check->events, check->life_count, check->maybes, check->refused,
		 check->unanswered, (double)check->longest_us / 1e6, (double)gap / 1e6,
		 (double)span / 1e6);
	test_say("the longest call: %s", check->longest);
	if (!check->events)
		check_wrong(check, "nothing was acknowledged");
}

static void check_clear(struct check *check)
{
	convo_store_close(check->store);
	for (int writer = 0; writer < STORM_WRITERS; writer++)
		free(check->sent[writer]);
	free(check->lives);
	free(check->changes);
	free(check->acks);
}

int storm_check(const struct storm_plan *plan, const char *what)
{
	const struct convo_store_options options = {.timeout_ms = 30000,
						    .clean_interval_ms = CONVO_OFF};
	struct check check = {.plan = plan};
	struct storm_session is;
	struct convo_err err;

	must_pass(convo_store_open(&check.store, plan->url, &options, &err));
	for (int writer = 0; writer < STORM_WRITERS; writer++)
		take_journal(&check, writer);
	for (int user = 0; user < STORM_USERS; user++) {
		life_list(&check, user, CONVO_LIST_LIVE);
		life_list(&check, user, CONVO_LIST_TRASH);
	}
	life_missing(&check);
	life_each(&check, life_events);
	change_all(&check);
	life_each(&check, life_state);
	for (int user = 0; user < STORM_USERS; user++) {
		storm_session(&is, user);
		match_state(&check, OWNER_USER + user, is.key.user, &is.key, CONVO_SCOPE_USER);
	}
	match_state(&check, OWNER_APP, "the app", &is.key, CONVO_SCOPE_APP);
	check_figures(&check, what);
	check_clear(&check);
	return check.wrong;
}
