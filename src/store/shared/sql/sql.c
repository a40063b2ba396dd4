/*
 * What the SQL backends share; see sql.h.
 */
#include <store/shared/sql/sql.h>

#define SQL_VERSION "SELECT value FROM {p}meta WHERE name = 'schema'"

static int sql_add_fields(struct cv_buf *out, const struct sql_dialect *dialect)
{
	int field, rc = 0;

	for (field = 0; rc == 0 && field < FIELD_COUNT; field++)
		rc = cv_buf_addf(out, "%s%c%s%c", field ? ", " : "", dialect->quote,
				 cv_event_field_name[field], dialect->quote);
	return rc;
}

static int sql_add_expanded(struct cv_buf *out, const struct sql_dialect *dialect,
			    const char *prefix, const char *text)
{
	int rc = 0;

	while (rc == 0 && *text) {
		size_t plain = strcspn(text, "{");

		rc = cv_buf_add(out, text, plain);
		text += plain;
		if (rc < 0 || !*text)
			break;
		if (strncmp(text, "{p}", 3) == 0) {
			rc = cv_buf_adds(out, prefix);
			text += 3;
		} else if (strncmp(text, "{fields}", 8) == 0) {
			rc = sql_add_fields(out, dialect);
			text += 8;
		} else {
			rc = cv_buf_addc(out, *text++);
		}
	}
	return rc;
}

int cv_sql_expand(struct cv_buf *out, const struct sql_dialect *dialect, const char *prefix,
		  const char *text, struct convo_err *err)
{
	int rc = sql_add_expanded(out, dialect, prefix, text);

	return rc < 0 ? cv_buf_fail(err, rc) : 0;
}

/* Read one number. @return 1, 0 when there is no row, or a negative code */
static int sql_get(const struct sql_dialect *dialect, const struct sql_conn *conn,
		   const char *prefix, const char *text, int64_t *value, struct convo_err *err)
{
	struct cv_buf sql = {0};
	bool found = false;
	int rc;

	*value = 0;
	rc = cv_sql_expand(&sql, dialect, prefix, text, err);
	if (rc < 0)
		goto out;
	rc = conn->get(conn->ctx, cv_buf_str(&sql), value, &found, err);
out:
	cv_buf_clear(&sql);
	return rc < 0 ? rc : found;
}

/* The version of the schema that is there; 0 when there is none. */
static int sql_version(const struct sql_dialect *dialect, const struct sql_conn *conn,
		       const char *prefix, int64_t *version, struct convo_err *err)
{
	int64_t columns, tables, hidden = 0;
	int rc;

	*version = 0;
	rc = sql_get(dialect, conn, prefix, dialect->count_tables, &tables, err);
	if (rc < 0 || tables == 0)
		return rc < 0 ? rc : 0;
	rc = sql_get(dialect, conn, prefix, dialect->count_meta, &columns, err);
	if (rc > 0 && columns == 2)
		rc = sql_get(dialect, conn, prefix, SQL_VERSION, version, err);
	else if (rc > 0)
		rc = 0;
	if (rc > 0 && *version >= 0)
		return 0;
	if (rc == 0 && dialect->count_hidden)
		rc = sql_get(dialect, conn, prefix, dialect->count_hidden, &hidden, err);
	if (rc < 0)
		return rc;
	if (hidden)
		return cv_fail(err, CONVO_E_DENIED,
			       "%s: row level security hides the rows of %smeta", conn->where,
			       prefix);
	return cv_fail(err, CONVO_E_VERSION,
		       "%s: has tables named %s... that convo did not make; choose another prefix",
		       conn->where, prefix);
}

static int sql_newest(const struct sql_dialect *dialect)
{
	const struct sql_migration *migration = dialect->migrations;
	int version = 0;

	for (; migration->version; migration++)
		version = migration->version;
	return version;
}

