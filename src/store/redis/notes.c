/*
 * The app's state in another slot; see notes.h and script/state.lua, carry.lua.
 */
#include <store/redis/notes.h>

#include <string.h>
#include <time.h>

#include <base/clock.h>
#include <store/redis/flight.h>
#include <store/redis/redis.h>
#include <store/shared/pool.h>

#define CARRY_BYTES (1 << 20) /* of notes that are carried out in one go, and at most one more */

bool cv_notes_needed(const struct redis_op *op, const struct store_change *changes, size_t count)
{
	size_t i = 0;

	if (!cv_op_is_apart(op))
		return false;
	while (i < count && changes[i].scope != CONVO_SCOPE_APP)
		i++;
	return i < count;
}

static int check_answer(struct redis_ask *ask, const struct redis_value *answer,
			struct convo_err *err)
{
	const struct redis_op *op = ask->ctx;
	int64_t *last = op->into;

	if (answer->item[0].integer)
		return cv_op_refusal(op, answer, err);
	if (answer->len != 2 || !cv_op_number(&answer->item[1], last))
		return cv_op_damaged(op, err);
	return 0;
}

int cv_notes_check(const struct redis_op *op, const struct store_change *changes, size_t count,
		   int64_t *last, struct convo_err *err)
{
	const struct redis_op checking = {op->redis, op->call, op->key, last};
	struct redis_ask ask = {
		.answer = check_answer, .ctx = (void *)&checking, .repeat = true, .reads = true};
	size_t of_app = 0, i;
	int rc;

	cv_op_begin_app(op, &ask, REDIS_SCRIPT_APP_FITS);
	cv_ask_add_text(&ask, op->key->user);
	for (i = 0; i < count; i++)
		of_app += changes[i].scope == CONVO_SCOPE_APP;
	cv_ask_add_int(&ask, (int64_t)of_app);
	for (i = 0; i < count; i++) {
		if (changes[i].scope == CONVO_SCOPE_APP)
			cv_op_add_change(&ask, &changes[i]);
	}
	rc = cv_ask_run(op->redis, op->call, &ask, err);
	cv_ask_clear(&ask);
	return rc;
}

/* ---- carrying out ---------------------------------------------------------------------- */

/* Notes on their way: as arguments of the two that follow. */
struct carry {
	struct redis_ask *apply, *drop;
	size_t count;
	int64_t more; /* 1: there are more of them */
};

static int carry_answer(struct redis_ask *ask, const struct redis_value *answer,
			struct convo_err *err)
{
	const struct redis_op *op = ask->ctx;
	struct carry *carry = op->into;
	const struct redis_value *item = answer->item;
	size_t i;

	if (answer->len < 2 || item[0].integer || !cv_op_number(&item[1], &carry->more))
		return cv_op_damaged(op, err);
	carry->count = answer->len - 2;
	for (i = 2; i < answer->len; i++) {
		if (item[i].kind != REDIS_VALUE_STRING)
			return cv_op_damaged(op, err);
		cv_ask_add(carry->apply, item[i].data, item[i].len);
		cv_ask_add(carry->drop, item[i].data, item[i].len);
	}
	return 0;
}

static int carry_read(const struct redis_op *op, struct carry *carry, struct convo_err *err)
{
	const struct redis_op reading = {op->redis, op->call, op->key, carry};
	struct redis_ask ask = {
		.answer = carry_answer, .ctx = (void *)&reading, .repeat = true, .reads = true};
	int rc;

	cv_op_begin(op, &ask, REDIS_SCRIPT_NOTES, op->key->app, op->key->user);
	cv_ask_add_int(&ask, CARRY_BYTES);
	rc = cv_ask_run(op->redis, op->call, &ask, err);
	cv_ask_clear(&ask);
	return rc;
}

