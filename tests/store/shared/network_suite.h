/*
 * What must hold on bad networks (contract L2, L3, L4, A2, A8, P1), for any server: late packets, lost
 * ones, links that go silent, firewalls that forget, resets.
 *
 *     int main(void)
 *     {
 *             return network_suite_run(SERVER_REDIS, args, 1);
 *     }
 */
#ifndef TESTS_STORE_SHARED_NETWORK_SUITE_H
#define TESTS_STORE_SHARED_NETWORK_SUITE_H

#include <support/servers.h>

/**
 * Make a bad network, start a server behind it, and run the suite; every test is skipped where either
 * cannot be had. With CONVO_TEST_NETWORK set to "all" what is a matter of luck takes minutes.
 *
 * @param args more arguments for the server, as for server_start_with(): it must let in who comes
 *             from another machine
 * @param trips most round trips of a create, an append and a load (P1)
 * @return for main() to return
 */
int network_suite_run(enum server_kind kind, const char *const *args, int trips);

#endif
