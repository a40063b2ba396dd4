/*
 * The SQLite store keeps the contract.
 */
#include "contract/store_contract.h"

#include <support/test.h>

int main(void)
{
	const char *path = test_path(test_dir(), "contract.db");

	return STORE_CONTRACT(.name = "sqlite", .url = test_text("sqlite:%s", path), .shared = true,
			      .has_schema = true);
}
