/*
 * How to connect to a MySQL or MariaDB server, and what is said there.
 */
#ifndef STORE_MYSQL_PLAN_H
#define STORE_MYSQL_PLAN_H

#include <stdatomic.h>

#include <store/backend.h>

#define MY_HOSTS 16

/** The options of a URL that are ours; NULL after the last. */
extern const char *const cv_my_params[];

/** How to connect, from a URL; strings are owned, NULL for the library's default. */
struct my_plan {
	const char *where;        /* the place as a whole, for messages; borrowed */
	const char *const *texts; /* statements by number; borrowed */
	bool create_database;     /* if it is missing and the user may */
	int64_t lock_wait_s;      /* longest wait of the server for a row */
	bool tls, verify;
	char *user, *password, *database, *socket, *ca, *cert, *key;
	size_t host_count; /* 1 at least */
	struct my_host {
		char *name, *where; /* where: this host, for messages; NULL: the place as a whole */
		unsigned port;
	} host[MY_HOSTS];
	atomic_size_t first; /* the host that is tried first: the one that was good last */
};

#define MY_TEXTS 96

/**
 * Read a URL.
 *
 * @param where receives what to call the place: "localhost:3306/chat"
 * @return 0, CONVO_E_INVALID, CONVO_E_NOMEM
 */
int cv_my_plan_init(struct my_plan *plan, const struct cv_url *url, char *where, size_t size,
		    struct convo_err *err);

/** What to call a host in messages. */
const char *cv_my_host_where(const struct my_plan *plan, size_t host);

/** Forget it, wiping the password. */
void cv_my_plan_clear(struct my_plan *plan);

#endif
