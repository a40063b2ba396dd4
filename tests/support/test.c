/*
 * See test.h. A failing check in the test's own thread goes to cmocka; in a worker, which is a
 * thread or a process, it is kept as text and leaves the worker, and whoever started the worker
 * fails with it.
 */
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_SEED 20250607u
#define WORKER_SECONDS 60
#define WORKERS 64

struct worker {
	test_fn fn;
	void *ctx;
	int index;
	pthread_t thread;
	pthread_barrier_t *start;
	jmp_buf leave;
	bool failed;
	char text[2048];
};

static _Thread_local struct worker *worker_self;

/* What lives until the program ends. */
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the two below */
static struct kept {
	struct kept *next;
	void *array; /* or NULL */
	bool is_dir;
	char text[];
} * kept;
static pid_t kept_owner;

/* ---- checks ---------------------------------------------------------------------------- */

void test_say(const char *fmt, ...)
{
	char line[2048];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	printf("# %s\n", line);
	fflush(stdout);
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	char text[1792];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (worker_self) {
		snprintf(worker_self->text, sizeof(worker_self->text), "%s:%d: %s", file, line,
			 text);
		worker_self->failed = true;
		longjmp(worker_self->leave, 1);
	}
	print_error("%s\n", text);
	_fail(file, line);
	abort(); /* _fail() does not return; the compiler does not know */
}

/* A value no call sets, to see that a success leaves the caller's err alone. */
#define UNTOUCHED 4711

void test_err_mark(struct convo_err *err)
{
	*err = (struct convo_err){.code = UNTOUCHED, .maybe = true, .last_seq = UNTOUCHED};
	for (size_t i = 0; i < sizeof(err->reserved) / sizeof(err->reserved[0]); i++)
		err->reserved[i] = UNTOUCHED;
}

static const char *check_name(int code)
{
	return code < 0 ? convo_code_name(code) : "success";
}

int test_must_pass(int rc, const struct convo_err *err, const char *expr, const char *file,
		   int line)
{
	if (rc < 0)
		test_fail(file, line, "%s\n  should pass, but gave %d (%s): %s", expr, rc,
			  check_name(rc), err->code == UNTOUCHED ? "err was not set" : err->text);
	if (err->code != UNTOUCHED)
		test_fail(file, line, "%s\n  passed, but set err to %d: %s", expr, err->code,
			  err->text);
	return rc;
}

int test_must_fail(int want, int rc, const struct convo_err *err, const char *want_name,
		   const char *expr, const char *file, int line)
{
	if (rc != want)
		test_fail(file, line, "%s\n  should give %s %d, but gave %d (%s): %s", expr,
			  want_name, want, rc, check_name(rc),
			  err->code == UNTOUCHED ? "err was not set" : err->text);
	if (err->code != rc)
		test_fail(file, line, "%s\n  gave %d, but err->code is %d", expr, rc, err->code);
	if (err->text[0] == '\0' || strchr(err->text, '\n') ||
	    !memchr(err->text, '\0', sizeof(err->text)))
		test_fail(file, line, "%s\n  err->text is not one line: '%.232s'", expr, err->text);
	/* A failure sets all of it: what a caller's earlier error left there is gone. */
	if (err->last_seq == UNTOUCHED ||
	    (rc != CONVO_E_CONFLICT && rc != CONVO_E_BUSY && err->last_seq != 0))
		test_fail(file, line, "%s\n  err->last_seq is %lld", expr,
			  (long long)err->last_seq);
	if (err->maybe && rc != CONVO_E_TIMEOUT && rc != CONVO_E_IO && rc != CONVO_E_GONE &&
	    rc != CONVO_E_CANCELED)
		test_fail(file, line, "%s\n  err->maybe is set with %s", expr, check_name(rc));
	for (size_t i = 0; i < sizeof(err->reserved) / sizeof(err->reserved[0]); i++) {
		if (err->reserved[i] != 0)
			test_fail(file, line, "%s\n  err->reserved is not 0", expr);
	}
	return rc;
}

void test_must_equal(int64_t want, int64_t got, const char *want_name, const char *got_name,
		     const char *file, int line)
{
	if (want != got)
		test_fail(file, line, "%s is %lld, not %s = %lld", got_name, (long long)got,
			  want_name, (long long)want);
}

void test_must_equal_str(const char *want, const char *got, const char *got_name, const char *file,
			 int line)
{
	if (want == got || (want && got && strcmp(want, got) == 0))
		return;
	test_fail(file, line, "%s is\n  '%.700s', not\n  '%.700s'", got_name, got ? got : "(NULL)",
		  want ? want : "(NULL)");
}

