/*
 * What a head must be before anything is done for it, inside this room: framed without doubt, for a host
 * that is meant, and not from somebody else's page.
 */
#ifndef SERVER_HTTP_GATE_H
#define SERVER_HTTP_GATE_H

#include "http/exchange.h"

/** Check a head that was copied: sets exchange->early, or exchange->allow_origin. */
void gate_check(struct http_exchange *exchange, const char *version);

/** Answer a page's question what it may ask (OPTIONS). */
void gate_answer_options(struct http_exchange *exchange);

#endif
