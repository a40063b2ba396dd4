/*
 * Marks: what says that something has happened to a session, of some sessions by one statement. The
 * server cannot tell of itself, so it is asked.
 */
#include <store/mysql/store.h>

#include <assert.h>
#include <stdlib.h>

struct mark_place {
	const struct convo_key *key;
	uint64_t *mark;
};

struct my_marks {
	struct mark_place *place; /* in the order of their keys */
	size_t count;
};

static int mark_compare(const void *a, const void *b)
{
	return cv_sql_key_order(((const struct mark_place *)a)->key,
				((const struct mark_place *)b)->key);
}

static void marks_begin(void *ctx)
{
	struct my_marks *marks = ctx;
	size_t i;

	for (i = 0; i < marks->count; i++)
		*marks->place[i].mark = 0;
}

static uint64_t mark_mix(uint64_t mark, uint64_t part)
{
	mark = (mark ^ part) * UINT64_C(0x9e3779b97f4a7c15);
	return mark ^ (mark >> 29);
}

/* A name as a string; false for one that is too long to be a key's. */
static bool mark_name(char *into, struct cv_text name)
{
	if (name.len > CONVO_MAX_NAME)
		return false;
	memcpy(into, name.data, name.len);
	into[name.len] = '\0';
	return true;
}

/* A session's row; one that nobody asked for is of no interest. */
static int mark_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct my_marks *marks = ctx;
	char app[CONVO_MAX_NAME + 1], user[CONVO_MAX_NAME + 1], session[CONVO_MAX_NAME + 1];
	const struct convo_key key = {app, user, session};
	const struct mark_place wanted = {&key, NULL};
	const struct mark_place *found;
	uint64_t mark = 0, half;
	size_t i;

	(void)err;
	if (!mark_name(app, column[0].text) || !mark_name(user, column[1].text) ||
	    !mark_name(session, column[2].text))
		return 0;
	found = bsearch(&wanted, marks->place, marks->count, sizeof(wanted), mark_compare);
	if (!found)
		return 0;
	for (i = 0; i < UUID_BYTES; i += sizeof(half)) {
		memcpy(&half, column[3].text.data + i, sizeof(half));
		mark = mark_mix(mark, half);
	}
	for (i = 4; i < 8; i++)
		mark = mark_mix(mark, (uint64_t)column[i].number);
	*found->mark = mark ? mark : 1;
	return 0;
}

static void mark_text(struct sql_value *arg, const char *text)
{
	*arg = (struct sql_value){.kind = SQL_TEXT, .text = cv_text_of(text)};
}

/* Those of one statement, at most MY_MARK_ROWS. */
static int marks_ask(struct convo_store *store, const struct store_call *call,
		     struct my_marks *marks, struct convo_err *err)
{
	const size_t size = cv_my_mark_size(marks->count), rows = cv_my_mark_rows[size];
	struct sql_value args[MY_MARK_ROWS * MY_MARK_ARGS + 1], *arg = args;
	struct my_query query = {.text = MY_MARKS + size,
				 .args = args,
				 .arg_count = rows * MY_MARK_ARGS + 1,
				 .begin = marks_begin,
				 .take[0] = {MY_MARKED, mark_row},
				 .ctx = marks};
	size_t i;

	for (i = 0; i < rows; i++) {
		const struct convo_key *key =
			marks->place[i < marks->count ? i : marks->count - 1].key;

		mark_text(arg++, key->app);
		mark_text(arg++, key->user);
		mark_text(arg++, key->session);
	}
	*arg = (struct sql_value){.kind = SQL_INT, .number = call->now_us};
	return cv_my_query(cv_my_of(store), call, true, &query, err);
}

int cv_my_marks(struct convo_store *store, const struct store_call *call,
		const struct convo_key *const *keys, size_t count, uint64_t *marks,
		struct convo_err *err)
{
	struct mark_place place[STORE_MARKS];
	int rc = 0;
	size_t i, n;

	assert(count > 0 && count <= STORE_MARKS);
	for (i = 0; i < count; i++)
		place[i] = (struct mark_place){keys[i], &marks[i]};
	qsort(place, count, sizeof(place[0]), mark_compare);
	for (i = 0; i < count && rc == 0; i += n) {
		n = count - i < MY_MARK_ROWS ? count - i : MY_MARK_ROWS;
		rc = marks_ask(store, call, &(struct my_marks){&place[i], n}, err);
	}
	return rc;
}
