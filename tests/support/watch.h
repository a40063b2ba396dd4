/*
 * A server process of a test: started, killed, paused and started again, and always stopped, also
 * when the test crashes. A watcher process between the two sees the test's end of a pipe close.
 */
#ifndef TESTS_SUPPORT_WATCH_H
#define TESTS_SUPPORT_WATCH_H

#include <stdbool.h>
#include <sys/types.h>

struct watch;

/** What runs. */
struct watch_program {
	const char *const *argv;  /* NULL after the last; argv[0] is an absolute path */
	const char *const *again; /* the same for every start after the first */
	uid_t uid;                /* who runs it; 0: the caller */
	gid_t gid;
	bool apart;      /* in a network of its own (hosts.h) */
	int stop_signal; /* the polite one */
	const char *log; /* where its output goes */
	const char *dir; /* its working directory; removed at the end */
};

/** Start a watcher, and no program yet. Copies nothing: `program` must live on. */
struct watch *watch_new(const struct watch_program *program);

/** Its process, in whose network the program will be. */
pid_t watch_watcher(const struct watch *watch);

/** Stop it politely; killed after 5 s. */
void watch_stop(struct watch *watch);

/** kill -9 it and whatever it has started. */
void watch_kill(struct watch *watch);

/** Start it, for the first time or after watch_stop() or watch_kill(). */
void watch_restart(struct watch *watch);

/** SIGSTOP and SIGCONT to it and whatever it has started. */
void watch_pause(struct watch *watch);
void watch_resume(struct watch *watch);

/** Its process id; 0 when it has been stopped. */
pid_t watch_pid(const struct watch *watch);

/** Whether it has ended by itself. */
bool watch_has_ended(const struct watch *watch);

/** Stop it and its watcher, and remove its directory. NULL is fine. */
void watch_end(struct watch *watch);

#endif
