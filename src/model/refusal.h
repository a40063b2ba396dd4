/*
 * What a refused request teaches of the endpoint: that the conversation was too long for its model and
 * how long it may be, or that it insists on roles in turn. Servers say it in words; few say it in
 * members.
 */
#ifndef MODEL_REFUSAL_H
#define MODEL_REFUSAL_H

#include <stdbool.h>
#include <stdint.h>

/** All-zero: nothing. */
struct refusal {
	bool too_long;
	int64_t window; /* most tokens that the model takes; 0: it was not said */
	int64_t asked;  /* tokens of the request; 0: it was not said */
	bool alternate; /* user and assistant must take turns */
	bool no_system; /* there must be no system message */
};

/** The least window that is believed: below it a number is another one, or nonsense. */
#define SMALLEST_WINDOW 256
#define LARGEST_WINDOW 1000000000

/**
 * Read the words of an error: valid UTF-8 on one line. What `out` holds already is kept where they
 * add nothing.
 *
 * @param too_long it is known by other means that it was too long
 */
void cv_refusal_read(struct refusal *out, const char *words, bool too_long);

#endif
