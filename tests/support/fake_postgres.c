/*
 * The fake PostgreSQL; see fake_postgres.h. A connection lives as long as its client or until it is spoiled.
 */
#include "fake_postgres.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "crowd.h"
#include "test.h"

#define MAX_SAID 16
#define MAX_NAMES 64
#define MAX_MESSAGE (1 << 20)

struct fake_postgres {
	struct crowd *crowd;
	pthread_mutex_t lock; /* guards the following */
	struct {
		const char *part;
		struct cv_buf bytes;
	} said[MAX_SAID];
	size_t said_count;
	bool for_ever;
	enum fake_spoil how;
	size_t at, passed;
	bool armed, spoiled;
};

/* A connection: the statements it has prepared, and what the next Execute is about. */
struct fake_client {
	struct fake_postgres *fake;
	int fd;
	bool closing; /* after the answer that is being given */
	size_t names;
	char *name[MAX_NAMES], *sql[MAX_NAMES];
	const char *bound;
};

/* ---- messages ----------------------------------------------------------------------------- */

static void add_number(struct cv_buf *out, size_t size, uint32_t value)
{
	unsigned char raw[4];

	for (size_t i = 0; i < size; i++)
		raw[i] = (unsigned char)(value >> (8 * (size - 1 - i)));
	must_equal(0, cv_buf_add(out, raw, size));
}

void fake_message(struct cv_buf *out, char type, const void *body, size_t len)
{
	must_equal(0, cv_buf_addc(out, type));
	add_number(out, 4, (uint32_t)len + 4);
	must_equal(0, cv_buf_add(out, body, len));
}

void fake_columns(struct cv_buf *out, const unsigned *types, size_t count)
{
	struct cv_buf body = {0};

	add_number(&body, 2, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		must_equal(0, cv_buf_add(&body, "c", 2));
		add_number(&body, 4, 0);
		add_number(&body, 2, 0);
		add_number(&body, 4, types[i]);
		add_number(&body, 2, 0);
		add_number(&body, 4, UINT32_MAX);
		add_number(&body, 2, 1);
	}
	fake_message(out, 'T', cv_buf_str(&body), body.len);
	cv_buf_clear(&body);
}

void fake_row(struct cv_buf *out, const struct fake_column *columns, size_t count)
{
	struct cv_buf body = {0};

	add_number(&body, 2, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		add_number(&body, 4, columns[i].data ? (uint32_t)columns[i].len : UINT32_MAX);
		if (columns[i].data)
			must_equal(0, cv_buf_add(&body, columns[i].data, (size_t)columns[i].len));
	}
	fake_message(out, 'D', cv_buf_str(&body), body.len);
	cv_buf_clear(&body);
}

void fake_complete(struct cv_buf *out, const char *tag)
{
	fake_message(out, 'C', tag, strlen(tag) + 1);
}

/* ---- what an honest server says ------------------------------------------------------------ */

enum {
	BOOL = 16,
	VOID = 2278,
	INT8 = 20,
	INT2 = 21,
	INT4 = 23,
	TEXT = 25,
	UUID = 2950,
	JSONB = 3802
};

#define I8(byte)                         \
	{                                \
		"\0\0\0\0\0\0\0" byte, 8 \
	}
#define ID                             \
	{                              \
		"0123456789abcdef", 16 \
	}
#define NONE            \
	{               \
		NULL, 0 \
	}

static void say_code(struct cv_buf *out)
{
	fake_columns(out, (const unsigned[]){INT4}, 1);
	fake_row(out, &(struct fake_column){"\0\0\0\0", 4}, 1);
	fake_complete(out, "SELECT 1");
}

static void say_append(struct cv_buf *out)
{
	const struct fake_column row[] = {{"\0\0\0\0", 4}, I8("\1"), NONE};

	fake_columns(out, (const unsigned[]){INT4, INT8, TEXT}, 3);
	fake_row(out, row, 3);
	fake_complete(out, "SELECT 1");
}

static void say_held(struct cv_buf *out)
{
	const struct fake_column row[] = {{"\0\0\0\0", 4}, I8("\1"), NONE, NONE};

	fake_columns(out, (const unsigned[]){INT4, INT8, TEXT, INT8}, 4);
	fake_row(out, row, 4);
	fake_complete(out, "SELECT 1");
}

static void say_draft(struct cv_buf *out)
{
	const struct fake_column row[] = {{"\0\0\0\0", 4}, I8("\1")};

	fake_columns(out, (const unsigned[]){INT4, INT8}, 2);
	fake_row(out, row, 2);
	fake_complete(out, "SELECT 1");
}