/* @return 1 when it is up to date, 0 when it is to be migrated, or a negative code */
static int sql_check(const struct sql_dialect *dialect, const struct sql_conn *conn,
		     const char *prefix, bool check, int64_t *version, struct convo_err *err)
{
	int newest = sql_newest(dialect), rc;

	rc = sql_version(dialect, conn, prefix, version, err);
	if (rc < 0)
		return rc;
	if (*version > newest)
		return cv_fail(err, CONVO_E_VERSION,
			       "%s: its schema is version %lld, this convo knows up to %d",
			       conn->where, (long long)*version, newest);
	if (*version == newest)
		return 1;
	if (check)
		return cv_fail(err, CONVO_E_VERSION,
			       "%s: its schema is version %lld, this convo needs %d: see 'convo "
			       "schema %s'",
			       conn->where, (long long)*version, newest, dialect->scheme);
	return 0;
}

static int sql_apply(const struct sql_dialect *dialect, const struct sql_conn *conn,
		     const char *prefix, const struct sql_migration *migration,
		     struct convo_err *err)
{
	struct cv_buf sql = {0};
	int rc = 0;
	size_t i;

	for (i = 0; migration->statements[i]; i++) {
		cv_buf_reset(&sql);
		rc = cv_sql_expand(&sql, dialect, prefix, migration->statements[i], err);
		if (rc < 0)
			goto out;
		rc = conn->exec(conn->ctx, cv_buf_str(&sql), err);
		if (rc < 0)
			goto out;
	}
out:
	cv_buf_clear(&sql);
	return rc;
}

int cv_sql_migrate(const struct sql_dialect *dialect, const struct sql_conn *conn,
		   const char *prefix, bool check, struct convo_err *err)
{
	const struct sql_migration *migration;
	int64_t version;
	int rc;

	/* Seen from outside, a migration that runs now can look like anything. What counts is what
	 * is there once nobody else migrates. */
	rc = sql_check(dialect, conn, prefix, check, &version, err);
	if (rc > 0)
		return 0;
	if (rc < 0 && rc != CONVO_E_VERSION)
		return rc;
	rc = conn->begin(conn->ctx, err);
	if (rc < 0)
		return rc;
	rc = sql_check(dialect, conn, prefix, check, &version, err);
	if (rc == 0 && conn->claim) {
		rc = conn->claim(conn->ctx, err);
		if (rc == 0)
			rc = sql_check(dialect, conn, prefix, check, &version, err);
	}
	for (migration = dialect->migrations; rc == 0 && migration->version; migration++) {
		if (migration->version > version)
			rc = sql_apply(dialect, conn, prefix, migration, err);
	}
	return conn->end(conn->ctx, rc < 0 ? rc : 0, err);
}

/* Append a statement as the database's own program reads it. */
static int sql_add_statement(struct cv_buf *out, const struct sql_dialect *dialect,
			     const char *prefix, const char *statement)
{
	bool routine = dialect->delimiter && strstr(statement, ";\n");
	int rc;

	if (routine) {
		rc = cv_buf_addf(out, "DELIMITER %s\n", dialect->delimiter);
		if (rc < 0)
			return rc;
	}
	rc = sql_add_expanded(out, dialect, prefix, statement);
	if (rc < 0)
		return rc;
	if (routine) {
		rc = cv_buf_addf(out, " %s\nDELIMITER ", dialect->delimiter);
		if (rc < 0)
			return rc;
	}
	return cv_buf_adds(out, ";\n");
}

int cv_sql_schema(struct cv_buf *out, const struct sql_dialect *dialect, const char *prefix,
		  struct convo_err *err)
{
	const struct sql_migration *migration = dialect->migrations;
	int rc = 0;

	for (; rc == 0 && migration->version; migration++) {
		const char *const *statement = migration->statements;

		for (; rc == 0 && *statement; statement++)
			rc = sql_add_statement(out, dialect, prefix, *statement);
	}
	return rc < 0 ? cv_buf_fail(err, rc) : 0;
}
