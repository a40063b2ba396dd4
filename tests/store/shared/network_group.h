/*
 * What must hold when one of several servers cannot be reached (contract L2, L3, A8), while they reach each
 * other: the network of this program is at fault, and nothing fails over for its sake.
 */
#ifndef TESTS_STORE_SHARED_NETWORK_GROUP_H
#define TESTS_STORE_SHARED_NETWORK_GROUP_H

#include <support/groups.h>

/**
 * Make a bad network, start servers behind it, and run the tests; all are skipped where either cannot
 * be had.
 *
 * @return for main() to return
 */
int network_group_run(enum group_kind kind);

#endif
