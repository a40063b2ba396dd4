/*
 * What must hold when the network breaks at any byte (contract A2, A8, L2, L3), on any server:
 * every acknowledged event is there once, every failed call tells the truth, and seq has no gap.
 *
 *     int main(void)
 *     {
 *             return fault_suite_run(server_start(SERVER_REDIS, SERVER_FAST));
 *     }
 */
#ifndef TESTS_STORE_SHARED_FAULT_SUITE_H
#define TESTS_STORE_SHARED_FAULT_SUITE_H

#include <support/servers.h>

/**
 * Run the suite on a server, which it ends; NULL skips every test. Positions are sampled, unless
 * CONVO_TEST_FAULTS is "all".
 *
 * @return for main() to return
 */
int fault_suite_run(struct server *server);

#endif
