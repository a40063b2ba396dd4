/*
 * What a session may have beside its row, as it is read with that: who holds it, whether there is a
 * draft, of what it is a fork. See {p}read() of 0004.sql.
 */
#ifndef STORE_MYSQL_MORE_H
#define STORE_MYSQL_MORE_H

#include <store/shared/sql/rare.h>

/** The column that holds it, by the alias of {p}more; NULL for a session that has nothing more. */
#define MY_MORE(m)                                                                \
	"CONCAT(LPAD(LEAST(GREATEST(" m ".until_us - TIMESTAMPDIFF(MICROSECOND, " \
	"'1970-01-01', UTC_TIMESTAMP(6)), 0), 9999999999), 10, '0'), " m          \
	".draft IS NOT NULL, IFNULL(CONCAT(LPAD(" m ".fork_seq, 19, '0'), " m     \
	".fork_generation, " m ".fork_session), ''))"

/**
 * Read the column into a meta that has all else.
 *
 * @param draft set to whether there is a draft; may be NULL
 * @return 0, or CONVO_E_IO for one that we did not write
 */
int cv_my_more(struct store_meta *meta, bool *draft, const struct sql_value *column,
	       const char *where, struct convo_err *err);

#endif
