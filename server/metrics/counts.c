/*
 * Counters and their places; see counts.h.
 */
#include "metrics/counts.h"

#include <string.h>

#include <convo/err.h>

uint64_t counter_read(counter *from)
{
	return atomic_load_explicit(from, memory_order_relaxed);
}

void counter_add(counter *to, uint64_t count)
{
	atomic_fetch_add_explicit(to, count, memory_order_relaxed);
}

/* ---- statuses and calls --------------------------------------------------------------- */

/* The usual ones stand first. */
static const short statuses[STATUSES - 1] = {
	200, 201, 204, 304, 400, 401, 403, 404, 405, 406, 408, 409, 410, 411, 412,
	413, 414, 415, 421, 422, 424, 429, 431, 499, 500, 501, 502, 503, 504,
};

size_t status_place(int status)
{
	size_t i;

	for (i = 0; i < STATUSES - 1; i++)
		if (statuses[i] == status)
			break;
	return i;
}

int status_at(size_t place)
{
	return place < STATUSES - 1 ? statuses[place] : 0;
}

static const char *const ops[OPS] = {
	"append", "load",  "draft",  "create", "state_set", "state_list", "list",
	"marks",  "fork",  "rename", "owners", "delete",    "restore",    "purge",
	"weigh",  "clean", "open",   "close",  "other",
};

const char *op_at(size_t place)
{
	return ops[place];
}

size_t op_place(const char *op)
{
	size_t i;

	for (i = 0; i < OPS - 1; i++)
		if (!strcmp(ops[i], op))
			break;
	return i;
}

const char *code_at(int code)
{
	static const char *const words[CODES] = {
		[-CONVO_E_NOMEM] = "nomem",        [-CONVO_E_INVALID] = "invalid",
		[-CONVO_E_TOOBIG] = "too_big",     [-CONVO_E_NOTFOUND] = "not_found",
		[-CONVO_E_EXISTS] = "exists",      [-CONVO_E_CONFLICT] = "conflict",
		[-CONVO_E_TIMEOUT] = "timeout",    [-CONVO_E_IO] = "io",
		[-CONVO_E_VERSION] = "version",    [-CONVO_E_DENIED] = "denied",
		[-CONVO_E_CANCELED] = "canceled",  [-CONVO_E_UNSUPPORTED] = "unsupported",
		[-CONVO_E_REFUSED] = "refused",    [-CONVO_E_FULL] = "full",
		[-CONVO_E_READONLY] = "read_only", [-CONVO_E_GONE] = "gone",
		[-CONVO_E_BUSY] = "busy",
	};

	return words[code] ? words[code] : "other";
}
