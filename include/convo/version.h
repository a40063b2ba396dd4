/*
 * The version of the library.
 */
#ifndef CONVO_VERSION_H
#define CONVO_VERSION_H

#include <convo/err.h>

/** The version these headers belong to (semantic versioning). */
#define CONVO_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/** The version of the library that runs: compare with CONVO_VERSION. A static string. */
CONVO_API const char *convo_version(void);

#ifdef __cplusplus
}
#endif

#endif
