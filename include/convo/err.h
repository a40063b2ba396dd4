/*
 * Errors: one code a program can act on, one line a person can read.
 */
#ifndef CONVO_ERR_H
#define CONVO_ERR_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__GNUC__)
#define CONVO_API __attribute__((visibility("default")))
#else
#define CONVO_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * What a failed call returns. The code says what the caller can do about it. Later versions may
 * add codes: treat one that you do not know as CONVO_E_IO.
 */
enum convo_code {
	CONVO_OK = 0,
	CONVO_E_NOMEM = -1,        /**< out of memory */
	CONVO_E_INVALID = -2,      /**< an argument breaks a rule; the text names it */
	CONVO_E_TOOBIG = -3,       /**< beyond a limit of the contract (N3) or a ceiling */
	CONVO_E_NOTFOUND = -4,     /**< no such session, or it is deleted or expired */
	CONVO_E_EXISTS = -5,       /**< the name is taken by a live session */
	CONVO_E_CONFLICT = -6,     /**< the session has moved on; see convo_err.last_seq */
	CONVO_E_TIMEOUT = -7,      /**< no answer in time; see convo_err.maybe */
	CONVO_E_IO = -8,           /**< disk, network or server trouble, damaged data; see
	                                convo_err.maybe */
	CONVO_E_VERSION = -9,      /**< stored by a newer convo, or not by convo at all */
	CONVO_E_DENIED = -10,      /**< wrong password or key, or a right that is missing */
	CONVO_E_CANCELED = -11,    /**< stopped by the caller: a cancel or a callback; see
	                                convo_err.maybe */
	CONVO_E_UNSUPPORTED = -12, /**< not in this build, or an unknown backend */
	CONVO_E_REFUSED = -13,  /**< the model endpoint answered with an error or with nonsense */
	CONVO_E_FULL = -14,     /**< no room where it is stored: a full disk, a server's memory */
	CONVO_E_READONLY = -15, /**< where it is stored nothing may be written: a file's rights, a
	                             replica; reading works */
	CONVO_E_GONE = -16,     /**< there is no connection: refused, closed, no route, a file or
	                             server that is not there; see convo_err.maybe */
	CONVO_E_BUSY = -17      /**< another one holds the session; see convo_err.busy_ms */
};

/**
 * Where a failed call leaves its reason. The caller's, usually on the stack; it needs no cleanup
 * and no initialisation. Every function that takes one accepts NULL. A failure sets all of it, a
 * success leaves it as it was.
 */
struct convo_err {
	int code; /**< enum convo_code */
	/**
	 * With CONVO_E_TIMEOUT, CONVO_E_IO, CONVO_E_GONE and CONVO_E_CANCELED: the call may have
	 * been carried out. Repeating an append with the same event ids is safe (contract A2, A8).
	 */
	bool maybe;
	int64_t last_seq; /**< with CONVO_E_CONFLICT and CONVO_E_BUSY: the session's last seq now (A3);
	                          else 0 */
	int64_t busy_ms;     /**< with CONVO_E_BUSY: how long it is held without a further sign of
	                          its holder (R1); else 0 */
	int64_t reserved[2]; /**< 0; see version.h */
	/** One line, UTF-8, no newline. Never holds a password, a key or conversation text (L5). */
	char text[232];
};

/**
 * A short name for a code: "not found", "timeout".
 *
 * @param code an enum convo_code; any other value gives "unknown error"
 * @return a static string. Thread-safe.
 */
CONVO_API const char *convo_code_name(int code);

#ifdef __cplusplus
}
#endif

#endif
