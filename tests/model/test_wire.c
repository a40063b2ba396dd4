/*
 * Every recorded exchange of tests/model/wire is a test: its replies are served whole, in 7-byte and in
 * 1-byte pieces, asked for as a stream and as a whole, and what comes out must be what the file
 * says. tests/model/wire/README.md describes the files.
 */
#include "support/fake_llm.h"
#include "support/test.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include <convo/convo.h>

#include <base/buf.h>
#include <base/json.h>

#define MOST_REPLIES 4
#define MOST_LINES 32

/* An expectation: a word and what follows it. */
struct wire_line {
	char *word, *rest;
};

/* A file, read. */
struct wire_file {
	const char *name;
	char *text; /* what the lines point into */
	bool stream, whole;
	const char *params;
	struct fake_reply replies[MOST_REPLIES];
	struct cv_buf body[MOST_REPLIES], headers[MOST_REPLIES];
	size_t reply_count;
	size_t last_line; /* where the body's last line begins */
	struct wire_line expect[MOST_LINES];
	size_t expect_count;
};

#define MOST_CALLS 130

/* What was heard of one kind, the pieces divided by '|'. */
struct wire_ear {
	struct cv_buf heard[4];
	struct cv_buf calls[MOST_CALLS]; /* the arguments of each */
	size_t call_count;
};

/* ---- reading a file ---------------------------------------------------------------------- */

static int hex(char c)
{
	return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Resolve \r \n \t \\ and \xNN. */
static void unescape(struct cv_buf *out, const char *text)
{
	for (; *text; text++) {
		char c = *text;

		if (c == '\\') {
			c = *++text;
			if (c == 'x') {
				c = (char)(hex(text[1]) << 4 | hex(text[2]));
				text += 2;
			} else {
				c = (char)(c == 'r' ? '\r' : c == 'n' ? '\n' : c == 't' ? '\t' : c);
			}
		}
		must_equal(0, cv_buf_addc(out, c));
	}
}

static struct fake_reply *last_reply(struct wire_file *file)
{
	if (!file->reply_count)
		must_not_reach("%s: no reply begun", file->name);
	return &file->replies[file->reply_count - 1];
}

static void begin_reply(struct wire_file *file, const char *status)
{
	must(file->reply_count < MOST_REPLIES);
	file->reply_count++;
	last_reply(file)->status = atoi(status);
}

static void set_end(struct wire_file *file, const char *name)
{
	static const char *const names[] = {"chunked", "length", "close", "leave",
					    "cut",     "hold",   "drop",  "hang"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]) == 0) {
			last_reply(file)->end = (enum fake_end)i;
			return;
		}
	}
	must_not_reach("%s: no such end: %s", file->name, name);
}

static void add_pause(struct wire_file *file, const char *ms)
{
	struct fake_reply *reply = last_reply(file);
	struct fake_pause pause = {file->body[file->reply_count - 1].len, atoi(ms)};

	must(reply->pause_count < 8);
	reply->pauses[reply->pause_count++] = pause;
}

static void add_header(struct wire_file *file, const char *line)
{
	last_reply(file);
	unescape(&file->headers[file->reply_count - 1], line);
	must_equal(0, cv_buf_adds(&file->headers[file->reply_count - 1], "\r\n"));
}

static void add_body(struct wire_file *file, const char *text, bool newline)
{
	last_reply(file);
	file->last_line = file->body[file->reply_count - 1].len;
	unescape(&file->body[file->reply_count - 1], text);
	if (newline)
		must_equal(0, cv_buf_addc(&file->body[file->reply_count - 1], '\n'));
}

/* Repeat the last body line: "repeat 1000". */
static void repeat_body(struct wire_file *file, const char *times)
{
	struct cv_buf *body = &file->body[file->reply_count - 1];
	size_t len = body->len - file->last_line;
	char *line = strdup(body->data + file->last_line);

	must(line != NULL);
	for (int i = 1; i < atoi(times); i++)
		must_equal(0, cv_buf_add(body, line, len));
	free(line);
}

