/*
 * Random operations against a store and against a plain model of one; after each, both must say the
 * same. With `skewed`, the operations come from two handles of which one has a clock that is five
 * minutes fast. CONVO_TEST_SEED repeats or varies a run, CONVO_TEST_OPS makes it longer.
 */
#include "contract.h"

#include <stdio.h>

#include <base/clock.h>

#define OPS 1500
#define NAMES 3
#define LIVES 4000
#define EVENTS 400
#define IDS 60000
#define VALUES 6
#define WRITES 100000
#define STEP_US \
	(5 * 60 * SECOND_US) /* the clock moves in two of these; the fast one is one ahead */

/* State names the model uses, by scope: session, user, app. */
static const char *const value_names[3][VALUES] = {
	{"a", "b", "c", "long name with blanks", "\xc3\xa9", "x:y"},
	{"user:a", "user:b", "user:c", "user:d", "user:e", "user:f"},
	{"app:a", "app:b", "app:c", "app:d", "app:e", "app:f"},
};

struct model_state {
	int value[VALUES]; /* 0: not set */
};

struct model_event {
	int id; /* index into model.ids */
	int text;
};

/* One life of a name. */
struct model_life {
	int user, name;
	char generation[CONVO_UUID_SIZE];
	int title; /* 0: none */
	struct model_state state;
	struct model_event event[EVENTS]; /* event[seq - 1] */
	int last_seq;
	int64_t expires; /* in steps; 0: never */
	int64_t purge;   /* in steps: when the trash forgets it */
	int64_t order;   /* of the last write, or of the deletion */
	int64_t clock;   /* of that write by its writer's clock: larger where that is later */
	int64_t latest;  /* the largest of those there were */
	int64_t updated_ms;
	enum { LIFE_UNUSED, LIFE_LIVE, LIFE_TRASH, LIFE_GONE } where;
};

struct model {
	struct fx *fx;
	convo_store *store;      /* of this operation */
	convo_store *handles[2]; /* with the right clock, with the fast one */
	bool skewed;
	struct test_rng rng;
	int limit;          /* 0: none */
	int64_t ttl, trash; /* in steps; 0: no ttl */
	int64_t now;        /* in steps, by the clock of this operation */
	int64_t right;      /* in steps, by the right clock */
	int64_t writes;
	struct model_life *life; /* all there ever were */
	int lives;
	struct model_state user[2], app;
	const char *ids[IDS];
	int id_count;
	int texts;
};

static const char *const model_users[2] = {"u", "U"};
static const char *const model_names[NAMES] = {"s", "S", "s "};

static size_t model_pick(struct model *m, size_t n)
{
	return test_rng_below(&m->rng, n);
}

static struct convo_key model_key(const struct model *m, int user, int name)
{
	return (struct convo_key){m->fx->app, model_users[user], model_names[name]};
}

static bool model_lives(const struct model *m, const struct model_life *life)
{
	return life->where == LIFE_LIVE && (!life->expires || life->expires > m->now);
}

static bool model_in_trash(const struct model *m, const struct model_life *life)
{
	return life->where == LIFE_TRASH && life->purge > m->now;
}

static struct model_life *model_find(struct model *m, int user, int name)
{
	for (int i = 0; i < m->lives; i++) {
		struct model_life *life = &m->life[i];

		if (life->user == user && life->name == name && model_lives(m, life))
			return life;
	}
	return NULL;
}

static void model_moved(struct model *m, struct model_life *life)
{
	life->order = ++m->writes;
	life->clock = m->now * WRITES + life->order;
	if (life->latest < life->clock)
		life->latest = life->clock;
}

static void model_written(struct model *m, struct model_life *life)
{
	model_moved(m, life);
	if (m->ttl)
		life->expires = m->now + m->ttl;
}

static int64_t model_first(const struct model *m, const struct model_life *life)
{
	return m->limit && life->last_seq > m->limit ? life->last_seq - m->limit + 1 : 1;
}

/* ---- comparing -------------------------------------------------------------------------- */

