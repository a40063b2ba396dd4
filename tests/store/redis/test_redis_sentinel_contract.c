/*
 * The Redis store keeps the contract on a Redis that sentinels watch.
 */
#include "contract/store_contract.h"

#include <stddef.h>

#include <support/groups.h>

int main(void)
{
	struct group *group = group_start(GROUP_REDIS_SENTINEL);
	int rc = STORE_CONTRACT(.name = "redis", .url = group ? group->url : NULL, .shared = true,
				.server_cleans = true, .has_schema = true);

	group_end(group);
	return rc;
}