static void read_word(struct wire_file *file, char *word, char *rest)
{
	if (strcmp(word, "mode") == 0) {
		file->stream = strcmp(rest, "whole") != 0;
		file->whole = strcmp(rest, "stream") != 0;
	} else if (strcmp(word, "params") == 0) {
		file->params = rest;
	} else if (strcmp(word, "reply") == 0) {
		begin_reply(file, rest);
	} else if (strcmp(word, "end") == 0) {
		set_end(file, rest);
	} else if (strcmp(word, "pause") == 0) {
		add_pause(file, rest);
	} else if (strcmp(word, "header") == 0) {
		add_header(file, rest);
	} else if (strcmp(word, "repeat") == 0) {
		repeat_body(file, rest);
	} else {
		must(file->expect_count < MOST_LINES);
		file->expect[file->expect_count++] = (struct wire_line){word, rest};
	}
}

static void read_line(struct wire_file *file, char *line)
{
	char *space = strchr(line, ' ');

	if (!*line || *line == '#')
		return;
	if (*line == '>') {
		bool newline = line[1] != '-';

		line += newline ? 1 : 2;
		add_body(file, *line == ' ' ? line + 1 : line, newline);
		return;
	}
	if (space)
		*space = '\0';
	read_word(file, line, space ? space + 1 : line + strlen(line));
}

static void read_file(struct wire_file *file, const char *name)
{
	const char *path = test_path(WIRE_DIR, name);
	struct cv_buf text = {0};
	FILE *in = fopen(path, "r");
	char *line, *end;
	int c;

	if (!in)
		must_not_reach("%s: cannot be read", path);
	while ((c = getc(in)) != EOF)
		must_equal(0, cv_buf_addc(&text, (char)c));
	fclose(in);
	memset(file, 0, sizeof(*file));
	file->name = name;
	file->stream = file->whole = true;
	file->text = line = cv_buf_take(&text);
	for (; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		read_line(file, line);
	}
	for (size_t i = 0; i < file->reply_count; i++) {
		file->replies[i].headers = cv_buf_str(&file->headers[i]);
		file->replies[i].body = cv_buf_str(&file->body[i]);
		file->replies[i].body_len = file->body[i].len;
	}
}

static void free_file(struct wire_file *file)
{
	for (size_t i = 0; i < file->reply_count; i++) {
		cv_buf_clear(&file->body[i]);
		cv_buf_clear(&file->headers[i]);
	}
	free(file->text);
}

/* ---- asking ------------------------------------------------------------------------------- */

/* One way of running a file, and what came of it. */
struct wire_run {
	const struct wire_file *file;
	size_t piece;
	bool whole;
	struct fake_llm *server;
	struct wire_ear ear;
	int rc;
	struct convo_err err;
	struct convo_answer *answer;
};

/* A call begins with its id and its name, and is heard once it has both. */
static int ear_hear_call(struct wire_ear *ear, const struct convo_delta *delta)
{
	struct cv_buf *heard = &ear->heard[CONVO_DELTA_TOOL_CALL];

	must_equal_str("", delta->text);
	must_equal(0, delta->len);
	must_equal(delta->arguments_len, strlen(delta->arguments));
	must(delta->call <= ear->call_count && delta->call < MOST_CALLS);
	must((delta->call == ear->call_count) == (delta->call_id != NULL));
	must(!delta->call_id == !delta->call_name);
	must(delta->call_id || delta->arguments_len);
	if (delta->call_id) {
		ear->call_count++;
		must_equal(0, cv_buf_addf(heard, "%zu %s %s ", delta->call, delta->call_id,
					  delta->call_name));
	}
	must_equal(0, cv_buf_adds(&ear->calls[delta->call], delta->arguments));
	return cv_buf_addf(heard, "%s|", delta->arguments);
}

static int ear_hear(void *ctx, const struct convo_delta *delta)
{
	struct wire_ear *ear = ctx;

	if (delta->kind == CONVO_DELTA_TOOL_CALL)
		return ear_hear_call(ear, delta);
	must(delta->len > 0 && !delta->call_id && !delta->arguments);
	must_equal(delta->len, strlen(delta->text));
	must_equal(0, cv_buf_add(&ear->heard[delta->kind], delta->text, delta->len));
	return cv_buf_addc(&ear->heard[delta->kind], '|');
}

