/*
 * The spinner; see spin.h. A thread draws it, as the caller is busy asking. Nobody else writes to
 * the terminal while it runs: spin_stop() comes first.
 */
#include "term/spin.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "term/term.h"
#include "term/text.h"

enum { SPIN_STEP_MS = 100 };

static struct {
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;
	bool running, stop;
	const char *lead;
	char reason[160];
	struct timespec since; /* on CLOCK_MONOTONIC */
	struct timespec until; /* of a countdown; 0: none */
} spin = {.lock = PTHREAD_MUTEX_INITIALIZER};

static double spin_seconds(const struct timespec *from, const struct timespec *to)
{
	return (double)(to->tv_sec - from->tv_sec) + (double)(to->tv_nsec - from->tv_nsec) / 1e9;
}

static struct timespec spin_later(struct timespec t, long ms)
{
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}

/* The lock is held. */
static void spin_draw(size_t step, const struct timespec *now)
{
	static const char *const frames[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
	double left = spin_seconds(now, &spin.until);
	size_t used = text_width(spin.lead, strlen(spin.lead)) + 27, room = term_columns();

	fputs("\r\033[K", stdout);
	term_say("%s", spin.lead);
	term_style(STYLE_DIM);
	term_say("%s %.0fs", frames[step % 10], spin_seconds(&spin.since, now));
	if (left > 0 && room > used) {
		term_say(" · again in %.0fs: ", left + 0.5);
		term_show_line(spin.reason, room - used);
	}
	term_style(STYLE_PLAIN);
	term_flush();
}

static void *spin_run(void *arg)
{
	size_t step = 0;

	(void)arg;
	pthread_mutex_lock(&spin.lock);
	while (!spin.stop) {
		struct timespec now, next;

		clock_gettime(CLOCK_MONOTONIC, &now);
		spin_draw(step++, &now);
		next = spin_later(now, SPIN_STEP_MS);
		pthread_cond_timedwait(&spin.wake, &spin.lock, &next);
	}
	fputs("\r\033[K", stdout);
	pthread_mutex_unlock(&spin.lock);
	return NULL;
}

static bool spin_prepare(const char *lead)
{
	pthread_condattr_t attr;
	bool ok;

	if (pthread_condattr_init(&attr))
		return false;
	ok = !pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) &&
	     !pthread_cond_init(&spin.wake, &attr);
	pthread_condattr_destroy(&attr);
	spin.lead = lead;
	spin.stop = false;
	spin.until.tv_sec = 0;
	spin.until.tv_nsec = 0;
	clock_gettime(CLOCK_MONOTONIC, &spin.since);
	return ok;
}

void spin_start(const char *lead)
{
	sigset_t all, old;

	if (!term_can_edit() || spin.running || !spin_prepare(lead))
		return;
	/* Signals are for the thread that asks. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	spin.running = !pthread_create(&spin.thread, NULL, spin_run, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!spin.running)
		pthread_cond_destroy(&spin.wake);
}

void spin_wait(const char *reason, int wait_ms)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	pthread_mutex_lock(&spin.lock);
	snprintf(spin.reason, sizeof(spin.reason), "%s", reason);
	spin.until = spin_later(now, wait_ms);
	pthread_mutex_unlock(&spin.lock);
}

void spin_stop(void)
{
	if (!spin.running)
		return;
	pthread_mutex_lock(&spin.lock);
	spin.stop = true;
	pthread_cond_signal(&spin.wake);
	pthread_mutex_unlock(&spin.lock);
	pthread_join(spin.thread, NULL);
	pthread_cond_destroy(&spin.wake);
	spin.running = false;
}