/* What was changed just now is not told before everybody sees it. */
static int settle(const struct redis_op *op, struct convo_err *err)
{
	const struct timespec ts = {0, REDIS_SETTLE_US * 1000};
	int64_t until_us = cv_clock_mono_us() + REDIS_SETTLE_US;

	if (until_us > op->call->deadline_us)
		return cv_fail(err, CONVO_E_TIMEOUT,
			       "%s: no time left until everybody sees the state of the app",
			       op->redis->name);
	while (cv_clock_mono_us() < until_us)
		nanosleep(&ts, NULL);
	return 0;
}

/* Carry out the oldest ones. A note is there until everybody sees what it changed, or there were loads
 * that see the event and not the change. */
static int carry_some(const struct redis_op *op, bool *more, struct convo_err *err)
{
	struct redis_ask apply = {.answer = cv_op_plain, .ctx = (void *)op, .repeat = true};
	struct redis_ask drop = {.answer = cv_op_plain, .ctx = (void *)op, .repeat = true};
	struct carry carry = {&apply, &drop, 0, 0};
	int rc;

	cv_op_begin_app(op, &apply, REDIS_SCRIPT_CARRY);
	cv_ask_add_text(&apply, op->key->user);
	cv_op_begin(op, &drop, REDIS_SCRIPT_DROP, op->key->app, op->key->user);
	rc = carry_read(op, &carry, err);
	if (rc == 0 && carry.count)
		rc = cv_ask_run(op->redis, op->call, &apply, err);
	if (rc == 0 && carry.count)
		rc = settle(op, err);
	if (rc == 0 && carry.count)
		rc = cv_ask_run(op->redis, op->call, &drop, err);
	cv_ask_clear(&apply);
	cv_ask_clear(&drop);
	*more = carry.count && carry.more;
	return rc;
}

int cv_notes_carry(const struct redis_op *op, struct convo_err *err)
{
	bool more = true;
	int rc = 0;

	while (rc == 0 && more)
		rc = carry_some(op, &more, err);
	return rc;
}

/* How a step went that follows a write. */
static int finish(int rc, struct convo_err *why, struct convo_err *err)
{
	if (rc == 0)
		return 0;
	(void)cv_pool_undecide(why);
	if (err)
		*err = *why;
	return why->code;
}

int cv_notes_finish(const struct redis_op *op, struct convo_err *err)
{
	struct convo_err why = {0};

	return finish(cv_notes_carry(op, &why), &why, err);
}

int cv_app_settle(const struct redis_op *op, struct convo_err *err)
{
	struct convo_err why = {0};

	return finish(settle(op, &why), &why, err);
}

/* ---- reading --------------------------------------------------------------------------- */

static int app_add(struct redis_app *app, struct cv_text text, struct convo_err *err)
{
	int rc = cv_buf_add(&app->texts, text.data, text.len);

	if (rc == 0)
		rc = cv_buf_add(&app->texts, "", 1);
	return rc < 0 ? cv_buf_fail(err, rc) : 0;
}

/* Names and values; or the value of the only name, if it is set. */
static int app_answer(struct redis_ask *ask, const struct redis_value *answer,
		      struct convo_err *err)
{
	struct redis_app *app = ask->ctx;
	const struct redis_value *item = app->only ? answer : answer->item;
	size_t count = app->only ? 1 : answer->len, i;
	struct cv_text text;
	int rc = 0;

	cv_buf_reset(&app->texts);
	if (app->only && answer->kind == REDIS_VALUE_NIL)
		return 0;
	if (app->only)
		rc = app_add(app, *app->only, err);
	else if (!op_is_list(answer, 0) || count % 2)
		return cv_op_damaged(app->op, err);
	for (i = 0; i < count && rc == 0; i++)
		rc = cv_op_text(&item[i], &text) ? app_add(app, text, err)
						 : cv_op_damaged(app->op, err);
	return rc;
}

/* A plain command costs the server half of what a script does. */
void cv_app_begin(struct redis_app *app, const struct redis_op *op, const struct cv_text *only)
{
	*app = (struct redis_app){.op = op, .only = only};
	app->ask =
		(struct redis_ask){.answer = app_answer, .ctx = app, .repeat = true, .reads = true};
	cv_op_begin_command(op, &app->ask, only ? "HGET" : "HGETALL");
	if (only)
		cv_ask_add(&app->ask, only->data, only->len);
}

