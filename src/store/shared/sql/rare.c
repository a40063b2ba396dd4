/*
 * The lives of sessions and the lists of them; see rare.h.
 */
#include <store/shared/sql/rare.h>

#include <assert.h>

#include <base/fail.h>

void cv_sql_bind_int(struct sql_step *step, int64_t value)
{
	assert(step->count < SQL_VALUES);
	step->value[step->count++] = (struct sql_value){.kind = SQL_INT, .number = value};
}

void cv_sql_bind_text(struct sql_step *step, enum sql_kind kind, struct cv_text text)
{
	assert(step->count < SQL_VALUES);
	step->value[step->count++] =
		(struct sql_value){.kind = text.data ? kind : SQL_NULL, .text = text};
}

void cv_sql_bind_key(struct sql_step *step, const struct convo_key *key)
{
	cv_sql_bind_text(step, SQL_TEXT, cv_text_of(key->app));
	cv_sql_bind_text(step, SQL_TEXT, cv_text_of(key->user ? key->user : ""));
	cv_sql_bind_text(step, SQL_TEXT, cv_text_of(key->session ? key->session : ""));
}

static void rare_bind_uuid(struct sql_step *step, const unsigned char *uuid)
{
	cv_sql_bind_text(step, SQL_UUID, (struct cv_text){(const char *)uuid, UUID_BYTES});
}

/* Run the only step of an operation. */
static int rare_one(struct sql_conversation *with, struct sql_step *step, struct convo_err *err)
{
	return with->run(with->ctx, step, 1, false, err);
}

/* ---- one statement each ----------------------------------------------------------------- */

int cv_sql_rename(struct sql_conversation *with, const struct sql_request *request,
		  struct convo_err *err)
{
	struct sql_step step = {.text = SQL_RENAME};
	int64_t now_us = with->call->now_us, expires_us = store_call_expires(with->call, 0);
	int i, rc;

	cv_sql_bind_text(&step, SQL_TEXT, request->title.data ? request->title : cv_text_of(""));
	cv_sql_bind_int(&step, now_us);
	cv_sql_bind_int(&step, now_us);
	for (i = 0; i < 5; i++)
		cv_sql_bind_int(&step, expires_us);
	cv_sql_bind_key(&step, request->key);
	cv_sql_bind_int(&step, now_us);
	rc = rare_one(with, &step, err);
	return rc == 0 && !step.changed ? cv_refuse_notfound(err, request->key) : rc;
}

int cv_sql_delete(struct sql_conversation *with, const struct sql_request *request,
		  struct convo_err *err)
{
	int64_t now_us = with->call->now_us, trash_us = with->call->trash_us;
	struct sql_step step = {.text = SQL_DELETE};

	cv_sql_bind_int(&step, trash_us ? SQL_LIFE_TRASH : SQL_LIFE_DEAD);
	cv_sql_bind_int(&step, now_us);
	cv_sql_bind_int(&step, now_us);
	cv_sql_bind_int(&step, now_us + trash_us);
	cv_sql_bind_int(&step, trash_us ? now_us + trash_us : 1);
	cv_sql_bind_key(&step, request->key);
	cv_sql_bind_int(&step, now_us);
	return rare_one(with, &step, err);
}

int cv_sql_purge(struct sql_conversation *with, const struct sql_request *request,
		 struct convo_err *err)
{
	struct sql_step step = {.text = request->generation ? SQL_PURGE_LIFE : SQL_PURGE};

	cv_sql_bind_key(&step, request->key);
	if (request->generation)
		rare_bind_uuid(&step, request->generation);
	return rare_one(with, &step, err);
}

/* ---- lists ------------------------------------------------------------------------------ */

struct rare_list {
	const char *where;
	struct store_page *into;
};

static int rare_list_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct rare_list *list = ctx;
	struct store_meta meta;
	struct sql_row row;
	int rc = cv_sql_row_read(&row, column, list->where, err);

	if (rc < 0)
		return rc;
	meta = cv_sql_row_meta(&row);
	return cv_page_add(list->into, &meta, err);
}

int cv_sql_list(struct sql_conversation *with, const struct sql_request *request,
		struct convo_err *err)
{
	struct rare_list list = {with->store->where, request->page};
	struct sql_step step = {.text = request->trash ? SQL_LIST_TRASH : SQL_LIST,
				.row = rare_list_row,
				.ctx = &list};

	cv_page_reset(request->page);
	cv_sql_bind_text(&step, SQL_TEXT, cv_text_of(request->key->app));
	cv_sql_bind_text(&step, SQL_TEXT, cv_text_of(request->key->user));
	cv_sql_bind_int(&step, request->place->position);
	cv_sql_bind_int(&step, request->place->position);
	cv_sql_bind_int(&step, request->place->number);
	cv_sql_bind_int(&step, with->call->now_us);
	cv_sql_bind_int(&step, (int64_t)request->n);
	return rare_one(with, &step, err);
}

