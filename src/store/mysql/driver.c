/*
 * Waiting for the server, errors, and statements without parameters; see driver.h.
 */
#include <store/mysql/driver.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include <base/clock.h>
#include <base/fail.h>
#include <store/shared/wait.h>

/* ---- waiting -------------------------------------------------------------------------- */

static const convo_cancel *my_stop(const struct my_db *db, size_t i)
{
	if (db->stops)
		return i < db->stops->count ? db->stops->cancel[i] : NULL;
	return i ? NULL : db->call->cancel;
}

static bool my_stopped(const struct my_db *db)
{
	size_t i = 0;

	while (my_stop(db, i) && !convo_cancel_requested(my_stop(db, i)))
		i++;
	return my_stop(db, i) != NULL;
}

bool cv_my_ended(struct my_db *db, int64_t left_ms)
{
	if (db->ended == MY_ON && my_stopped(db))
		db->ended = MY_STOPPED;
	else if (db->ended == MY_ON && left_ms <= 0)
		db->ended = MY_LATE;
	return db->ended != MY_ON;
}

/* Wait for what the library wants. @return what to tell it */
int cv_my_wait(struct my_db *db, int status)
{
	struct pollfd fd[1 + MY_STOPS] = {{.fd = mysql_get_socket(db->my)}};
	struct store_wait wait = cv_wait_until(db->call->deadline_us, db->call->patience);
	nfds_t count = 1;
	int left_ms, n;

	if (status & MYSQL_WAIT_READ)
		fd[0].events |= POLLIN;
	if (status & MYSQL_WAIT_WRITE)
		fd[0].events |= POLLOUT;
	if (status & MYSQL_WAIT_EXCEPT)
		fd[0].events |= POLLPRI;
	for (; my_stop(db, count - 1); count++)
		fd[count] = (struct pollfd){.fd = convo_cancel_fd(my_stop(db, count - 1)),
					    .events = POLLIN};
	do {
		left_ms = cv_wait_left_ms(&wait, fd[0].fd);
		if (cv_my_ended(db, left_ms))
			return MYSQL_WAIT_TIMEOUT;
		n = poll(fd, count, left_ms);
	} while (n == 0 || (n < 0 && errno == EINTR) || !fd[0].revents);
	/* An error of the socket is for the library to find. */
	if (fd[0].revents & (POLLERR | POLLHUP | POLLNVAL))
		return status & (MYSQL_WAIT_READ | MYSQL_WAIT_WRITE | MYSQL_WAIT_EXCEPT);
	return (fd[0].revents & POLLIN ? MYSQL_WAIT_READ : 0) |
	       (fd[0].revents & POLLOUT ? MYSQL_WAIT_WRITE : 0) |
	       (fd[0].revents & POLLPRI ? MYSQL_WAIT_EXCEPT : 0);
}

void cv_my_begin(struct my_db *db, const struct store_call *call)
{
	db->call = call;
	db->ended = MY_ON;
}

/* ---- errors --------------------------------------------------------------------------- */

/* Have the others tried before this host, until one of them is good. */
static void my_shun(const struct my_db *db)
{
	size_t host = db->host;

	atomic_compare_exchange_strong(&db->plan->first, &host, (host + 1) % db->plan->host_count);
}

/* Fill `err` for the error that the library has told. */
int cv_my_refused(struct my_db *db, unsigned number, const char *text, enum pool_fate *fate,
		  struct convo_err *err)
{
	enum my_how how = cv_my_how(number, text);

	if (db->ended != MY_ON || how == MY_GONE)
		*fate = POOL_LOST;
	else if (how == MY_UNDONE || (how == MY_READER && db->plan->host_count > 1))
		*fate = POOL_UNSENT;
	if (*fate != POOL_KEEP || how == MY_READER)
		db->broken = true;
	if (db->ended == MY_LATE) {
		my_shun(db);
		return cv_fail_maybe(err, CONVO_E_TIMEOUT, "%s: no answer in time", db->where);
	}
	if (db->ended == MY_STOPPED)
		return cv_fail_maybe(err, CONVO_E_CANCELED, "%s: canceled", db->where);
	return cv_my_refuse(db->plan, db->where, number, text, true, err);
}

/* ---- plain statements ----------------------------------------------------------------- */

int cv_my_plain_failed(struct my_db *db, enum pool_fate *fate, struct convo_err *err)
{
	return cv_my_refused(db, mysql_errno(db->my), mysql_error(db->my), fate, err);
}

int cv_my_ask(struct my_db *db, const char *sql, my_plain_fn row, void *ctx, enum pool_fate *fate,
	      struct convo_err *err)
{
	MYSQL_RES *res = NULL;
	MYSQL_ROW columns;
	int failed;

	MY_WAIT(db, mysql_real_query_start(&failed, db->my, sql, strlen(sql)),
		mysql_real_query_cont(&failed, db->my, status));
	if (failed)
		return cv_my_plain_failed(db, fate, err);
	MY_WAIT(db, mysql_store_result_start(&res, db->my),
		mysql_store_result_cont(&res, db->my, status));
	if (!res)
		return mysql_errno(db->my) ? cv_my_plain_failed(db, fate, err) : 0;
	while (row && (columns = mysql_fetch_row(res)))
		row(ctx, columns, mysql_num_fields(res));
	mysql_free_result(res);
	return 0;
}
