/*
 * What to do about a failure: an advice belongs to a cause.
 */
#ifndef CLI_APP_ADVICE_H
#define CLI_APP_ADVICE_H

#include <convo/err.h>

#include "app/settings.h"

/** On which side something failed. */
enum advice_side { ADVICE_MEMORY, ADVICE_FILE, ADVICE_SERVER, ADVICE_MODEL, ADVICE_SIDES };

/** The side a store is on. */
enum advice_side advice_side_of(const struct convo_backend *backend);

/**
 * Add what a person can do about a code, after "; ". Adds nothing where the error's own words have
 * to do.
 *
 * @param settings which store, and by what it was named
 * @return success
 */
bool advice_add(struct text *out, enum advice_side side, int code, const struct settings *settings);

/** The exit code for it. */
int advice_exit(enum advice_side side, int code);

/** Whether the table speaks of that code. One it does not know counts as CONVO_E_IO. */
bool advice_knows(enum advice_side side, int code);

#endif
