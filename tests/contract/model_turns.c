/*
 * Leases, drafts and forks; see model.h. Leases are either longer than any run, or short, and then
 * nothing is asked until their time is plainly over (op_gone()): no answer depends on how fast the
 * machine is.
 */
#include "model.h"

#include <time.h>

#define LEASE_SHORT (LEASES - 1) /* the one of them that is */
#define PIECES_MOST 4000         /* of a draft */

static void lease_make(struct model_lease *lease, bool is_short)
{
	const struct convo_lease_options opts = {.ms = is_short ? LEASE_SHORT_MS : LEASE_LONG_MS};
	struct convo_err err;

	*lease = (struct model_lease){.is_short = is_short, .draft = -1};
	must_pass(convo_lease_new(&lease->lease, &opts, &err));
}

void turns_begin(struct model_life *life)
{
	for (int i = 0; i < LEASES; i++)
		lease_make(&life->lease[i], i == LEASE_SHORT);
}

void turns_end(struct model *m)
{
	for (int i = 0; i < m->draft_count; i++)
		free(m->drafts[i]);
	for (int i = 0; i < m->lives * LEASES; i++)
		convo_lease_free(m->life[i / LEASES].lease[i % LEASES].lease);
	convo_lease_free(m->stray.lease);
}

/* One of a life; as a rule, of who holds it. NULL: of none. */
static struct model_lease *lease_any(struct model *m, struct model_life *life)
{
	for (int i = 0; life && life->held.lease && i < LEASES; i++) {
		if (life->held.lease == &life->lease[i] && model_pick(m, 2))
			return &life->lease[i];
	}
	if (life)
		return &life->lease[model_pick(m, LEASES)];
	if (!m->stray.lease)
		lease_make(&m->stray, false);
	return &m->stray;
}

/* Now and then, one of a life that the name had before, which is nothing to this one. */
static struct model_lease *lease_of_another(struct model *m, const struct model_life *life)
{
	for (int i = 0; life && model_pick(m, 10) == 0 && i < m->lives; i++) {
		struct model_life *other = &m->life[i];

		if (other != life && other->user == life->user && other->name == life->name)
			return &other->lease[model_pick(m, LEASES)];
	}
	return NULL;
}

/* ---- holding ---------------------------------------------------------------------------- */

enum convo_hold turns_pick(struct model *m, int user, int name, struct model_lease **lease)
{
	static const enum convo_hold kinds[] = {CONVO_HOLD_TAKE, CONVO_HOLD_TAKE, CONVO_HOLD_FORCE,
						CONVO_HOLD_KEEP, CONVO_HOLD_END,  CONVO_HOLD_END,
						CONVO_HOLD_WAIT};
	enum convo_hold what = kinds[model_pick(m, sizeof(kinds) / sizeof(kinds[0]))];
	struct model_life *life = model_find(m, user, name);
	bool in_the_way;

	*lease = NULL;
	if (model_pick(m, 2))
		return CONVO_HOLD_NONE;
	*lease = lease_of_another(m, life);
	if (*lease)
		return model_pick(m, 2) ? CONVO_HOLD_KEEP : CONVO_HOLD_END;
	*lease = lease_any(m, life);
	if ((*lease)->is_short) /* whatever else prolongs it */
		return CONVO_HOLD_END;
	if (what == CONVO_HOLD_WAIT && life &&
	    turns_verdict(life, *lease, what, true, &in_the_way) == CONVO_E_BUSY)
		return CONVO_HOLD_TAKE; /* it would wait for ever */
	return what;
}

int turns_verdict(const struct model_life *life, const struct model_lease *lease,
		  enum convo_hold what, bool fresh, bool *in_the_way)
{
	const struct model_held *held = &life->held;
	bool ours = held->lease == lease;

	*in_the_way = false;
	if (what == CONVO_HOLD_KEEP)
		return ours && held->going ? 0 : CONVO_E_CONFLICT;
	if (what == CONVO_HOLD_END) /* again: it may be, when nothing comes with it (A2) */
		return ours && (held->going || !fresh) ? 0 : CONVO_E_CONFLICT;
	if (ours)
		return 0;
	if (what != CONVO_HOLD_FORCE && held->going && !held->over)
		return CONVO_E_BUSY;
	*in_the_way = held->draft.message != NULL;
	return 0;
}

void turns_grant(struct model *m, struct model_life *life, const struct model_lease *lease,
		 enum convo_hold what)
{
	struct model_held *held = &life->held;
	bool going = what != CONVO_HOLD_END;

