/*
 * Small text helpers that programs on convo need too.
 */
#ifndef CONVO_TEXT_H
#define CONVO_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include <convo/err.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Free a string that a function of this library made. NULL is fine. Thread-safe. */
CONVO_API void convo_free(void *string);

/** Longest duration of any option or call, in ms: 100 years. */
#define CONVO_MAX_DURATION (INT64_C(36600) * 24 * 3600 * 1000)

/** "off" for the options that say so, where 0 asks for the default. */
#define CONVO_OFF (-1)

/**
 * Read a duration: "24h", "1h30m", "90s", "7d", "250ms", "0". Units are d h m s ms, each at most
 * once and from large to small; a number without a unit is an error, but for 0.
 *
 * @param out_ms set to milliseconds, 0 to CONVO_MAX_DURATION; untouched on failure
 * @return 0, CONVO_E_INVALID, also for a pointer of NULL. Thread-safe. Does not block.
 */
CONVO_API int convo_duration_parse(int64_t *out_ms, const char *text, struct convo_err *err);

/**
 * Quote text as a JSON string, with the quotes. Invalid UTF-8 and U+0000 become U+FFFD.
 *
 * @param out  set to a new NUL-terminated string, the caller's to convo_free()
 * @param text may be NULL when len is 0
 * @return 0, CONVO_E_NOMEM, CONVO_E_INVALID for a pointer of NULL. Thread-safe. Does not block.
 */
CONVO_API int convo_json_quote(char **out, const char *text, size_t len, struct convo_err *err);

#ifdef __cplusplus
}
#endif

#endif
