/*
 * The PostgreSQL store over a network that breaks.
 */
#include "store/shared/fault_suite.h"

int main(void)
{
	return fault_suite_run(server_start(SERVER_POSTGRES, SERVER_FAST));
}
