/*
 * Opening a store for a program, and saying what went wrong.
 */
#ifndef SERVER_OPEN_H
#define SERVER_OPEN_H

#include <convo/store.h>

#include "app/settings.h"

/** Open it. Says on stderr why it cannot be. @return 0 or an exit code */
int open_store(convo_store **out, const struct settings *settings);

/** Say that a call on it failed, and what to do. @return an exit code */
int open_store_failed(const struct settings *settings, const struct convo_err *err);

#endif
