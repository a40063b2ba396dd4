/*
 * The MySQL store over a network that does not reach one node of three.
 */
#include "store/shared/network_group.h"

int main(void)
{
	return network_group_run(GROUP_GALERA);
}
