/*
 * The PostgreSQL store keeps the contract on a primary whose commits wait for its standby.
 */
#include "contract/store_contract.h"

#include <stddef.h>

#include <support/groups.h>

int main(void)
{
	struct group *group = group_start(GROUP_POSTGRES);
	int rc = STORE_CONTRACT(.name = "postgres", .url = group ? group->url : NULL,
				.shared = true, .has_schema = true);

	group_end(group);
	return rc;
}
