/*
 * Servers of the benchmarks; see server.h.
 */
#include "server.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "support/servers.h"

struct server *bench_server_start(const char *name)
{
	enum server_kind kind = strcmp(name, "redis") == 0      ? SERVER_REDIS
				: strcmp(name, "postgres") == 0 ? SERVER_POSTGRES
								: SERVER_MARIADB;

	return server_start(kind, kind == SERVER_REDIS ? SERVER_FAST : SERVER_DURABLE);
}

const char *bench_server_url(const struct server *server)
{
	return server->url;
}

void bench_server_end(struct server *server)
{
	server_end(server);
}

/* The CPU of a process in clock ticks if it is `pid` or a child of it (proc(5), stat). */
static long process_ticks(const char *name, int pid)
{
	char path[64], line[1024], *end;
	int id, parent;
	long user = 0, kernel = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", name);
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	end = strrchr(line, ')');
	id = (int)strtol(name, NULL, 10);
	if (!end || sscanf(end + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &parent,
			   &user, &kernel) != 3)
		return 0;
	return id == pid || parent == pid ? user + kernel : 0;
}

int64_t bench_server_cpu_us(const struct server *server)
{
	struct dirent *entry;
	long ticks = 0;
	DIR *proc;

	if (!server)
		return 0;
	proc = opendir("/proc");
	while (proc && (entry = readdir(proc)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			ticks += process_ticks(entry->d_name, server_pid(server));
	if (proc)
		closedir(proc);
	return (int64_t)ticks * 1000000 / sysconf(_SC_CLK_TCK);
}
