/*
 * The history of what was typed, on disk: one entry a line, newlines and backslashes escaped.
 */
#ifndef CLI_TERM_HISTORY_H
#define CLI_TERM_HISTORY_H

#include <stddef.h>

/** Longest entry that is kept on disk, in bytes. */
#define HISTORY_ENTRY_MAX ((size_t)16 << 10)

/**
 * Open the file and give the newest entries to `each`, oldest first. Without a place for the file
 * nothing is kept, silently: it is a convenience.
 */
void history_load(void (*each)(void *ctx, const char *entry, size_t len), void *ctx);

/** Add an entry. */
void history_add(const char *entry, size_t len);

void history_close(void);

#endif
