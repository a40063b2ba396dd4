/*
 * Creating, appending, state and the trash; see model.h.
 */
#include "model.h"

#include <stdio.h>

/* ---- changes of state ------------------------------------------------------------------- */

/* A value for each name; KEPT: no change. */
struct op_delta {
	int value[3][VALUES];
	const char *json; /* NULL: no change at all */
};

#define KEPT (-1)

static void delta_make(struct model *m, struct op_delta *delta)
{
	char text[512] = "{";
	size_t len = 1;

	for (int scope = 0; scope < 3; scope++) {
		for (int i = 0; i < VALUES; i++) {
			int value = KEPT;

			if (model_pick(m, 8) == 0) {
				value = model_pick(m, 3) ? (int)model_pick(m, 1000) + 1 : 0;
				len += (size_t)snprintf(text + len, sizeof(text) - len,
							"%s\"%s\":%s", len > 1 ? "," : "",
							model_value_names[scope][i],
							value ? model_value(value) : "null");
			}
			delta->value[scope][i] = value;
		}
	}
	snprintf(text + len, sizeof(text) - len, "%s\"temp:t\":1}", len > 1 ? "," : "");
	delta->json = test_text("%s", text);
}

static void delta_apply(struct model *m, struct model_life *life, const struct op_delta *delta)
{
	struct model_state *into[3] = {&life->state, &m->user[life->user], &m->app};

	for (int scope = 0; delta->json && scope < 3; scope++) {
		for (int i = 0; i < VALUES; i++) {
			if (delta->value[scope][i] != KEPT)
				into[scope]->value[i] = delta->value[scope][i];
		}
	}
}

/* ---- creating --------------------------------------------------------------------------- */

void op_create(struct model *m, int user, int name)
{
	struct convo_key key = model_key(m, user, name);
	int title = (int)model_pick(m, 3);
	int value = (int)model_pick(m, 1000) + 1;
	const struct convo_item items[] = {
		{.name = "a", .json = model_value(value)},
		{.name = "app:b", .json = model_value(value)},
		{.name = "user:c", .json = NULL},
	};
	const struct convo_create create = {.title = title ? test_text("title %d", title) : NULL,
					    .state = items,
					    .state_count = 3};
	struct convo_created made;
	struct model_life *life;
	struct convo_err err;

	if (model_find(m, user, name)) {
		must_fail_with(CONVO_E_EXISTS,
			       convo_store_create(m->store, &key, &create, &made, NULL, &err));
		return;
	}
	must_pass(convo_store_create(m->store, &key, &create, &made, NULL, &err));
	life = model_begin(m, user, name, made.generation);
	life->title = title;
	life->state.value[0] = value;
	m->app.value[1] = value;
	m->user[user].value[2] = 0;
}

/* ---- appending -------------------------------------------------------------------------- */

/* A batch, and what is said of it. */
struct op_batch {
	struct convo_event event[BATCH];
	int id[BATCH];
	struct op_delta delta[BATCH];
	size_t count;
	struct convo_expect expect;
	bool other_life; /* another generation is expected */
	const struct model_lease *lease;
	/* by batch_predict() */
	int64_t want[BATCH];
	size_t fresh;
};

/*
 * Whether an event may get the id of the draft. Where a limit removes events it may not be there while
 * the draft goes on: whether it is stored again would be a matter of when it was removed.
 */
static bool batch_may_answer(const struct model *m, const struct model_life *life,
			     const struct op_batch *batch)
{
	return life->held.draft.message &&
	       (!m->limit || batch->expect.hold == CONVO_HOLD_END ||
		(batch->expect.hold == CONVO_HOLD_FORCE && batch->lease != life->held.lease));
}

