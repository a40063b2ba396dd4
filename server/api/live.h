/*
 * What of the native API outlives a request: turns that are under way, and those who follow sessions.
 */
#ifndef SERVER_API_LIVE_H
#define SERVER_API_LIVE_H

#include <convo/store.h>

struct hub;
struct running;

struct live {
	struct running *running; /* running.h */
	struct hub *hub;         /* hub.h */
};

/** Make it. @return 0, CONVO_E_NOMEM */
int live_open(struct live **out, convo_store *store, struct convo_err *err);

/** End it, when no request is under way and before the store is closed. NULL is fine. */
void live_close(struct live *live);

#endif