static void ask(struct wire_run *run)
{
	static const char question[] = "{\"role\":\"user\",\"content\":\"q\"}";
	struct convo_message message = {question, sizeof(question) - 1};
	struct convo_request request = {
		.messages = &message, .count = 1, .whole = run->whole, .params = run->file->params};
	struct convo_listener listener = {.on_delta = ear_hear, .ctx = &run->ear};
	struct convo_model_options opts = {.base_url = fake_llm_base(run->server),
					   .api_key = "sk-wire-secret",
					   .max_answer = 64 << 10,
					   .idle_timeout_ms = 30000};
	convo_model *model = NULL;
	struct convo_err err;

	must_pass(convo_model_open(&model, "test-model", &opts, &err));
	run->rc = convo_model_ask(&run->answer, model, &request, &listener, NULL, &run->err);
	convo_model_close(model);
}

/* ---- comparing ----------------------------------------------------------------------------- */

static void differ(const struct wire_run *run, const char *what, const char *want, const char *got)
{
	must_not_reach("%s (%s, pieces of %zu): %s\n  want %s\n  got  %s", run->file->name,
		       run->whole ? "whole" : "stream", run->piece, what, want,
		       got ? got : "(nothing)");
}

static void want_text(const struct wire_run *run, const struct wire_line *line, const char *got)
{
	struct cv_buf want = {0};
	bool same;

	unescape(&want, line->rest);
	same = got ? strcmp(cv_buf_str(&want), got) == 0 : strcmp(line->rest, "none") == 0;
	cv_buf_clear(&want);
	if (!same)
		differ(run, line->word, line->rest, got);
}

static void want_part(const struct wire_run *run, const struct wire_line *line, const char *got)
{
	if (!got || !strstr(got, line->rest))
		differ(run, line->word, line->rest, got);
}

static void want_pieces(const struct wire_run *run, const struct wire_line *line,
			enum convo_delta_kind kind)
{
	const struct cv_buf *heard = &run->ear.heard[kind];
	char *got = strndup(cv_buf_str(heard), heard->len ? heard->len - 1 : 0);

	if (!run->whole)
		want_text(run, line, got);
	free(got);
}

static void want_number(const struct wire_run *run, const struct wire_line *line, int64_t got)
{
	if (atoll(line->rest) != got)
		differ(run, line->word, line->rest, test_text("%lld", (long long)got));
}

/* What was heard, without the dividers. */
static void want_heard(const struct wire_run *run, const struct wire_line *line,
		       enum convo_delta_kind kind)
{
	const struct cv_buf *heard = &run->ear.heard[kind];
	struct cv_buf got = {0};

	for (size_t i = 0; i < heard->len; i++) {
		if (heard->data[i] != '|')
			must_equal(0, cv_buf_addc(&got, heard->data[i]));
	}
	want_text(run, line, cv_buf_str(&got));
	cv_buf_clear(&got);
}

/* What can be asked of a failed call too. */
static bool compare_any(const struct wire_run *run, const struct wire_line *line)
{
	const char *word = line->word;
	const char *last = fake_llm_request(run->server, fake_llm_requests(run->server) - 1);
	int code = run->rc < 0 ? run->rc : run->answer->code;

	if (strcmp(word, "code") == 0)
		want_text(run, line, convo_code_name(code));
	else if (strcmp(word, "error") == 0)
		want_part(run, line, run->rc < 0 ? run->err.text : run->answer->error);
	else if (strcmp(word, "requests") == 0)
		want_number(run, line, (int64_t)fake_llm_requests(run->server));
	else if (strcmp(word, "sent") == 0)
		want_part(run, line, last);
	else if (strcmp(word, "unsent") == 0 && strstr(last, line->rest))
		differ(run, word, line->rest, last);
	else
		return strcmp(word, "unsent") == 0;
	return true;
}

