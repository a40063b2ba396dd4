/*
 * The PostgreSQL store over a network that does not reach the primary of two.
 */
#include "store/shared/network_group.h"

int main(void)
{
	return network_group_run(GROUP_POSTGRES_ASYNC);
}