/* A change of which whoever watches is told. */
static void say_told(struct cv_buf *out)
{
	fake_columns(out, (const unsigned[]){VOID}, 1);
	fake_row(out, &(struct fake_column){"", 0}, 1);
	fake_complete(out, "SELECT 1");
}

static void say_load(struct cv_buf *out)
{
	static const unsigned types[] = {INT2, INT8, INT8, UUID,  INT2,  TEXT,  TEXT, TEXT,
					 TEXT, TEXT, TEXT, JSONB, JSONB, JSONB, JSONB};
	static const char numbers[] = "7 0 1000 1000 1000 0 0 0 0 1 1 1 1 0";
	const struct fake_column rows[3][15] = {
		{{"\0\0", 2},
		 I8("\0"),
		 I8("\0"),
		 ID,
		 {"\0\0", 2},
		 {numbers, sizeof(numbers) - 1},
		 {"title", 5}},
		{{"\0\1", 2},
		 I8("\0"),
		 I8("\0"),
		 NONE,
		 {"\0\1", 2},
		 NONE,
		 {"n", 1},
		 NONE,
		 NONE,
		 NONE,
		 NONE,
		 {"\1[1]", 4}},
		{{"\0\2", 2},
		 I8("\1"),
		 I8("\1"),
		 ID,
		 {"\0\0", 2},
		 {"user", 4},
		 {"user", 4},
		 NONE,
		 NONE,
		 NONE,
		 NONE,
		 {"\1{\"role\": \"user\"}", 17}},
	};

	fake_columns(out, types, 15);
	for (int i = 0; i < 3; i++)
		fake_row(out, rows[i], 15);
	fake_complete(out, "SELECT 3");
}

/* The row of a session that lives. */
static void say_session(struct cv_buf *out)
{
	static const unsigned types[] = {INT8, INT2, INT8, INT8, INT8, INT8, INT8, INT8, INT8,
					 INT8, INT8, INT8, INT8, INT8, UUID, TEXT, TEXT};
	const struct fake_column row[] = {I8("\7"), {"\0\0", 2}, I8("\x09"), I8("\x09"), I8("\x09"),
					  I8("\0"), I8("\0"),    I8("\0"),   I8("\0"),   I8("\1"),
					  I8("\1"), I8("\1"),    I8("\1"),   I8("\0"),   ID,
					  {"s", 1}, {"title", 5}};

	fake_columns(out, types, 17);
	fake_row(out, row, 17);
	fake_complete(out, "SELECT 1");
}

/* The same in a list. */
static void say_listed(struct cv_buf *out)
{
	static const unsigned types[] = {INT8, INT2, INT8, INT8, INT8, INT8, INT8,
					 INT8, INT8, INT8, INT8, INT8, INT8, INT8,
					 UUID, TEXT, TEXT, INT8, TEXT, UUID, INT8};
	const struct fake_column row[] = {
		I8("\7"), {"\0\0", 2}, I8("\x09"),   I8("\x09"), I8("\x09"), I8("\0"), I8("\0"),
		I8("\0"), I8("\0"),    I8("\1"),     I8("\1"),   I8("\1"),   I8("\1"), I8("\0"),
		ID,       {"s", 1},    {"title", 5}, NONE,       {"t", 1},   ID,       I8("\1")};

	fake_columns(out, types, 21);
	fake_row(out, row, 21);
	fake_complete(out, "SELECT 1");
}

static void say_names(struct cv_buf *out)
{
	const struct fake_column row[] = {{"\0\0\0\1", 4}, {"n", 1}, {"\1[1]", 4}};

	fake_columns(out, (const unsigned[]){INT4, TEXT, JSONB}, 3);
	fake_row(out, row, 3);
	fake_complete(out, "SELECT 1");
}

static void say_bytes(struct cv_buf *out)
{
	fake_columns(out, (const unsigned[]){INT8}, 1);
	fake_row(out, &(struct fake_column)I8("\5"), 1);
	fake_complete(out, "SELECT 1");
}

static void say_clean(struct cv_buf *out)
{
	const struct fake_column row[] = {I8("\0"), {"\0", 1}};

	fake_columns(out, (const unsigned[]){INT8, BOOL}, 2);
	fake_row(out, row, 2);
	fake_complete(out, "SELECT 1");
}

static void say_nothing(struct cv_buf *out)
{
	fake_message(out, 'n', "", 0);
	fake_complete(out, "UPDATE 1");
}

static void say_text(struct cv_buf *out)
{
	fake_columns(out, (const unsigned[]){TEXT}, 1);
	fake_row(out, &(struct fake_column){"1000", 4}, 1);
	fake_complete(out, "SELECT 1");
}

