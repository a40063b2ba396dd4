/*
 * Signals; see signals.h. Handlers only set flags, ask for a cancel and restore the terminal, all
 * of which is async-signal-safe.
 */
#include "term/signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include "term/term.h"

static convo_cancel *signal_cancel;
static volatile sig_atomic_t interrupted, leaving, redraw, resumed, strikes;
static volatile time_t last_second;
static volatile long last_nano;

/* Whether the last Ctrl-C was less than a second ago. */
static bool interrupt_is_second(void)
{
	struct timespec now;
	long ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (long)(now.tv_sec - last_second) * 1000 + (now.tv_nsec - last_nano) / 1000000;
	last_second = now.tv_sec;
	last_nano = now.tv_nsec;
	return ms >= 0 && ms < 1000;
}

static void on_interrupt(int sig)
{
	int saved = errno;

	(void)sig;
	strikes = interrupt_is_second() ? strikes + 1 : 1;
	interrupted = 1;
	/* A script has nobody to go on with. */
	if (strikes >= 2 || !term_is_live())
		leaving = 1;
	if (strikes >= 4) {
		/* Something hangs that should not: the user's patience is over. */
		term_restore();
		_exit(128 + SIGINT);
	}
	convo_cancel_request(signal_cancel);
	errno = saved;
}

static void on_end(int sig)
{
	(void)sig;
	leaving = 1;
	convo_cancel_request(signal_cancel);
}

static void on_resize(int sig)
{
	(void)sig;
	redraw = 1;
}

static void on_suspend(int sig)
{
	int saved = errno;
	struct sigaction act, old;
	sigset_t set;

	term_restore();
	memset(&act, 0, sizeof(act));
	act.sa_handler = SIG_DFL;
	sigaction(sig, &act, &old);
	sigemptyset(&set);
	sigaddset(&set, sig);
	raise(sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL); /* stops here, until SIGCONT */
	sigaction(sig, &old, NULL);
	term_resume();
	redraw = resumed = 1;
	errno = saved;
}

static void signals_set(int sig, void (*handler)(int))
{
	struct sigaction act, old;

	/* What was ignored when we started (nohup) stays ignored. */
	if (sigaction(sig, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
		return;
	memset(&act, 0, sizeof(act));
	act.sa_handler = handler;
	sigemptyset(&act.sa_mask);
	sigaction(sig, &act, NULL);
}

void signals_ignore(void)
{
	signals_set(SIGPIPE, SIG_IGN);
	signals_set(SIGXFSZ, SIG_IGN);
}

void signals_open(convo_cancel *cancel)
{
	signal_cancel = cancel;
	last_second = -10;
	signals_set(SIGINT, on_interrupt);
	signals_set(SIGTERM, on_end);
	signals_set(SIGHUP, on_end);
	signals_set(SIGQUIT, on_end);
	if (term_can_edit()) {
		signals_set(SIGWINCH, on_resize);
		signals_set(SIGTSTP, on_suspend);
	}
}

bool signals_interrupted(void)
{
	return interrupted;
}

bool signals_leaving(void)
{
	return leaving;
}

bool signals_redraw(bool *elsewhere)
{
	bool was = redraw;

	*elsewhere = resumed;
	redraw = resumed = 0;
	return was;
}

void signals_clear(void)
{
	interrupted = 0;
	if (leaving)
		return;
	convo_cancel_reset(signal_cancel);
	/* One that came in between must not be forgotten. */
	if (leaving || interrupted)
		convo_cancel_request(signal_cancel);
}

bool signals_wait(int fd)
{
	int stop = convo_cancel_fd(signal_cancel), most = fd > stop ? fd : stop;
	sigset_t drawing, before;
	bool ready = false;

	/* What asks for drawing must come before the flag is looked at, or during the wait. */
	sigemptyset(&drawing);
	sigaddset(&drawing, SIGWINCH);
	sigaddset(&drawing, SIGTSTP);
	sigprocmask(SIG_BLOCK, &drawing, &before);
	while (!redraw && !interrupted && !leaving) {
		fd_set fds;

		FD_ZERO(&fds);
		FD_SET(fd, &fds);
		if (stop >= 0)
			FD_SET(stop, &fds);
		if (pselect(most + 1, &fds, NULL, NULL, NULL, &before) < 0) {
			if (errno == EINTR)
				continue;
			ready = true; /* reading it will tell what is wrong */
			break;
		}
		ready = FD_ISSET(fd, &fds) && !(stop >= 0 && FD_ISSET(stop, &fds));
		break;
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return ready;
}
