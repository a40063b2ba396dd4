/*
 * Cancelling: a flag for those who look, and a pipe for those who wait in poll(2). Asking for the
 * stop is one atomic store and one write(2), so a signal handler may do it.
 */
#include <convo/call.h>

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <base/alloc.h>
#include <base/check.h>
#include <base/fail.h>

struct convo_cancel {
	atomic_bool requested;
	int reader, writer; /* the pipe; neither end ever blocks */
};

static bool cancel_prepare(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
	       fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

int convo_cancel_new(convo_cancel **out, struct convo_err *err)
{
	convo_cancel *cancel;
	int ends[2];
	int rc = cv_check_given(out, "where the cancel goes", err);

	if (rc < 0)
		return rc;
	cancel = cv_alloc(1, sizeof(*cancel));
	if (!cancel)
		return cv_fail_nomem(err);
	if (pipe(ends) < 0) {
		free(cancel);
		return cv_fail(err, CONVO_E_IO, "pipe: %s", strerror(errno));
	}
	atomic_init(&cancel->requested, false);
	cancel->reader = ends[0];
	cancel->writer = ends[1];
	if (!cancel_prepare(ends[0]) || !cancel_prepare(ends[1])) {
		convo_cancel_free(cancel);
		return cv_fail(err, CONVO_E_IO, "fcntl: %s", strerror(errno));
	}
	*out = cancel;
	return 0;
}

void convo_cancel_free(convo_cancel *cancel)
{
	if (!cancel)
		return;
	close(cancel->reader);
	close(cancel->writer);
	free(cancel);
}

void convo_cancel_request(convo_cancel *cancel)
{
	int saved = errno;

	if (!cancel)
		return;
	/* A full pipe refuses the byte, and is readable all the same. */
	if (!atomic_exchange(&cancel->requested, true) && write(cancel->writer, "x", 1) < 0)
		errno = 0;
	errno = saved;
}

bool convo_cancel_requested(const convo_cancel *cancel)
{
	return cancel && atomic_load(&cancel->requested);
}

void convo_cancel_reset(convo_cancel *cancel)
{
	char bytes[16];

	if (!cancel)
		return;
	while (read(cancel->reader, bytes, sizeof(bytes)) > 0)
		continue;
	atomic_store(&cancel->requested, false);
}

int convo_cancel_fd(const convo_cancel *cancel)
{
	return cancel ? cancel->reader : -1;
}
