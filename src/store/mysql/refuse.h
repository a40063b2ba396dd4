/*
 * What errors of MySQL, MariaDB and libmariadb mean for the caller, and their words.
 */
#ifndef STORE_MYSQL_REFUSE_H
#define STORE_MYSQL_REFUSE_H

#include <store/mysql/plan.h>

/** In place of a code when others were in the way: nothing was done, try again. */
#define MY_AGAIN 1

enum my_how {
	MY_SAYS,
	MY_HUSHED, /* the server's text may repeat the data */
	MY_READER, /* it takes no writes and has done nothing; another connection may find one that does */
	MY_UNDONE, /* it cannot serve now and has done nothing */
	MY_GONE    /* the connection is lost, or what was asked of it */
};

/** How a connection stands after an error. */
enum my_how cv_my_how(unsigned number, const char *text);

/**
 * Fill `err` for an error.
 *
 * @param where  what to call the host
 * @param text   the server's or the library's, of several lines maybe
 * @param asked  whether something was asked that may have been carried out; false: connecting
 * @return a code, or MY_AGAIN
 */
int cv_my_refuse(const struct my_plan *plan, const char *where, unsigned number, const char *text,
		 bool asked, struct convo_err *err);

/** A node of a cluster does not serve, and tells its state in some words. CONVO_E_GONE. */
int cv_my_unready(const char *where, const char *words, struct convo_err *err);

/** The answer to a write makes no sense: it was carried out, or not. CONVO_E_IO, with `maybe`. */
int cv_my_damaged(const char *where, struct convo_err *err);

#endif