static const char *model_value(int value)
{
	static const char *const forms[] = {"%d", "\"%d\"", "[%d,null]", "{\"v\":%d}"};
	char text[64];

	snprintf(text, sizeof(text), forms[value % 4], value);
	return test_text("%s", text);
}

static const char *model_message(int text)
{
	return test_text("{\"role\":\"%s\",\"content\":\"text %d\"}",
			 text % 2 ? "user" : "assistant", text);
}

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
	if (life->where == LIFE_LIVE)
		must_equal(life->expires != 0, meta->expires_ms != 0);
}

static void compare_event(const struct model *m, const struct model_life *life,
			  const struct convo_event *event)
{
	const struct model_event *want = &life->event[event->seq - 1];

	must_equal_str(m->ids[want->id], event->id);
	must_equal_str(want->text % 2 ? "user" : "assistant", event->role);
	must(json_same(model_message(want->text), event->message));
}

/* Load a window and compare all of it. */
static void compare_window(struct model *m, int user, int name, const struct convo_window *window,
			   int64_t from, int64_t to)
{
	struct model_life *life = model_find(m, user, name);
	struct convo_key key = model_key(m, user, name);
	const struct convo_event *events;
	convo_session *session = NULL;
	struct convo_err err;
	size_t count, names, seen = 0;

	if (!life) {
		must_fail_with(CONVO_E_NOTFOUND,
			       convo_store_load(&session, m->store, &key, window, NULL, &err));
		return;
	}
	must_pass(convo_store_load(&session, m->store, &key, window, NULL, &err));
	compare_meta(m, life, convo_session_meta(session));
	events = test_events(session, &count);
	must_equal(to < from ? 0 : to - from + 1, count);
	for (size_t i = 0; i < count; i++) {
		must_equal(from + (int64_t)i, events[i].seq);
		must(!i || events[i].time_ms >= events[i - 1].time_ms);
		compare_event(m, life, &events[i]);
	}
	compare_state(&life->state, value_names[0], session, &seen);
	compare_state(&m->user[user], value_names[1], session, &seen);
	compare_state(&m->app, value_names[2], session, &seen);
	test_state(session, &names);
	must_equal(seen, names);
	convo_session_free(session);
}

static void compare_session(struct model *m, int user, int name)
{
	const struct model_life *life = model_find(m, user, name);

	compare_window(m, user, name, NULL, life ? model_first(m, life) : 1,
		       life ? life->last_seq : 0);
}

static bool model_listed(const struct model *m, const struct model_life *life, int user, bool trash)
{
	return life->user == user && (trash ? model_in_trash(m, life) : model_lives(m, life));
}

static struct model_life *model_of(struct model *m, const char *generation)
{
	for (int i = 0; i < m->lives; i++) {
		if (strcmp(m->life[i].generation, generation) == 0)
			return &m->life[i];
	}
	must_not_reach("a session that never was: %s", generation);
}

/* In front, whether the order of the writes counts or what the clocks of their writers said. */
static bool model_precedes(const struct model_life *life, const struct model_life *other)
{
	return life->order > other->order && life->clock > other->clock &&
	       life->latest > other->latest;
}

/* Exactly those there are; no two the wrong way round. */
static void compare_list(struct model *m, int user, bool trash)
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

/* ---- operations ------------------------------------------------------------------------- */

/* A few random changes, in the model's `into` (NULL: nowhere) and as JSON. */
static const char *op_delta(struct model *m, struct model_state *into[3])
{
	char text[512] = "{";
	size_t len = 1;

	for (int scope = 0; scope < 3; scope++) {
		for (int i = 0; i < VALUES; i++) {
			int value = (int)model_pick(m, 40) ? (int)model_pick(m, 1000) + 1 : 0;

			if (model_pick(m, 8) != 0)
				continue;
			if (model_pick(m, 3) == 0)
				value = 0;
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s\"%s\":%s",
						len > 1 ? "," : "", value_names[scope][i],
						value ? model_value(value) : "null");
			if (into)
				into[scope]->value[i] = value;
		}
	}
	snprintf(text + len, sizeof(text) - len, "%s\"temp:t\":1}", len > 1 ? "," : "");
	return test_text("%s", text);
}

