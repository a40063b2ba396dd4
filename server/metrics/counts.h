/*
 * What is counted, inside this room. Where many threads count often there are several copies, each for some of the
 * threads, which are added up when they are read.
 */
#ifndef SERVER_METRICS_COUNTS_H
#define SERVER_METRICS_COUNTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "metrics/figures.h"

struct http_server; /* http/http.h */

#define SHARDS 8

/** Statuses that are told apart, and one place for all others. */
#define STATUSES 30

/** Kinds of calls of the store, and one place for all others. */
#define OPS 19

/** Codes of errors, 0 being success. */
#define CODES 18

typedef atomic_ullong counter;

struct route_count {
	counter status[STATUSES];
	struct histogram_live first, whole;
};

struct op_count {
	counter code[CODES];
	struct histogram_live took;
};

struct shard {
	struct route_count *routes; /* those of metrics.routes, and the last for none of them */
	struct op_count ops[OPS];
	counter events, tries; /* tries: those of calls beyond their first */
	char apart[64];        /* no line of the cache has counters of two */
};

struct route_known {
	const char *method, *path;
	bool of_use;
};

struct model_count {
	struct model_count *next;
	char *name;
	counter turns[FIGURES_STATES];
	counter tokens[FIGURES_KINDS];
	struct histogram_live first, whole;
};

struct metrics {
	struct shard shards[SHARDS];
	struct route_known *routes;
	size_t route_count;
	unsigned short *slots; /* a hash table of routes: their number and 1; 0: empty */
	size_t slot_mask;
	struct sketch_live sessions;
	pthread_mutex_t lock;       /* guards the list, of which none is removed, and the server */
	struct model_count *models; /* newest first */
	struct http_server *server;
	int64_t started_s; /* Unix seconds */
};

/** Read a counter, or add to it. */
uint64_t counter_read(counter *from);
void counter_add(counter *to, uint64_t count);

/** The place of a status, and the status of a place; 0: that of all others. */
size_t status_place(int status);
int status_at(size_t place);

/** The same for the kinds of calls: "append"; "other" for the last one. */
size_t op_place(const char *op);
const char *op_at(size_t place);

/** A code of an error in a word, without its sign, from 1: "not_found". */
const char *code_at(int code);

#endif
