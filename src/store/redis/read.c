/*
 * Loading, listing and reading state; see read.h. What the server holds is looked at here, once:
 * whoever can reach it may have changed it.
 */
#include <store/redis/read.h>

#include <stdio.h>
#include <string.h>

#include <base/utf8.h>
#include <store/redis/event.h>
#include <store/redis/notes.h>

#define LOAD_BYTES (4 << 20)   /* of events in a script's answer, and at most one piece more */
#define FETCH_BYTES (16 << 20) /* the same for each script that fetches further ones */
#define LIST_STEPS 1000        /* most entries of sessions that are over to skip at first */

/* The name of a session, which comes from the server where sessions are listed. */
static bool read_name(const struct redis_value *item, struct cv_text *out)
{
	return cv_op_text(item, out) && out->len > 0 && out->len <= CONVO_MAX_NAME &&
	       cv_utf8_valid(out->data, out->len);
}

#define META_ITEMS 11

/* Of what it is a fork, if it is one. */
static bool read_fork(const struct redis_value *item, struct store_meta *meta)
{
	if (item[0].kind == REDIS_VALUE_NIL)
		return true;
	return read_name(&item[0], &meta->fork_session) &&
	       cv_op_uuid(&item[1], meta->fork_generation) &&
	       cv_op_number(&item[2], &meta->fork_seq);
}

/* What every script that tells of sessions begins with: generation, expires or until, title,
 * created, updated, first, last, how much longer it is held, of what it is a fork. */
static bool read_meta(const struct redis_value *item, struct store_meta *meta)
{
	return cv_op_uuid(&item[0], meta->generation) &&
	       cv_op_number(&item[1], &meta->expires_us) && cv_op_text(&item[2], &meta->title) &&
	       cv_utf8_valid(meta->title.data, meta->title.len) &&
	       cv_op_number(&item[3], &meta->created_us) &&
	       cv_op_number(&item[4], &meta->updated_us) &&
	       cv_op_number(&item[5], &meta->first_seq) &&
	       cv_op_number(&item[6], &meta->last_seq) && meta->first_seq >= 1 &&
	       meta->first_seq <= meta->last_seq + 1 && cv_op_number(&item[7], &meta->held_us) &&
	       read_fork(&item[8], meta);
}

/* ---- load ------------------------------------------------------------------------------- */

/* A window on its way: what its script said, and how far its events have come. */
struct redis_load {
	struct convo_session *into;
	unsigned char generation[UUID_BYTES];
	int64_t next, high; /* seqs still to fetch */
	int64_t large;      /* the last seq that may hold a large event */
	bool gone;          /* events went before they could be fetched */
	bool noted;         /* there are notes in the place of the app's state */
};

/* Add the events of lists: those from load->next up to, not including, `end`. */
static int load_add_events(const struct redis_op *op, const struct redis_value *list, size_t lists,
			   int64_t end, struct convo_err *err)
{
	struct redis_load *load = op->into;
	struct store_event event;
	size_t i, j;
	int rc;

	for (i = 0; i < lists; i++) {
		if (!op_is_list(&list[i], 0))
			return cv_op_damaged(op, err);
		for (j = 0; j < list[i].len; j++) {
			const struct redis_value *item = &list[i].item[j];

			if (item->kind == REDIS_VALUE_NIL) {
				load->gone = true;
				return 0;
			}
			if (load->next >= end || item->kind != REDIS_VALUE_STRING ||
			    !cv_event_unpack(&event, (struct cv_text){item->data, item->len}))
				return cv_op_damaged(op, err);
			event.seq = load->next++;
			rc = cv_session_add_event(load->into, &event, err);
			if (rc < 0)
				return rc;
		}
	}
	return load->next == end ? 0 : cv_op_damaged(op, err);
}

/* The empty name is the scope's count of bytes. */
static int load_add_state(const struct redis_op *op, const struct redis_value *value,
			  enum convo_scope scope, struct convo_err *err)
{
	struct redis_load *load = op->into;
	struct cv_text name, json;
	size_t i;
	int rc;

