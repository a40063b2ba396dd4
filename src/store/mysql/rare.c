/*
 * The operations that all SQL stores share (sql/rare.h), over a MySQL connection. A step is a round
 * trip; where there are several, they are between START TRANSACTION and COMMIT.
 */
#include <store/mysql/store.h>

#include <base/fail.h>
#include <store/mysql/exact.h>

struct my_talk {
	struct sql_conversation base;
	struct my_db *db;
	enum pool_fate *fate;
	bool open;     /* a transaction is */
	bool given_up; /* the connection, because of a transaction that could not be undone */
};

/* JSON goes to two columns: the value, and its text where MySQL would change it. */
static void talk_bind_json(struct my_args *args, struct cv_text json)
{
	const enum my_exact exact = json.data ? cv_my_exact(json) : MY_EXACT_KEPT;
	const struct cv_text stead = cv_text_of("null"),
			     value = exact == MY_EXACT_REFUSED ? stead : json;

	cv_my_bytes(args, value.data, value.len);
	cv_my_bytes(args, exact == MY_EXACT_KEPT ? NULL : json.data, json.len);
}

static int talk_step(struct my_talk *talk, struct sql_step *step, struct convo_err *err)
{
	struct my_args args = {0};
	struct my_query query = {.text = MY_RARE + step->text,
				 .args = args.arg,
				 .take[0] = {cv_sql_columns[step->text], step->row},
				 .ctx = step->ctx};
	size_t i;
	int rc;

	for (i = 0; i < step->count; i++) {
		if (step->value[i].kind == SQL_JSON)
			talk_bind_json(&args, step->value[i].text);
		else
			args.arg[args.count++] = step->value[i];
	}
	query.arg_count = args.count;
	rc = cv_my_run(talk->db, &query, talk->base.call, talk->fate, err);
	step->changed = query.changed;
	return rc;
}

static int talk_run(void *ctx, struct sql_step *steps, size_t count, bool more,
		    struct convo_err *err)
{
	struct my_talk *talk = ctx;
	size_t i;
	int rc;

	if (!talk->open && (more || count > 1)) {
		talk->open = true;
		rc = cv_my_start(talk->db, talk->base.call, talk->fate, err);
		if (rc)
			return rc;
	}
	for (i = 0; i < count; i++) {
		rc = talk_step(talk, &steps[i], err);
		if (rc)
			return rc;
	}
	if (more || !talk->open)
		return 0;
	talk->open = false;
	return cv_my_end(talk->db, "COMMIT", talk->base.call, talk->fate, err);
}

static void talk_undo(void *ctx)
{
	struct my_talk *talk = ctx;
	enum pool_fate fate = POOL_KEEP;
	struct convo_err ignored;

	if (!talk->open)
		return;
	talk->open = false;
	/* One that stays open keeps its locks for as long as the connection lives. With that it ends
	 * and nothing was done. */
	if (*talk->fate != POOL_KEEP ||
	    (cv_my_usable(talk->db) &&
	     cv_my_end(talk->db, "ROLLBACK", talk->base.call, &fate, &ignored) == 0))
		return;
	*talk->fate = POOL_UNSENT;
	talk->given_up = true;
}

int cv_my_rare(struct convo_store *store, void *conn, const struct store_call *call, void *ctx,
	       enum pool_fate *fate, struct convo_err *err)
{
	const struct sql_request *request = ctx;
	struct my_talk talk = {
		.base = {.store = store, .call = call, .run = talk_run, .undo = talk_undo},
		.db = conn,
		.fate = fate};
	struct my_tries tries = {0};
	int rc = cv_my_look_again(conn, call, fate, err);

	if (rc < 0)
		return rc;
	talk.base.ctx = &talk;
	do {
		rc = request->run(&talk.base, request, err);
		if (talk.open)
			talk_undo(&talk);
	} while (cv_my_again(rc, &tries, call, *fate));
	/* A verdict, as that a row is damaged, is not to be had again on another connection. */
	if (rc < 0 && talk.given_up) {
		cv_my_hang_up(conn);
		*fate = POOL_KEEP;
		return rc;
	}
	if (rc == MY_AGAIN && *fate == POOL_UNSENT) /* on another connection, says the pool */
		return cv_fail(err, CONVO_E_GONE, "%s: connection given up", store->where);
	return rc == MY_AGAIN ? cv_sql_in_the_way(err, store->where) : rc;
}
