/*
 * Where in a JSON text something stands, for people who wrote it.
 */
#ifndef SERVER_CORE_JSON_LINE_H
#define SERVER_CORE_JSON_LINE_H

#include <stddef.h>

/**
 * The line of a value, from 1.
 *
 * @param text valid JSON
 * @param path "models[1].url"; of what is not there the line of the innermost part that is
 */
size_t json_line(const char *text, const char *path);

#endif
