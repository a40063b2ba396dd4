/*
 * The memory store keeps the contract. Each handle is a database of its own.
 */
#include "contract/store_contract.h"

int main(void)
{
	return STORE_CONTRACT(.name = "memory", .url = "memory:", .shared = false);
}
