/*
 * See journal.h.
 */
#include "journal.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static_assert(sizeof(struct journal_record) == 512, "a record must not cross a page");

int journal_open(const char *dir, int writer)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/writer-%d", dir, writer);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		_exit(70);
	return fd;
}

void journal_add(int fd, struct journal_record *record)
{
	record->at_us = storm_now_us();
	if (write(fd, record, sizeof(*record)) != (ssize_t)sizeof(*record))
		_exit(71);
}

struct journal_record *journal_read(const char *dir, int writer, size_t *count)
{
	struct journal_record *records = NULL;
	struct stat st = {0};
	char path[512];
	FILE *f;

	*count = 0;
	snprintf(path, sizeof(path), "%s/writer-%d", dir, writer);
	f = fopen(path, "re");
	if (!f)
		return NULL;
	if (fstat(fileno(f), &st) == 0 && st.st_size > 0)
		records = malloc((size_t)st.st_size);
	if (records)
		*count = fread(records, sizeof(*records), (size_t)st.st_size / sizeof(*records), f);
	fclose(f);
	return records;
}

void journal_tell(char *out, size_t size, int writer, const struct journal_record *record)
{
	static const char *const op[] = {"?",         "append",  "creation", "deletion",
					 "restoring", "opening", "reading"};
	static const char *const what[] = {"?",       "tried", "acknowledged",
					   "refused", "maybe", "WRONG"};
	struct storm_session session;
	char events[64] = "";

	storm_session(&session, record->session);
	if (record->op == JOURNAL_APPEND)
		snprintf(events, sizeof(events), " of %d.%" PRIu32 " to %d.%" PRIu32, writer,
			 record->n, writer, record->n + record->count - 1);
	snprintf(out, size, "%.3f s: %s%s, '%s' %s: %s, seq %" PRId64 ", %s%s%.3f s",
		 (double)record->at_us / 1e6, op[record->op], events, session.name,
		 record->generation, what[record->what], record->seq, record->text,
		 record->text[0] ? ", " : "", (double)record->took_us / 1e6);
}
