/*
 * Changes of state in the SQLite store, alone or with what they came with. A scope's size is kept
 * beside it, so that a change costs what it changes (P2).
 */
#include <store/sqlite/write.h>

/* A scope while changes are applied to it. */
struct scope_change {
	bool known;
	int64_t owner; /* 0: not there yet */
	int64_t bytes;
};

enum { SCOPES = CONVO_SCOPE_APP + 1 };

/* Find the owner of user or app state; make it if it is to have some. */
static int scope_find(struct sqlite_store *store, struct sqlite_job *job,
		      const struct store_change *change, struct scope_change *of,
		      struct convo_err *err)
{
	struct sqlite_query query;
	int rc;

	if (!of->known) {
		rc = cv_sqlite_scope(store->writer, change->scope, job->key, &of->owner, &of->bytes,
				     err);
		if (rc < 0)
			return rc;
		of->known = true;
	}
	if (of->owner || !change->value.data)
		return 0;
	query = cv_sqlite_query(store->writer, TEXT_SCOPE_ADD);
	cv_sqlite_bind_text(&query, cv_text_of(job->key->app));
	cv_sqlite_bind_text(&query,
			    cv_text_of(change->scope == CONVO_SCOPE_USER ? job->key->user : ""));
	rc = cv_sqlite_run(&query, err);
	if (rc < 0)
		return rc;
	of->owner = cv_sqlite_last_no(store->writer);
	return 0;
}

/* What a name counts now against the limit of its scope. */
static int state_bytes(struct sqlite_db *db, const struct store_change *change, int64_t owner,
		       int64_t *bytes, struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_STATE_ONE);
	struct cv_text name, value;
	int rc;

	*bytes = 0;
	cv_sqlite_bind_int(&query, change->scope);
	cv_sqlite_bind_int(&query, owner);
	cv_sqlite_bind_text(&query, change->name);
	rc = cv_sqlite_state_step(&query, &name, &value, err);
	if (rc <= 0)
		return rc;
	*bytes = (int64_t)(name.len + value.len);
	return cv_sqlite_run(&query, err);
}

static int state_change(struct sqlite_db *db, const struct store_change *change,
			struct scope_change *of, struct convo_err *err)
{
	struct sqlite_query query;
	int64_t before;
	int rc;

	if (!of->owner)
		return 0; /* it has no state to remove */
	rc = state_bytes(db, change, of->owner, &before, err);
	if (rc < 0)
		return rc;
	of->bytes += (int64_t)store_change_bytes(change) - before;
	if (of->bytes < 0)
		return cv_sqlite_damaged(db, err);
	query = cv_sqlite_query(db, change->value.data ? TEXT_STATE_PUT : TEXT_STATE_DROP);
	cv_sqlite_bind_int(&query, change->scope);
	cv_sqlite_bind_int(&query, of->owner);
	cv_sqlite_bind_text(&query, change->name);
	if (change->value.data)
		cv_sqlite_bind_text(&query, change->value);
	return cv_sqlite_run(&query, err);
}

/* Note the size of a scope that was changed, unless it has become too large. */
static int scope_finish(struct sqlite_db *db, enum convo_scope scope, const struct scope_change *of,
			struct convo_err *err)
{
	struct sqlite_query query;

	if (of->bytes > (int64_t)CONVO_MAX_STATE)
		return cv_refuse_state(err, scope);
	if (scope == CONVO_SCOPE_SESSION)
		return 0; /* goes with its row */
	query = cv_sqlite_query(db, TEXT_SCOPE_BYTES);
	cv_sqlite_bind_int(&query, of->bytes);
	cv_sqlite_bind_int(&query, of->owner);
	return cv_sqlite_run(&query, err);
}

int cv_sqlite_job_change_state(struct sqlite_store *store, struct sqlite_job *job,
			       struct sqlite_row *row, struct convo_err *err)
{
	struct scope_change scopes[SCOPES] = {{0}};
	struct scope_change *own = &scopes[CONVO_SCOPE_SESSION];
	int scope, rc = 0;
	size_t i;

	if (row)
		*own = (struct scope_change){true, row->no, row->state_bytes};
	for (i = 0; i < job->change_count; i++) {
		const struct store_change *change = &job->changes[i];

		if (job->append && job->append->events[change->event].seq)
			continue;
		if (change->scope != CONVO_SCOPE_SESSION)
			rc = scope_find(store, job, change, &scopes[change->scope], err);
		if (rc < 0)
			return rc;
		rc = state_change(store->writer, change, &scopes[change->scope], err);
		if (rc < 0)
			return rc;
	}
	for (scope = 0; scope < SCOPES; scope++) {
		if (!scopes[scope].owner)
			continue;
		rc = scope_finish(store->writer, (enum convo_scope)scope, &scopes[scope], err);
		if (rc < 0)
			return rc;
	}
	if (row)
		row->state_bytes = own->bytes;
	return 0;
}

static int state_run(struct sqlite_store *store, struct sqlite_job *job, struct convo_err *err)
{
	struct sqlite_row row;
	bool own = false;
	int rc;
	size_t i;

	for (i = 0; i < job->change_count; i++)
		own = own || job->changes[i].scope == CONVO_SCOPE_SESSION;
	if (!own)
		return cv_sqlite_job_change_state(store, job, NULL, err);
	rc = cv_sqlite_job_find(store, job, &row, err);
	if (rc < 0)
		return rc;
	rc = cv_sqlite_job_change_state(store, job, &row, err);
	return rc < 0 ? rc : cv_sqlite_row_touch(store->writer, job->call, &row, err);
}

int cv_sqlite_state_set(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, const struct store_change *changes,
			size_t count, struct convo_err *err)
{
	struct sqlite_job job = {.run = state_run,
				 .savepoint = true,
				 .key = key,
				 .changes = changes,
				 .change_count = count};
	size_t i;

	for (i = 0; i < count; i++)
		job.base.weight += changes[i].value.len;
	return cv_sqlite_write(store, call, &job, err);
}
