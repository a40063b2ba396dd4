/*
 * What is counted of some time, an hour or a day: figures that can be added up over servers and hours, and their
 * form in a store.
 */
#ifndef SERVER_METRICS_FIGURES_H
#define SERVER_METRICS_FIGURES_H

#include <convo/event.h>

#include "metrics/histogram.h"
#include "metrics/sketch.h"

/** How requests ended, by their status: below 400, below 500, the rest. */
enum figures_class { FIGURES_FINE, FIGURES_REFUSED, FIGURES_FAILED, FIGURES_CLASSES };

/** Of the tokens that models tell. */
enum figures_kind { FIGURES_PROMPT, FIGURES_COMPLETION, FIGURES_KINDS };

/** How answers ended: the values of enum convo_status. */
#define FIGURES_STATES (CONVO_FAILED + 1)

struct figures_model {
	char *name;
	uint64_t turns[FIGURES_STATES];
	uint64_t tokens[FIGURES_KINDS];
	struct histogram first, whole; /* from the question to the first piece, and to the end */
};

/** All-zero is of nothing. */
struct figures {
	uint64_t requests[FIGURES_CLASSES];
	uint64_t events;              /* that were stored */
	uint64_t store_failed;        /* calls: it was away, full, and the like */
	struct sketch sessions;       /* that were written to */
	struct figures_model *models; /* by no order */
	size_t count;
};

/** Free what it holds; it is of nothing then. */
void figures_clear(struct figures *figures);

/** The model of that name, made when it is not there. NULL: out of memory. */
struct figures_model *figures_model(struct figures *figures, const char *name);

/** Add others. @return success; else memory is out, and a part is added */
bool figures_add(struct figures *into, const struct figures *more);

/** Take others away that are in it, but for the sessions. */
void figures_subtract(struct figures *from, const struct figures *less);

/** Whether nothing happened. */
bool figures_are_empty(const struct figures *figures);

/** The figures of all its models together. Its name is NULL. */
struct figures_model figures_all_models(const struct figures *figures);

/** Write them as JSON, with what is not 0. @return success */
bool figures_write(struct text *out, const struct figures *figures);

/**
 * Add what that text says, which is not trusted.
 *
 * @return success; else the text is none of these, or memory is out, and a part may be added
 */
bool figures_read(struct figures *into, const char *json);

#endif