static void op_create(struct model *m, int user, int name)
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
	must(m->lives < LIVES);
	for (int i = 0; i < m->lives; i++) { /* a life of the name that is over goes for good */
		if (m->life[i].user == user && m->life[i].name == name &&
		    m->life[i].where == LIFE_LIVE)
			m->life[i].where = LIFE_GONE;
	}
	life = &m->life[m->lives++];
	*life = (struct model_life){.user = user, .name = name, .title = title};
	memcpy(life->generation, made.generation, sizeof(life->generation));
	life->where = LIFE_LIVE;
	life->state.value[0] = value;
	m->app.value[1] = value;
	m->user[user].value[2] = 0;
	model_written(m, life);
}

/* Which seq the shown events of a life have an id at; 0: none. */
static int op_seq_of(const struct model *m, const struct model_life *life, int id)
{
	for (int64_t seq = model_first(m, life); seq <= life->last_seq; seq++)
		if (life->event[seq - 1].id == id)
			return (int)seq;
	return 0;
}

struct op_batch {
	struct convo_event event[6];
	int id[6], text[6];
	int64_t want[6];
	size_t count, fresh;
};

/* A batch of new events and, now and then, of ids the session shows already or the batch twice. */
static void op_fill(struct model *m, const struct model_life *life, struct op_batch *batch)
{
	batch->count = 1 + model_pick(m, 6);
	for (size_t i = 0; i < batch->count; i++) {
		int id = m->id_count;

		if (life && life->last_seq && model_pick(m, 4) == 0) {
			int64_t first = model_first(m, life);
			size_t shown = (size_t)(life->last_seq - first + 1);

			id = life->event[first - 1 + (int64_t)model_pick(m, shown)].id;
		} else if (i && model_pick(m, 8) == 0) {
			id = batch->id[model_pick(m, i)];
		} else {
			must(m->id_count < IDS);
			m->ids[m->id_count++] = fx_uuid();
		}
		batch->id[i] = id;
		batch->text[i] = ++m->texts;
		batch->event[i] = (struct convo_event){.id = m->ids[id],
						       .message = model_message(batch->text[i])};
	}
}

/* What the batch will be given, and what it changes in `after`. */
static void op_predict(struct model *m, const struct model_life *life, struct op_batch *batch,
		       struct model_state *after[3])
{
	int next = life->last_seq + 1;

	for (size_t i = 0; i < batch->count; i++) {
		bool twice = false;

		batch->want[i] = op_seq_of(m, life, batch->id[i]);
		for (size_t k = 0; k < i && !twice; k++) {
			twice = batch->id[k] == batch->id[i];
			if (twice)
				batch->want[i] = batch->want[k];
		}
		if (batch->want[i] || twice) {
			if (model_pick(m, 2))
				batch->event[i].state = op_delta(m, NULL);
			continue;
		}
		batch->want[i] = next++;
		batch->fresh++;
		if (model_pick(m, 2))
			batch->event[i].state = op_delta(m, after);
	}
}

static int op_expect(struct model *m, const struct model_life *life, size_t fresh,
		     struct convo_expect *expect)
{
	size_t kind = model_pick(m, 8);

	*expect = (struct convo_expect){0};
	if (kind == 0) {
		expect->generation = fx_uuid();
		return CONVO_E_CONFLICT;
	}
	if (kind < 3)
		expect->generation = life->generation;
	if (kind == 2 || kind == 3) {
		expect->check_seq = true;
		expect->after_seq = life->last_seq;
	}
	if (kind == 4) {
		expect->check_seq = true;
		expect->after_seq = life->last_seq + 1;
		return fresh ? CONVO_E_CONFLICT : 0;
	}
	return 0;
}

static void op_store(struct model *m, struct model_life *life, const struct op_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		if (batch->want[i] <= life->last_seq)
			continue;
		must(life->last_seq < EVENTS);
		life->event[life->last_seq++] = (struct model_event){batch->id[i], batch->text[i]};
	}
	model_written(m, life);
}

