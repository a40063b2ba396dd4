/*
 * Parameters in PostgreSQL's binary format; see args.h. An array is the number of dimensions,
 * whether it has NULLs, the element type, then for its one dimension length and lower bound, and
 * each element after its length, all of them big-endian.
 */
#include <store/postgres/args.h>

#include <assert.h>

/* The largest batch with its ids and small fields; libpq and the server take up to 1 GiB. */
#define PG_ARGS_MAX (64u << 20)

static void pg_put(struct pg_args *args, const void *data, size_t len)
{
	args->bytes.max = PG_ARGS_MAX;
	if (args->rc == 0)
		args->rc = cv_buf_add(&args->bytes, data, len);
}

static void pg_put_int(struct pg_args *args, size_t size, int64_t value)
{
	unsigned char raw[8];
	size_t i;

	for (i = 0; i < size; i++)
		raw[i] = (unsigned char)((uint64_t)value >> (8 * (size - 1 - i)));
	pg_put(args, raw, size);
}

static void pg_begin(struct pg_args *args, enum pg_type type)
{
	assert(args->count < PG_ARGS);
	args->type[args->count] = type;
	args->at[args->count] = args->bytes.len;
	args->length[args->count] = 0;
	args->count++;
}

static void pg_null(struct pg_args *args)
{
	args->length[args->count - 1] = -1;
}

void cv_pg_args_int(struct pg_args *args, int64_t value)
{
	pg_begin(args, PG_INT8);
	pg_put_int(args, 8, value);
}

void cv_pg_args_text(struct pg_args *args, struct cv_text text)
{
	pg_begin(args, PG_TEXT);
	if (text.data)
		pg_put(args, text.data, text.len);
	else
		pg_null(args);
}

void cv_pg_args_uuid(struct pg_args *args, const unsigned char *uuid)
{
	pg_begin(args, PG_UUID);
	if (uuid)
		pg_put(args, uuid, UUID_BYTES);
	else
		pg_null(args);
}

void cv_pg_args_bytes(struct pg_args *args, struct cv_text bytes)
{
	pg_begin(args, PG_BYTES);
	if (bytes.len)
		pg_put(args, bytes.data, bytes.len);
}

void cv_pg_args_json(struct pg_args *args, struct cv_text json)
{
	pg_begin(args, PG_JSONB);
	if (!json.data) {
		pg_null(args);
		return;
	}
	pg_put_int(args, 1, 1); /* the version of the format */
	pg_put(args, json.data, json.len);
}

static enum pg_type pg_array_of(enum pg_type element)
{
	switch (element) {
	case PG_BYTES:
		return PG_BYTES_ARRAY;
	case PG_INT2:
		return PG_INT2_ARRAY;
	case PG_INT4:
		return PG_INT4_ARRAY;
	case PG_INT8:
		return PG_INT8_ARRAY;
	case PG_UUID:
		return PG_UUID_ARRAY;
	case PG_JSONB:
		return PG_JSONB_ARRAY;
	default:
		return PG_TEXT_ARRAY;
	}
}

void cv_pg_args_array(struct pg_args *args, enum pg_type element, size_t count)
{
	pg_begin(args, pg_array_of(element));
	pg_put_int(args, 4, count ? 1 : 0);
	pg_put_int(args, 4, 1);
	pg_put_int(args, 4, element);
	if (count) {
		pg_put_int(args, 4, (int64_t)count);
		pg_put_int(args, 4, 1);
	}
}

void cv_pg_item_int(struct pg_args *args, enum pg_type element, int64_t value)
{
	size_t size = element == PG_INT2 ? 2 : element == PG_INT4 ? 4 : 8;

	pg_put_int(args, 4, (int64_t)size);
	pg_put_int(args, size, value);
}

void cv_pg_item_uuid(struct pg_args *args, const unsigned char *uuid)
{
	cv_pg_item_bytes(args, PG_UUID, (struct cv_text){(const char *)uuid, UUID_BYTES});
}

void cv_pg_item_bytes(struct pg_args *args, enum pg_type element, struct cv_text bytes)
{
	if (!bytes.data) {
		pg_put_int(args, 4, -1);
		return;
	}
	/* JSONB travels as its version and then text. */
	pg_put_int(args, 4, (int64_t)(bytes.len + (element == PG_JSONB)));
	if (element == PG_JSONB)
		pg_put_int(args, 1, 1);
	pg_put(args, bytes.data, bytes.len);
}

int cv_pg_args_finish(struct pg_args *args, struct convo_err *err)
{
	const char *bytes = cv_buf_str(&args->bytes);
	int i;

	if (args->rc < 0)
		return cv_buf_fail(err, args->rc);
	for (i = 0; i < args->count; i++) {
		size_t end = i + 1 < args->count ? args->at[i + 1] : args->bytes.len;

		args->format[i] = 1;
		args->value[i] = args->length[i] < 0 ? NULL : bytes + args->at[i];
		if (args->length[i] >= 0)
			args->length[i] = (int)(end - args->at[i]);
	}
	return 0;
}

void cv_pg_args_clear(struct pg_args *args)
{
	cv_buf_clear(&args->bytes);
	memset(args, 0, sizeof(*args));
}
