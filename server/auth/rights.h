/*
 * What a key allows.
 */
#ifndef SERVER_AUTH_RIGHTS_H
#define SERVER_AUTH_RIGHTS_H

#include <stdbool.h>

#include "term/text.h"

/** Rights, as bits of http_who and http_route. */
enum auth_right {
	AUTH_READ = 1 << 0, /* read sessions, list models */
	AUTH_CHAT = 1 << 1, /* ask models, write to sessions */
	AUTH_ADMIN = 1 << 2 /* figures of all users, keys */
};

/** Read "chat,read,admin", in any order, one at least. @return success */
bool rights_read(unsigned *out, const char *list);

/** Write them like that. @return success */
bool rights_write(struct text *out, unsigned rights);

#endif