static int rare_owner_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct sql_owners *owners = ctx;
	struct cv_text app = column[0].text, user = column[1].text;

	if (app.len > CONVO_MAX_NAME || user.len > CONVO_MAX_NAME)
		return cv_sql_damaged(err, owners->where);
	memcpy(owners->last.app, app.data, app.len);
	owners->last.app[app.len] = '\0';
	memcpy(owners->last.user, user.data, user.len);
	owners->last.user[user.len] = '\0';
	owners->count++;
	return cv_owners_add(owners->into, app, user, err);
}

int cv_sql_owners(struct sql_conversation *with, const struct sql_request *request,
		  struct convo_err *err)
{
	struct sql_owners *owners = request->owners;
	const struct store_owners_place *from = owners->from;
	const char *app = request->key->app;
	struct sql_step step = {.text = request->trash ? SQL_OWNERS_TRASH : SQL_OWNERS,
				.row = rare_owner_row,
				.ctx = owners};

	cv_owners_reset(owners->into);
	owners->where = with->store->where;
	owners->last = *from;
	owners->count = 0;
	cv_sql_bind_text(&step, SQL_TEXT, cv_text_of(app ? app : from->app));
	cv_sql_bind_text(&step, SQL_TEXT, cv_text_of(from->user));
	cv_sql_bind_int(&step, (int64_t)request->n);
	cv_sql_bind_text(&step, SQL_TEXT, cv_text_of(from->app));
	cv_sql_bind_int(&step, app ? 0 : 1);
	cv_sql_bind_int(&step, (int64_t)request->n);
	cv_sql_bind_int(&step, (int64_t)request->n);
	return rare_one(with, &step, err);
}

/* ---- a row that is locked --------------------------------------------------------------- */

static int lock_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct sql_locked *locked = ctx;

	locked->found = true;
	return cv_sql_row_read(&locked->row, column, locked->where, err);
}

void cv_sql_lock(struct sql_conversation *with, struct sql_step *step, enum sql_text text,
		 const struct convo_key *key, struct sql_locked *locked)
{
	*step = (struct sql_step){.text = text, .row = lock_row, .ctx = locked};
	*locked = (struct sql_locked){.where = with->store->where};
	cv_sql_bind_key(step, key);
}

bool cv_sql_locked_lives(const struct sql_conversation *with, const struct sql_locked *locked)
{
	int64_t expires_us = locked->row.expires_us;

	return locked->found && (!expires_us || expires_us > with->call->now_us);
}

/* ---- restoring -------------------------------------------------------------------------- */

static struct sql_step restore_write(const struct sql_row *row)
{
	struct sql_step step = {.text = SQL_LIFE};

	cv_sql_bind_int(&step, row->life);
	cv_sql_bind_int(&step, row->position);
	cv_sql_bind_int(&step, row->updated_us);
	cv_sql_bind_int(&step, row->expires_us);
	cv_sql_bind_int(&step, row->deleted_us);
	cv_sql_bind_int(&step, row->purge_us);
	cv_sql_bind_int(&step, row->due_us);
	cv_sql_bind_int(&step, row->no);
	return step;
}

/* Bring it back: it comes to the front, and expires as much later as it was deleted. */
static void restore_revive(const struct sql_conversation *with, struct sql_row *row)
{
	int64_t now_us = with->call->now_us;

	if (row->expires_us)
		row->expires_us += now_us - row->deleted_us;
	row->expires_us = store_call_expires(with->call, row->expires_us);
	row->life = SQL_LIFE_LIVE;
	if (row->position < now_us)
		row->position = now_us;
	if (row->updated_us < now_us)
		row->updated_us = now_us;
	row->deleted_us = row->purge_us = 0;
	row->due_us = row->kept_seq < row->first_seq ? 1 : row->expires_us;
}

int cv_sql_restore(struct sql_conversation *with, const struct sql_request *request,
		   struct convo_err *err)
{
	const unsigned char *generation = request->generation;
	const struct convo_key *key = request->key;
	struct sql_locked live, trash;
	struct sql_step step[2];
	size_t count = 0;
	int rc;

	cv_sql_lock(with, &step[0], SQL_FIND, key, &live);
	cv_sql_lock(with, &step[1], generation ? SQL_FIND_TRASH_LIFE : SQL_FIND_TRASH, key, &trash);
	cv_sql_bind_int(&step[1], with->call->now_us);
	if (generation)
		rare_bind_uuid(&step[1], generation);
	rc = with->run(with->ctx, step, 2, true, err);
	if (rc)
		goto out;
	if (cv_sql_locked_lives(with, &live))
		rc = cv_refuse_exists(err, key);
	else if (!trash.found)
		rc = cv_refuse_trash(err, key);
	if (rc < 0)
		goto out;
	if (live.found) { /* it has expired, and must not be in the way */
		live.row.life = SQL_LIFE_DEAD;
		live.row.due_us = 1;
		step[count++] = restore_write(&live.row);
	}
	restore_revive(with, &trash.row);
	step[count++] = restore_write(&trash.row);
	rc = with->run(with->ctx, step, count, false, err);
	if (rc == CONVO_E_EXISTS) /* somebody was faster */
		cv_refuse_exists(err, key);
out:
	if (rc)
		with->undo(with->ctx);
	return rc;
}
