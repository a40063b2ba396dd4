/*
 * What cases have in common: programs that ask, and what is stored of it; see kills.h.
 */
#include "kills.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include <base/buf.h>
#include <base/clock.h>
#include <base/json.h>

#define END_MS 90000 /* longest life of a program */

extern char **environ;

void kills_open(struct kills *kills, const char *url)
{
	const struct convo_store_options quiet = {.timeout_ms = 30000,
						  .clean_interval_ms = CONVO_OFF};
	struct convo_err err;

	kills->url = url;
	test_rng_any(&kills->rng);
	must_equal(0, pthread_mutex_init(&kills->lock, NULL));
	kills_script_make(&kills->script);
	must_pass(convo_store_open(&kills->store, url ? url : "memory:", &quiet, &err));
}

void kills_close(struct kills *kills)
{
	convo_store_close(kills->store);
	kills_script_clear(&kills->script);
	pthread_mutex_destroy(&kills->lock);
}

size_t kills_random(struct kills *kills, size_t below)
{
	size_t n;

	pthread_mutex_lock(&kills->lock);
	n = test_rng_below(&kills->rng, below);
	pthread_mutex_unlock(&kills->lock);
	return n;
}

/* ---- what is stored --------------------------------------------------------------------- */

convo_session *kills_load(const struct kills *kills, const char *session)
{
	const struct convo_key key = {KILLS_APP, KILLS_USER, session};
	const struct convo_window window = {.with = CONVO_WITH_DRAFT};
	const struct convo_event *events;
	convo_session *loaded = NULL;
	struct convo_err err;
	size_t count;

	must_pass(convo_store_load(&loaded, kills->store, &key, &window, NULL, &err));
	events = test_events(loaded, &count);
	for (size_t i = 0; i < count; i++) {
		must_equal((int64_t)i + 1, events[i].seq);
		for (size_t k = 0; k < i; k++)
			must(strcmp(events[i].id, events[k].id) != 0);
	}
	return loaded;
}

bool kills_asks(const struct convo_event *event, const char *text)
{
	return strcmp(event->role, "user") == 0 &&
	       strstr(event->message, test_text("\"%s\"", text)) != NULL;
}

void kills_must_ask(const struct convo_event *event, const char *text)
{
	if (!kills_asks(event, text))
		must_not_reach("event %d is not '%s' but %.100s", (int)event->seq, text,
			       event->message);
}

size_t kills_said(const struct kills *kills, const struct convo_event *event)
{
	const struct cv_text raw = cv_json_find(cv_text_of(event->message), "content");
	struct cv_buf said = {0};
	size_t len;

	must_equal_str("assistant", event->role);
	must(raw.len >= 2);
	must_equal(0, cv_json_unescape(&said, (struct cv_text){raw.data + 1, raw.len - 2}));
	len = said.len;
	must(len <= kills->script.text_len);
	must(len == 0 || memcmp(said.data, kills->script.text, len) == 0);
	cv_buf_clear(&said);
	return len;
}

/* ---- programs --------------------------------------------------------------------------- */

pid_t kills_start(const struct kills *kills, const struct kills_endpoint *endpoint,
		  const char *session, const char *question)
{
	const char *const words[] = {"test_kills", "program", kills->url, endpoint->base,
				     session,      question,  NULL};
	pid_t pid = 0;

	must_equal(0, posix_spawn(&pid, "/proc/self/exe", NULL, NULL,
				  (char *const *)(uintptr_t)words, environ));
	return pid;
}

int kills_end(pid_t pid)
{
	int64_t until_us = cv_clock_mono_us() + END_MS * INT64_C(1000);
	int status = 0;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (cv_clock_mono_us() > until_us)
			kill(pid, SIGKILL);
		poll(NULL, 0, 5);
	}
	return status;
}

void kills_must_exit(pid_t pid, int code)
{
	int status = kills_end(pid);

	if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
		must_not_reach("a program ended by %s %d",
			       WIFEXITED(status) ? "itself with" : "signal",
			       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}
