/*
 * How to connect to a MySQL or MariaDB server, and what is said there.
 */
#ifndef STORE_MYSQL_PLAN_H
#define STORE_MYSQL_PLAN_H

#include <store/backend.h>

/** The options of a URL that are ours; NULL after the last. */
extern const char *const cv_my_params[];

/** How to connect, from a URL; strings are owned, NULL for the library's default. */
struct my_plan {
	const char *where;        /* for messages; borrowed */
	const char *const *texts; /* statements by number; borrowed */
	bool create_database;     /* if it is missing and the user may */
	int64_t lock_wait_s;      /* longest wait of the server for a row */
	unsigned port;
	bool tls, verify;
	char *host, *user, *password, *database, *socket, *ca, *cert, *key;
};

#define MY_TEXTS 80

/**
 * Read a URL.
 *
 * @param where receives what to call the place: "localhost:3306/chat"
 * @return 0, CONVO_E_INVALID, CONVO_E_NOMEM
 */
int cv_my_plan_init(struct my_plan *plan, const struct cv_url *url, char *where, size_t size,
		    struct convo_err *err);

/** Forget it, wiping the password. */
void cv_my_plan_clear(struct my_plan *plan);

#endif
