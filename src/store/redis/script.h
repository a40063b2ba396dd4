/*
 * The scripts of the Redis store, which script/embed.sh makes into C.
 */
#ifndef STORE_REDIS_SCRIPT_H
#define STORE_REDIS_SCRIPT_H

#include <stddef.h>

/** The scripts: script/<name>.lua. */
enum redis_script_id {
	REDIS_SCRIPT_OPEN,
	REDIS_SCRIPT_CREATE,
	REDIS_SCRIPT_APPEND,
	REDIS_SCRIPT_LOAD,
	REDIS_SCRIPT_FETCH,
	REDIS_SCRIPT_RENAME,
	REDIS_SCRIPT_LIST,
	REDIS_SCRIPT_DELETE,
	REDIS_SCRIPT_RESTORE,
	REDIS_SCRIPT_PURGE,
	REDIS_SCRIPT_STATE_SET,
	REDIS_SCRIPT_STATE_LIST,
	REDIS_SCRIPT_APP_FITS,
	REDIS_SCRIPT_NOTES,
	REDIS_SCRIPT_CARRY,
	REDIS_SCRIPT_DROP,
	REDIS_SCRIPT_DRAFT,
	REDIS_SCRIPT_EARS,
	REDIS_SCRIPT_FORK,
	REDIS_SCRIPT_MARKS,
	REDIS_SCRIPT_WEIGH,
	REDIS_SCRIPTS
};

struct redis_script {
	const char *source;
	size_t len;
};

extern const struct redis_script cv_redis_scripts[REDIS_SCRIPTS];

#endif
