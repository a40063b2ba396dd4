/*
 * Pasted blocks: a long one stands in the line as "[paste 1: 200 lines, 3092 bytes]", its label,
 * until the line is sent.
 */
#ifndef CLI_TERM_PASTE_H
#define CLI_TERM_PASTE_H

#include "term/text.h"

/** Add what the terminal sent of a block: line ends come as CR. @return false: too big. */
bool paste_add(struct text *block, const char *data, size_t len);

/** The block is whole. */
void paste_end(struct text *block);

size_t paste_lines(const struct text *block);

/** Whether a block had better be kept aside than put into the line. */
bool paste_is_long(const struct text *block);

/** Keep a block aside; it is taken from the caller. @return its label. */
const char *paste_keep(struct text *block);

/** Put the blocks where their labels stand. @return false: too big. */
bool paste_expand(struct text *out, const struct text *typed);

/** Forget all blocks. */
void paste_clear(void);

#endif