static void say_usual(struct cv_buf *out, const char *sql)
{
	static const struct {
		const char *part;
		void (*say)(struct cv_buf *out);
	} usual[] = {
		{"_create(", say_code},
		{"_append(", say_append},
		{"_append_held(", say_held},
		{"_draft(", say_draft},
		{"_fork(", say_code},
		{"_weigh(", say_bytes},
		{"_read(", say_load},
		{"_tell(", say_told},
		{"_clean(", say_clean},
		{"set_config", say_text},
		{"fork_session", say_listed},
		{"SELECT no, life", say_session},
		{"SELECT o.scope", say_names},
		{"SELECT bytes", say_bytes},
		{"", say_nothing},
	};
	size_t i = 0;

	while (!strstr(sql, usual[i].part))
		i++;
	usual[i].say(out);
}

/* A plain question of a migration: how many tables, how many columns, which version. */
static void say_plain(struct cv_buf *out, const char *sql)
{
	const char *value = strstr(sql, "pg_class") ? "5" : "2";

	fake_columns(out, (const unsigned[]){TEXT}, 1);
	fake_row(out, &(struct fake_column){value, 1}, 1);
	fake_complete(out, "SELECT 1");
}

/* ---- talking ------------------------------------------------------------------------------ */

/* Say something, with the spoiled byte if it is in it. */
static bool client_say(struct fake_client *client, struct cv_buf *bytes)
{
	static const unsigned char masks[] = {[FAKE_ZERO] = 0, [FAKE_ONES] = 0xff};
	struct fake_postgres *fake = client->fake;
	size_t len = bytes->len;

	pthread_mutex_lock(&fake->lock);
	if (fake->armed && fake->at >= fake->passed && fake->at < fake->passed + len) {
		char *byte = bytes->data + (fake->at - fake->passed);

		if (fake->how == FAKE_CUT)
			len = fake->at - fake->passed;
		else if (fake->how == FAKE_FLIP)
			*byte = (char)(*byte ^ 1);
		else
			*byte = (char)masks[fake->how];
		fake->armed = false;
		fake->spoiled = client->closing = true;
	}
	fake->passed += bytes->len;
	pthread_mutex_unlock(&fake->lock);
	if (!test_send(client->fd, bytes->data, len) || len < bytes->len)
		return false;
	return true;
}

/* The answer to a statement. */
static bool client_answer(struct fake_client *client, struct cv_buf *out, const char *sql,
			  bool plain)
{
	struct fake_postgres *fake = client->fake;
	struct cv_buf said = {0};
	bool found = false, for_ever;

	pthread_mutex_lock(&fake->lock);
	for (size_t i = fake->said_count; i-- > 0 && !found;) {
		found = strstr(sql, fake->said[i].part) != NULL;
		if (found)
			must_equal(0, cv_buf_add(&said, cv_buf_str(&fake->said[i].bytes),
						 fake->said[i].bytes.len));
	}
	for_ever = found && fake->for_ever;
	pthread_mutex_unlock(&fake->lock);
	if (!found && plain)
		say_plain(&said, sql);
	else if (!found)
		say_usual(&said, sql);
	must_equal(0, cv_buf_add(out, said.data, said.len));
	while (for_ever && client_say(client, out)) {
		cv_buf_reset(out);
		must_equal(0, cv_buf_add(out, said.data, said.len));
	}
	cv_buf_clear(&said);
	return !for_ever;
}

/* Remember a prepared statement; "" is the one without a name. */
static void client_prepare(struct fake_client *client, const char *name)
{
	const char *sql = name + strlen(name) + 1;
	size_t i = 0;

	while (i < client->names && strcmp(client->name[i], name) != 0)
		i++;
	must(i < MAX_NAMES);
	if (i == client->names)
		client->name[client->names++] = strdup(name);
	free(client->sql[i]);
	client->sql[i] = strdup(sql);
}

static void client_bind(struct fake_client *client, const char *portal)
{
	const char *name = portal + strlen(portal) + 1;

	client->bound = "";
	for (size_t i = 0; i < client->names; i++) {
		if (strcmp(client->name[i], name) == 0)
			client->bound = client->sql[i];
	}
}

/* @return false when the connection is over */
static bool client_message(struct fake_client *client, char type, const char *body)
{
	struct cv_buf out = {0};
	bool more = true;

	switch (type) {
	case 'Q':
		more = client_answer(client, &out, body, true);
		fake_message(&out, 'Z', "I", 1);
		break;
	case 'P':
		client_prepare(client, body);
		fake_message(&out, '1', "", 0);
		break;
	case 'B':
		client_bind(client, body);
		fake_message(&out, '2', "", 0);
		break;
	case 'D':
		more = client_answer(client, &out, client->bound, false);
		break;
	case 'S':
		fake_message(&out, 'Z', "I", 1);
		break;
	case 'X':
		more = false;
		break;
	default: /* Execute and Flush: all has been said */
		break;
	}
	if (more && out.len)
		more = client_say(client, &out);
	cv_buf_clear(&out);
	return more && !(client->closing && (type == 'S' || type == 'Q'));
}