/* ---- running --------------------------------------------------------------------------- */

int test_run(const char *group, const struct CMUnitTest *tests, size_t count)
{
	const char *filter = getenv("CONVO_TEST_FILTER");

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_STDOUT);
	if (filter)
		cmocka_set_test_filter(filter);
	return _cmocka_run_group_tests(group, tests, count, NULL, NULL) != 0;
}

static void worker_call(struct worker *worker)
{
	worker_self = worker;
	if (setjmp(worker->leave) == 0)
		worker->fn(worker->ctx, worker->index);
	worker_self = NULL;
}

static void *worker_thread(void *arg)
{
	struct worker *worker = arg;

	pthread_barrier_wait(worker->start);
	worker_call(worker);
	return NULL;
}

static void worker_collect(struct worker *workers, int n, const char *kind)
{
	bool failed = false;

	for (int i = 0; i < n; i++) {
		if (workers[i].failed)
			print_error("%s %d: %s\n", kind, i, workers[i].text);
		failed = failed || workers[i].failed;
	}
	free(workers);
	if (failed)
		fail_msg("a %s failed", kind);
}

static struct worker *worker_array(int n, test_fn fn, void *ctx)
{
	struct worker *workers;

	assert_in_range(n, 1, WORKERS);
	workers = calloc((size_t)n, sizeof(*workers));
	assert_non_null(workers);
	for (int i = 0; i < n; i++) {
		workers[i].fn = fn;
		workers[i].ctx = ctx;
		workers[i].index = i;
	}
	return workers;
}

void test_threads(int n, test_fn fn, void *ctx)
{
	struct worker *workers = worker_array(n, fn, ctx);
	pthread_barrier_t start;

	assert_int_equal(pthread_barrier_init(&start, NULL, (unsigned)n), 0);
	for (int i = 0; i < n; i++) {
		workers[i].start = &start;
		if (pthread_create(&workers[i].thread, NULL, worker_thread, &workers[i]) != 0)
			abort(); /* the others would wait for ever */
	}
	for (int i = 0; i < n; i++)
		pthread_join(workers[i].thread, NULL);
	pthread_barrier_destroy(&start);
	worker_collect(workers, n, "thread");
}

/* Where coverage is measured: what a process that ends by _exit() has run counts, too. */
void __gcov_dump(void) __attribute__((weak));

static void worker_process(struct worker *worker, int start, int result)
{
	char go;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(WORKER_SECONDS);
	if (read(start, &go, 1) < 0)
		_exit(3);
	worker_call(worker);
	fflush(NULL);
	if (worker->failed && write(result, worker->text, strlen(worker->text)) < 0)
		_exit(3);
	if (__gcov_dump)
		__gcov_dump();
	_exit(worker->failed ? 1 : 0);
}

static void worker_reap(struct worker *worker, pid_t pid, int result)
{
	size_t len = 0;
	ssize_t n;
	int status = 0;

	while (len < sizeof(worker->text) - 1 &&
	       (n = read(result, worker->text + len, sizeof(worker->text) - 1 - len)) > 0)
		len += (size_t)n;
	worker->text[len] = '\0';
	close(result);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	worker->failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	if (worker->failed && len == 0)
		snprintf(worker->text, sizeof(worker->text), "%s %d",
			 WIFSIGNALED(status) ? "killed by signal" : "ended with",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

void test_processes(int n, test_fn fn, void *ctx)
{
	struct worker *workers = worker_array(n, fn, ctx);
	int start[2], result[WORKERS];
	pid_t pids[WORKERS];

	fflush(NULL);
	assert_int_equal(pipe(start), 0);
	for (int i = 0; i < n; i++) {
		int ends[2];

		assert_int_equal(pipe(ends), 0);
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			close(start[1]);
			close(ends[0]);
			worker_process(&workers[i], start[0], ends[1]);
		}
		close(ends[1]);
		result[i] = ends[0];
	}
	close(start[0]);
	close(start[1]); /* all of them see the end of the pipe: go */
	for (int i = 0; i < n; i++)
		worker_reap(&workers[i], pids[i], result[i]);
	worker_collect(workers, n, "process");
}

void *test_shared(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	must(memory != MAP_FAILED);
	return memory;
}

void test_shared_free(void *memory, size_t size)
{
	munmap(memory, size);
}

/* ---- surroundings ---------------------------------------------------------------------- */

static int kept_remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	remove(path);
	return 0;
}

