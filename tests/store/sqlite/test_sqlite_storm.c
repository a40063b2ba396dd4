/*
 * SQLite under kill -9: writer processes on one file are killed at random moments, again and again.
 * Every event that was acknowledged must be there, once, under its seq, and seqs have no gap. Also
 * here, for it writes much: the log stays small while somebody reads all the time.
 */
#include <support/test.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include <convo/store.h>

#include <base/clock.h>

#define KILLS 200
#define WRITERS 4 /* processes at a time */
#define SESSIONS 3
#define ACKS 4096 /* most of one life */

static const struct convo_store_options quiet = {.clean_interval_ms = -1, .timeout_ms = 20000};

/* What a writer was told is stored. Shared with the parent, which outlives it. */
struct ack {
	int session;
	int64_t seq;
	char id[CONVO_UUID_SIZE];
};

struct life {
	_Atomic int acks; /* raised after the entry is written */
	struct ack ack[ACKS];
};

static convo_store *storm_open(const char *path)
{
	struct convo_err err;
	convo_store *store = NULL;

	must_pass(convo_store_open(&store, test_text("sqlite:%s", path), &quiet, &err));
	return store;
}

static struct convo_key storm_key(int session)
{
	static const char *const names[SESSIONS] = {"a", "b", "c"};
	struct convo_key key = {"app", "user", names[session]};

	return key;
}

/* ---- a writer --------------------------------------------------------------------------- */

struct writer {
	convo_store *store;
	struct life *life;
	pthread_mutex_t lock; /* guards the entries of life */
	_Atomic unsigned turn;
};

static void writer_ack(struct writer *writer, const struct ack *ack)
{
	pthread_mutex_lock(&writer->lock);
	while (writer->life->acks == ACKS) /* a fast disk: nothing more is written in this life */
		pause();
	writer->life->ack[writer->life->acks] = *ack;
	writer->life->acks++;
	pthread_mutex_unlock(&writer->lock);
}

/* Append one or two events for ever; sometimes change state, sometimes say the same again. */
static void *writer_run(void *arg)
{
	struct writer *writer = arg;
	struct ack ack[2];
	struct convo_err err;
	int64_t seqs[2];

	for (;;) {
		unsigned turn = writer->turn++;
		size_t count = 1 + turn % 2;
		struct convo_event events[2] = {{0}};

		for (size_t i = 0; i < count; i++) {
			convo_uuid_make(ack[i].id);
			ack[i].session = (int)(turn % SESSIONS);
			events[i].id = ack[i].id;
			events[i].message = "{\"role\":\"user\",\"content\":\"in the storm\"}";
			events[i].state = turn % 5 ? NULL : "{\"x\":1,\"user:y\":2}";
		}
		for (int again = turn % 7 == 0; again >= 0; again--) {
			const struct convo_key key = storm_key(ack[0].session);

			must_pass(convo_store_append(writer->store, &key, NULL, events, count, seqs,
						     NULL, &err));
		}
		for (size_t i = 0; i < count; i++) {
			ack[i].seq = seqs[i];
			writer_ack(writer, &ack[i]);
		}
	}
	return NULL;
}

static pid_t writer_start(const char *path, struct life *life)
{
	pid_t pid = fork();

	must(pid >= 0);
	if (pid == 0) {
		struct writer writer = {.life = life, .lock = PTHREAD_MUTEX_INITIALIZER};
		pthread_t second;

		alarm(60);
		writer.store = storm_open(path);
		pthread_create(&second, NULL, writer_run, &writer);
		writer_run(&writer);
		_exit(1);
	}
	return pid;
}

