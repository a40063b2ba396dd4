/*
 * The MySQL store over bad networks.
 */
#include "store/shared/network_suite.h"

#include <stddef.h>

int main(void)
{
	static const char *const args[] = {NULL};

	return network_suite_run(SERVER_MARIADB, args, 2);
}
