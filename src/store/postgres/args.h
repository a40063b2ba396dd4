/*
 * Parameters of a PostgreSQL statement in the server's binary format, arrays among them: bytes
 * travel as they are, and nothing needs to be escaped. Knows the format, not the driver.
 */
#ifndef STORE_POSTGRES_ARGS_H
#define STORE_POSTGRES_ARGS_H

#include <store/backend.h>

/** Types by their number in the server's catalogue, which never changes. */
enum pg_type {
	PG_BOOL = 16,
	PG_BYTES = 17,
	PG_INT8 = 20,
	PG_INT2 = 21,
	PG_INT4 = 23,
	PG_TEXT = 25,
	PG_UUID = 2950,
	PG_JSONB = 3802,
	PG_BYTES_ARRAY = 1001,
	PG_INT2_ARRAY = 1005,
	PG_INT4_ARRAY = 1007,
	PG_INT8_ARRAY = 1016,
	PG_TEXT_ARRAY = 1009,
	PG_UUID_ARRAY = 2951,
	PG_JSONB_ARRAY = 3807
};

#define PG_ARGS 30

/** All-zero is valid. What fails while adding is kept in `rc`. */
struct pg_args {
	struct cv_buf bytes;
	int rc;
	int count;
	size_t at[PG_ARGS]; /* where each begins in `bytes` */
	/* As the driver wants them, by pg_args_finish(). */
	unsigned type[PG_ARGS];
	const char *value[PG_ARGS];
	int length[PG_ARGS]; /* -1 while it is NULL */
	int format[PG_ARGS];
};

void cv_pg_args_int(struct pg_args *args, int64_t value);

/** Absent text and a NULL uuid are NULL. */
void cv_pg_args_text(struct pg_args *args, struct cv_text text);
void cv_pg_args_uuid(struct pg_args *args, const unsigned char *uuid);

/** Bytes, which may be none. */
void cv_pg_args_bytes(struct pg_args *args, struct cv_text bytes);

/** JSON as text; absent text is NULL. */
void cv_pg_args_json(struct pg_args *args, struct cv_text json);

/** Begin an array of `count` elements, which follow by the functions below. */
void cv_pg_args_array(struct pg_args *args, enum pg_type element, size_t count);
void cv_pg_item_int(struct pg_args *args, enum pg_type element, int64_t value);
void cv_pg_item_bytes(struct pg_args *args, enum pg_type element, struct cv_text bytes);
void cv_pg_item_uuid(struct pg_args *args, const unsigned char *uuid); /* NULL is NULL */

/** Fill in what the driver wants. @return 0, CONVO_E_NOMEM, CONVO_E_TOOBIG */
int cv_pg_args_finish(struct pg_args *args, struct convo_err *err);

/** Free; it is empty and usable again. */
void cv_pg_args_clear(struct pg_args *args);

#endif
