/*
 * The Redis store keeps the contract.
 */
#include "contract/store_contract.h"

#include <stddef.h>

#include <support/servers.h>

int main(void)
{
	struct server *server = server_start(SERVER_REDIS, SERVER_FAST);
	int rc = STORE_CONTRACT(.name = "redis", .url = server ? server->url : NULL, .shared = true,
				.server_cleans = true, .has_schema = true);

	server_end(server);
	return rc;
}
