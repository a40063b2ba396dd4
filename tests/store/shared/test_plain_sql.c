/*
 * The statements of docs/internals/plain-sql.md, as they stand there, on real servers: what the page
 * says they do, they do. A statement is a block "```sql NAME" or "```sql NAME mysql|postgres"; words
 * after a colon in it are values.
 */
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/servers.h"

#define PAGE_MAX 65536
#define VALUES 32

struct plain {
	const char *dialect; /* "mysql" or "postgres" */
	struct server *server;
	char *page;
	const char
		*done; /* names of the blocks that were run, each with a space before and after */
	struct plain_value {
		const char *name, *sql;
	} value[VALUES];
	size_t count;
};

static char *page_read(void)
{
	char *page = calloc(1, PAGE_MAX);
	FILE *file = fopen(PLAIN_SQL_PAGE, "r");

	must(page && file);
	must(fread(page, 1, PAGE_MAX - 1, file) < PAGE_MAX - 1);
	fclose(file);
	return page;
}

/* Find a block by what stands behind its "```sql". @return its text, NULL without one */
static const char *page_block(const char *page, const char *title)
{
	const char *begin = strstr(page, test_text("\n```sql %s\n", title)), *end;

	if (!begin)
		return NULL;
	begin = strchr(begin + 1, '\n') + 1;
	end = strstr(begin, "\n```");
	must(end != NULL);
	return test_text("%.*s", (int)(end - begin), begin);
}

static bool is_word(char c)
{
	return c == '_' || (c >= 'a' && c <= 'z');
}

/* Give a value, as SQL, for all statements from now on. */
static void plain_set(struct plain *plain, const char *name, const char *sql)
{
	size_t i = 0;

	while (i < plain->count && strcmp(plain->value[i].name, name) != 0)
		i++;
	must(i < VALUES);
	plain->value[i] = (struct plain_value){name, sql};
	plain->count = i == plain->count ? i + 1 : plain->count;
}

static const char *plain_value(const struct plain *plain, const char *name, size_t len)
{
	for (size_t i = 0; i < plain->count; i++) {
		if (strlen(plain->value[i].name) == len &&
		    memcmp(plain->value[i].name, name, len) == 0)
			return plain->value[i].sql;
	}
	must_not_reach("no value for :%.*s", (int)len, name);
	return NULL;
}

static const char *plain_fill(const struct plain *plain, const char *text)
{
	char *filled = calloc(1, PAGE_MAX);
	size_t used = 0;
	const char *out;

	must(filled != NULL);
	for (; *text; text++) {
		size_t len = 0;
		const char *value;

		/* "::uuid" is a cast */
		if (*text != ':' || text[1] == ':' || !is_word(text[1])) {
			filled[used++] = *text;
			if (*text == ':' && text[1] == ':')
				filled[used++] = *++text;
			continue;
		}
		while (is_word(text[1 + len]))
			len++;
		value = plain_value(plain, text + 1, len);
		must(used + strlen(value) < PAGE_MAX - 2);
		memcpy(filled + used, value, strlen(value));
		used += strlen(value);
		text += len;
	}
	out = test_text("%s", filled);
	free(filled);
	return out;
}

/* One of the page's statements, with its values. */
static const char *plain_text(struct plain *plain, const char *name)
{
	const char *own = test_text("%s %s", name, plain->dialect);
	const char *text = page_block(plain->page, own);

	if (!text) {
		own = name;
		text = page_block(plain->page, own);
	}
	if (!text)
		must_not_reach("the page has no statement %s", name);
	plain->done = test_text("%s %s ", plain->done, own);
	return plain_fill(plain, text);
}

/* Run them as one transaction. @return what was printed, with a blank between columns */
static const char *plain_run(struct plain *plain, const char *const *names)
{
	bool mysql = strcmp(plain->dialect, "mysql") == 0;
	const char *sql = mysql ? "SET sql_mode = 'ANSI_QUOTES,STRICT_ALL_TABLES'; START "
				  "TRANSACTION; "
				: "BEGIN; ";
	char *text, *at;

	for (; *names; names++)
		sql = test_text("%s%s; ", sql, plain_text(plain, *names));
	text = strdup(server_ask(plain->server, "%s COMMIT", sql));
	must(text != NULL);
	for (at = text; *at; at++)
		*at = *at == '|' || *at == '\t' ? ' ' : *at;
	sql = test_text("%s", text);
	free(text);
	return sql;
}

static int lines(const char *text)
{
	int count = *text ? 1 : 0;

	while ((text = strchr(text, '\n'))) {
		text++;
		count++;
	}
	return count;
}

#define RUN(...) plain_run(plain, (const char *const[]){__VA_ARGS__, NULL})

static const char *plain_uuid(const struct plain *plain, const char *digits)
{
	return strcmp(plain->dialect, "mysql") == 0 ? test_text("x'%s'", digits)
						    : test_text("'%s'", digits);
}

static void plain_begin(struct plain *plain)
{
	plain->page = page_read();
	plain->done = "";
	plain_set(plain, "owner", "-77");
	plain_set(plain, "app_owner", "42");
	plain_set(plain, "no", "1001");
	plain_set(plain, "app", "'chat'");
	plain_set(plain, "user", "'ann'");
	plain_set(plain, "session", "'trip'");
	plain_set(plain, "title", "'A trip'");
	plain_set(plain, "generation", plain_uuid(plain, "0190a6b27c1e4d3f8a4b5c6d7e8f9012"));
	plain_set(plain, "id", plain_uuid(plain, "11111111111141118111111111111111"));
	plain_set(plain, "other", plain_uuid(plain, "22222222222242228222222222222222"));
	plain_set(plain, "message", "'{\"role\":\"user\",\"content\":\"hello\"}'");
	plain_set(plain, "now", "2000000");
	plain_set(plain, "time", "2000");
	plain_set(plain, "ttl", "0");
	plain_set(plain, "trash", "500");
	plain_set(plain, "expires", "0");
	plain_set(plain, "after", "-1");
	plain_set(plain, "bytes", "0");
	plain_set(plain, "kept", "1");
	plain_set(plain, "cut", "1");
	plain_set(plain, "n", "2");
	plain_set(plain, "seq", "1");
	plain_set(plain, "scope", "1");
	plain_set(plain, "name", "'cart'");
	plain_set(plain, "value", "'[1]'");
	plain_set(plain, "position", "9000000");
	plain_set(plain, "place", "0");
	RUN("schema");
}

