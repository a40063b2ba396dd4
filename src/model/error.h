/*
 * What servers say when something is wrong, in all the shapes in which they say it.
 */
#ifndef MODEL_ERROR_H
#define MODEL_ERROR_H

#include <model/keep.h>
#include <model/tree.h>

/** What a server said of an error: each one line of valid UTF-8 without secrets, or "". */
struct wire_error {
	char message[192];
	char type[64];
	char code[64];
	char param[64];
	int64_t window, asked; /* tokens that the model takes, and of the request; 0: not said */
};

/** Whether a chunk, a completion or another JSON text is an error. */
bool cv_error_is(const json_t *root);

/** Read an error from a tree. Where no member of a known name tells, the first text in it does. */
void cv_error_read(struct wire_error *out, const json_t *root, const struct secrets *secrets);

/**
 * Read the body of a failed request: JSON of any shape, HTML (its title), or plain text.
 *
 * @param json set to whether it was JSON
 */
void cv_error_read_body(struct wire_error *out, struct cv_text body, const struct secrets *secrets,
			bool *json);

/** Write what is known as a part of a sentence: "the text (code)", either alone, or "". */
void cv_error_tell(char *out, size_t size, const struct wire_error *error);

#endif
