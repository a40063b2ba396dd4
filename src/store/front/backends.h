/*
 * The table of backends, from inside.
 */
#ifndef STORE_FRONT_BACKENDS_H
#define STORE_FRONT_BACKENDS_H

#include <convo/backend.h>

#include <store/backend.h>

/** The backend of a scheme, NULL with `err` filled when it is unknown or not in this build. */
const struct cv_backend *cv_backend_find(const char *scheme, struct convo_err *err);

#endif
