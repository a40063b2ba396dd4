/*
 * Pages of lists: as those of the other SQL stores, with what is known of leases and forks.
 */
#include <store/postgres/store.h>

#define LIST_MOST ((size_t)64 << 20)

/* The columns behind those of rare.h. */
enum { LIST_HELD = SQL_ROW_COLUMNS, LIST_FORK, LIST_FORK_GENERATION, LIST_FORK_SEQ };

struct pg_listing {
	const char *where;
	struct store_page *into;
};

static void list_begin(void *ctx)
{
	cv_page_reset(((struct pg_listing *)ctx)->into);
}

static int list_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct pg_listing *list = ctx;
	struct store_meta meta;
	struct sql_row row;
	int rc = cv_sql_row_read(&row, column, list->where, err);

	if (rc < 0)
		return rc;
	meta = cv_sql_row_meta(&row);
	meta.held_us = column[LIST_HELD].number;
	if (column[LIST_FORK].kind != SQL_NULL && column[LIST_FORK_GENERATION].kind != SQL_NULL) {
		meta.fork_session = column[LIST_FORK].text;
		memcpy(meta.fork_generation, column[LIST_FORK_GENERATION].text.data, UUID_BYTES);
		meta.fork_seq = column[LIST_FORK_SEQ].number;
	}
	return cv_page_add(list->into, &meta, err);
}

int cv_pg_list(struct convo_store *store, const struct store_call *call, const char *app,
	       const char *user, bool trash, const struct store_place *place, size_t n,
	       struct store_page *into, struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	struct pg_listing list = {store->where, into};
	struct pg_args args = {0};
	struct pg_query query = {.statement = &pg->statement[trash ? PG_LIST_TRASH : PG_LIST],
				 .begin = list_begin,
				 .row = list_row,
				 .ctx = &list,
				 .most = LIST_MOST};

	cv_pg_args_text(&args, cv_text_of(app));
	cv_pg_args_text(&args, cv_text_of(user));
	cv_pg_args_int(&args, place->position);
	cv_pg_args_int(&args, place->number);
	cv_pg_args_int(&args, (int64_t)n);
	cv_pg_args_int(&args, call->now_us);
	return cv_pg_one(pg, call, &query, &args, err);
}