	if (!op_is_list(value, 0) || value->len % 2)
		return cv_op_damaged(op, err);
	for (i = 0; i < value->len; i += 2) {
		if (!cv_op_text(&value->item[i], &name) || !cv_op_text(&value->item[i + 1], &json))
			return cv_op_damaged(op, err);
		if (!name.len)
			continue;
		rc = cv_session_add_state(load->into, scope, name, json, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* The draft: its id, how many bytes of its key are the event without its message, and the key. */
static int load_add_draft(const struct redis_op *op, const struct redis_value *value,
			  struct convo_err *err)
{
	const struct redis_value *item = value->item + META_ITEMS, *text = &item[2];
	struct redis_load *load = op->into;
	unsigned char id[UUID_BYTES];
	struct store_event event;
	int64_t head;

	if (value->len == META_ITEMS)
		return 0;
	if (value->len < META_ITEMS + 3 || !cv_op_uuid(&item[0], id) ||
	    !cv_op_number(&item[1], &head) || text->kind != REDIS_VALUE_STRING ||
	    (size_t)head >= text->len ||
	    !cv_event_unpack(&event, (struct cv_text){text->data, (size_t)head}) ||
	    memcmp(id, event.id, UUID_BYTES) != 0 ||
	    memchr(text->data + head, 0, text->len - (size_t)head))
		return cv_op_damaged(op, err);
	event.field[FIELD_MESSAGE] = (struct cv_text){text->data + head, text->len - (size_t)head};
	return cv_session_set_draft(load->into, &event, err);
}

static int load_answer(struct redis_ask *ask, const struct redis_value *answer,
		       struct convo_err *err)
{
	static const enum convo_scope scopes[] = {CONVO_SCOPE_SESSION, CONVO_SCOPE_USER,
						  CONVO_SCOPE_APP};
	const struct redis_op *op = ask->ctx;
	const struct redis_value *item = answer->item;
	struct redis_load *load = op->into;
	struct store_meta meta = {.session = cv_text_of(op->key->session)};
	int64_t end;
	size_t i;
	int rc;

	cv_session_reset(load->into);
	load->gone = false;
	if (item[0].integer == CONVO_E_NOTFOUND && answer->len > 1)
		return cv_refuse_event(err, op->key);
	if (item[0].integer)
		return cv_op_refusal(op, answer, err);
	if (answer->len < 9 || !op_is_list(&item[1], META_ITEMS) ||
	    !read_meta(item[1].item, &meta) || !cv_op_number(&item[5], &load->next) ||
	    item[6].kind != REDIS_VALUE_INTEGER || !cv_op_number(&item[7], &end) ||
	    !cv_op_number(&item[8], &load->large))
		return cv_op_damaged(op, err);
	/* An empty window ends before it begins. */
	load->high = item[6].integer;
	if (load->next < meta.first_seq || load->high > meta.last_seq || end < load->next ||
	    (end > load->next && end - 1 > load->high))
		return cv_op_damaged(op, err);
	memcpy(load->generation, meta.generation, UUID_BYTES);
	rc = cv_session_set_meta(load->into, &meta, err);
	if (rc < 0)
		return rc;
	load->noted = cv_op_is_apart(op) && op_is_list(&item[4], 1);
	for (i = 0; i < (cv_op_is_apart(op) ? 2 : 3); i++) {
		rc = load_add_state(op, &item[2 + i], scopes[i], err);
		if (rc < 0)
			return rc;
	}
	rc = load_add_draft(op, &item[1], err);
	if (rc < 0)
		return rc;
	rc = load_add_events(op, &item[9], answer->len - 9, end, err);
	if (rc < 0)
		return rc;
	if (load->gone)
		return cv_fail(err, CONVO_E_IO,
			       "%s: the database is damaged: events of session '%s' are missing; "
			       "does it evict keys?",
			       op->redis->name, op->key->session);
	return 0;
}

/* Ask for a session, and beside it for the app's state, which is elsewhere. */
static int load_run_apart(const struct redis_op *op, struct redis_ask *ask, struct convo_err *err)
{
	struct redis_load *load = op->into;
	struct cv_text name, json;
	struct redis_app app;
	size_t at = 0;
	int rc;

	cv_app_begin(&app, op, NULL);
	rc = cv_app_run(&app, ask, &load->noted, err);
	while (rc == 0 && cv_app_next(&app, &at, &name, &json)) {
		if (name.len)
			rc = cv_session_add_state(load->into, CONVO_SCOPE_APP, name, json, err);
	}
	cv_app_end(&app);
	return rc;
}

/* Meta, state and the first events, up to a number of bytes. */
static int load_begin(const struct redis_op *op, const struct store_window *window,
		      struct convo_err *err)
{
	static const char *const kinds[] = {
		[CONVO_WINDOW_LAST] = "last",     [CONVO_WINDOW_AFTER] = "after",
		[CONVO_WINDOW_BEFORE] = "before", [CONVO_WINDOW_AROUND] = "around",
		[CONVO_WINDOW_NONE] = "none",
	};
	struct redis_ask ask = {
		.answer = load_answer, .ctx = (void *)op, .repeat = true, .reads = true};
	char id[1 + UUID_BYTES] = "#";
	int rc;

	memcpy(id + 1, window->around, UUID_BYTES);
	cv_op_begin(op, &ask, REDIS_SCRIPT_LOAD, op->key->app, op->key->user);
	cv_ask_add_text(&ask, op->key->session);
	cv_ask_add_text(&ask, kinds[window->kind]);
	cv_ask_add_int(&ask, window->n);
	cv_ask_add_int(&ask, window->seq);
	cv_ask_add(&ask, id, sizeof(id));
	cv_ask_add_int(&ask, op->call->event_limit);
	cv_ask_add_int(&ask, LOAD_BYTES);
	cv_ask_add_int(&ask, window->draft);
	rc = cv_op_is_apart(op) ? load_run_apart(op, &ask, err)
				: cv_ask_run(op->redis, op->call, &ask, err);
	cv_ask_clear(&ask);
	return rc;
}

static int load_more_answer(struct redis_ask *ask, const struct redis_value *answer,
			    struct convo_err *err)
{
	const struct redis_op *op = ask->ctx;
	const struct redis_value *item = answer->item;
	struct redis_load *load = op->into;
	int64_t end;

	if (item[0].integer || answer->len < 2 || !cv_op_number(&item[1], &end) ||
	    end <= load->next || end - 1 > load->high)
		return cv_op_damaged(op, err);
	return load_add_events(op, &item[2], answer->len - 2, end, err);
}

/* Some of the events that are left. They never change, so they still belong to the view. */
static int load_more(const struct redis_op *op, struct convo_err *err)
{
	struct redis_load *load = op->into;
	struct redis_ask ask = {
		.answer = load_more_answer, .ctx = (void *)op, .repeat = true, .reads = true};
	int rc;

	cv_op_begin(op, &ask, REDIS_SCRIPT_FETCH, op->key->app, op->key->user);
	cv_op_add_uuid(&ask, load->generation);
	cv_ask_add_int(&ask, load->next);
	cv_ask_add_int(&ask, load->high);
	cv_ask_add_int(&ask, load->large);
	cv_ask_add_int(&ask, FETCH_BYTES);
	rc = cv_ask_run(op->redis, op->call, &ask, err);
	cv_ask_clear(&ask);
	return rc;
}

int cv_redis_load(struct convo_store *store, const struct store_call *call,
		  const struct convo_key *key, const struct store_window *window,
		  struct convo_session *into, struct convo_err *err)
{
	struct redis_load load = {.into = into};
	const struct redis_op op = {(struct redis_store *)store, call, key, &load};
	int rc;

	/* Events that others remove while a large window is read make it begin anew. */
	do {
		rc = load_begin(&op, window, err);
		if (rc < 0)
			return rc;
		while (!load.gone && load.next <= load.high) {
			rc = load_more(&op, err);
			if (rc < 0)
				return rc;
		}
	} while (load.gone);
	return 0;
}

/* ---- list ------------------------------------------------------------------------------- */

struct redis_list {
	struct store_page *into;
	bool trash, complete;
};

/* A session of a list. All but the last of a page stand where they were updated or deleted. */
static int list_add(const struct redis_op *op, const struct redis_value *value,
		    const int64_t *position, struct convo_err *err)
{
	const struct redis_list *list = op->into;
	const struct redis_value *item = value->item;
	struct store_meta meta = {0};

	if (!op_is_list(value, META_ITEMS + (list->trash ? 3 : 1)) || !read_meta(item, &meta) ||
	    !read_name(&item[META_ITEMS], &meta.session))
		return cv_op_damaged(op, err);
	meta.position = meta.updated_us;
	if (list->trash) {
		if (!cv_op_number(&item[META_ITEMS + 1], &meta.deleted_us) ||
		    !cv_op_number(&item[META_ITEMS + 2], &meta.expires_us))
			return cv_op_damaged(op, err);
		meta.position = meta.deleted_us;
	}
	if (position)
		meta.position = *position;
	return cv_page_add(list->into, &meta, err);
}

static int list_answer(struct redis_ask *ask, const struct redis_value *answer,
		       struct convo_err *err)
{
	const struct redis_op *op = ask->ctx;
	const struct redis_value *item = answer->item;
	struct redis_list *list = op->into;
	int64_t last = 0, complete;
	size_t i;
	int rc;

	cv_page_reset(list->into);
	if (item[0].integer != 0 || answer->len < 3 || !cv_op_number(&item[1], &complete) ||
	    complete > 1)
		return cv_op_damaged(op, err);
	if (answer->len > 3 && !cv_op_number(&item[2], &last))
		return cv_op_damaged(op, err);
	list->complete = complete;
	for (i = 3; i < answer->len; i++) {
		rc = list_add(op, &item[i], i + 1 == answer->len ? &last : NULL, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int cv_redis_list(struct convo_store *store, const struct store_call *call, const char *app,
		  const char *user, bool trash, const struct store_place *place, size_t n,
		  struct store_page *into, struct convo_err *err)
{
	struct redis_list list = {.into = into, .trash = trash};
	const struct convo_key key = {.app = app, .user = user};
	const struct redis_op op = {(struct redis_store *)store, call, &key, &list};
	int64_t steps = (int64_t)n + LIST_STEPS;
	char from[32] = "+inf";
	int rc;

	/* No two entries of a list have the same position. */
	if (place->position < INT64_MAX)
		snprintf(from, sizeof(from), "(%lld", (long long)place->position);
	while (!list.complete) {
		struct redis_ask ask = {
			.answer = list_answer, .ctx = (void *)&op, .repeat = true, .reads = true};

		cv_op_begin(&op, &ask, REDIS_SCRIPT_LIST, app, user);
		cv_ask_add_text(&ask, trash ? "trash" : "live");
		cv_ask_add_text(&ask, from);
		cv_ask_add_int(&ask, (int64_t)n);
		cv_ask_add_int(&ask, steps);
		rc = cv_ask_run(op.redis, call, &ask, err);
		cv_ask_clear(&ask);
		if (rc < 0)
			return rc;
		/* A replica does not let go of what is over: look further. */
		if (steps < INT64_C(1) << 40)
			steps *= 4;
	}
	return 0;
}

/* ---- state ------------------------------------------------------------------------------ */

struct redis_state {
	struct convo_state *into;
	bool apart; /* the app's is asked for elsewhere */
	bool noted; /* as of a load */
};

/* Names and values of one scope. */
static int state_add(const struct redis_op *op, enum convo_scope scope,
		     const struct redis_value *list, struct convo_err *err)
{
	struct redis_state *state = op->into;
	struct cv_text name, json;
	size_t i;
	int rc;

	if (list->len % 2)
		return cv_op_damaged(op, err);
	for (i = 0; i < list->len; i += 2) {
		if (!cv_op_text(&list->item[i], &name) || !cv_op_text(&list->item[i + 1], &json))
			return cv_op_damaged(op, err);
		if (!name.len)
			continue;
		rc = cv_state_add(state->into, scope, name, json, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int state_list_answer(struct redis_ask *ask, const struct redis_value *answer,
			     struct convo_err *err)
{
	const struct redis_op *op = ask->ctx;
	const struct redis_value *item = answer->item;
	struct redis_state *state = op->into;
	enum convo_scope scope;
	int rc = cv_op_refusal(op, answer, err);
	size_t i;

	cv_state_reset(state->into);
	if (rc < 0)
		return rc;
	if (answer->len % 2 == 0)
		return cv_op_damaged(op, err);
	for (i = 1; i < answer->len; i += 2) {
		const struct redis_value *list = &item[i + 1];

		if (!cv_op_scope(&item[i], &scope) || !op_is_list(list, 0))
			return cv_op_damaged(op, err);
		if (scope == CONVO_SCOPE_APP && state->apart) {
			state->noted = list->len > 0;
			continue;
		}
		rc = state_add(op, scope, list, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Ask for the app's state, which is elsewhere, and beside it for that of a user. */
static int state_run_apart(const struct redis_op *op, struct redis_ask *ask, bool alone,
			   const struct cv_text *only, struct convo_err *err)
{
	struct redis_state *state = op->into;
	struct cv_text name, json;
	struct redis_app app;
	size_t at = 0;
	int rc;

	cv_app_begin(&app, op, only);
	cv_state_reset(state->into);
	rc = cv_app_run(&app, alone ? NULL : ask, &state->noted, err);
	while (rc == 0 && cv_app_next(&app, &at, &name, &json)) {
		if (name.len)
			rc = cv_state_add(state->into, CONVO_SCOPE_APP, name, json, err);
	}
	cv_app_end(&app);
	return rc;
}

int cv_redis_state_list(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, unsigned scopes, const struct cv_text *name,
			struct convo_state *into, struct convo_err *err)
{
	struct redis_state state = {.into = into};
	const struct redis_op op = {(struct redis_store *)store, call, key, &state};
	struct redis_ask ask = {
		.answer = state_list_answer, .ctx = (void *)&op, .repeat = true, .reads = true};
	char letters[4] = "", *letter = letters;
	bool of_app = scopes & CONVO_SCOPE_APP, of_app_alone = scopes == CONVO_SCOPE_APP;
	int rc;

	if (scopes & CONVO_SCOPE_SESSION)
		*letter++ = 's';
	if (scopes & CONVO_SCOPE_USER)
		*letter++ = 'u';
	if (of_app)
		*letter = 'a';
	if (of_app_alone)
		cv_op_begin_app(&op, &ask, REDIS_SCRIPT_STATE_LIST);
	else
		cv_op_begin(&op, &ask, REDIS_SCRIPT_STATE_LIST, key->app, key->user);
	cv_ask_add_text(&ask, scopes & CONVO_SCOPE_SESSION ? key->session : "");
	cv_ask_add_text(&ask, letters);
	cv_ask_add(&ask, name ? name->data : "", name ? name->len : 0);
	state.apart = of_app && cv_op_is_apart(&op);
	if (state.apart)
		rc = state_run_apart(&op, &ask, of_app_alone, name, err);
	else
		rc = cv_ask_run(op.redis, call, &ask, err);
	cv_ask_clear(&ask);
	return rc;
}
