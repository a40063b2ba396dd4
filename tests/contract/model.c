/*
 * What the model knows, and the runs; see model.h. With `skewed`, the operations come from two handles
 * of which one has a clock that is five minutes fast.
 */
#include "model.h"

#include <stdio.h>

#include <base/clock.h>

#define OPS 1500
#define GONE 1    /* times that holders leave drafts, in a run */
#define LISTENS 2 /* times that the watch is listened to, in a run */
#define WRITES 100000
#define STEP_US \
	(5 * 60 * SECOND_US) /* the clock moves in two of these; the fast one is one ahead */

const char *const model_value_names[3][VALUES] = {
	{"a", "b", "c", "long name with blanks", "\xc3\xa9", "x:y"},
	{"user:a", "user:b", "user:c", "user:d", "user:e", "user:f"},
	{"app:a", "app:b", "app:c", "app:d", "app:e", "app:f"},
};
const char *const model_users[USERS] = {"u", "U"};
const char *const model_names[NAMES] = {"s", "S", "s "};

/* ---- what it knows ---------------------------------------------------------------------- */

size_t model_pick(struct model *m, size_t n)
{
	return test_rng_below(&m->rng, n);
}

struct convo_key model_key(const struct model *m, int user, int name)
{
	return (struct convo_key){m->fx->app, model_users[user], model_names[name]};
}

int model_new_id(struct model *m)
{
	must(m->id_count < IDS);
	m->ids[m->id_count] = fx_uuid();
	return m->id_count++;
}

const char *model_value(int value)
{
	static const char *const forms[] = {"%d", "\"%d\"", "[%d,null]", "{\"v\":%d}"};
	char text[64];

	snprintf(text, sizeof(text), forms[value % 4], value);
	return test_text("%s", text);
}

const char *model_message(int text)
{
	return test_text("{\"role\":\"%s\",\"content\":\"text %d\"}",
			 text % 2 ? "user" : "assistant", text);
}

bool model_lives(const struct model *m, const struct model_life *life)
{
	return life->where == LIFE_LIVE && (!life->expires || life->expires > m->now);
}

bool model_in_trash(const struct model *m, const struct model_life *life)
{
	return life->where == LIFE_TRASH && life->purge > m->now;
}

struct model_life *model_find(struct model *m, int user, int name)
{
	for (int i = 0; i < m->lives; i++) {
		struct model_life *life = &m->life[i];

		if (life->user == user && life->name == name && model_lives(m, life))
			return life;
	}
	return NULL;
}

struct model_life *model_of(struct model *m, const char *generation)
{
	for (int i = 0; i < m->lives; i++) {
		if (strcmp(m->life[i].generation, generation) == 0)
			return &m->life[i];
	}
	must_not_reach("a session that never was: %s", generation);
}

struct model_life *model_pick_trash(struct model *m, int user, int name)
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

bool model_precedes(const struct model_life *life, const struct model_life *other)
{
	return life->order > other->order && life->clock > other->clock &&
	       life->latest > other->latest &&
	       (life->where == LIFE_TRASH || life->written > other->written);
}

struct model_life *model_begin(struct model *m, int user, int name, const char *generation)
{
	struct model_life *life;

	must(m->lives < LIVES);
	for (int i = 0; i < m->lives; i++) { /* a life of the name that is over goes for good */
		if (m->life[i].user == user && m->life[i].name == name &&
		    m->life[i].where == LIFE_LIVE)
			m->life[i].where = LIFE_GONE;
	}
	life = &m->life[m->lives++];
	life->user = user;
	life->name = name;
	life->floor = 1;
	life->where = LIFE_LIVE;
	memcpy(life->generation, generation, sizeof(life->generation));
	turns_begin(life);
	model_written(m, life);
	return life;
}

void model_touched(struct model *m, const struct model_life *life)
{
	m->watched[life->user][life->name].changes++;
}

void model_moved(struct model *m, struct model_life *life)
{
	life->order = ++m->writes;
	life->clock = m->now * WRITES + life->order;
	if (life->latest < life->clock)
		life->latest = life->clock;
	model_touched(m, life);
}

void model_written(struct model *m, struct model_life *life)
{
	model_moved(m, life);
	if (life->written < life->clock)
		life->written = life->clock;
	if (m->ttl)
		life->expires = m->now + m->ttl;
}

int64_t model_first(const struct model *m, const struct model_life *life)
{
	int64_t first = m->limit ? (int64_t)life->last_seq - m->limit + 1 : 1;

	return first > life->floor ? first : life->floor;
}

int model_seq_of(const struct model *m, const struct model_life *life, int id)
{
	for (int64_t seq = model_first(m, life); seq <= life->last_seq; seq++)
		if (life->event[seq - 1].id == id)
			return (int)seq;
	return 0;
}

void model_add_event(struct model_life *life, struct model_event event)
{
	must(life->last_seq < EVENTS);
	life->event[life->last_seq++] = event;
}

/* ---- runs ------------------------------------------------------------------------------- */

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

/* Those of which there are more come first; each has so many of a hundred. */
static const struct {
	int share;
	void (*run)(struct model *m, int user, int name);
} model_ops[] = {
	{32, op_append}, {12, op_draft}, {10, op_create}, {10, op_set},
	{8, op_window},  {6, op_delete}, {5, op_restore}, {4, op_settle},
	{4, op_rename},  {3, op_fork},   {2, op_purge},   {1, op_watch},
};

static void op_any(struct model *m)
{
	int user = (int)model_pick(m, USERS), name = (int)model_pick(m, NAMES);
	int op = (int)model_pick(m, 103);

	model_turn(m);
	for (size_t i = 0; i < sizeof(model_ops) / sizeof(model_ops[0]); i++) {
		if (op >= 0 && op < model_ops[i].share)
			model_ops[i].run(m, user, name);
		op -= model_ops[i].share;
	}
	/* of the last six */
	if (op == 0)
		op_clean(m);
	else if (op > 0 && op < 4)
		compare_list(m, user, op == 1);
	compare_session(m, user, name);
	if (op >= 4)
		op_time(m);
}

static void model_walk(struct model *m)
{
	const char *given = getenv("CONVO_TEST_OPS");
	long ops = given ? strtol(given, NULL, 10) : OPS;

	for (long i = 1; i <= ops; i++) {
		op_any(m);
		if (i % (ops / (GONE + 1) + 1) == 0)
			op_gone(m);
		if (i % (ops / LISTENS + 1) == 0)
			listen_now(m);
	}
	model_turn(m);
	for (int user = 0; user < USERS; user++) {
		for (int name = 0; name < NAMES; name++)
			compare_session(m, user, name);
		compare_list(m, user, false);
		compare_list(m, user, true);
	}
	listen_now(m);
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
	struct model *m = calloc(1, sizeof(*m));

	must(m != NULL);
	m->life = calloc(LIVES, sizeof(*m->life));
	must(m->life != NULL);
	m->fx = fx;
	m->handles[0] = m->handles[1] = m->listener = fx_open(fx, &opts);
	if (skewed && fx->contract->shared)
		m->handles[1] = fx_open(fx, &opts);
	if (fx->contract->shared)
		m->listener = fx_open(fx, &opts);
	m->skewed = skewed;
	m->limit = limit;
	m->ttl = ttl;
	m->trash = trash;
	test_rng_any(&m->rng);
	listen_begin(m);
	model_walk(m);
	listen_end(m);
	turns_end(m);
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
