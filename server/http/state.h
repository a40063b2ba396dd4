/*
 * The server's own state, inside this room.
 */
#ifndef SERVER_HTTP_STATE_H
#define SERVER_HTTP_STATE_H

#include <stdatomic.h>

#include "http/http.h"
#include "http/keeper.h"
#include "http/mhd.h"
#include "http/workers.h"

/** Most bytes of all bodies that are being gathered or worked on: beyond, 503. */
#define BODIES_MAX ((size_t)256 << 20)

struct http_server {
	struct http_options options;
	struct MHD_Daemon *daemon;
	struct workers *quick, *slow;
	struct keeper *keeper;
	atomic_size_t bodies;    /* bytes, at most BODIES_MAX */
	atomic_size_t under_way; /* requests that were read and are not done */
	atomic_bool draining;
};

#endif