/* Creating, appending in both ways, and the limit. */
static void plain_events(struct plain *plain)
{
	bool postgres = strcmp(plain->dialect, "postgres") == 0;
	const char *found;

	RUN("create");
	found = RUN("find", "known");
	must(strstr(found, "1 1 0 0 0"));
	must(!strchr(found, '\n'));
	RUN("add", "move");
	must(strstr(RUN("find", "known"), "\n")); /* the id is there */
	plain_set(plain, "after", "0");
	plain_set(plain, "id", plain_uuid(plain, "33333333333343338333333333333333"));
	if (postgres) {
		must_equal_str("", RUN("append")); /* it is not the last one any more */
		plain_set(plain, "after", "1");
		must_equal_str("2\n3", RUN("append"));
	} else {
		plain_set(plain, "seq", "2");
		RUN("add", "move");
		plain_set(plain, "id", plain_uuid(plain, "44444444444444448444444444444444"));
		plain_set(plain, "seq", "3");
		RUN("add", "move");
	}
	plain_set(plain, "seq", "3");
	plain_set(plain, "cut", "2");
	RUN("cut", "move");
	must_equal(2, lines(RUN("load")));
	plain_set(plain, "n", "1");
	found = RUN("load");
	must(strstr(found, "1001 A trip 2 3 0 3 0 {"));
	must_equal(1, lines(found));
}

static void plain_state(struct plain *plain)
{
	must_equal_str("", RUN("counted"));
	plain_set(plain, "bytes", "7");
	RUN("put", "move");
	plain_set(plain, "value", "'[2]'");
	RUN("put", "counted");
	must_equal_str("cart 7", RUN("counted"));
	RUN("scope_add");
	RUN("scope_add", "scope", "scope_bytes");
	must_equal_str("1001 7", RUN("scope"));
	plain_set(plain, "scope", "2");
	plain_set(plain, "name", "'lang'");
	RUN("put");
	must_equal_str("1 cart [2]\n2 lang [2]", RUN("names"));
	RUN("drop");
	must_equal_str("1 cart [2]", RUN("names"));
}

static void plain_lives(struct plain *plain)
{
	plain_set(plain, "title", "'Another'");
	plain_set(plain, "now", "3000000");
	RUN("rename");
	must_equal_str("1001 trip Another 3000000 3", RUN("list"));
	plain_set(plain, "user", "'amy'");
	must_equal_str("-77 chat ann", RUN("owners"));
	plain_set(plain, "user", "'ann'");
	must_equal_str("", RUN("owners"));
	RUN("delete");
	must_equal_str("", RUN("list"));
	must_equal_str("", RUN("find"));
	must(strstr(RUN("find_trash"), "1001 "));
	RUN("restore");
	must(strstr(RUN("find"), "1001 "));
	must_equal_str("", RUN("due"));
	RUN("delete", "purge");
	must_equal_str("", RUN("find_trash"));
	must_equal_str("-77 1001", RUN("due"));
	must(strstr(RUN("due_lock"), "2 2 3 0 "));
	plain_set(plain, "cut", "1002");
	RUN("due_lock", "cut", "clean_state", "clean_session");
	must_equal_str("", RUN("due"));
	plain_set(plain, "expires", "3000001");
	RUN("create");
	plain_set(plain, "now", "3000001");
	must_equal_str("", RUN("find"));
	RUN("bury");
	plain_set(plain, "no", "1002");
	RUN("create");
	must_equal_str("-77 1001\n-77 1002", RUN("due"));
}

/* Every statement that the page has for this dialect was run. */
static void plain_end(struct plain *plain)
{
	static const char begin[] = "\n```sql ";
	const char *at = plain->page;

	while ((at = strstr(at, begin))) {
		const char *title = test_text("%.*s", (int)strcspn(at + strlen(begin), "\n"),
					      at + strlen(begin));
		const char *blank = strchr(title, ' ');

		at++;
		if (blank && strcmp(blank + 1, plain->dialect) != 0)
			continue;
		if (!strstr(plain->done, test_text(" %s ", title)))
			must_not_reach("%s was not run", title);
	}
	free(plain->page);
	server_end(plain->server);
}

static void plain_on(const char *dialect, enum server_kind kind)
{
	struct plain plain = {.dialect = dialect, .server = server_start(kind, SERVER_FAST)};

	if (!plain.server)
		skip();
	plain_begin(&plain);
	plain_events(&plain);
	plain_state(&plain);
	plain_lives(&plain);
	plain_end(&plain);
}

static void test_statements_of_the_page_on_postgres(void **state)
{
	(void)state;
	plain_on("postgres", SERVER_POSTGRES);
}

static void test_statements_of_the_page_on_mariadb(void **state)
{
	(void)state;
	plain_on("mysql", SERVER_MARIADB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_statements_of_the_page_on_postgres),
		cmocka_unit_test(test_statements_of_the_page_on_mariadb),
	};

	return TEST_RUN(tests);
}
