/*
 * Tool calls and their outputs; see pairs.h.
 */
#include <runner/pairs.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/arena.h>
#include <base/json.h>

bool cv_item_is(const struct item *item, const char *role)
{
	return strcmp(item->event->role, role) == 0;
}

bool cv_item_is_result(const struct item *item)
{
	return cv_item_is(item, "tool") || cv_item_is(item, "function");
}

/* ---- calls ---------------------------------------------------------------------------- */

struct call {
	struct cv_text id;
	size_t taken; /* in the first of equal ids: how many of them have a result */
};

/* The calls of one message, sorted by id. */
struct calls {
	struct call *call;
	size_t count, cap;
	struct cv_arena arena; /* ids that were written with escapes */
};

static int call_order(const void *a, const void *b)
{
	const struct call *left = a, *right = b;
	size_t len = left->id.len < right->id.len ? left->id.len : right->id.len;
	int order = len ? memcmp(left->id.data, right->id.data, len) : 0;

	if (order != 0)
		return order;
	return left->id.len < right->id.len ? -1 : left->id.len > right->id.len;
}

/* An id as it is meant: who calls and who answers may escape it in different ways. */
static int calls_id(struct calls *calls, struct cv_text value, struct cv_text *id)
{
	struct cv_buf plain = {0};
	int rc = 0;

	*id = (struct cv_text){0};
	if (cv_json_kind(value) != JSON_KIND_STRING)
		return 0;
	*id = (struct cv_text){value.data + 1, value.len - 2};
	if (!id->data || !memchr(id->data, '\\', id->len))
		return 0;
	rc = cv_json_unescape(&plain, *id);
	if (rc == 0) {
		id->data = cv_arena_dup(&calls->arena, cv_buf_str(&plain), plain.len);
		id->len = plain.len;
	}
	cv_buf_clear(&plain);
	return rc < 0 || !id->data ? CONVO_E_NOMEM : 0;
}

static int calls_read(struct calls *calls, const struct convo_event *event)
{
	struct cv_text message = {event->message, event->message_len}, value;
	struct cv_text list = cv_json_find(message, "tool_calls");
	size_t pos = 0;

	calls->count = 0;
	while (cv_json_element(list, &pos, &value)) {
		struct cv_text id = {0};

		if (cv_json_kind(value) == JSON_KIND_OBJECT)
			id = cv_json_find(value, "id");
		if (!cv_grow((void **)&calls->call, &calls->cap, calls->count + 1,
			     sizeof(*calls->call)) ||
		    calls_id(calls, id, &calls->call[calls->count].id) < 0)
			return CONVO_E_NOMEM;
		calls->call[calls->count++].taken = 0;
	}
	if (calls->count)
		qsort(calls->call, calls->count, sizeof(*calls->call), call_order);
	return 0;
}

/* Give a result to a call that waits for it. @return 1, 0, CONVO_E_NOMEM */
static int calls_take(struct calls *calls, const struct convo_event *result)
{
	struct cv_text message = {result->message, result->message_len};
	size_t low = 0, high = calls->count, at;
	struct call wanted = {0};
	int rc = calls_id(calls, cv_json_find(message, "tool_call_id"), &wanted.id);

	if (rc < 0 || !wanted.id.len)
		return rc;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (call_order(&calls->call[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == calls->count)
		return 0;
	at = low + calls->call[low].taken;
	if (at >= calls->count || call_order(&calls->call[at], &wanted) != 0)
		return 0;
	calls->call[low].taken++;
	return 1;
}

/* ---- judging -------------------------------------------------------------------------- */

/* Give the results from `from` to `end` to the calls. @return how many were taken, or a code */
static int64_t judge_take(struct item *items, size_t from, size_t end, struct calls *calls)
{
	int64_t taken = 0;

	for (size_t i = from; i < end; i++) {
		int rc = calls_take(calls, items[i].event);

		if (rc < 0)
			return rc;
		items[i].called = rc;
		taken += rc;
	}
	return taken;
}

/*
 * Judge a call at `i` and the results right after it, up to `end`. Those of the question come first: they
 * may repeat what an earlier question said that got no answer.
 */
static int judge_call(struct item *items, size_t i, size_t end, size_t asked, struct calls *calls)
{
	size_t between = asked > i && asked < end ? asked : end;
	bool whole, pins = i < asked && between < end;
	int64_t new, old;
	int rc = calls_read(calls, items[i].event);

	if (rc < 0)
		return rc;
	new = judge_take(items, between, end, calls);
	old = new < 0 ? new : judge_take(items, i + 1, between, calls);
	if (old < 0)
		return (int)old;
	whole = (size_t)(new + old) == calls->count;
	items[i].fate = whole ? SENT : NO_RESULTS;
	for (size_t j = i + 1; j < end; j++)
		items[j].fate = whole && items[j].called ? SENT : NO_CALL;
	for (size_t j = i; j < between; j++)
		items[j].pinned |= pins;
	return 0;
}

/* The user's message that what is pinned at `i` began with. */
static void judge_pin(struct item *items, size_t i)
{
	while (i-- && !items[i].pinned) {
		if (items[i].fate == SENT && cv_item_is(&items[i], "user"))
			items[i].pinned = true;
	}
}

int cv_pairs_judge(struct item *items, size_t count, size_t asked)
{
	struct calls calls = {0};
	size_t i = 0, end;
	int rc = 0;

	for (; i < count && rc == 0; i = end) {
		end = i + 1;
		items[i].pinned = i >= asked;
		if (!items[i].facts.calls) {
			items[i].fate = cv_item_is_result(&items[i]) ? NO_CALL : SENT;
			continue;
		}
		for (; end < count && cv_item_is_result(&items[end]); end++)
			items[end].pinned = end >= asked;
		rc = judge_call(items, i, end, asked, &calls);
		if (i < asked && items[i].pinned)
			judge_pin(items, i);
	}
	free(calls.call);
	cv_arena_clear(&calls.arena);
	return rc;
}
