/*
 * A thread that nobody waits for.
 */
#ifndef BASE_DETACH_H
#define BASE_DETACH_H

#include <stdbool.h>

/** Start it, with all signals blocked. @return false when the system has no more threads */
bool cv_detach(void *(*run)(void *ctx), void *ctx);

#endif