static bool read_all(int fd, void *data, size_t len)
{
	char *at = data;

	while (len) {
		ssize_t n = recv(fd, at, len, 0);

		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static bool client_welcome(struct fake_client *client)
{
	static const char *const parameters[] = {"server_version\00015.0", "server_encoding\0UTF8",
						 "client_encoding\0UTF8",
						 "standard_conforming_strings\0on"};
	struct cv_buf out = {0};
	bool more;

	fake_message(&out, 'R', "\0\0\0\0", 4);
	for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
		size_t name = strlen(parameters[i]) + 1;

		fake_message(&out, 'S', parameters[i], name + strlen(parameters[i] + name) + 1);
	}
	fake_message(&out, 'K', "\0\0\0\1\0\0\0\1", 8);
	fake_message(&out, 'Z', "I", 1);
	more = client_say(client, &out);
	cv_buf_clear(&out);
	/* What was spoiled of the welcome shows at once. */
	return more && !client->closing;
}

static void client_serve(struct fake_client *client)
{
	bool welcomed = false, more = true;

	while (more) {
		unsigned char head[5] = {0};
		size_t skip = welcomed ? 0 : 1, len;
		char *body;

		if (!read_all(client->fd, head + skip, 5 - skip))
			break;
		len = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 |
		      head[4];
		if (len < 4 || len > MAX_MESSAGE)
			break;
		body = calloc(1, len);
		must(body != NULL);
		more = read_all(client->fd, body, len - 4);
		if (more && !welcomed && len == 8) {
			more = test_send(client->fd, "N", 1); /* no TLS here */
		} else if (more && !welcomed && len == 16) {
			more = false; /* a cancel, which is not answered */
		} else if (more && !welcomed) {
			welcomed = true;
			more = client_welcome(client);
		} else if (more) {
			more = client_message(client, (char)head[0], body);
		}
		free(body);
	}
	for (size_t i = 0; i < client->names; i++) {
		free(client->name[i]);
		free(client->sql[i]);
	}
}

static void fake_serve(void *ctx, int fd)
{
	struct fake_client client = {.fake = ctx, .fd = fd};

	client_serve(&client);
}

/* ---- the test's side ---------------------------------------------------------------------- */

struct fake_postgres *fake_postgres_start(void)
{
	struct fake_postgres *fake = calloc(1, sizeof(*fake));

	must(fake != NULL);
	pthread_mutex_init(&fake->lock, NULL);
	fake->crowd = crowd_start(fake_serve, fake);
	return fake;
}

void fake_postgres_end(struct fake_postgres *fake)
{
	crowd_end(fake->crowd);
	fake_postgres_say(fake, NULL, NULL);
	pthread_mutex_destroy(&fake->lock);
	free(fake);
}

int fake_postgres_port(const struct fake_postgres *fake)
{
	return crowd_port(fake->crowd);
}

void fake_postgres_say(struct fake_postgres *fake, const char *part, const struct cv_buf *bytes)
{
	pthread_mutex_lock(&fake->lock);
	fake->for_ever = false;
	if (part) {
		must(fake->said_count < MAX_SAID);
		fake->said[fake->said_count].part = part;
		must_equal(0, cv_buf_add(&fake->said[fake->said_count].bytes, cv_buf_str(bytes),
					 bytes->len));
		fake->said_count++;
	}
	while (!part && fake->said_count)
		cv_buf_clear(&fake->said[--fake->said_count].bytes);
	pthread_mutex_unlock(&fake->lock);
}

void fake_postgres_say_for_ever(struct fake_postgres *fake)
{
	pthread_mutex_lock(&fake->lock);
	fake->for_ever = true;
	pthread_mutex_unlock(&fake->lock);
}

void fake_postgres_spoil(struct fake_postgres *fake, enum fake_spoil how, size_t at)
{
	pthread_mutex_lock(&fake->lock);
	fake->how = how;
	fake->at = at;
	fake->passed = 0;
	fake->armed = true;
	fake->spoiled = false;
	pthread_mutex_unlock(&fake->lock);
}

size_t fake_postgres_said(struct fake_postgres *fake)
{
	size_t passed;

	pthread_mutex_lock(&fake->lock);
	passed = fake->passed;
	pthread_mutex_unlock(&fake->lock);
	return passed;
}

bool fake_postgres_spoiled(struct fake_postgres *fake)
{
	bool spoiled;

	pthread_mutex_lock(&fake->lock);
	spoiled = fake->spoiled;
	pthread_mutex_unlock(&fake->lock);
	return spoiled;
}
