/*
 * The PostgreSQL store over bad networks.
 */
#include "store/shared/network_suite.h"

#include <stdio.h>
#include <sys/stat.h>

#include <support/test.h>

/* A file by which the server lets in who comes from another machine. */
static const char *hba_file(void)
{
	const char *dir = test_dir(), *path = test_path(dir, "hba");
	FILE *file = fopen(path, "w");

	must(file && fputs("local all all trust\nhost all all all trust\n", file) >= 0);
	must(fclose(file) == 0);
	must(chmod(dir, 0755) == 0 && chmod(path, 0644) == 0);
	return path;
}

int main(void)
{
	const char *const args[] = {"-c", test_text("hba_file=%s", hba_file()), NULL};

	return network_suite_run(SERVER_POSTGRES, args, 1);
}
