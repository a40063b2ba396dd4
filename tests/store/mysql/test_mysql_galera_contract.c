/*
 * The MySQL store keeps the contract on a Galera cluster of three nodes, where each handle talks to
 * another node. What is special to Galera is in test_mysql_galera.c.
 */
#include "contract/store_contract.h"

#include <stddef.h>

#include <support/groups.h>
#include <support/test.h>

int main(void)
{
	struct group *group = group_start(GROUP_GALERA);
	const char *urls = group ? test_text("%s %s %s", group->node[0]->url, group->node[1]->url,
					     group->node[2]->url)
				 : NULL;
	int rc = STORE_CONTRACT(.name = "mysql_galera", .url = urls, .shared = true,
				.has_schema = true, .counts_short = true);

	group_end(group);
	return rc;
}
