/*
 * Whose requests can be: names that the store takes, of applications that are not convo's own.
 */
#ifndef SERVER_AUTH_WHO_H
#define SERVER_AUTH_WHO_H

#include <convo/err.h>

/** Check both names. @return 0; CONVO_E_INVALID: the text says which rule they break; CONVO_E_NOMEM */
int who_check(const char *app, const char *user, struct convo_err *err);

#endif