/* New ids and, now and then, one that the session shows already, the batch has twice, or a draft has. */
static int batch_id(struct model *m, const struct model_life *life, const struct op_batch *batch,
		    size_t i)
{
	if (life && batch_may_answer(m, life, batch) && model_pick(m, 6) == 0)
		return life->held.draft.id;
	if (life && model_first(m, life) <= life->last_seq && model_pick(m, 4) == 0) {
		int64_t first = model_first(m, life);
		size_t shown = (size_t)(life->last_seq - first + 1);

		return life->event[first - 1 + (int64_t)model_pick(m, shown)].id;
	}
	if (i && model_pick(m, 8) == 0)
		return batch->id[model_pick(m, i)];
	return model_new_id(m);
}

static void batch_fill(struct model *m, const struct model_life *life, struct op_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		batch->id[i] = batch_id(m, life, batch, i);
		if (model_pick(m, 2))
			delta_make(m, &batch->delta[i]);
		batch->event[i] = (struct convo_event){.id = m->ids[batch->id[i]],
						       .message = model_message(++m->texts),
						       .state = batch->delta[i].json};
	}
}

static void batch_expect(struct model *m, const struct model_life *life, struct op_batch *batch)
{
	struct convo_expect *expect = &batch->expect;
	size_t kind = model_pick(m, 8);

	batch->other_life = kind == 0;
	if (kind == 0)
		expect->generation = fx_uuid();
	else if (kind < 3)
		expect->generation = life->generation;
	expect->check_seq = kind >= 2 && kind <= 4;
	expect->after_seq = life->last_seq + (kind == 4);
}

/* What the batch will be given. */
static void batch_predict(const struct model *m, const struct model_life *life,
			  struct op_batch *batch)
{
	int next = life->last_seq + 1;

	batch->fresh = 0;
	for (size_t i = 0; i < batch->count; i++) {
		batch->want[i] = model_seq_of(m, life, batch->id[i]);
		for (size_t k = 0; k < i && !batch->want[i]; k++) {
			if (batch->id[k] == batch->id[i])
				batch->want[i] = batch->want[k];
		}
		if (!batch->want[i]) {
			batch->want[i] = next++;
			batch->fresh++;
		}
	}
}

static int batch_verdict(const struct model *m, const struct model_life *life,
			 struct op_batch *batch, bool *in_the_way)
{
	const struct convo_expect *expect = &batch->expect;
	int rc = 0;

	*in_the_way = false;
	if (batch->other_life)
		return CONVO_E_CONFLICT;
	batch_predict(m, life, batch);
	if (batch->lease)
		rc = turns_verdict(life, batch->lease, expect->hold, batch->fresh > 0, in_the_way);
	if (rc)
		return rc;
	return batch->fresh && expect->check_seq && expect->after_seq != life->last_seq
		       ? CONVO_E_CONFLICT
		       : 0;
}

static void batch_store(struct model *m, struct model_life *life, const struct op_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		if (batch->want[i] <= life->last_seq)
			continue;
		model_add_event(life, (struct model_event){.id = batch->id[i],
							   .message = batch->event[i].message});
		delta_apply(m, life, &batch->delta[i]);
	}
	if (batch->fresh)
		model_written(m, life);
	if (batch->lease)
		turns_grant(m, life, batch->lease, batch->expect.hold);
}

static void batch_append(struct model *m, struct model_life *life, struct op_batch *batch)
{
	struct convo_key key = model_key(m, life->user, life->name);
	int64_t seqs[BATCH];
	bool in_the_way;
	struct convo_err err;
	int want = batch_verdict(m, life, batch, &in_the_way);

	if (want) {
		must_fail_with(want,
			       convo_store_append(m->store, &key, &batch->expect, batch->event,
						  batch->count, seqs, NULL, &err));
		must_equal(life->last_seq, err.last_seq);
		must(want != CONVO_E_BUSY || (err.busy_ms > 0 && err.busy_ms <= LEASE_LONG_MS));
		return;
	}
	must_pass(convo_store_append(m->store, &key, &batch->expect, batch->event, batch->count,
				     seqs, NULL, &err));
	if (in_the_way) {
		turns_settled(m, life);
		batch_predict(m, life, batch);
	}
	for (size_t i = 0; i < batch->count; i++)
		must_equal(batch->want[i], seqs[i]);
	batch_store(m, life, batch);
}

