/*
 * Servers of the benchmarks; see server.h.
 */
#include "server.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "support/servers.h"

static enum server_kind kind_of(const char *name)
{
	if (strcmp(name, "redis") == 0)
		return SERVER_REDIS;
	return strcmp(name, "postgres") == 0 ? SERVER_POSTGRES : SERVER_MARIADB;
}

struct server *bench_server_start(const char *name)
{
	enum server_kind kind = kind_of(name);

	return server_start(kind, kind == SERVER_REDIS ? SERVER_FAST : SERVER_DURABLE);
}

struct server *bench_server_start_durable(const char *name, const char *const *args)
{
	return server_start_with(kind_of(name), SERVER_DURABLE, args);
}

const char *bench_server_url(const struct server *server)
{
	return server->url;
}

void bench_server_end(struct server *server)
{
	server_end(server);
}

/*
 * The CPU of a process, in microseconds, if it is `pid` or a child of it (proc(5), stat). That of children which have
 * ended is the parent's.
 */
static int64_t process_cpu_us(const char *name, int pid)
{
	char path[64], line[1024], *end;
	struct timespec used = {0};
	clockid_t clock;
	unsigned long children_user = 0, children_system = 0;
	int id, parent;
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
	if (!end ||
	    sscanf(end + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %lu %lu", &parent,
		   &children_user, &children_system) != 3 ||
	    (id != pid && parent != pid) || clock_getcpuclockid(id, &clock) != 0 ||
	    clock_gettime(clock, &used) != 0)
		return 0;
	if (id != pid)
		children_user = children_system = 0;
	return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000 +
	       (int64_t)(children_user + children_system) * 1000000 / sysconf(_SC_CLK_TCK);
}

int64_t bench_server_cpu_us(const struct server *server)
{
	struct dirent *entry;
	int64_t us = 0;
	DIR *proc;

	if (!server)
		return 0;
	proc = opendir("/proc");
	while (proc && (entry = readdir(proc)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			us += process_cpu_us(entry->d_name, server_pid(server));
	if (proc)
		closedir(proc);
	return us;
}
