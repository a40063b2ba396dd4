/*
 * The store contract as a test suite: what docs/contract.md promises, rule by rule, on any backend.
 * A backend's test file says where an empty database is and runs it:
 *
 *     int main(void)
 *     {
 *             return STORE_CONTRACT("memory", "memory:", .shared = false);
 *     }
 */
#ifndef TESTS_CONTRACT_STORE_CONTRACT_H
#define TESTS_CONTRACT_STORE_CONTRACT_H

#include <stdbool.h>

/** A backend under test. */
struct store_contract {
	const char *name;
	/**
	 * Where an empty database is; NULL when there is no server to test with: every test is
	 * then skipped, and counted so. The environment variable CONVO_TEST_<NAME>_URL wins.
	 * Several URLs with blanks between them are of one database, by way of several servers:
	 * each handle is opened by the next of them.
	 */
	const char *url;
	/** Several handles and processes that open the URL see one database. */
	bool shared;
	/** The server removes what expired by itself, so that cleaning has nothing to count. */
	bool server_cleans;
	/** Of a step of cleaning that another node ends, what it has removed is not always counted. */
	bool counts_short;
	/** schema=check finds something missing in an empty database. */
	bool has_schema;
	/**
	 * The state of the app is kept elsewhere, and changed before a call returns but not in the
	 * same instant as the rest (A6): more round trips for those who change it.
	 */
	bool app_apart;
};

#define STORE_CONTRACT(...) store_contract_run(&(const struct store_contract){__VA_ARGS__})

/** Run the whole suite. @return for main() to return */
int store_contract_run(const struct store_contract *contract);

#endif