/* It must have been at work until it was killed: one that ended by itself has failed. */
static void writer_kill(pid_t pid)
{
	int status;

	must(kill(pid, SIGKILL) == 0);
	must(waitpid(pid, &status, 0) == pid);
	must(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* ---- the reckoning ---------------------------------------------------------------------- */

static int ack_compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Seqs run from 1, and no id is there twice. */
static void storm_check_session(const convo_session *session)
{
	size_t count = convo_session_count(session);
	const char **ids = calloc(count + 1, sizeof(*ids));

	must(ids != NULL);
	must_equal(count, convo_session_meta(session)->last_seq);
	for (size_t i = 0; i < count; i++) {
		const struct convo_event *event = convo_session_event(session, i);

		must_equal(i + 1, event->seq);
		ids[i] = event->id;
	}
	qsort(ids, count, sizeof(*ids), ack_compare);
	for (size_t i = 1; i < count; i++)
		must(strcmp(ids[i - 1], ids[i]) != 0);
	free(ids);
}

/* What was acknowledged is there. @return how many events that were */
static int storm_check_life(convo_session *const *sessions, const struct life *life)
{
	for (int i = 0; i < life->acks; i++) {
		const struct ack *ack = &life->ack[i];
		const struct convo_event *event;

		must(ack->seq >= 1);
		event = convo_session_event(sessions[ack->session], (size_t)ack->seq - 1);
		must(event != NULL);
		must_equal_str(ack->id, event->id);
	}
	return life->acks;
}

static void storm_check(const char *path, const struct life *lives)
{
	convo_session *sessions[SESSIONS] = {NULL};
	convo_store *store = storm_open(path);
	struct convo_err err;
	int acks = 0;

	for (int i = 0; i < SESSIONS; i++) {
		const struct convo_key key = storm_key(i);

		must_pass(convo_store_load(&sessions[i], store, &key, NULL, NULL, &err));
		storm_check_session(sessions[i]);
	}
	for (int i = 0; i < KILLS + WRITERS; i++)
		acks += storm_check_life(sessions, &lives[i]);
	test_say("%d kills, %d events acknowledged", KILLS, acks);
	must(acks > KILLS);
	for (int i = 0; i < SESSIONS; i++)
		convo_session_free(sessions[i]);
	convo_store_close(store);
}

static void storm_check_file(const char *path)
{
	sqlite3_stmt *stmt = NULL;
	sqlite3 *db = NULL;

	must(sqlite3_open(path, &db) == SQLITE_OK);
	must(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL) == SQLITE_OK);
	must(sqlite3_step(stmt) == SQLITE_ROW);
	must_equal_str("ok", (const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	sqlite3_close(db);
}

static void test_A7__kill_9_loses_no_acknowledged_event(void **state)
{
	const size_t size = (KILLS + WRITERS) * sizeof(struct life);
	const char *path = test_path(test_dir(), "storm.db");
	struct life *lives = test_shared(size);
	pid_t pids[WRITERS];
	struct test_rng rng;
	struct convo_err err;
	convo_store *store = storm_open(path);
	int begun = 0;

	(void)state;
	test_rng_init(&rng);
	for (int i = 0; i < SESSIONS; i++) {
		const struct convo_key key = storm_key(i);

		must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	}
	convo_store_close(store);
	for (; begun < WRITERS; begun++)
		pids[begun] = writer_start(path, &lives[begun]);
	for (int kills = 0; kills < KILLS; kills++) {
		size_t victim = test_rng_below(&rng, WRITERS);
		struct timespec pause = {0, (long)test_rng_below(&rng, 50000) * 1000};

		nanosleep(&pause, NULL);
		writer_kill(pids[victim]);
		pids[victim] = writer_start(path, &lives[begun++]);
	}
	for (int i = 0; i < WRITERS; i++)
		writer_kill(pids[i]);
	storm_check(path, lives);
	storm_check_file(path);
	test_shared_free(lives, size);
}

/* ---- constant readers ------------------------------------------------------------------- */

#define READERS 3
#define ROUNDS 1500
#define MESSAGE_BYTES 60000

struct traffic {
	convo_store *store;
	char *message;
	atomic_bool done;
	const char *log;
	int64_t most_bytes;
};

static void traffic_write(struct traffic *traffic)
{
	const struct convo_key key = storm_key(0);
	const struct convo_event event = {.message = traffic->message};
	struct convo_err err;
	struct stat st;

	for (int i = 0; i < ROUNDS; i++) {
		must_pass(convo_store_append(traffic->store, &key, NULL, &event, 1, NULL, NULL,
					     &err));
		must(stat(traffic->log, &st) == 0);
		if (st.st_size > traffic->most_bytes)
			traffic->most_bytes = st.st_size;
	}
	traffic->done = true;
}

static void traffic_run(void *ctx, int index)
{
	const struct convo_window last = {.n = 20};
	const struct convo_key key = storm_key(0);
	struct traffic *traffic = ctx;
	struct convo_err err;

	if (index == 0)
		traffic_write(traffic);
	while (!traffic->done) {
		convo_session *session = NULL;

		must_pass(convo_store_load(&session, traffic->store, &key, &last, NULL, &err));
		convo_session_free(session);
	}
}

static void test_log__stays_small_while_somebody_always_reads(void **state)
{
	const char *path = test_path(test_dir(), "busy.db");
	struct traffic traffic = {.store = storm_open(path), .log = test_text("%s-wal", path)};
	const struct convo_key key = storm_key(0);
	struct convo_err err;

	(void)state;
	traffic.message = malloc(MESSAGE_BYTES + 1);
	must(traffic.message != NULL);
	memset(traffic.message, ' ', MESSAGE_BYTES);
	memcpy(traffic.message, "{\"role\":\"user\"", 14);
	memcpy(traffic.message + MESSAGE_BYTES - 1, "}", 2);
	must_pass(convo_store_create(traffic.store, &key, NULL, NULL, NULL, &err));
	test_threads(1 + READERS, traffic_run, &traffic);
	test_say("%d MB were written, the log was at most %lld MB",
		 ROUNDS * MESSAGE_BYTES / 1000000, (long long)traffic.most_bytes / 1000000);
	must(traffic.most_bytes < 75000000);
	convo_store_close(traffic.store);
	free(traffic.message);
}

int main(void)
{
	const struct CMUnitTest storm[] = {
		cmocka_unit_test(test_A7__kill_9_loses_no_acknowledged_event),
		cmocka_unit_test(test_log__stays_small_while_somebody_always_reads),
	};

	return TEST_RUN(storm);
}