static void compare_answer(const struct wire_run *run, const struct wire_line *line)
{
	static const char *const statuses[] = {"complete", "interrupted", "failed"};
	const struct convo_answer *answer = run->answer;
	const char *word = line->word;

	if (strcmp(word, "status") == 0)
		want_text(run, line, statuses[answer->status]);
	else if (strcmp(word, "text") == 0)
		want_text(run, line, answer->text);
	else if (strcmp(word, "pieces") == 0)
		want_pieces(run, line, CONVO_DELTA_TEXT);
	else if (strcmp(word, "calls") == 0)
		want_pieces(run, line, CONVO_DELTA_TOOL_CALL);
	else if (strcmp(word, "reasoning") == 0)
		want_heard(run, line, CONVO_DELTA_REASONING);
	else if (strcmp(word, "refusal") == 0)
		want_heard(run, line, CONVO_DELTA_REFUSAL);
	else if (strcmp(word, "message") == 0)
		want_text(run, line, answer->message);
	else if (strcmp(word, "holds") == 0)
		want_part(run, line, answer->message);
	else if (strcmp(word, "finish") == 0)
		want_text(run, line, answer->finish_reason);
	else if (strcmp(word, "model") == 0)
		want_text(run, line, answer->model);
	else if (strcmp(word, "usage") == 0)
		want_text(run, line, answer->usage);
	else if (strcmp(word, "prompt") == 0)
		want_number(run, line, answer->prompt_tokens);
	else if (strcmp(word, "completion") == 0)
		want_number(run, line, answer->completion_tokens);
	else if (strcmp(word, "note") == 0)
		want_text(run, line, answer->note);
	else
		must_not_reach("%s: no such word: %s", run->file->name, word);
}

/* What was heard of each call is what the answer holds of it. */
static void compare_calls(const struct wire_run *run)
{
	const struct convo_answer *answer = run->answer;

	for (size_t i = 0; i < answer->call_count; i++) {
		const struct convo_tool_call *call = convo_answer_call(answer, i);

		must_equal_str(call->arguments, cv_buf_str(&run->ear.calls[i]));
		must(strstr(cv_buf_str(&run->ear.heard[CONVO_DELTA_TOOL_CALL]),
			    test_text("%zu %s %s ", i, call->id, call->name)));
	}
	must(!convo_answer_call(answer, answer->call_count));
	must_equal(answer->call_count > 0, strstr(answer->message, "\"tool_calls\"") != NULL);
}

static void compare(struct wire_run *run)
{
	const char *shown = run->rc < 0 ? run->err.text : run->answer->error;
	struct cv_text json = {0};

	if (shown && strstr(shown, "()"))
		differ(run, "error", "no empty parentheses", shown);
	if (shown && strstr(shown, "sk-wire-secret"))
		differ(run, "the key is shown", "no key", shown);
	if (run->answer) {
		json.data = run->answer->message;
		json.len = run->answer->message_len;
		if (cv_json_check(json, "message", NULL) != JSON_KIND_OBJECT || json.len > 64 << 10)
			differ(run, "message", "storable", json.data);
		compare_calls(run);
	}
	for (size_t i = 0; i < run->file->expect_count; i++) {
		const struct wire_line *line = &run->file->expect[i];

		if (compare_any(run, line))
			continue;
		if (!run->answer)
			differ(run, line->word, line->rest, run->err.text);
		compare_answer(run, line);
	}
}

static void run_file(const struct wire_file *file, size_t piece, bool whole)
{
	struct wire_run run = {.file = file, .piece = piece, .whole = whole};

	run.server = fake_llm_start(file->replies, file->reply_count, piece);
	ask(&run);
	compare(&run);
	for (int i = 0; i < 4; i++)
		cv_buf_clear(&run.ear.heard[i]);
	for (int i = 0; i < MOST_CALLS; i++)
		cv_buf_clear(&run.ear.calls[i]);
	convo_answer_free(run.answer);
	fake_llm_stop(run.server);
}

static void test_exchange(void **state)
{
	static const size_t pieces[] = {0, 7, 1};
	struct wire_file file;

	read_file(&file, *state);
	must(file.reply_count > 0 && file.expect_count > 1);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		if (file.stream)
			run_file(&file, pieces[i], false);
		if (file.whole)
			run_file(&file, pieces[i], true);
	}
	free_file(&file);
}

static int is_exchange(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && strcmp(dot, ".txt") == 0;
}

int main(void)
{
	struct dirent **entries = NULL;
	int count = scandir(WIRE_DIR, &entries, is_exchange, alphasort), failed;
	struct CMUnitTest *tests = count > 0 ? calloc((size_t)count, sizeof(*tests)) : NULL;

	if (!tests) {
		fprintf(stderr, "no exchanges in %s\n", WIRE_DIR);
		return 1;
	}
	for (int i = 0; i < count; i++) {
		tests[i].name = entries[i]->d_name;
		tests[i].test_func = test_exchange;
		tests[i].initial_state = entries[i]->d_name;
	}
	failed = test_run("wire", tests, (size_t)count);
	for (int i = 0; i < count; i++)
		free(entries[i]);
	free(entries);
	free(tests);
	return failed;
}
