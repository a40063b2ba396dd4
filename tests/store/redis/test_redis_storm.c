/*
 * The Redis store while its server is killed.
 */
#include "store/shared/storm_suite.h"

int main(void)
{
	return storm_suite_run(SERVER_REDIS);
}
