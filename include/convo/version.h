/*
 * The version of the library.
 */
#ifndef CONVO_VERSION_H
#define CONVO_VERSION_H

#include <convo/err.h>

/*
 * What may change without a program being compiled again:
 *
 * - Structs that a program fills in (options, windows, events ...) and the two that it has filled
 *   (convo_err, convo_created) end in `reserved` members. All-zero is valid, now and later: a later
 *   version names one and takes 0 for what was done before it. A library that is older than the
 *   program refuses one that is set (CONVO_E_INVALID), so nothing is ignored in silence.
 * - Structs that the library hands out by pointer (metas, events read, answers, turns ...) grow at
 *   their end; a program neither makes nor copies them, and reaches the next one by its accessor.
 * - convo_key, convo_item and convo_message stay as they are.
 * - enums gain values at their end.
 */

/** The version these headers belong to (semantic versioning). */
#define CONVO_VERSION "0.2.0"

#ifdef __cplusplus
extern "C" {
#endif

/** The version of the library that runs: compare with CONVO_VERSION. A static string. */
CONVO_API const char *convo_version(void);

#ifdef __cplusplus
}
#endif

#endif
