/*
 * The Redis store over bad networks.
 */
#include "store/shared/network_suite.h"

#include <stddef.h>

int main(void)
{
	/* Without a password it would let in nobody from another machine. */
	static const char *const args[] = {"--protected-mode", "no", NULL};

	return network_suite_run(SERVER_REDIS, args, 1);
}
