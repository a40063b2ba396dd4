/*
 * What the files share that speak to libmariadb: it is used in its non-blocking way. Each of its calls
 * is started, and continued after every poll(), which has the caller's deadline. Past it the library
 * is told that time is over and unwinds by itself.
 */
#ifndef STORE_MYSQL_DRIVER_H
#define STORE_MYSQL_DRIVER_H

#include <mysql.h>

#include <store/mysql/plan.h>
#include <store/mysql/refuse.h>
#include <store/shared/pool.h>

/** Most cancels that end one call: those of a round. */
#define MY_STOPS 64

/** Most that the server may send at once: the largest event, with its names. */
#define MY_PACKET_MAX (64ul << 20)

/** What the server must take at least: with less, events within the limits of N3 are refused. */
#define MY_PACKET_MIN (16l << 20)

struct my_db {
	MYSQL *my;
	struct my_plan *plan;
	size_t host;       /* its number in the plan */
	const char *where; /* what to call that host */
	MYSQL_STMT *stmt[MY_TEXTS];
	int64_t max_packet;             /* what the server takes */
	int64_t looked_us;              /* when it was last looked at, by cv_clock_mono_us() */
	const struct store_call *call;  /* that runs */
	const struct pool_stops *stops; /* see cv_my_stop_by() */
	enum { MY_ON, MY_LATE, MY_STOPPED } ended;
	bool broken;  /* not to be used again */
	bool mariadb; /* not MySQL */
	bool galera;  /* one of several nodes that take writes */
	enum my_rank {
		MY_READS,  /* it takes no writes */
		MY_LESSER, /* it takes them, but another node is to be preferred */
		MY_WRITES
	} rank;
	struct cv_buf row; /* what a row is read into, and what of it was too long for that */
	struct cv_buf more;
	void *many; /* a MYSQL_BIND for each parameter of the largest statement */
	size_t many_room;
};

/** A call begins: its deadline and cancel count from here. */
void cv_my_begin(struct my_db *db, const struct store_call *call);

/** Whether it is over: late, or stopped; `left_ms` is what there is of its time. */
bool cv_my_ended(struct my_db *db, int64_t left_ms);

/** Wait for what the library wants. @return what to tell it */
int cv_my_wait(struct my_db *db, int status);

/** Run a call of the library to its end: MY_WAIT(db, f_start(...), f_cont(..., status)). */
#define MY_WAIT(db, start, cont)                           \
	do {                                               \
		int status = (start);                      \
		while (status) {                           \
			status = cv_my_wait((db), status); \
			status = (cont);                   \
		}                                          \
	} while (0)

/** Fill `err` for an error that the library has told, and say how the connection stands. */
int cv_my_refused(struct my_db *db, unsigned number, const char *text, enum pool_fate *fate,
		  struct convo_err *err);

/** The same for the last error of the connection. */
int cv_my_plain_failed(struct my_db *db, enum pool_fate *fate, struct convo_err *err);

/** A row of a statement without parameters: its columns, of which any may be NULL. */
typedef void (*my_plain_fn)(void *ctx, char **column, unsigned count);

/** Run a statement without parameters within a call that has begun. As cv_my_run(). `row` may be
 * NULL. */
int cv_my_ask(struct my_db *db, const char *sql, my_plain_fn row, void *ctx, enum pool_fate *fate,
	      struct convo_err *err);

/** Make a connection that was just made ready, whatever the server's defaults are, and find out what
 * kind of server it is. @return 0, CONVO_E_GONE for a node that cannot serve */
int cv_my_set_up(struct my_db *db, struct convo_err *err);

#endif