/* Ask for the app's state, now. */
static int app_run_alone(struct redis_app *app, struct convo_err *err)
{
	const struct redis_op *op = app->op;
	int rc;

	app->ask.done = false;
	rc = cv_ask_run(op->redis, op->call, &app->ask, err);
	cv_flights_forget(op->redis->flights);
	return rc;
}

/* Run the ask, beside what was kept of the app's state. */
static int app_run_kept(struct redis_app *app, struct redis_ask *ask, struct redis_flight *kept,
			struct convo_err *err)
{
	const struct redis_op *op = app->op;
	int rc = cv_ask_run(op->redis, op->call, ask, err);

	if (rc < 0)
		cv_flight_leave(op->redis->flights, kept);
	else if (!cv_flight_read(op->redis->flights, kept, &app->texts))
		rc = app_run_alone(app, err);
	return rc;
}

/* Run both, and share the app's state with those who want it at the same time. */
static int app_run_flight(struct redis_app *app, struct redis_ask *ask, struct convo_err *err)
{
	const struct redis_op *op = app->op;
	struct redis_flights *flights = op->redis->flights;
	bool leads = false;
	struct redis_flight *flight = cv_flight_join(flights, op->key->app, &leads);
	int rc;

	if (flight && !leads) {
		rc = cv_ask_run(op->redis, op->call, ask, err);
		if (rc < 0)
			cv_flight_leave(flights, flight);
		else if (!cv_flight_wait(flights, flight, op->call, &app->texts))
			rc = app_run_alone(app, err);
		return rc;
	}
	if (flight)
		cv_flight_depart(flights, flight);
	rc = cv_ask_run_both(op->redis, op->call, ask, &app->ask, err);
	if (flight)
		cv_flight_land(flights, flight,
			       app->ask.done && app->ask.job.rc == 0 ? &app->texts : NULL);
	else
		cv_flights_forget(flights);
	return rc;
}

static int app_run_shared(struct redis_app *app, struct redis_ask *ask, struct convo_err *err)
{
	const struct redis_op *op = app->op;
	struct redis_flights *flights = op->redis->flights;
	struct redis_flight *kept = cv_flight_kept(flights, op->key->app);
	int64_t begun_us = cv_clock_mono_us();
	int rc = kept ? app_run_kept(app, ask, kept, err) : app_run_flight(app, ask, err);

	cv_flights_took(flights, cv_clock_mono_us() - begun_us);
	return rc;
}

/* Of a single name little is read, and it is not shared. */
static int app_run_only(struct redis_app *app, struct redis_ask *ask, struct convo_err *err)
{
	const struct redis_op *op = app->op;
	int rc = cv_ask_run_both(op->redis, op->call, ask, &app->ask, err);

	cv_flights_forget(op->redis->flights);
	return rc;
}

int cv_app_run(struct redis_app *app, struct redis_ask *ask, const bool *noted,
	       struct convo_err *err)
{
	int rc;

	if (!ask)
		return app_run_alone(app, err);
	rc = app->only ? app_run_only(app, ask, err) : app_run_shared(app, ask, err);
	if (rc == 0 && *noted)
		rc = cv_notes_carry(app->op, err);
	return rc == 0 && *noted ? app_run_alone(app, err) : rc;
}

bool cv_app_next(const struct redis_app *app, size_t *at, struct cv_text *name,
		 struct cv_text *value)
{
	const char *text = app->texts.data + *at;

	if (*at >= app->texts.len)
		return false;
	*name = (struct cv_text){text, strlen(text)};
	text += name->len + 1;
	*value = (struct cv_text){text, strlen(text)};
	*at += name->len + value->len + 2;
	return true;
}

void cv_app_end(struct redis_app *app)
{
	cv_ask_clear(&app->ask);
	cv_buf_clear(&app->texts);
}
