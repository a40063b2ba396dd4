/*
 * Comparing JSON texts by their meaning: an oracle that shares no code with the library.
 */
#ifndef TESTS_SUPPORT_JSON_SAME_H
#define TESTS_SUPPORT_JSON_SAME_H

#include <stdbool.h>

/**
 * Whether two JSON texts mean the same: members in any order, the last of a name counting; escapes
 * resolved; integers within 64 bits exactly equal and integers on both sides, other numbers equal
 * as doubles. Texts that are not JSON are the same as nothing.
 */
bool json_same(const char *a, const char *b);

#endif
