/*
 * A conversation as a text to read: what a summary is made of.
 */
#ifndef RUNNER_SCRIPT_H
#define RUNNER_SCRIPT_H

#include <convo/event.h>

#include <base/buf.h>

/**
 * Append who says what, and an empty line.
 *
 * @param most bytes of what is said that are kept, the rest is cut; 0: all
 * @return 0, or a code of cv_buf_add()
 */
int cv_script_add(struct cv_buf *out, const struct convo_event *event, size_t most);

/** How much of a text goes up to its last sentence that ends within `len` bytes; or its last word. */
size_t cv_script_sentence(const char *text, size_t len);

#endif
