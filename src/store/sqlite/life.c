/*
 * The lives of sessions in the SQLite store: creation, title, the trash and back, the end.
 */
#include <store/sqlite/write.h>

/* Write what begins and ends a life. */
static int life_set(struct sqlite_db *db, const struct sqlite_row *row, struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_LIFE);

	cv_sqlite_bind_int(&query, row->life);
	cv_sqlite_bind_int(&query, row->position);
	cv_sqlite_bind_int(&query, row->updated_us);
	cv_sqlite_bind_int(&query, row->expires_us);
	cv_sqlite_bind_int(&query, row->deleted_us);
	cv_sqlite_bind_int(&query, row->purge_us);
	cv_sqlite_bind_int(&query, row->due_us);
	cv_sqlite_bind_int(&query, row->no);
	return cv_sqlite_run(&query, err);
}

int cv_sqlite_row_kill(struct sqlite_db *db, struct sqlite_row *row, struct convo_err *err)
{
	row->life = LIFE_DEAD;
	row->due_us = 1;
	return life_set(db, row, err);
}

int cv_sqlite_take_name(struct sqlite_store *store, const struct store_call *call,
			const struct convo_key *key, struct convo_err *err)
{
	struct sqlite_row row;
	int rc = cv_sqlite_find(store->writer, call, key, &row, err);

	if (rc > 0)
		return cv_refuse_exists(err, key);
	if (rc < 0 || !row.no)
		return rc;
	return cv_sqlite_row_kill(store->writer, &row, err);
}

/* ---- creation --------------------------------------------------------------------------- */

static int create_row(struct sqlite_store *store, struct sqlite_job *job, struct sqlite_row *row,
		      struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(store->writer, TEXT_CREATE);
	int64_t now_us = job->call->now_us;
	int rc;

	*row = (struct sqlite_row){
		.position = now_us,
		.updated_us = now_us,
		.expires_us = store_call_expires(job->call, 0),
		.kept_seq = 1,
		.first_seq = 1,
	};
	row->due_us = row->expires_us;
	cv_sqlite_bind_name(&query, job->key);
	cv_sqlite_bind_uuid(&query, job->create->generation);
	cv_sqlite_bind_text(&query, job->create->title);
	cv_sqlite_bind_int(&query, now_us);
	cv_sqlite_bind_int(&query, row->expires_us);
	rc = cv_sqlite_run(&query, err);
	row->no = cv_sqlite_last_no(store->writer);
	return rc;
}

static int create_run(struct sqlite_store *store, struct sqlite_job *job, struct convo_err *err)
{
	struct sqlite_row row;
	int rc = cv_sqlite_take_name(store, job->call, job->key, err);

	if (rc < 0)
		return rc;
	rc = create_row(store, job, &row, err);
	if (rc < 0 || !job->change_count)
		return rc;
	rc = cv_sqlite_job_change_state(store, job, &row, err);
	return rc < 0 ? rc : cv_sqlite_row_touch(store->writer, job->call, &row, err);
}

int cv_sqlite_create(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, const struct store_create *create,
		     struct convo_err *err)
{
	struct sqlite_job job = {.run = create_run,
				 .savepoint = create->change_count > 0,
				 .key = key,
				 .create = create,
				 .changes = create->changes,
				 .change_count = create->change_count};
	size_t i;

	for (i = 0; i < create->change_count; i++)
		job.base.weight += create->changes[i].value.len;
	return cv_sqlite_write(store, call, &job, err);
}

/* ---- the title -------------------------------------------------------------------------- */

static int rename_run(struct sqlite_store *store, struct sqlite_job *job, struct convo_err *err)
{
	struct sqlite_query query;
	struct sqlite_row row;
	int rc = cv_sqlite_job_find(store, job, &row, err);

	if (rc < 0)
		return rc;
	query = cv_sqlite_query(store->writer, TEXT_TITLE);
	cv_sqlite_bind_text(&query, job->title);
	cv_sqlite_bind_int(&query, row.no);
	rc = cv_sqlite_run(&query, err);
	return rc < 0 ? rc : cv_sqlite_row_touch(store->writer, job->call, &row, err);
}

