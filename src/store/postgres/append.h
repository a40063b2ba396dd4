/*
 * Appends on their way: append.c runs rounds of them, many.c makes one statement of those that can
 * go together.
 */
#ifndef STORE_POSTGRES_APPEND_H
#define STORE_POSTGRES_APPEND_H

#include <store/postgres/store.h>

/** One caller's append. */
struct pg_append {
	struct group_job job;
	const struct convo_key *key;
	const struct store_call *call;
	struct store_append *append;
	const char *where;
	struct pg_args args; /* where it is a statement of its own */
	bool again;   /* its round ended with another's time or cancel: it queues once more */
	bool alone;   /* its round could not carry it out: it goes by itself, in its own thread */
	bool unknown; /* an earlier try may have been carried out */
	/* What came back, believed only once the transaction took effect. */
	bool answered;
	int64_t code, last_seq;
	int64_t left_us; /* with PG_CODE_BUSY */
};

/** The type that a text of an event is sent as. */
enum pg_type cv_pg_field_type(enum event_field field);

/** Number the events of an append, whose last one is self->last_seq. @return 0, CONVO_E_IO */
int cv_pg_append_number(const struct pg_append *self, struct convo_err *err);

/** Whether jobs that stand in the order of their keys can go as one statement. */
bool cv_pg_many_can(struct group_job *const *jobs, size_t count);

/** Those that do. */
struct pg_many {
	struct group_job *const *jobs;
	size_t count;
	struct pg_args args; /* made by cv_pg_many(), and the caller's to clear */
	const char *where;
};

/**
 * Make that statement; `jobs` and `count` are set. It marks those as answered that it stored; of the
 * others nothing was done.
 *
 * @return 0, CONVO_E_NOMEM, CONVO_E_TOOBIG
 */
int cv_pg_many(struct pg_store *pg, struct pg_many *many, struct pg_query *query,
	       struct convo_err *err);

#endif