static void op_append(struct model *m, int user, int name)
{
	struct model_life *life = model_find(m, user, name);
	struct convo_key key = model_key(m, user, name);
	struct model_state after_session, after_user = m->user[user], after_app = m->app;
	struct model_state *after[3] = {&after_session, &after_user, &after_app};
	struct op_batch batch = {0};
	struct convo_expect expect;
	int64_t seqs[6];
	struct convo_err err;
	int want;

	if (life && life->last_seq > EVENTS - 8)
		return;
	op_fill(m, life, &batch);
	if (!life) {
		must_fail_with(CONVO_E_NOTFOUND,
			       convo_store_append(m->store, &key, NULL, batch.event, batch.count,
						  seqs, NULL, &err));
		return;
	}
	after_session = life->state;
	op_predict(m, life, &batch, after);
	want = op_expect(m, life, batch.fresh, &expect);
	if (want) {
		must_fail_with(CONVO_E_CONFLICT,
			       convo_store_append(m->store, &key, &expect, batch.event, batch.count,
						  seqs, NULL, &err));
		must_equal(life->last_seq, err.last_seq);
		return;
	}
	must_pass(convo_store_append(m->store, &key, &expect, batch.event, batch.count, seqs, NULL,
				     &err));
	for (size_t i = 0; i < batch.count; i++)
		must_equal(batch.want[i], seqs[i]);
	if (!batch.fresh)
		return;
	op_store(m, life, &batch);
	life->state = after_session;
	m->user[user] = after_user;
	m->app = after_app;
}

static void op_rename(struct model *m, int user, int name)
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

