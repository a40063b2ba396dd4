/*
 * A writer: it appends its batches until each is acknowledged, lane after lane.
 */
#include "flow.h"

#include <inttypes.h>

/* What writes one part of one lane. */
struct writer {
	struct flow *flow;
	convo_store *store;
	uint32_t lane, part;
	struct flow_part *at;
};

/* Create or delete until it is done. */
static void writer_make(const struct writer *writer, const struct convo_key *key)
{
	struct convo_err err = {0};
	int rc;

	while ((rc = convo_store_create(writer->store, key, NULL, NULL, NULL, &err)) < 0 &&
	       rc != CONVO_E_EXISTS) {
		if (!flow_is_trouble(rc))
			flow_wrong(writer->flow, "create of '%s': %s", key->session, err.text);
		flow_nap_ms(20);
	}
}

static void writer_remove(const struct writer *writer, const struct convo_key *key)
{
	struct convo_err err = {0};
	int rc;

	while ((rc = convo_store_delete(writer->store, key, NULL, &err)) < 0) {
		if (!flow_is_trouble(rc))
			flow_wrong(writer->flow, "delete of '%s': %s", key->session, err.text);
		flow_nap_ms(20);
	}
}

/*
 * A life may begin when nobody is more than one behind: so there are never more than two of a lane, and the
 * one before those can go.
 */
static bool writer_may_begin(const struct writer *writer, uint32_t life)
{
	struct flow_lane *lane = &writer->flow->lane[writer->lane];

	if (life == 0)
		return true;
	for (uint32_t i = 0; i < FLOW_SHARE; i++) {
		if (atomic_load(&lane->past[i]) + 1 < life ||
		    flow_part_state(&lane->part[i]).life + 1 < life)
			return false;
	}
	return true;
}

/* What was acknowledged: numbers one after the other. */
static void writer_acked(const struct writer *writer, struct flow_state *state, uint32_t count,
			 const int64_t *seqs)
{
	int64_t now_us = flow_now_us();

	for (uint32_t i = 0; i < count; i++) {
		const struct flow_event event = {writer->lane, writer->part, state->life,
						 state->n + i, "",           ""};

		if (i && seqs[i] != seqs[i - 1] + 1)
			flow_wrong(writer->flow,
				   "lane %" PRIu32 ": seq %" PRId64 " behind %" PRId64,
				   writer->lane, seqs[i], seqs[i - 1]);
		state->sum += flow_sum(&event, seqs[i]);
		if (writer->flow->pause_ms)
			writer->flow
				->stamp[writer->lane * FLOW_SHARE * writer->flow->quota +
					(uint32_t)seqs[i] - 1]
				.acked = now_us;
	}
	state->n += count;
}

static void writer_append(const struct writer *writer)
{
	static _Thread_local struct flow_event made[CONVO_MAX_BATCH_EVENTS];
	static _Thread_local struct convo_event events[CONVO_MAX_BATCH_EVENTS];
	static _Thread_local int64_t seqs[CONVO_MAX_BATCH_EVENTS];
	struct flow *flow = writer->flow;
	struct flow_state state = flow_part_state(writer->at);
	uint32_t count = flow_batch(flow, writer->lane, writer->part, state.life, state.n);
	char name[FLOW_NAME];
	struct convo_key key = flow_key(name, writer->lane, state.life);
	struct convo_err err = {0};
	int rc;

	for (uint32_t i = 0; i < count; i++) {
		made[i] = (struct flow_event){writer->lane, writer->part, state.life,
					      state.n + i,  "",           ""};
		flow_event_make(&made[i]);
		events[i] = (struct convo_event){.id = made[i].id, .message = made[i].message};
	}
	while ((rc = convo_store_append(writer->store, &key, NULL, events, count, seqs, NULL,
					&err)) < 0) {
		if (!flow_is_trouble(rc))
			flow_wrong(flow, "append to '%s': %s: %s", name, convo_code_name(rc),
				   err.text);
		flow_nap_ms(20);
	}
	writer_acked(writer, &state, count, seqs);
	if (state.n == flow->quota) {
		state.life++;
		state.n = 0;
	}
	flow_part_set(writer->at, &state);
	atomic_fetch_add(&flow->written, count);
}

/* One append, if it is time for one. @return false when the part is written */
static bool writer_step(const struct writer *writer, bool *wrote)
{
	struct flow_state state = flow_part_state(writer->at);
	char name[FLOW_NAME];
	struct convo_key key;

	if (state.life == writer->flow->lives)
		return false;
	if (state.n == 0) {
		if (!writer_may_begin(writer, state.life))
			return true;
		key = flow_key(name, writer->lane, state.life);
		writer_make(writer, &key);
		if (state.life > 1 && writer->part == 0) {
			key = flow_key(name, writer->lane, state.life - 2);
			writer_remove(writer, &key);
		}
	}
	writer_append(writer);
	*wrote = true;
	if (writer->flow->pause_ms)
		flow_nap_ms(writer->flow->pause_ms);
	return true;
}

void flow_write(struct flow *flow, convo_store *store, uint32_t writer)
{
	bool left = true;

	flow_nap_ms(flow->wait_ms);
	while (left) {
		bool wrote = false;

		left = false;
		for (uint32_t i = 0; i < FLOW_LANES * FLOW_SHARE; i++) {
			uint32_t lane = i / FLOW_SHARE, part = i % FLOW_SHARE;

			if (flow_writer_of(lane, part) == writer)
				left |= writer_step(&(struct writer){flow, store, lane, part,
								     &flow->lane[lane].part[part]},
						    &wrote);
		}
		if (left && !wrote)
			flow_nap_ms(1);
	}
}
