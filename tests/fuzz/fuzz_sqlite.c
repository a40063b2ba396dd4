/*
 * Fuzzing an SQLite file: the input is the file, byte by byte. Whatever it holds, every operation ends
 * and hands out what the headers promise; see every.h.
 */
#include <stdint.h>
#include <unistd.h>

#include "../store/sqlite/every.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct convo_key key = {"app", "user", "session"};
	static const char *const beside[] = {"", "-wal", "-shm", "-journal"};
	/* In memory, where it can be had: there are many files. */
	const char *dir = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	char path[64], url[80], name[80];
	FILE *file;
	size_t i;

	snprintf(path, sizeof(path), "%s/convo-fuzz-%ld.db", dir, (long)getpid());
	snprintf(url, sizeof(url), "sqlite:%s", path);
	file = fopen(path, "wb");
	if (!file)
		return 0;
	if (fwrite(data, 1, size, file) == size && fclose(file) == 0)
		every_operation(url, &key);
	for (i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", path, beside[i]);
		unlink(name);
	}
	return 0;
}
