/*
 * Host names to addresses, by a deadline: getaddrinfo() knows none, and a dead name server would
 * hold a call for many seconds (contract L2).
 */
#ifndef BASE_RESOLVE_H
#define BASE_RESOLVE_H

#include <stdint.h>

#include <base/fail.h>

struct addrinfo;

/**
 * The stream addresses of a host.
 *
 * @param out         set to the first of a list, the caller's to freeaddrinfo()
 * @param host        a name or an IPv4 or IPv6 address
 * @param deadline_us by cv_clock_mono_us()
 * @return 0; CONVO_E_IO for a host that is not known, CONVO_E_TIMEOUT, CONVO_E_NOMEM: `err` holds
 *         the reason alone, "unknown host"
 *
 * Asks a name server, where one is needed, in a thread of its own that outlives a timeout.
 */
int cv_resolve(struct addrinfo **out, const char *host, int port, int64_t deadline_us,
	       struct convo_err *err);

#endif
