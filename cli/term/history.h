/*
 * What was typed before: in memory for the arrows, and on disk for the next time.
 */
#ifndef CLI_TERM_HISTORY_H
#define CLI_TERM_HISTORY_H

#include "term/text.h"

/** Longest entry that is kept on disk, in bytes. */
#define HISTORY_ENTRY_MAX ((size_t)16 << 10)

/**
 * Open the file and remember its newest entries. What is not kept on disk, for want of a `path`, of
 * room or of rights, is not kept silently: it is a convenience.
 */
void history_open(const char *path);

/** How many entries are remembered, and one of them; 0 is the oldest. */
size_t history_count(void);
const struct text *history_at(size_t i);

/** Remember an entry, unless it is the newest already. */
void history_remember(const char *entry, size_t len);

/** Add an entry to the file. */
void history_save(const char *entry, size_t len);

void history_close(void);

#endif
