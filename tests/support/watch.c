/*
 * See watch.h. The test sends one-letter commands, the watcher answers each with the server's
 * process id. The watcher is a subreaper: what a killed server leaves behind becomes its child and
 * is killed too.
 */
#define _GNU_SOURCE /* unshare() */
#include "watch.h"

#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STOP_MS 5000

struct watch {
	int command; /* to the watcher */
	int answer;  /* from it */
	pid_t watcher;
	pid_t server;
};

/* ---- the watcher's side ---------------------------------------------------------------- */

static void watcher_pause_ms(int ms)
{
	struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};

	nanosleep(&t, NULL);
}

static pid_t watcher_parent_of(pid_t pid)
{
	char path[64], line[512];
	char *end;
	int parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	/* the name, in parentheses, may hold anything */
	if (fgets(line, sizeof(line), f) && (end = strrchr(line, ')')) != NULL)
		sscanf(end + 1, " %*c %d", &parent);
	fclose(f);
	return parent;
}

/* The state letter of a thread; 'X' when it is gone. */
static char watcher_state_of(pid_t pid, const char *task)
{
	char path[320], line[512], state = 'X';
	char *end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/stat", (int)pid, task);
	f = fopen(path, "re");
	if (!f)
		return state;
	if (fgets(line, sizeof(line), f) && (end = strrchr(line, ')')) != NULL)
		sscanf(end + 1, " %c", &state);
	fclose(f);
	return state;
}

static bool watcher_descends(pid_t pid, pid_t from)
{
	for (int depth = 0; pid > 1 && depth < 16; depth++) {
		pid = watcher_parent_of(pid);
		if (pid == from)
			return true;
	}
	return false;
}

/* Visit everything that descends from the watcher. @return for how many it gave true */
static int watcher_visit_all(bool (*visit)(pid_t pid, int arg), int arg)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int count = 0;

	if (!proc)
		return 0;
	while ((entry = readdir(proc)) != NULL) {
		pid_t pid = (pid_t)atoi(entry->d_name);

		if (pid > 1 && watcher_descends(pid, getpid()) && visit(pid, arg))
			count++;
	}
	closedir(proc);
	return count;
}

static bool watcher_signal(pid_t pid, int sig)
{
	return kill(pid, sig) == 0;
}

static int watcher_signal_all(int sig)
{
	return watcher_visit_all(watcher_signal, sig);
}

/* Whether a thread of it still runs: a stop reaches one after the other. */
static bool watcher_runs(pid_t pid, int unused)
{
	char path[64];
	struct dirent *entry;
	DIR *tasks;
	bool runs = false;

	(void)unused;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	while (tasks && (entry = readdir(tasks)) != NULL) {
		char state = entry->d_name[0] == '.' ? 'T' : watcher_state_of(pid, entry->d_name);

		runs = runs || !strchr("TtZX", state);
	}
	if (tasks)
		closedir(tasks);
	return runs;
}

static void watcher_pause_all(void)
{
	watcher_signal_all(SIGSTOP);
	for (int ms = 0; ms < STOP_MS && watcher_visit_all(watcher_runs, 0) > 0; ms++) {
		watcher_pause_ms(1);
		watcher_signal_all(SIGSTOP); /* one may have been started meanwhile */
	}
}

static void watcher_kill_all(void)
{
	do {
		watcher_signal_all(SIGKILL);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			continue;
		watcher_pause_ms(1);
	} while (waitpid(-1, NULL, WNOHANG) >= 0 || errno != ECHILD);
}

static void watcher_stop(pid_t server, int sig)
{
	watcher_signal_all(SIGCONT);
	if (server > 0)
		kill(server, sig);
	for (int ms = 0; ms < STOP_MS; ms += 5) {
		pid_t gone = waitpid(-1, NULL, WNOHANG);

		if (gone == server || (gone < 0 && errno == ECHILD))
			break;
		if (gone == 0)
			watcher_pause_ms(5);
	}
	watcher_kill_all();
}

