/*
 * The history; see history.h. The file has an entry a line, newlines and backslashes escaped.
 * Several programs append to it at once: each entry is one write to a file opened for appending.
 */
#include "term/history.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HISTORY_LOAD = 256 << 10, HISTORY_FILE_MAX = 1 << 20, HISTORY_MOST = 1000 };

static struct {
	struct text entry[HISTORY_MOST]; /* a ring */
	size_t first, count;
	int fd;    /* of the file; -1: none */
	bool torn; /* its last line is not whole */
} history = {.fd = -1};

/* ---- in memory ------------------------------------------------------------------------ */

size_t history_count(void)
{
	return history.count;
}

const struct text *history_at(size_t i)
{
	return &history.entry[(history.first + i) % HISTORY_MOST];
}

void history_remember(const char *entry, size_t len)
{
	const struct text *newest = history.count ? history_at(history.count - 1) : NULL;
	struct text copy = {0};

	if (!len || (newest && newest->len == len && !memcmp(newest->data, entry, len)))
		return;
	if (!text_add(&copy, entry, len))
		return;
	if (history.count == HISTORY_MOST) {
		text_clear(&history.entry[history.first]);
		history.first = (history.first + 1) % HISTORY_MOST;
		history.count--;
	}
	history.entry[(history.first + history.count++) % HISTORY_MOST] = copy;
}

/* ---- on disk -------------------------------------------------------------------------- */

/* The end of the file, from the beginning of an entry. @return how much of it there is. */
static size_t history_tail(char *data, off_t *size)
{
	struct stat st;
	off_t from;
	ssize_t n;
	char *start;

	*size = 0;
	if (fstat(history.fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	*size = st.st_size;
	from = st.st_size > HISTORY_LOAD ? st.st_size - HISTORY_LOAD : 0;
	n = pread(history.fd, data, HISTORY_LOAD, from);
	if (n <= 0)
		return 0;
	history.torn = data[n - 1] != '\n';
	start = from ? memchr(data, '\n', (size_t)n) : NULL;
	if (!start)
		return from ? 0 : (size_t)n;
	n -= start + 1 - data;
	memmove(data, start + 1, (size_t)n);
	return (size_t)n;
}

/* Replaces a file that has grown large by its newest entries. */
static void history_shrink(const char *path, const char *data, size_t len)
{
	struct text fresh = {0};
	bool ok = text_addf(&fresh, "%s.%ld", path, (long)getpid());
	int fd = ok ? open(fresh.data, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;

	if (fd >= 0) {
		if (write(fd, data, len) == (ssize_t)len && !rename(fresh.data, path)) {
			close(history.fd);
			history.fd = fd;
		} else {
			unlink(fresh.data);
			close(fd);
		}
	}
	text_clear(&fresh);
}

/* Undoes the escapes of one line, in place. @return the length. */
static size_t history_unescape(char *s, size_t len)
{
	size_t i, to = 0;

	for (i = 0; i < len; i++) {
		if (s[i] == '\\' && i + 1 < len) {
			i++;
			s[to++] = s[i] == 'n' ? '\n' : s[i];
		} else {
			s[to++] = s[i];
		}
	}
	return to;
}

static void history_load(const char *path)
{
	char *data = malloc(HISTORY_LOAD), *line, *end;
	size_t len;
	off_t size;

	if (!data)
		return;
	len = history_tail(data, &size);
	if (size > HISTORY_FILE_MAX)
		history_shrink(path, data, len);
	for (line = data; len && (end = memchr(line, '\n', len)); line = end + 1) {
		size_t whole = (size_t)(end - line);

		len -= whole + 1;
		history_remember(line, history_unescape(line, whole));
	}
	free(data);
}

void history_open(const char *path)
{
	if (!path)
		return;
	history.fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (history.fd >= 0)
		history_load(path);
}

void history_save(const char *entry, size_t len)
{
	struct text line = {0};
	size_t i;
	bool ok = text_adds(&line, history.torn ? "\n" : "");

	for (i = 0; ok && i < len && len <= HISTORY_ENTRY_MAX; i++) {
		if (entry[i] == '\n')
			ok = text_adds(&line, "\\n");
		else if (entry[i] == '\\')
			ok = text_adds(&line, "\\\\");
		else
			ok = text_add(&line, &entry[i], 1);
	}
	if (ok && len <= HISTORY_ENTRY_MAX && history.fd >= 0 && text_adds(&line, "\n"))
		history.torn = write(history.fd, line.data, line.len) != (ssize_t)line.len;
	text_clear(&line);
}

void history_close(void)
{
	if (history.fd >= 0)
		close(history.fd);
	history.fd = -1;
	history.torn = false;
	while (history.count)
		text_clear(&history.entry[(history.first + --history.count) % HISTORY_MOST]);
}
