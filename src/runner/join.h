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

/** Whether a message has a content of text or parts, which can be joined to another's. */
bool cv_join_speaks(const struct convo_message *message);

/** Whether a message is of this role. */
bool cv_join_is_role(const struct convo_message *message, const char *role);

/**
 * Append one message that says what these do, one after the other with an empty line between. Text
 * stays text; where any content is an array of parts, all become parts of one array.
 *
 * @param messages `count` of them, of which each two neighbours fit
 * @param role     of the message that is made, which then holds nothing else beside; NULL: what the
 *                 first one has, each two neighbours are alike
 * @return 0, or a code of cv_buf_add()
 */
int cv_join(struct cv_buf *out, const struct convo_message *messages, size_t count,
	    const char *role);

#endif