void op_append(struct model *m, int user, int name)
{
	struct model_life *life = model_find(m, user, name);
	struct convo_key key = model_key(m, user, name);
	struct op_batch batch = {.count = 1 + model_pick(m, BATCH)};
	struct model_lease *lease;
	struct convo_err err;

	if (life && life->last_seq > EVENTS - BATCH - 2)
		return;
	batch.expect.hold = turns_pick(m, user, name, &lease);
	batch.lease = lease;
	batch.expect.lease = lease ? lease->lease : NULL;
	if (lease && model_pick(m, 3) == 0)
		batch.count = 0;
	batch_fill(m, life, &batch);
	if (!life) {
		must_fail_with(CONVO_E_NOTFOUND,
			       convo_store_append(m->store, &key, &batch.expect, batch.event,
						  batch.count, NULL, NULL, &err));
		return;
	}
	batch_expect(m, life, &batch);
	batch_append(m, life, &batch);
}

/* ---- title and state -------------------------------------------------------------------- */

void op_rename(struct model *m, int user, int name)
{
	struct model_life *life = model_find(m, user, name);
	struct convo_key key = model_key(m, user, name);
	int title = (int)model_pick(m, 4);
	const char *text = title ? test_text("title %d", title) : NULL;
	struct convo_err err;

	if (!life) {
		must_fail_with(CONVO_E_NOTFOUND,
			       convo_store_rename(m->store, &key, text, NULL, &err));
		return;
	}
	must_pass(convo_store_rename(m->store, &key, text, NULL, &err));
	life->title = title;
	model_written(m, life);
}

void op_set(struct model *m, int user, int name)
{
	struct model_life *life = model_find(m, user, name);
	struct convo_key key = model_key(m, user, name);
	int scope = (int)model_pick(m, 3), at = (int)model_pick(m, VALUES);
	int value = model_pick(m, 3) ? (int)model_pick(m, 1000) + 1 : 0;
	struct model_state *state = scope == 1 ? &m->user[user] : &m->app;
	const struct convo_item item = {.name = model_value_names[scope][at],
					.json = value ? model_value(value) : NULL};
	struct convo_err err;

	if (scope == 0 && !life) {
		must_fail_with(CONVO_E_NOTFOUND,
			       convo_store_state_set(m->store, &key, &item, 1, NULL, &err));
		return;
	}
	must_pass(convo_store_state_set(m->store, &key, &item, 1, NULL, &err));
	if (scope == 0) {
		state = &life->state;
		model_written(m, life);
	}
	state->value[at] = value;
}

/* ---- the trash -------------------------------------------------------------------------- */

void op_delete(struct model *m, int user, int name)
{
	struct model_life *life = model_find(m, user, name);
	struct convo_key key = model_key(m, user, name);
	struct convo_err err;

	must_pass(convo_store_delete(m->store, &key, NULL, &err));
	if (!life)
		return;
	life->where = LIFE_TRASH;
	life->purge = m->now + m->trash;
	model_moved(m, life);
}

/* Which life came back where "the one deleted last" was asked for: none is plainly later. */
static struct model_life *op_restored(struct model *m, const struct convo_key *key, int user,
				      int name)
{
	const struct convo_window none = {.kind = CONVO_WINDOW_NONE};
	convo_session *session = NULL;
	struct model_life *life;
	struct convo_err err;

	must_pass(convo_store_load(&session, m->store, key, &none, NULL, &err));
	life = model_of(m, convo_session_meta(session)->generation);
	must(life->user == user && life->name == name && model_in_trash(m, life));
	for (int i = 0; i < m->lives; i++) {
		const struct model_life *other = &m->life[i];

		if (other->user == user && other->name == name && model_in_trash(m, other))
			must(!model_precedes(other, life));
	}
	convo_session_free(session);
	return life;
}