void test_remove_tree(const char *dir)
{
	nftw(dir, kept_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void kept_end(void)
{
	if (getpid() != kept_owner)
		return;
	while (kept) {
		struct kept *next = kept->next;

		if (kept->is_dir)
			test_remove_tree(kept->text);
		free(kept->array);
		free(kept);
		kept = next;
	}
}

static char *kept_add(const char *text, bool is_dir)
{
	size_t size = strlen(text) + 1;
	struct kept *entry = malloc(sizeof(*entry) + size);

	if (!entry)
		abort();
	memcpy(entry->text, text, size);
	entry->array = NULL;
	entry->is_dir = is_dir;
	pthread_mutex_lock(&kept_lock);
	if (!kept_owner) {
		kept_owner = getpid();
		atexit(kept_end);
	}
	entry->next = kept;
	kept = entry;
	pthread_mutex_unlock(&kept_lock);
	return entry->text;
}

const char *test_dir(void)
{
	const char *base = getenv("TMPDIR");
	char path[512];

	snprintf(path, sizeof(path), "%s/convo-test-XXXXXX", base && base[0] ? base : "/tmp");
	if (!mkdtemp(path))
		must_not_reach("mkdtemp %s: %s", path, strerror(errno));
	return kept_add(path, true);
}

const char *test_text(const char *fmt, ...)
{
	char text[4096];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return kept_add(text, false);
}

const char *test_path(const char *dir, const char *name)
{
	return test_text("%s/%s", dir, name);
}

/* Whether a socket can be bound to that port; 0 is any. */
static bool bind_here(int fd, int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	return bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
}

/*
 * Below those that the kernel gives to whoever connects: it would give away the port of a server
 * that has been killed and is to come back.
 */
int test_port(void)
{
	for (int i = 0; i < 1000; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port;
		uint32_t number;
		bool is_free;

		must(fd >= 0);
		must(getentropy(&number, sizeof(number)) == 0);
		port = 10000 + (int)(number % 22000);
		is_free = bind_here(fd, port);
		close(fd);
		if (is_free)
			return port;
	}
	must_not_reach("no port is free");
}

int test_listen(int *port)
{
	struct sockaddr_in at;
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0);
	must(bind_here(fd, 0));
	must(listen(fd, 128) == 0);
	must(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	*port = ntohs(at.sin_port);
	return fd;
}

bool test_send(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* ---- random numbers -------------------------------------------------------------------- */

static void rng_begin(struct test_rng *rng, uint64_t otherwise)
{
	const char *seed = getenv("CONVO_TEST_SEED");

	rng->state = seed ? strtoull(seed, NULL, 0) : otherwise;
	test_say("seed: CONVO_TEST_SEED=%llu", (unsigned long long)rng->state);
}

void test_rng_init(struct test_rng *rng)
{
	rng_begin(rng, DEFAULT_SEED);
}

void test_rng_any(struct test_rng *rng)
{
	char uuid[CONVO_UUID_SIZE];
	uint64_t seed = 0;

	convo_uuid_make(uuid);
	for (const char *c = uuid; *c; c++)
		seed = seed * 31 + (unsigned char)*c;
	rng_begin(rng, seed);
}

/* splitmix64 */
uint64_t test_rng_next(struct test_rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

size_t test_rng_below(struct test_rng *rng, size_t n)
{
	return (size_t)(test_rng_next(rng) % n);
}

/* ---- reading whole results ------------------------------------------------------------- */

const struct convo_event *test_events(const convo_session *session, size_t *count)
{
	size_t n = convo_session_count(session), i;
	struct convo_event *array;
	char *text;

	if (count)
		*count = n;
	if (!n)
		return NULL;
	array = calloc(n, sizeof(*array));
	must(array);
	for (i = 0; i < n; i++)
		array[i] = *convo_session_event(session, i);
	text = kept_add("", false);
	((struct kept *)(void *)(text - offsetof(struct kept, text)))->array = array;
	return array;
}

const struct convo_item *test_state(const convo_session *session, size_t *count)
{
	if (count)
		*count = convo_session_state_count(session);
	return convo_session_state_at(session, 0);
}

const struct convo_item *test_items(const convo_state *state, size_t *count)
{
	if (count)
		*count = convo_state_count(state);
	return convo_state_at(state, 0);
}

int test_list(convo_store *store, convo_cursor *cursor, size_t n, const struct convo_meta **metas,
	      size_t *count, struct convo_err *err)
{
	int rc = convo_store_list(store, cursor, n, count, NULL, err);

	if (rc >= 0)
		*metas = convo_cursor_meta(cursor, 0);
	return rc;
}
