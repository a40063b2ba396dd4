/*
 * Starting the server; see serve.h.
 */
#include "serve.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "app/exit.h"
#include "term/term.h"
#include "term/text.h"

#define PROGRAM "convo-serve"

/* The folder of the running program. @return success */
static bool serve_beside(struct text *out)
{
	char path[4096];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	const char *slash;

	if (len <= 0)
		return false;
	path[len] = '\0';
	slash = strrchr(path, '/');
	return slash && text_add(out, path, (size_t)(slash - path)) && text_adds(out, "/" PROGRAM);
}

int serve_run(char **argv)
{
	struct text beside = {0};

	if (serve_beside(&beside))
		execv(beside.data, argv);
	text_clear(&beside);
	execv(SERVE_DIR "/" PROGRAM, argv);
	if (errno == ENOENT)
		term_error("this convo comes without its server: there is no " PROGRAM
			   " beside it or in " SERVE_DIR
			   ". It is built where libmicrohttpd is (meson option server)");
	else
		term_error(SERVE_DIR "/" PROGRAM ": %s", strerror(errno));
	return EXIT_FAILED;
}
