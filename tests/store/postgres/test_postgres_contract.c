/*
 * The PostgreSQL store keeps the contract, on a server that trusts everybody. What is special to
 * it is in test_postgres.c.
 */
#include "contract/store_contract.h"

#include <stddef.h>

#include <support/servers.h>

int main(void)
{
	struct server *server = server_start(SERVER_POSTGRES, SERVER_FAST);
	int rc = STORE_CONTRACT(.name = "postgres", .url = server ? server->url : NULL,
				.shared = true, .has_schema = true);

	server_end(server);
	return rc;
}
