/*
 * Private servers for a benchmark, as the tests start them, and what CPU they use.
 */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include <stdint.h>

struct server;

/** Start one by the name of its engine; NULL, with a line that says so, when it is not installed. */
struct server *bench_server_start(const char *name);

/** The same, Redis too with every acknowledged write on disk, and more arguments (or NULL). */
struct server *bench_server_start_durable(const char *name, const char *const *args);

const char *bench_server_url(const struct server *server);

/** NULL is fine. */
void bench_server_end(struct server *server);

/** CPU used so far by the server and its processes, in microseconds; 0 for NULL. */
int64_t bench_server_cpu_us(const struct server *server);

#endif
