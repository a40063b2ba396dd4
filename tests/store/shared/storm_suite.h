/*
 * kill -9 of a durable server under load, again and again: no acknowledged event is lost, none is
 * there twice, and no number is left out (contract A1, A2, A7, L3).
 */
#ifndef TESTS_STORE_SHARED_STORM_SUITE_H
#define TESTS_STORE_SHARED_STORM_SUITE_H

#include <support/servers.h>

/** Run it on a server of that kind. @return for main() to return */
int storm_suite_run(enum server_kind kind);

#endif