int cv_sqlite_rename(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, struct cv_text title, struct convo_err *err)
{
	struct sqlite_job job = {.run = rename_run, .key = key, .title = title};

	return cv_sqlite_write(store, call, &job, err);
}

/* ---- the trash -------------------------------------------------------------------------- */

static int delete_run(struct sqlite_store *store, struct sqlite_job *job, struct convo_err *err)
{
	const struct store_call *call = job->call;
	struct sqlite_row row;
	int rc = cv_sqlite_find(store->writer, call, job->key, &row, err);

	if (rc <= 0)
		return rc;
	if (!call->trash_us)
		return cv_sqlite_row_kill(store->writer, &row, err);
	row.life = LIFE_TRASH;
	row.deleted_us = call->now_us;
	if (row.position < call->now_us)
		row.position = call->now_us;
	row.purge_us = row.due_us = call->now_us + call->trash_us;
	return life_set(store->writer, &row, err);
}

int cv_sqlite_delete(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, struct convo_err *err)
{
	struct sqlite_job job = {.run = delete_run, .key = key};

	return cv_sqlite_write(store, call, &job, err);
}

static int restore_find(struct sqlite_store *store, struct sqlite_job *job, struct sqlite_row *row,
			struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(
		store->writer, job->generation ? TEXT_FIND_TRASH_LIFE : TEXT_FIND_TRASH);
	int rc;

	cv_sqlite_bind_name(&query, job->key);
	cv_sqlite_bind_int(&query, job->call->now_us);
	if (job->generation)
		cv_sqlite_bind_uuid(&query, job->generation);
	rc = cv_sqlite_row_step(&query, row, err);
	if (rc == 0)
		return cv_refuse_trash(err, job->key);
	return rc < 0 ? rc : cv_sqlite_run(&query, err);
}

/* When a session that is restored now expires: as much later as it was deleted. */
static int64_t restore_expires(const struct sqlite_row *row, const struct store_call *call)
{
	int64_t away_us = call->now_us > row->deleted_us ? call->now_us - row->deleted_us : 0;
	int64_t expires_us = row->expires_us ? row->expires_us + away_us : 0;

	return store_call_expires(call,
				  expires_us < SQLITE_TIME_MAX ? expires_us : SQLITE_TIME_MAX);
}

static int restore_run(struct sqlite_store *store, struct sqlite_job *job, struct convo_err *err)
{
	const struct store_call *call = job->call;
	struct sqlite_row row;
	int rc = cv_sqlite_take_name(store, job->call, job->key, err);

	if (rc < 0)
		return rc;
	rc = restore_find(store, job, &row, err);
	if (rc < 0)
		return rc;
	row.expires_us = restore_expires(&row, call);
	row.life = LIFE_LIVE;
	if (row.position < call->now_us)
		row.position = call->now_us;
	if (row.updated_us < call->now_us)
		row.updated_us = call->now_us;
	row.deleted_us = row.purge_us = 0;
	row.due_us = row.kept_seq < row.first_seq ? 1 : row.expires_us;
	return life_set(store->writer, &row, err);
}

int cv_sqlite_restore(struct convo_store *store, const struct store_call *call,
		      const struct convo_key *key, const unsigned char *generation,
		      struct convo_err *err)
{
	struct sqlite_job job = {
		.run = restore_run, .savepoint = true, .key = key, .generation = generation};

	return cv_sqlite_write(store, call, &job, err);
}

static int purge_run(struct sqlite_store *store, struct sqlite_job *job, struct convo_err *err)
{
	struct sqlite_query query =
		cv_sqlite_query(store->writer, job->generation ? TEXT_PURGE_LIFE : TEXT_PURGE);

	cv_sqlite_bind_name(&query, job->key);
	if (job->generation)
		cv_sqlite_bind_uuid(&query, job->generation);
	return cv_sqlite_run(&query, err);
}

int cv_sqlite_purge(struct convo_store *store, const struct store_call *call,
		    const struct convo_key *key, const unsigned char *generation,
		    struct convo_err *err)
{
	struct sqlite_job job = {.run = purge_run, .key = key, .generation = generation};

	return cv_sqlite_write(store, call, &job, err);
}
