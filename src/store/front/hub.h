/*
 * Those who watch sessions of a store (convo/watch.h), and how they learn of what happened.
 */
#ifndef STORE_FRONT_HUB_H
#define STORE_FRONT_HUB_H

#include <store/backend.h>

/** Something happened to a session through this handle. Costs nothing where nobody watches. */
void cv_hub_told(struct convo_store *store, const struct convo_key *key);

/** When the store is closed: end its thread. Nobody may be watching. */
void cv_hub_close(struct convo_store *store);

#endif