	if (held->lease != lease || held->going != going) /* what is prolonged is no news */
		model_touched(m, life);
	held->lease = lease;
	held->going = going;
	held->over = false;
	if (!going)
		held->draft.message = NULL;
}

int64_t turns_settled(struct model *m, struct model_life *life)
{
	struct model_held *held = &life->held;
	const struct model_draft draft = held->draft;
	int64_t seq = model_seq_of(m, life, draft.id);

	*held = (struct model_held){.going = true, .over = true};
	if (seq) {
		model_touched(m, life);
		return seq;
	}
	model_add_event(life, (struct model_event){.id = draft.id,
						   .message = draft.message,
						   .settled = true,
						   .whole = draft.whole});
	model_written(m, life);
	return life->last_seq;
}

/* ---- drafts ----------------------------------------------------------------------------- */

/* So many pieces of the text of that number: what has more of them begins with the same. */
static const char *draft_message(struct model *m, int text, int pieces)
{
	static const char *const words[] = {"word ", "\\n",      "\xe4\xb8\xad", "\\\"so\\\" ",
					    "\\\\",  "\xc3\xa9", "\\u0007",      "and on "};
	static const char head[] = "{\"role\":\"assistant\",\"content\":\"", tail[] = "\"}";
	char *message = malloc(sizeof(head) + (size_t)pieces * 8 + sizeof(tail)), *at = message;

	must(message != NULL && m->draft_count < IDS);
	m->drafts[m->draft_count++] = message;
	at = stpcpy(at, head);
	for (int i = 0; i < pieces; i++)
		at = stpcpy(at, words[(unsigned)(text + i * (i / 7 + 1)) % 8]);
	stpcpy(at, tail);
	return message;
}

/* Whether an event of the life has ever had that id, if it is shown or not. */
static bool draft_was_stored(const struct model_life *life, int id)
{
	for (int i = 0; i < life->last_seq; i++) {
		if (life->event[i].id == id)
			return true;
	}
	return false;
}

/* The next draft of a lease: it grows, as a rule. */
static struct model_draft draft_next(struct model *m, const struct model_life *life,
				     struct model_lease *lease)
{
	struct model_draft draft = {.whole = model_pick(m, 4) != 0};

	if (lease->draft < 0 || model_pick(m, 6) == 0)
		lease->draft = model_new_id(m);
	if (m->limit && life && draft_was_stored(life, lease->draft))
		lease->draft = model_new_id(m);
	if (!m->limit && life && life->last_seq && model_pick(m, 20) == 0)
		lease->draft = life->event[life->last_seq - 1].id; /* which is stored already */
	if (model_pick(m, 8) == 0)
		lease->text = (int)model_pick(m, 1000);
	if (model_pick(m, 10) == 0)
		lease->pieces /= 2;
	lease->pieces += (int)model_pick(m, model_pick(m, 8) ? 20 : PIECES_MOST / 2);
	if (lease->pieces > PIECES_MOST)
		lease->pieces = (int)model_pick(m, 10);
	draft.id = lease->draft;
	draft.message = draft_message(m, lease->text, lease->pieces);
	return draft;
}

static void draft_save(struct model *m, int user, int name, struct model_lease *lease)
{
	struct model_life *life = model_find(m, user, name);
	struct convo_key key = model_key(m, user, name);
	const struct model_draft draft = draft_next(m, life, lease);
	const struct convo_event event = {.id = m->ids[draft.id],
					  .author = draft.whole ? "writer" : NULL,
					  .turn = draft.whole ? "t1" : NULL,
					  .model = draft.whole ? "m" : NULL,
					  .message = draft.message,
					  .extra = draft.whole ? "{\"a\":[1]}" : NULL};
	struct convo_err err;

	if (!life) {
		must_fail_with(CONVO_E_NOTFOUND,
			       convo_store_draft(m->store, &key, lease->lease, &event, NULL, &err));
		return;
	}
	if (life->held.lease != lease || !life->held.going) {
		must_fail_with(CONVO_E_CONFLICT,
			       convo_store_draft(m->store, &key, lease->lease, &event, NULL, &err));
		must_equal(life->last_seq, err.last_seq);
		return;
	}
	must_pass(convo_store_draft(m->store, &key, lease->lease, &event, NULL, &err));
	life->held.draft = draft;
	life->held.over = false;
	model_touched(m, life);
}

