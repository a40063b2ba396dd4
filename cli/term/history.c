/*
 * The history on disk; see history.h. Several programs append to it at once: each entry is one
 * write to a file opened for appending.
 */
#include "term/history.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "settings.h"
#include "term/text.h"

enum { HISTORY_LOAD = 256 << 10, HISTORY_FILE_MAX = 1 << 20 };

static int history_fd = -1;

static bool history_path(struct text *path)
{
	const char *state = getenv("XDG_STATE_HOME");

	if (state && *state)
		return settings_path(path, "XDG_STATE_HOME", ".local/state", "history");
	return settings_path(path, "XDG_DATA_HOME", ".local/share", "history");
}

static bool history_open(struct text *path)
{
	if (!history_path(path))
		return false;
	history_fd = open(path->data, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return history_fd >= 0;
}

/* The end of the file, from the beginning of an entry. @return how much of it there is. */
static size_t history_tail(char *data, off_t *size)
{
	struct stat st;
	off_t from;
	ssize_t n;
	char *start;

	*size = 0;
	if (fstat(history_fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	*size = st.st_size;
	from = st.st_size > HISTORY_LOAD ? st.st_size - HISTORY_LOAD : 0;
	n = pread(history_fd, data, HISTORY_LOAD, from);
	if (n <= 0)
		return 0;
	start = from ? memchr(data, '\n', (size_t)n) : NULL;
	if (!start)
		return from ? 0 : (size_t)n;
	n -= start + 1 - data;
	memmove(data, start + 1, (size_t)n);
	return (size_t)n;
}

/* Replaces a file that has grown large by its newest entries. */
static void history_shrink(const struct text *path, const char *data, size_t len)
{
	struct text fresh = {0};
	bool ok = text_addf(&fresh, "%s.%ld", path->data, (long)getpid());
	int fd = ok ? open(fresh.data, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;

	if (fd >= 0) {
		if (write(fd, data, len) == (ssize_t)len && !rename(fresh.data, path->data)) {
			close(history_fd);
			history_fd = fd;
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

void history_load(void (*each)(void *ctx, const char *entry, size_t len), void *ctx)
{
	struct text path = {0};
	char *data = malloc(HISTORY_LOAD), *line, *end;
	size_t len;
	off_t size;

	if (!data || !history_open(&path))
		goto out;
	len = history_tail(data, &size);
	if (size > HISTORY_FILE_MAX)
		history_shrink(&path, data, len);
	for (line = data; len && (end = memchr(line, '\n', len)); line = end + 1) {
		size_t whole = (size_t)(end - line);

		len -= whole + 1;
		each(ctx, line, history_unescape(line, whole));
	}
out:
	text_clear(&path);
	free(data);
}

void history_add(const char *entry, size_t len)
{
	struct text line = {0};
	size_t i;
	bool ok = true;
	ssize_t written = 0;

	if (history_fd < 0 || len > HISTORY_ENTRY_MAX)
		return;
	for (i = 0; ok && i < len; i++) {
		if (entry[i] == '\n')
			ok = text_adds(&line, "\\n");
		else if (entry[i] == '\\')
			ok = text_adds(&line, "\\\\");
		else
			ok = text_add(&line, &entry[i], 1);
	}
	if (ok && text_adds(&line, "\n"))
		written = write(history_fd, line.data, line.len);
	if (written < 0)
		history_close();
	text_clear(&line);
}

void history_close(void)
{
	if (history_fd >= 0)
		close(history_fd);
	history_fd = -1;
}