static void op_set(struct model *m, int user, int name)
{
	struct model_life *life = model_find(m, user, name);
	struct convo_key key = model_key(m, user, name);
	int scope = (int)model_pick(m, 3), at = (int)model_pick(m, VALUES);
	int value = model_pick(m, 3) ? (int)model_pick(m, 1000) + 1 : 0;
	struct model_state *state = scope == 1 ? &m->user[user] : &m->app;
	const struct convo_item item = {.name = value_names[scope][at],
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

static void op_delete(struct model *m, int user, int name)
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

/* A random life of the name in the trash, or NULL. */
static struct model_life *model_pick_trash(struct model *m, int user, int name)
{
	struct model_life *found = NULL;
	size_t seen = 0;

	for (int i = 0; i < m->lives; i++) {
		struct model_life *life = &m->life[i];

		if (life->user == user && life->name == name && model_in_trash(m, life) &&
		    model_pick(m, ++seen) == 0)
			found = life;
	}
	return found;
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

static void op_restore(struct model *m, int user, int name)
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

static void op_purge(struct model *m, int user, int name)
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

static void op_window(struct model *m, int user, int name)
{
	const struct model_life *life = model_find(m, user, name);
	int64_t last = life ? life->last_seq : 0, first = life ? model_first(m, life) : 1;
	struct convo_window w = {.n = 1 + model_pick(m, 8)};
	int64_t n = (int64_t)w.n, from = last - n + 1, to = last;

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

static void op_time(struct model *m)
{
	m->right += 2 + 2 * (int64_t)model_pick(m, 4);
}

/* Something is over by the fast clock and not by the right one: what the latter shows is not said. */
static bool model_disputed(const struct model *m)
{
	for (int i = 0; i < m->lives; i++) {
		const struct model_life *life = &m->life[i];

		if ((life->where == LIFE_LIVE && life->expires && life->expires > m->right &&
		     life->expires <= m->right + 1) ||
		    (life->where == LIFE_TRASH && life->purge > m->right &&
		     life->purge <= m->right + 1))
			return true;
	}
	return false;
}

/* Which handle the next operation has, and what its clock says. */
static void model_turn(struct model *m)
{
	bool fast = m->skewed && (model_pick(m, 2) || model_disputed(m));

	m->store = m->handles[fast];
	m->now = m->right + fast;
	cv_clock_shift_us(m->now * STEP_US);
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

static void op_clean(struct model *m)
{
	struct convo_err err;

	must_pass(convo_store_clean(m->store, NULL, NULL, &err));
	if (!m->fx->contract->server_cleans)
		model_forget(m);
}

static void op_any(struct model *m)
{
	int user = (int)model_pick(m, 2), name = (int)model_pick(m, NAMES);
	size_t op = model_pick(m, 100);

	model_turn(m);
	if (op < 35)
		op_append(m, user, name);
	else if (op < 47)
		op_create(m, user, name);
	else if (op < 62)
		op_set(m, user, name);
	else if (op < 66)
		op_rename(m, user, name);
	else if (op < 73)
		op_delete(m, user, name);
	else if (op < 79)
		op_restore(m, user, name);
	else if (op < 82)
		op_purge(m, user, name);
	else if (op < 92)
		op_window(m, user, name);
	else if (op < 94)
		op_clean(m);
	else if (op >= 96)
		compare_list(m, user, op < 98);
	compare_session(m, user, name);
	if (op == 94 || op == 95)
		op_time(m);
}

static void model_run(struct fx *fx, bool skewed, int limit, int64_t ttl, int64_t trash)
{
	/* Odd halves of a step, so that no moment the test visits is near an end of time. */
	const struct convo_store_options opts = {
		.event_limit = limit,
		.ttl_ms = ttl ? (ttl * STEP_US - STEP_US / 2) / 1000 : 0,
		.trash_ms = (trash * STEP_US - STEP_US / 2) / 1000,
		.clean_interval_ms = -1,
		.timeout_ms = 20000,
	};
	const char *ops = getenv("CONVO_TEST_OPS");
	struct model *m = calloc(1, sizeof(*m));

	must(m != NULL);
	m->life = calloc(LIVES, sizeof(*m->life));
	must(m->life != NULL);
	m->fx = fx;
	m->handles[0] = m->handles[1] = fx_open(fx, &opts);
	if (skewed && fx->contract->shared)
		m->handles[1] = fx_open(fx, &opts);
	m->skewed = skewed;
	m->limit = limit;
	m->ttl = ttl;
	m->trash = trash;
	test_rng_init(&m->rng);
	m->rng.state += (uint64_t)limit * 1000 + (uint64_t)ttl;
	for (long i = ops ? strtol(ops, NULL, 10) : OPS; i > 0; i--)
		op_any(m);
	model_turn(m);
	for (int user = 0; user < 2; user++) {
		for (int name = 0; name < NAMES; name++)
			compare_session(m, user, name);
		compare_list(m, user, false);
		compare_list(m, user, true);
	}
	free(m->life);
	free(m);
}

static void all_rules_hold_in_random_order(struct fx *fx)
{
	model_run(fx, false, 0, 0, 2000);
}

static void all_rules_hold_in_random_order_with_limit_and_ttl(struct fx *fx)
{
	model_run(fx, false, 5, 14, 40);
}

static void all_rules_hold_in_random_order_with_a_limit_of_one(struct fx *fx)
{
	model_run(fx, false, 1, 0, 6);
}

static void all_rules_hold_when_clocks_differ_by_minutes(struct fx *fx)
{
	model_run(fx, true, 0, 0, 2000);
}

static void all_rules_hold_when_clocks_differ_by_minutes_with_limit_and_ttl(struct fx *fx)
{
	model_run(fx, true, 5, 14, 40);
}

const struct contract_test contract_model[] = {
	CONTRACT_TEST(all_rules_hold_in_random_order),
	CONTRACT_TEST(all_rules_hold_in_random_order_with_limit_and_ttl),
	CONTRACT_TEST(all_rules_hold_in_random_order_with_a_limit_of_one),
	CONTRACT_TEST(all_rules_hold_when_clocks_differ_by_minutes),
	CONTRACT_TEST(all_rules_hold_when_clocks_differ_by_minutes_with_limit_and_ttl),
	{0},
};
