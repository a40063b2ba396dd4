/*
 * Hosts of their own for servers: network namespaces on one bridge, in a network that is the test's.
 * One of them can be cut off, so that packets to and from it vanish and nobody is told. As root.
 */
#ifndef TESTS_SUPPORT_HOSTS_H
#define TESTS_SUPPORT_HOSTS_H

#include <stdbool.h>
#include <sys/types.h>

/**
 * Move this process, and those that it forks from now on, into a network of its own. Once is enough.
 *
 * @return false, with a line that says why, where that is not permitted
 */
bool hosts_enter(void);

/** The address of a host that does not exist yet. */
const char *hosts_address(void);

/** Make the network of a process that host. It must have one of its own, with nothing in it. */
void hosts_add(const char *address, pid_t pid);

/** Cut it off, and put it back. */
void hosts_cut(const char *address);
void hosts_mend(const char *address);

#endif
