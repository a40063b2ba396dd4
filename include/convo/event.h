/*
 * An event: one message of a conversation and what is known about it.
 */
#ifndef CONVO_EVENT_H
#define CONVO_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include <convo/err.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How the making of a message ended. */
enum convo_status {
	CONVO_COMPLETE = 0,    /**< whole */
	CONVO_INTERRUPTED = 1, /**< stopped by its reader; the message holds what came */
	CONVO_FAILED = 2       /**< cut by an error; the message holds what came */
};

/**
 * One event.
 *
 * Passed to convo_store_append(): borrowed for the call; all-zero but for `message` is valid.
 * Read from a session: lives as long as the session, and every pointer but the optional ones is
 * set. All strings are NUL-terminated UTF-8; the JSON members hold JSON text (RFC 8259).
 *
 * Text is kept exactly, up to JSON's own equivalences (contract N2). U+0000, raw or escaped, lone
 * surrogates, invalid UTF-8, numbers beyond a double and nesting deeper than CONVO_JSON_DEPTH
 * are refused with CONVO_E_INVALID on every backend alike.
 */
struct convo_event {
	int64_t seq;        /**< 1, 2, 3 ... in its session; given by the store (A1) */
	int64_t time_ms;    /**< Unix time in ms; given by the store; never decreases with seq */
	const char *id;     /**< a UUID (RFC 9562) from the writer, any case; NULL asks for one.
	                       Read back in lower case. What makes a retry safe (A2) */
	const char *author; /**< who made it, 1 to 255 bytes; NULL means the message's role */
	const char *turn;   /**< groups what one request produced, up to 255 bytes; optional */
	const char *role;   /**< the message's "role"; set when read, ignored when appended */
	enum convo_status status;
	const char *message; /**< an OpenAI chat message: a JSON object with a string "role" */
	size_t message_len;  /**< bytes; 0 with a message set means strlen(message) */
	const char *model;   /**< optional: which model answered, up to 255 bytes */
	const char *finish_reason; /**< optional, up to 255 bytes */
	const char *error;         /**< optional: one line that says why it is not complete */
	const char *usage;         /**< optional: a JSON object */
	/**
	 * Optional: a JSON object of state changes, applied in the same atomic step as the event
	 * (A6). A plain name goes to the session, `user:` and `app:` names to those scopes,
	 * `temp:` names nowhere; null removes a name.
	 */
	const char *state;
	const char *extra;       /**< optional: any JSON object */
	const void *reserved[6]; /**< NULL; see version.h */
};

/** Deepest nesting of any stored JSON text; the same on every backend. */
#define CONVO_JSON_DEPTH 30

/** Largest sizes, in bytes of JSON text (contract N3). */
#define CONVO_MAX_EVENT (4u << 20)
#define CONVO_MAX_BATCH_EVENTS 1000u
#define CONVO_MAX_BATCH (16u << 20)
#define CONVO_MAX_VALUE (1u << 20)
#define CONVO_MAX_STATE (4u << 20)
/** Longest app, user, session and state name, in bytes (contract N1). */
#define CONVO_MAX_NAME 255u

/**
 * The text of a message for a person: its "content" string, or the text parts of a content array,
 * one after the other.
 *
 * @param out     set to a new string, the caller's to convo_free() with the C library; "" when the
 *                message has no text
 * @param message the JSON text of a chat message
 * @param len     its length in bytes
 * @return 0, CONVO_E_INVALID when it is not a JSON object or a pointer is NULL, CONVO_E_NOMEM
 *
 * Thread-safe. Does not block.
 */
CONVO_API int convo_message_text(char **out, const char *message, size_t len,
				 struct convo_err *err);

/**
 * Make a plain chat message: {"role":role,"content":text}.
 *
 * Invalid UTF-8 and U+0000 in `text` become U+FFFD, so that what a person typed or a model said
 * can always be stored.
 *
 * @param out  set to a new NUL-terminated JSON text, the caller's to convo_free()
 * @param role "system", "user", "assistant" ...
 * @param text any bytes
 * @param len  their number
 * @return 0, CONVO_E_INVALID when out, role or text (with a len) is NULL, CONVO_E_NOMEM
 *
 * Thread-safe. Does not block.
 */
CONVO_API int convo_message_make(char **out, const char *role, const char *text, size_t len,
				 struct convo_err *err);

/** Bytes of a UUID as text, with the NUL after it. */
#define CONVO_UUID_SIZE 37

/**
 * Make a fresh event id: a version 7 UUID (RFC 9562), so that ids made one after the other sort
 * that way and indexes stay compact.
 *
 * @param out receives 36 characters and a NUL; NULL: nothing is made
 *
 * Thread-safe. Does not block.
 */
CONVO_API void convo_uuid_make(char out[CONVO_UUID_SIZE]);

#ifdef __cplusplus
}
#endif

#endif