static void watcher_exec(const struct watch_program *program, const char *const *argv)
{
	int log = open(program->log, O_WRONLY | O_CREAT | O_APPEND, 0644);

	dup2(log, 1);
	dup2(log, 2);
	for (int fd = 3; fd < 256; fd++)
		close(fd);
	if (chdir(program->dir) != 0)
		_exit(127);
	if (program->uid &&
	    (setgroups(0, NULL) != 0 || setgid(program->gid) != 0 || setuid(program->uid) != 0))
		_exit(127);
	setenv("HOME", program->dir, 1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_DFL);
	execv(argv[0], (char *const *)argv);
	_exit(127);
}

static pid_t watcher_spawn(const struct watch_program *program, const char *const *argv)
{
	pid_t pid = fork();

	if (pid == 0)
		watcher_exec(program, argv);
	return pid;
}

static void watcher_run(const struct watch_program *program, int command, int answer)
{
	const char *const *argv = program->argv;
	pid_t server = 0;
	char letter;

	setsid();
	if (program->apart && unshare(CLONE_NEWNET) != 0)
		_exit(1);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	dup2(open("/dev/null", O_RDWR | O_CLOEXEC), 0);
	dup2(0, 1);
	dup2(0, 2);
	for (int fd = 3; fd < 256; fd++)
		if (fd != command && fd != answer)
			close(fd);
	while (read(command, &letter, 1) == 1) {
		if (letter == 'S') {
			server = watcher_spawn(program, argv);
			argv = program->again;
		} else if (letter == 'T') {
			watcher_stop(server, program->stop_signal);
			server = 0;
		} else if (letter == 'K') {
			watcher_kill_all();
			server = 0;
		} else if (letter == 'P') {
			watcher_pause_all();
		} else if (letter == 'C') {
			watcher_signal_all(SIGCONT);
		}
		if (write(answer, &server, sizeof(server)) < 0)
			break;
	}
	watcher_stop(server, program->stop_signal);
	test_remove_tree(program->dir);
	_exit(0);
}

/* ---- the test's side ------------------------------------------------------------------- */

static void watch_command(struct watch *watch, char letter)
{
	if (write(watch->command, &letter, 1) != 1 ||
	    read(watch->answer, &watch->server, sizeof(watch->server)) !=
		    (ssize_t)sizeof(watch->server))
		must_not_reach("the watcher of a server is gone");
}

struct watch *watch_new(const struct watch_program *program)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	int command[2], answer[2];

	if (!watch || pipe(command) != 0 || pipe(answer) != 0)
		must_not_reach("no pipe for a server");
	fflush(NULL);
	watch->watcher = fork();
	if (watch->watcher == 0) {
		close(command[1]);
		close(answer[0]);
		watcher_run(program, command[0], answer[1]);
	}
	close(command[0]);
	close(answer[1]);
	/* programs a test runs must not keep the watcher alive */
	fcntl(command[1], F_SETFD, FD_CLOEXEC);
	fcntl(answer[0], F_SETFD, FD_CLOEXEC);
	watch->command = command[1];
	watch->answer = answer[0];
	watch_command(watch, '?'); /* it has come so far as to have its network */
	return watch;
}

void watch_stop(struct watch *watch)
{
	watch_command(watch, 'T');
}

void watch_kill(struct watch *watch)
{
	watch_command(watch, 'K');
}

void watch_restart(struct watch *watch)
{
	watch_command(watch, 'S');
}

void watch_pause(struct watch *watch)
{
	watch_command(watch, 'P');
}

void watch_resume(struct watch *watch)
{
	watch_command(watch, 'C');
}

pid_t watch_watcher(const struct watch *watch)
{
	return watch->watcher;
}

pid_t watch_pid(const struct watch *watch)
{
	return watch->server;
}

bool watch_has_ended(const struct watch *watch)
{
	char task[16];

	snprintf(task, sizeof(task), "%d", (int)watch->server);
	return watch->server > 0 && strchr("ZX", watcher_state_of(watch->server, task));
}

void watch_end(struct watch *watch)
{
	if (!watch)
		return;
	close(watch->command);
	while (waitpid(watch->watcher, NULL, 0) < 0 && errno == EINTR)
		continue;
	close(watch->answer);
	free(watch);
}
