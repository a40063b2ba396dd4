/*
 * The statements of a round of appends (round.c), and of watching (marks.c). Each is for several rows
 * and there for several numbers of them, as a prepared statement has as many parameters as its text
 * says.
 */
#ifndef STORE_MYSQL_ROWS_H
#define STORE_MYSQL_ROWS_H

#include <store/backend.h>

enum my_rows {
	MY_ROWS_FIND, /* sessions, and lock them, but for those that others have locked */
	MY_ROWS_ADD,  /* events */
	MY_ROWS_CUT,  /* events off again, beyond the limit */
	MY_ROWS_MOVE, /* what an append changes in sessions */
	MY_ROWS_KINDS
};

#define MY_ROWS_SIZES 12
#define MY_ROWS_TEXTS ((int)MY_ROWS_KINDS * MY_ROWS_SIZES)

/** For how many rows a statement of each size is: 1 to 64, rising. */
extern const size_t cv_my_rows[MY_ROWS_SIZES];

/** The smallest size for that many, 1 to 64. */
size_t cv_my_rows_size(size_t rows);

/** Append the text of one, kind * MY_ROWS_SIZES + size, for cv_sql_expand(). */
int cv_my_rows_text(struct cv_buf *out, int text);

/* Parameters of a row. Those of MOVE are before its rows, which have one each. */
#define MY_FIND_ARGS 3
#define MY_ADD_ARGS (5 + FIELD_COUNT)
#define MY_CUT_ARGS 3
#define MY_MOVE_ARGS 16

#define MY_FOUND "tttuiiiiii" /* what FIND returns, by cv_sql_check_columns() */

/* Sessions whose marks one statement asks for: what MySQL 5.7 takes for it grows by the square, 2 ms for
 * 50 and 190 ms for 500. */
#define MY_MARK_ROWS 64
#define MY_MARK_SIZES 3

/** The same for the marks of sessions: 1 to MY_MARK_ROWS, rising. */
extern const size_t cv_my_mark_rows[MY_MARK_SIZES];
size_t cv_my_mark_size(size_t rows);
int cv_my_mark_text(struct cv_buf *out, int size);

#define MY_MARK_ARGS 3       /* of a row; behind them one more, the moment */
#define MY_MARKED "tttuiiii" /* what it returns */

#endif
