/*
 * The messages of a request as they are sent: chat templates that insist on user and assistant in turn
 * refuse two of one in a row, and would refuse them in every later request too.
 */
#ifndef RUNNER_PARCEL_H
#define RUNNER_PARCEL_H

#include <convo/runner.h>

/** Whose turn a message is. */
enum side { SIDE_OTHER, SIDE_SYSTEM, SIDE_USER, SIDE_ASSISTANT };

/** A message that goes along. */
struct piece {
	struct convo_message message;
	size_t bytes; /* less the reasoning that the wire leaves out */
	enum side side;
	bool calls;   /* it calls tools */
	bool leads;   /* it is ours, and goes as a part of the user's message after it */
	bool goes_on; /* it is of the same turn as the one before it */
};

/** What is done with neighbours of one side. */
struct parcel_rules {
	enum convo_alternate alternate;
	bool strict;    /* the endpoint refused what the default leaves of them */
	bool no_system; /* it takes no system message */
};

/** What is sent. All-zero is empty. The messages are borrowed, but for those put together. */
struct parcel {
	struct convo_message *messages;
	size_t count;
	size_t joined; /* messages that are a part of the one before them; not one that leads */
	size_t bytes;
	char **made; /* the texts of those put together */
	size_t made_count, made_cap;
};

/**
 * Put messages into an empty parcel, in their order. Neighbours of the user are sent as one (join.h),
 * or kept apart, or an answer is put between them, as the rules say; what leads is joined in any case, and
 * what was said in one turn gets no answer in its midst.
 * Where they are strict, so are
 * those of the assistant and such as differ in a name, and system messages amid the others are the
 * user's; without system messages, all of them are.
 *
 * @return 0, CONVO_E_NOMEM; to be cleared either way
 */
int cv_parcel_fill(struct parcel *out, struct piece *pieces, size_t count,
		   const struct parcel_rules *rules);

/** Whether both hold the same messages, byte for byte. */
bool cv_parcel_same(const struct parcel *a, const struct parcel *b);

void cv_parcel_clear(struct parcel *parcel);

#endif
