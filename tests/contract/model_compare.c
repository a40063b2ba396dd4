/*
 * Whether the store says what the model does; see model.h.
 */
#include "model.h"

#define WHOLE_EXTRA "{\"a\":[1]}"

static void compare_state(const struct model_state *want, const char *const names[VALUES],
			  const convo_session *session, size_t *seen)
{
	for (int i = 0; i < VALUES; i++) {
		const struct convo_item *item = convo_session_state_get(session, names[i]);

		if (!want->value[i]) {
			must(item == NULL);
			continue;
		}
		must(item != NULL);
		must(json_same(model_value(want->value[i]), item->json));
		(*seen)++;
	}
}

static void compare_origin(const struct model_life *life, const struct convo_meta *meta)
{
	const struct model_life *origin = life->origin;

	must_equal_str(origin ? model_names[origin->name] : "", meta->fork_session);
	must_equal_str(origin ? origin->generation : "", meta->fork_generation);
	must_equal(life->origin_seq, meta->fork_seq);
}

static void compare_held(const struct model_held *held, const struct convo_meta *meta)
{
	if (held->going && !held->over)
		must(meta->held_ms > 0 && meta->held_ms <= LEASE_LONG_MS);
	else
		must_equal(0, meta->held_ms);
}

static void compare_meta(const struct model *m, struct model_life *life,
			 const struct convo_meta *meta)
{
	must(meta->updated_ms >= life->updated_ms);
	life->updated_ms = meta->updated_ms;
	must_equal_str(model_names[life->name], meta->session);
	must_equal_str(life->title ? test_text("title %d", life->title) : "", meta->title);
	must_equal_str(life->generation, meta->generation);
	must_equal(life->last_seq, meta->last_seq);
	must_equal(life->last_seq - model_first(m, life) + 1, meta->count);
	must_equal(life->where == LIFE_TRASH, meta->deleted_ms != 0);
	compare_origin(life, meta);
	if (life->where != LIFE_LIVE)
		return;
	must_equal(life->expires != 0, meta->expires_ms != 0);
	compare_held(&life->held, meta);
}

/* What a draft has, and the event that it becomes. */
static void compare_whole(bool whole, const struct convo_event *event)
{
	must_equal_str("assistant", event->role);
	must_equal_str(whole ? "writer" : "assistant", event->author);
	must_equal_str(whole ? "t1" : NULL, event->turn);
	must_equal_str(whole ? "m" : NULL, event->model);
	must(whole == (event->extra != NULL));
	must(!whole || json_same(WHOLE_EXTRA, event->extra));
	must_equal(CONVO_INTERRUPTED, event->status);
}

static void compare_event(const struct model *m, const struct model_life *life,
			  const struct convo_event *event)
{
	const struct model_event *want = &life->event[event->seq - 1];

	must_equal_str(m->ids[want->id], event->id);
	if (!json_same(want->message, event->message))
		must_not_reach("event %d is %.300s, not %.300s", (int)event->seq, event->message,
			       want->message);
	must_equal_str(strstr(want->message, "\"user\"") ? "user" : "assistant", event->role);
	if (want->settled)
		compare_whole(want->whole, event);
	else
		must_equal(CONVO_COMPLETE, event->status);
	must(want->settled == (event->error != NULL));
}

static void compare_draft(const struct model *m, const struct model_draft *want,
			  const struct convo_event *draft)
{
	must(!want->message == !draft);
	if (!draft)
		return;
	must_equal_str(m->ids[want->id], draft->id);
	must_equal(0, draft->seq);
	if (!json_same(want->message, draft->message))
		must_not_reach("the draft is %.300s, not %.300s", draft->message, want->message);
	compare_whole(want->whole, draft);
}

static void compare_events(struct model *m, struct model_life *life, const convo_session *session,
			   int64_t from, int64_t to)
{
	size_t count;
	const struct convo_event *events = test_events(session, &count);

	must_equal(to < from ? 0 : to - from + 1, count);
	for (size_t i = 0; i < count; i++) {
		must_equal(from + (int64_t)i, events[i].seq);
		must(!i || events[i].time_ms >= events[i - 1].time_ms);
		compare_event(m, life, &events[i]);
	}
}

void compare_window(struct model *m, int user, int name, const struct convo_window *window,
		    int64_t from, int64_t to)
{
	static const struct model_draft none;
	struct model_life *life = model_find(m, user, name);
	struct convo_key key = model_key(m, user, name);
	convo_session *session = NULL;
	struct convo_err err;
	size_t names, seen = 0;

	if (!life) {
		must_fail_with(CONVO_E_NOTFOUND,
			       convo_store_load(&session, m->store, &key, window, NULL, &err));
		return;
	}
	must_pass(convo_store_load(&session, m->store, &key, window, NULL, &err));
	compare_meta(m, life, convo_session_meta(session));
	compare_events(m, life, session, from, to);
	compare_draft(m, window->with & CONVO_WITH_DRAFT ? &life->held.draft : &none,
		      convo_session_draft(session));
	compare_state(&life->state, model_value_names[0], session, &seen);
	compare_state(&m->user[user], model_value_names[1], session, &seen);
	compare_state(&m->app, model_value_names[2], session, &seen);
	test_state(session, &names);
	must_equal(seen, names);
	convo_session_free(session);
}

void compare_session(struct model *m, int user, int name)
{
	const struct model_life *life = model_find(m, user, name);
	const struct convo_window window = {.with = model_pick(m, 3) ? CONVO_WITH_DRAFT : 0};

	compare_window(m, user, name, &window, life ? model_first(m, life) : 1,
		       life ? life->last_seq : 0);
}

static bool model_listed(const struct model *m, const struct model_life *life, int user, bool trash)
{
	return life->user == user && (trash ? model_in_trash(m, life) : model_lives(m, life));
}

void compare_list(struct model *m, int user, bool trash)
{
	static struct model_life *got[LIVES];
	convo_cursor *cursor = NULL;
	struct convo_err err;
	size_t count, total = 0, want = 0, n = 1 + model_pick(m, 5);

	must_pass(convo_cursor_new(&cursor, m->fx->app, model_users[user],
				   trash ? CONVO_LIST_TRASH : CONVO_LIST_LIVE, &err));
	do {
		must_pass(convo_store_list(m->store, cursor, n, &count, NULL, &err));
		for (size_t i = 0; i < count; i++) {
			const struct convo_meta *meta = convo_cursor_meta(cursor, i);
			struct model_life *life = model_of(m, meta->generation);

			must(model_listed(m, life, user, trash));
			compare_meta(m, life, meta);
			for (size_t k = 0; k < total; k++)
				must(got[k] != life && !model_precedes(life, got[k]));
			got[total++] = life;
		}
	} while (count);
	for (int i = 0; i < m->lives; i++)
		want += model_listed(m, &m->life[i], user, trash);
	must_equal(want, total);
	convo_cursor_free(cursor);
}
