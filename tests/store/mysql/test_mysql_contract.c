/*
 * The MySQL store keeps the contract, on MariaDB. What is special to
 * it is in test_mysql.c.
 */
#include "contract/store_contract.h"

#include <stddef.h>

#include <support/servers.h>

int main(void)
{
	struct server *server = server_start(SERVER_MARIADB, SERVER_FAST);
	int rc = STORE_CONTRACT(.name = "mysql", .url = server ? server->url : NULL, .shared = true,
				.has_schema = true);

	server_end(server);
	return rc;
}
