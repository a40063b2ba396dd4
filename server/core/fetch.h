/*
 * Small documents from elsewhere: a file, or an address that is asked by HTTP with libcurl, which is loaded
 * when it is first needed. The one place of the server that includes its header.
 */
#ifndef SERVER_CORE_FETCH_H
#define SERVER_CORE_FETCH_H

#include <convo/err.h>

#include "term/text.h"

/** Whether a place is an address, not a file. */
bool fetch_is_address(const char *place);

/**
 * Whether what comes from an address is of whom it says: https, or http within this machine.
 */
bool fetch_is_safe(const char *address);

/** Append a place to a line for people, without what may be a password in it. @return success */
bool fetch_show(struct text *out, const char *place);

/** Read a file. @return as fetch() */
int fetch_file(struct text *out, const char *path, size_t most, struct convo_err *err);

/**
 * Read a document. Blocks, at most so long; thread-safe. Redirections are not followed, and certificates are
 * checked against the system's authorities, or the file that SSL_CERT_FILE names.
 *
 * @param most bytes; more is CONVO_E_TOOBIG
 * @param ms   until all of it is there
 * @return 0, CONVO_E_GONE, CONVO_E_TIMEOUT, CONVO_E_TOOBIG, CONVO_E_REFUSED (a status that is not 200),
 *         CONVO_E_UNSUPPORTED without libcurl, CONVO_E_NOMEM; the text does not name the place
 */
int fetch(struct text *out, const char *place, size_t most, int ms, struct convo_err *err);

#endif
