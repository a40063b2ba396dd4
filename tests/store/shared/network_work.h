/*
 * Many at work on a bad network, for the network suite: tests of cmocka's.
 */
#ifndef TESTS_STORE_SHARED_NETWORK_WORK_H
#define TESTS_STORE_SHARED_NETWORK_WORK_H

void test_A2_nothing_is_lost_or_doubled_where_packets_are_lost(void **state);
void test_A2_nothing_is_lost_or_doubled_on_a_link_that_comes_and_goes(void **state);

#endif
