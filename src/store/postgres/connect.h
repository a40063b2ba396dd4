/*
 * Connecting, in two parts: connect.c makes one connection to one address, hosts.c goes over the
 * hosts of the plan and their addresses.
 */
#ifndef STORE_POSTGRES_CONNECT_H
#define STORE_POSTGRES_CONNECT_H

#include <store/postgres/db.h>
#include <store/postgres/pq.h>

/** One connection being made. */
struct pg_attempt {
	const struct pg_plan *plan;
	const char *database; /* NULL: libpq's default */
	size_t host;          /* of the plan */
	struct pg_until until;
	PGconn *pg;    /* set when it is ready */
	char state[6]; /* the SQLSTATE of the failure, or "" */
	bool made;     /* there was a connection, */
	bool closed;   /* which the other end has closed */
	bool nameless; /* some host has no such database */
};

/**
 * Connect to an address of the attempt's host; NULL leaves it to libpq, for the directories of
 * sockets. The text of a failure is the cause alone.
 */
int cv_pg_connect_address(struct pg_attempt *attempt, const char *address, struct convo_err *err);

/** Connect to the first host that takes us; one that does not answer leaves time for the rest. */
int cv_pg_connect(struct pg_attempt *attempt, const struct pg_until *until,
		  struct pg_shared *shared, struct convo_err *err);

/** A host says nothing: for a while others are asked before it. */
void cv_pg_host_is_silent(struct pg_shared *shared, size_t host);

#endif