void op_restore(struct model *m, int user, int name)
{
	bool any = model_pick(m, 2);
	struct model_life *life = model_pick_trash(m, user, name);
	const char *generation = any ? NULL : life ? life->generation : fx_uuid();
	struct convo_key key = model_key(m, user, name);
	struct convo_err err;

	if (model_find(m, user, name)) {
		int rc = convo_store_restore(m->store, &key, generation, NULL, &err);

		must(rc == CONVO_E_EXISTS || (rc == CONVO_E_NOTFOUND && !life));
	} else if (!life) {
		must_fail_with(CONVO_E_NOTFOUND,
			       convo_store_restore(m->store, &key, generation, NULL, &err));
	} else {
		must_pass(convo_store_restore(m->store, &key, generation, NULL, &err));
		if (any)
			life = op_restored(m, &key, user, name);
		life->where = LIFE_LIVE;
		model_written(m, life);
	}
}

void op_purge(struct model *m, int user, int name)
{
	bool all = model_pick(m, 3) == 0;
	struct model_life *one = model_pick_trash(m, user, name);
	struct convo_key key = model_key(m, user, name);
	struct convo_err err;

	if (!all && !one)
		return;
	must_pass(convo_store_purge(m->store, &key, all ? NULL : one->generation, NULL, &err));
	for (int i = 0; i < m->lives; i++) {
		struct model_life *life = &m->life[i];

		if (life->user == user && life->name == name && life->where == LIFE_TRASH &&
		    (all || life == one))
			life->where = LIFE_GONE;
	}
}

/* ---- looking, cleaning ------------------------------------------------------------------ */

void op_window(struct model *m, int user, int name)
{
	const struct model_life *life = model_find(m, user, name);
	int64_t last = life ? life->last_seq : 0, first = life ? model_first(m, life) : 1;
	struct convo_window w = {.n = 1 + model_pick(m, 8)};
	int64_t n = (int64_t)w.n, from = last - n + 1, to = last;

	w.with = model_pick(m, 2) ? CONVO_WITH_DRAFT : 0;
	switch (model_pick(m, 4)) {
	case 0:
		break;
	case 1:
		w.kind = CONVO_WINDOW_AFTER;
		w.seq = (int64_t)model_pick(m, (size_t)last + 2);
		from = w.seq + 1 > first ? w.seq + 1 : first;
		to = from + n - 1;
		break;
	case 2:
		w.kind = CONVO_WINDOW_BEFORE;
		w.seq = (int64_t)model_pick(m, (size_t)last + 3);
		to = w.seq - 1 < last ? w.seq - 1 : last;
		from = to - n + 1;
		break;
	default:
		if (last < first)
			return;
		to = first + (int64_t)model_pick(m, (size_t)(last - first + 1));
		w.kind = CONVO_WINDOW_AROUND;
		w.id = m->ids[life->event[to - 1].id];
		from = to - (n - 1 - (n - 1) / 2);
		to += (n - 1) / 2;
	}
	compare_window(m, user, name, &w, from > first ? from : first, to < last ? to : last);
}

/* What is over by the clock of this operation is gone for good. */
static void model_forget(struct model *m)
{
	for (int i = 0; i < m->lives; i++) {
		struct model_life *life = &m->life[i];

		if ((life->where == LIFE_LIVE && !model_lives(m, life)) ||
		    (life->where == LIFE_TRASH && !model_in_trash(m, life)))
			life->where = LIFE_GONE;
	}
}

void op_clean(struct model *m)
{
	struct convo_err err;

	must_pass(convo_store_clean(m->store, NULL, NULL, &err));
	if (!m->fx->contract->server_cleans)
		model_forget(m);
}
