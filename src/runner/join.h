/*
 * Neighbouring messages of the user, put together: chat templates that insist on turns refuse two
 * in a row, and would refuse them in every later request too.
 */
#ifndef RUNNER_JOIN_H
#define RUNNER_JOIN_H

#include <stdbool.h>

#include <convo/model.h>

#include <base/buf.h>

/**
 * Whether two messages of the user may go as one: each has a content of text or parts, and what
 * else they hold is the same, such as the name of who speaks.
 */
bool cv_join_fits(const struct convo_message *first, const struct convo_message *second);

/**
 * Append one message that says what these do, one after the other with an empty line between. Text
 * stays text; where any content is an array of parts, all become parts of one array.
 *
 * @param messages `count` of them, 2 or more, of which each two neighbours fit
 * @return 0, or a code of cv_buf_add()
 */
int cv_join(struct cv_buf *out, const struct convo_message *messages, size_t count);

#endif
