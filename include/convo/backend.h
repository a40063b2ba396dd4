/*
 * Which backends there are, for programs that let a person choose one.
 */
#ifndef CONVO_BACKEND_H
#define CONVO_BACKEND_H

#include <stddef.h>

#include <convo/err.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What of a store's URL an environment variable says. */
enum convo_backend_part {
	CONVO_PART_PATH = 1, /**< of a file */
	CONVO_PART_ADDRESS,  /**< host:port, or a whole URL */
	CONVO_PART_HOST,
	CONVO_PART_PORT,
	CONVO_PART_USER,
	CONVO_PART_PASSWORD,
	CONVO_PART_DATABASE
};

/** An environment variable by which programs are told where a store is. Static. */
struct convo_backend_variable {
	enum convo_backend_part part;
	const char *name;     /**< "PG_HOST" */
	const char *standard; /**< what holds when it is not set: "localhost"; of a path the name of
	                           a file in the program's own folder; NULL: nothing */
};

/** A backend. Static and never changed. */
struct convo_backend {
	const char *scheme;         /**< of its URLs: "postgres" */
	const char *name;           /**< for flags and files, a scheme as well: "pgsql" */
	const char *title;          /**< for a person: "PostgreSQL" */
	const char *const *aliases; /**< its other schemes, NULL after the last */
	bool has_schema;            /**< convo_store_schema() knows it */
};

/** The backends that this version knows, in or not in this build. @return the i-th, or NULL. */
CONVO_API const struct convo_backend *convo_backend_at(size_t i);

/** The backend with this scheme, name or alias. @return NULL when there is none, or for NULL. */
CONVO_API const struct convo_backend *convo_backend_find(const char *name);

/** How the environment says where it is. @return the i-th variable, or NULL. */
CONVO_API const struct convo_backend_variable *
convo_backend_variable_at(const struct convo_backend *backend, size_t i);

/** Whether a backend is in this build. NULL: no. */
CONVO_API bool convo_backend_is_built(const struct convo_backend *backend);

#ifdef __cplusplus
}
#endif

#endif