void op_draft(struct model *m, int user, int name)
{
	struct model_life *life = model_find(m, user, name);
	struct model_lease *lease = lease_of_another(m, life);

	if (!lease)
		lease = lease_any(m, life);
	if (!lease->is_short || !life || life->held.lease != lease)
		draft_save(m, user, name, lease);
}

void op_settle(struct model *m, int user, int name)
{
	struct model_life *life = model_find(m, user, name);
	struct convo_key key = model_key(m, user, name);
	struct convo_err err;
	int64_t seq = -1;

	if (life && life->last_seq > EVENTS - BATCH - 2)
		return;
	if (!life) {
		must_fail_with(CONVO_E_NOTFOUND,
			       convo_store_settle(m->store, &key, &seq, NULL, &err));
	} else if (!life->held.draft.message) {
		must_pass(convo_store_settle(m->store, &key, &seq, NULL, &err));
		must_equal(0, seq);
	} else if (!life->held.over) {
		must_fail_with(CONVO_E_BUSY, convo_store_settle(m->store, &key, &seq, NULL, &err));
		must(err.busy_ms > 0 && err.busy_ms <= LEASE_LONG_MS);
	} else {
		must_pass(convo_store_settle(m->store, &key, &seq, NULL, &err));
		must_equal(turns_settled(m, life), seq);
	}
}

/* ---- holders that are gone -------------------------------------------------------------- */

static void gone_hold(struct model *m, struct model_life *life)
{
	struct model_lease *lease = &life->lease[LEASE_SHORT];
	const struct convo_expect expect = {.lease = lease->lease, .hold = CONVO_HOLD_FORCE};
	struct convo_key key = model_key(m, life->user, life->name);
	bool in_the_way;
	struct convo_err err;

	must_equal(0, turns_verdict(life, lease, expect.hold, false, &in_the_way));
	must_pass(convo_store_append(m->store, &key, &expect, NULL, 0, NULL, NULL, &err));
	if (in_the_way)
		turns_settled(m, life);
	turns_grant(m, life, lease, expect.hold);
	for (size_t i = model_pick(m, 3); i > 0; i--)
		draft_save(m, life->user, life->name, lease);
}

void op_gone(struct model *m)
{
	const struct timespec over = {.tv_sec = LEASE_SHORT_MS / 1000, .tv_nsec = 300000000};

	for (int i = 0; i < USERS * NAMES; i++) {
		struct model_life *life = model_find(m, i / NAMES, i % NAMES);

		if (life && life->last_seq <= EVENTS - BATCH - 2 && model_pick(m, 3))
			gone_hold(m, life);
	}
	nanosleep(&over, NULL);
	for (int i = 0; i < m->lives; i++) {
		struct model_held *held = &m->life[i].held;

		if (held->lease && held->lease->is_short)
			held->over = true;
	}
	for (int i = 0; i < USERS * NAMES; i++)
		compare_session(m, i / NAMES, i % NAMES);
}

/* ---- forks ------------------------------------------------------------------------------ */

static void fork_begin(struct model *m, const struct model_life *source, int name,
		       const char *generation, int64_t upto_seq)
{
	struct model_life *life = model_begin(m, source->user, name, generation);
	int64_t first = model_first(m, source);

	life->title = source->title;
	life->state = source->state;
	life->last_seq = source->last_seq;
	if (upto_seq && upto_seq < source->last_seq)
		life->last_seq = (int)upto_seq;
	life->floor = first <= life->last_seq ? first : life->last_seq + 1;
	memcpy(life->event, source->event, sizeof(life->event));
	life->origin = source;
	life->origin_seq = life->last_seq;
}

void op_fork(struct model *m, int user, int name)
{
	const struct model_life *source = model_find(m, user, name);
	int to = (int)model_pick(m, NAMES);
	int64_t last_seq = source ? source->last_seq : 0;
	const struct convo_fork fork = {.session = model_names[to],
					.upto_seq = (int64_t)model_pick(m, (size_t)last_seq + 3)};
	struct convo_key key = model_key(m, user, name);
	struct convo_created made;
	struct convo_err err;

	if (!source || model_find(m, user, to)) {
		must_fail_with(source ? CONVO_E_EXISTS : CONVO_E_NOTFOUND,
			       convo_store_fork(m->store, &key, &fork, &made, NULL, &err));
		return;
	}
	must_pass(convo_store_fork(m->store, &key, &fork, &made, NULL, &err));
	must_equal_str(model_names[to], made.session);
	fork_begin(m, source, to, made.generation, fork.upto_seq);
	compare_session(m, user, to);
}
