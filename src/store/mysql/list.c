/*
 * Listing: the rows that all SQL stores list, and what their sessions have beside them.
 */
#include <store/mysql/store.h>

#include <store/mysql/more.h>

/* The columns of SQL_LIST, and MY_MORE. */
#define LIST_COLUMNS "iiiiiiiiiiiiiiuttT"

struct my_listing {
	const char *where;
	struct store_page *into;
};

static void list_begin(void *ctx)
{
	cv_page_reset(((struct my_listing *)ctx)->into);
}

static int list_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct my_listing *list = ctx;
	struct store_meta meta;
	struct sql_row row;
	int rc = cv_sql_row_read(&row, column, list->where, err);

	if (rc < 0)
		return rc;
	meta = cv_sql_row_meta(&row);
	rc = cv_my_more(&meta, NULL, &column[SQL_ROW_COLUMNS], list->where, err);
	return rc < 0 ? rc : cv_page_add(list->into, &meta, err);
}

int cv_my_list(struct convo_store *store, const struct store_call *call, const char *app,
	       const char *user, bool trash, const struct store_place *place, size_t n,
	       struct store_page *into, struct convo_err *err)
{
	struct my_listing list = {store->where, into};
	struct my_query query = {.text = trash ? MY_LIST_TRASH : MY_LIST,
				 .begin = list_begin,
				 .take[0] = {LIST_COLUMNS, list_row},
				 .ctx = &list};
	struct my_args args = {0};

	cv_my_bytes(&args, app, strlen(app));
	cv_my_bytes(&args, user, strlen(user));
	cv_my_int(&args, place->position);
	cv_my_int(&args, place->position);
	cv_my_int(&args, place->number);
	cv_my_int(&args, call->now_us);
	cv_my_int(&args, (int64_t)n);
	return cv_my_call(cv_my_of(store), call, true, &query, &args, err);
}
