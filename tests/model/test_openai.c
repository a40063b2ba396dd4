/*
 * The endpoint model over real sockets: URLs and keys, connections, timeouts, cancelling, retries,
 * TLS, proxies, many threads. What replies mean is tested by test_wire.
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include "support/fake_llm.h"
#include "support/oom.h"
#include "support/test.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <jansson.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <convo/convo.h>

#include <base/buf.h>
#include <base/clock.h>

#define EVENT(text) "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define FINISH "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define DONE "data: [DONE]\n\n"
#define EVENTS_HEADER "Content-Type: text/event-stream\r\n"
#define JSON_HEADER "Content-Type: application/json\r\n"

/* ---- helpers ----------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
	return cv_clock_mono_us() / 1000;
}

static void sleep_ms(int ms)
{
	usleep((useconds_t)ms * 1000);
}

static struct fake_reply reply_of(const char *body, enum fake_end end)
{
	struct fake_reply reply = {
		.headers = EVENTS_HEADER, .body = body, .body_len = strlen(body), .end = end};

	return reply;
}

static struct fake_reply error_reply(int status, const char *headers, const char *body)
{
	struct fake_reply reply = {.status = status,
				   .headers = headers,
				   .body = body,
				   .body_len = strlen(body),
				   .end = FAKE_LENGTH};

	return reply;
}

/* A model with short timeouts and no retries. */
static struct convo_model_options options_of(const char *base)
{
	struct convo_model_options opts = {.base_url = base,
					   .api_key = "sk-test-secret",
					   .connect_timeout_ms = 2000,
					   .idle_timeout_ms = 5000,
					   .max_retries = -1};

	return opts;
}

static convo_model *open_model(const struct convo_model_options *opts)
{
	convo_model *model = NULL;
	struct convo_err err;

	must_pass(convo_model_open(&model, "test-model", opts, &err));
	return model;
}

static int ask_with(struct convo_answer **answer, convo_model *model,
		    const struct convo_listener *listener, convo_cancel *cancel,
		    struct convo_err *err)
{
	static const char question[] = "{\"role\":\"user\",\"content\":\"q\"}";
	struct convo_message message = {question, sizeof(question) - 1};
	struct convo_request request = {.messages = &message, .count = 1};

	*answer = NULL;
	return convo_model_ask(answer, model, &request, listener, cancel, err);
}

static void must_answer(convo_model *model, const char *text)
{
	struct convo_answer *answer;
	struct convo_err err;

	must_pass(ask_with(&answer, model, NULL, NULL, &err));
	must_equal(CONVO_COMPLETE, answer->status);
	must_equal_str(text, answer->text);
	convo_answer_free(answer);
}

/* Ask once for an answer that fails, and give the error's text. */
static const char *must_fail_to_ask(int code, const struct convo_model_options *opts)
{
	convo_model *model = open_model(opts);
	struct convo_answer *answer;
	struct convo_err err;

	must_fail_with(code, ask_with(&answer, model, NULL, NULL, &err));
	convo_model_close(model);
	return test_text("%s", err.text);
}

/* Counts waits, and stops at the `stop_at`-th. */
struct waits {
	int count, stop_at;
	struct convo_wait last;
};

static int on_wait(void *ctx, const struct convo_wait *wait)
{
	struct waits *waits = ctx;

	waits->last = *wait;
	must(wait->reason && *wait->reason);
	waits->last.reason = NULL;
	return ++waits->count == waits->stop_at;
}

/* ---- a resolver that hangs ---------------------------------------------------------------- */

typedef int (*resolve_fn)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* Found before the C library's by libcurl. */
__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
						       const struct addrinfo *hints,
						       struct addrinfo **found)
{
	resolve_fn next;
	void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");

	if (node && strcmp(node, "slow.test") == 0) {
		sleep_ms(1500);
		return EAI_FAIL;
	}
	memcpy(&next, &symbol, sizeof(next));
	return next(node, service, hints, found);
}

/* ---- a port that nobody answers ----------------------------------------------------------- */

/* A listener whose queue is full: connections to it neither succeed nor fail. */
struct black_hole {
	int listener, fill[8];
	const char *base;
};

static void black_hole_open(struct black_hole *hole)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof(address);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	hole->listener = socket(AF_INET, SOCK_STREAM, 0);
	must_equal(0, bind(hole->listener, (struct sockaddr *)&address, sizeof(address)));
	must_equal(0, listen(hole->listener, 0));
	must_equal(0, getsockname(hole->listener, (struct sockaddr *)&address, &len));
	for (size_t i = 0; i < 8; i++) {
		hole->fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(hole->fill[i], (struct sockaddr *)&address, sizeof(address));
	}
	hole->base = test_text("http://127.0.0.1:%d/v1", ntohs(address.sin_port));
}

static void black_hole_close(struct black_hole *hole)
{
	for (size_t i = 0; i < 8; i++)
		close(hole->fill[i]);
	close(hole->listener);
}

/* ---- cancelling from elsewhere ------------------------------------------------------------ */

struct canceller {
	convo_cancel *cancel;
	int after_ms;
	int64_t asked_ms; /* when it was asked for */
	pthread_t thread;
};

static void *cancel_later(void *arg)
{
	struct canceller *canceller = arg;

	sleep_ms(canceller->after_ms);
	canceller->asked_ms = now_ms();
	convo_cancel_request(canceller->cancel);
	return NULL;
}

/* Ask, cancel after a while, and check that it took less than 100 ms from then. */
static int ask_and_cancel(struct convo_answer **answer, convo_model *model, int after_ms,
			  const struct convo_listener *listener, struct convo_err *err)
{
	struct canceller canceller = {.after_ms = after_ms};
	int64_t ended;
	int rc;

	must_equal(0, convo_cancel_new(&canceller.cancel, NULL));
	must_equal(0, pthread_create(&canceller.thread, NULL, cancel_later, &canceller));
	rc = ask_with(answer, model, listener, canceller.cancel, err);
	ended = now_ms();
	pthread_join(canceller.thread, NULL);
	convo_cancel_free(canceller.cancel);
	must(ended >= canceller.asked_ms);
	must(ended - canceller.asked_ms < 100);
	return rc;
}

static void must_cancel_silence(const char *base, int max_retries)
{
	struct convo_model_options opts = options_of(base);
	struct convo_answer *answer;
	convo_model *model;
	struct convo_err err;

	opts.max_retries = max_retries;
	model = open_model(&opts);
	must_fail_with(CONVO_E_CANCELED, ask_and_cancel(&answer, model, 80, NULL, &err));
	convo_model_close(model);
}

static void test_cancel__while_connecting(void **state)
{
	struct black_hole hole;

	(void)state;
	black_hole_open(&hole);
	must_cancel_silence(hole.base, -1);
	black_hole_close(&hole);
}

static void test_cancel__while_resolving(void **state)
{
	(void)state;
	must_cancel_silence("http://slow.test:9/v1", -1);
}

static void test_cancel__while_waiting_for_the_first_byte(void **state)
{
	struct fake_reply reply = reply_of("", FAKE_HANG);
	struct fake_llm *server = fake_llm_start(&reply, 1, 0);

	(void)state;
	must_cancel_silence(fake_llm_base(server), -1);
	sleep_ms(50);
	must_equal(1, fake_llm_gone(server));
	fake_llm_stop(server);
}

static void test_cancel__while_waiting_for_a_retry(void **state)
{
	struct fake_reply reply = error_reply(429, "Retry-After: 60\r\n", "{}");
	struct fake_llm *server = fake_llm_start(&reply, 1, 0);

	(void)state;
	must_cancel_silence(fake_llm_base(server), 2);
	must_equal(1, fake_llm_requests(server));
	fake_llm_stop(server);
}

static void test_cancel__in_the_middle_keeps_what_came(void **state)
{
	struct fake_reply reply = reply_of(EVENT("Hel") EVENT("lo"), FAKE_HOLD);
	struct fake_llm *server = fake_llm_start(&reply, 1, 0);
	struct convo_model_options opts = options_of(fake_llm_base(server));
	convo_model *model = open_model(&opts);
	struct convo_answer *answer;
	struct convo_err err;

	(void)state;
	must_pass(ask_and_cancel(&answer, model, 80, NULL, &err));
	must_equal(CONVO_INTERRUPTED, answer->status);
	must_equal(CONVO_E_CANCELED, answer->code);
	must_equal_str("Hello", answer->text);
	convo_answer_free(answer);
	sleep_ms(50);
	must_equal(1, fake_llm_gone(server));
	convo_model_close(model);
	fake_llm_stop(server);
}

static convo_cancel *signalled;

static void on_alarm(int number)
{
	(void)number;
	convo_cancel_request(signalled);
}

static void test_cancel__from_a_signal_handler(void **state)
{
	struct fake_reply reply = reply_of(EVENT("Hello"), FAKE_HOLD);
	struct fake_llm *server = fake_llm_start(&reply, 1, 0);
	struct convo_model_options opts = options_of(fake_llm_base(server));
	convo_model *model = open_model(&opts);
	struct sigaction action = {.sa_handler = on_alarm}, before;
	struct itimerval timer = {.it_value = {.tv_usec = 80000}};
	struct convo_answer *answer;
	int64_t began = now_ms();
	struct convo_err err;

	(void)state;
	must_pass(convo_cancel_new(&signalled, &err));
	must_equal(0, sigaction(SIGALRM, &action, &before));
	must_equal(0, setitimer(ITIMER_REAL, &timer, NULL));
	must_pass(ask_with(&answer, model, NULL, signalled, &err));
	must(now_ms() - began < 180);
	must_equal(CONVO_INTERRUPTED, answer->status);
	must_equal_str("Hello", answer->text);
	convo_answer_free(answer);
	sigaction(SIGALRM, &before, NULL);
	convo_cancel_free(signalled);
	convo_model_close(model);
	fake_llm_stop(server);
}

static int stop_at_once(void *ctx, const struct convo_delta *delta)
{
	(void)ctx;
	(void)delta;
	return 1;
}

static void test_cancel__by_the_listener_closes_the_connection(void **state)
{
	struct fake_reply replies[] = {reply_of(EVENT("Hel") EVENT("lo"), FAKE_HOLD),
				       reply_of(EVENT("again") DONE, FAKE_CHUNKED)};
	struct fake_llm *server = fake_llm_start(replies, 2, 0);
	struct convo_model_options opts = options_of(fake_llm_base(server));
	convo_model *model = open_model(&opts);
	struct convo_listener listener = {.on_delta = stop_at_once};
	struct convo_answer *answer;
	struct convo_err err;

	(void)state;
	must_pass(ask_with(&answer, model, &listener, NULL, &err));
	must_equal(CONVO_INTERRUPTED, answer->status);
	must_equal_str("Hel", answer->text);
	convo_answer_free(answer);
	sleep_ms(50);
	must_equal(1, fake_llm_gone(server));
	must_answer(model, "again");
	convo_model_close(model);
	fake_llm_stop(server);
}

/* ---- URLs and keys ------------------------------------------------------------------------ */

static void must_call(const char *suffix, const char *target)
{
	struct fake_reply reply = reply_of(EVENT("Hello") DONE, FAKE_CHUNKED);
	struct fake_llm *server = fake_llm_start(&reply, 1, 0);
	size_t root = strlen(fake_llm_base(server)) - strlen("/v1");
	const char *base = test_text("%.*s%s", (int)root, fake_llm_base(server), suffix);
	struct convo_model_options opts = options_of(base);
	convo_model *model = open_model(&opts);
	const char *line = test_text("POST %s HTTP/1.1\r\n", target);

	must_answer(model, "Hello");
	must(strncmp(fake_llm_request(server, 0), line, strlen(line)) == 0);
	convo_model_close(model);
	fake_llm_stop(server);
}

static void test_url__is_joined_without_doubling_anything(void **state)
{
	(void)state;
	must_call("/v1", "/v1/chat/completions");
	must_call("/v1/", "/v1/chat/completions");
	must_call("/v1//", "/v1/chat/completions");
	must_call("", "/chat/completions");
	must_call("/", "/chat/completions");
	must_call("/v1/chat/completions", "/v1/chat/completions");
	must_call("/v1/chat/completions/", "/v1/chat/completions");
	must_call("/a%20b/v4#x", "/a%20b/v4/chat/completions");
	must_call("/openai/x?api-version=1", "/openai/x/chat/completions?api-version=1");
}

static void test_url__must_be_one(void **state)
{
	static const char *const bad[][2] = {
		{"localhost:8080/v1", "'localhost:8080/v1' is wrong: it lacks http:// or https://"},
		{"127.0.0.1:9/v1", "'127.0.0.1:9/v1' is wrong: it lacks http:// or https://"},
		{"x", "'x' is wrong: it lacks http://"},
		{"joe:s3cret@host/v1?k=s3cret", "'host/v1' is wrong: it lacks http://"},
		{"joe:s3/cret@host", "'host' is wrong: it lacks http://"},
		{"ftp://joe:s3cret@host/v1", "'host/v1' is wrong: it must begin with http://"},
		{"file:///etc/passwd", "'file:///etc/passwd' is wrong: it must begin with"},
		{"http://", "'http://' is wrong: it names no host"},
		{"http://joe:s3cret@/v1", "'/v1' is wrong: it names no host"},
		{"http://a b/v1", "'http://a b/v1' is wrong: it holds a blank"},
		{"http://host:99999/v1", "'http://host:99999/v1' is wrong: its port is none"},
		{"http://host:/v1", "its port is none"},
		{"http://[::1/v1", "its IPv6 address is none"},
	};
	convo_model *model = NULL;
	struct convo_err err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct convo_model_options opts = {.base_url = bad[i][0]};

		must_fail_with(CONVO_E_INVALID, convo_model_open(&model, "m", &opts, &err));
		if (!strstr(err.text, bad[i][1]) || strstr(err.text, "s3"))
			must_not_reach("%s: %s", bad[i][0], err.text);
	}
	must(!model);
}

static void test_url__its_secrets_are_not_shown(void **state)
{
	struct fake_reply reply = error_reply(404, JSON_HEADER, "{\"detail\":\"Not Found\"}");
	struct fake_llm *server = fake_llm_start(&reply, 1, 0);
	const char *rest = fake_llm_base(server) + strlen("http://");
	struct convo_model_options opts =
		options_of(test_text("http://joe:pass%%21word@%s?code=hidden", rest));
	const char *text = must_fail_to_ask(CONVO_E_NOTFOUND, &opts);

	(void)state;
	must(strstr(text, rest) != NULL);
	must(!strstr(text, "joe") && !strstr(text, "word") && !strstr(text, "hidden"));
	must(strstr(fake_llm_request(server, 0), "?code=hidden ") != NULL);
	fake_llm_stop(server);
}

static void test_key__odd_characters_are_refused_and_not_shown(void **state)
{
	static const char *const bad[] = {"sk-odd\nkey", "sk-odd key", "sk-odd\r", "sk-odd\xc3\xa9",
					  "\tsk-odd"};
	convo_model *model = NULL;
	struct convo_err err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct convo_model_options opts = {.api_key = bad[i]};

		must_fail_with(CONVO_E_INVALID, convo_model_open(&model, "m", &opts, &err));
		must(!strstr(err.text, "sk-odd"));
	}
}

static void test_key__none_means_no_authorization(void **state)
{
	struct fake_reply reply = reply_of(EVENT("Hello") DONE, FAKE_CHUNKED);
	struct fake_llm *server = fake_llm_start(&reply, 1, 0);
	struct convo_model_options opts = {.base_url = fake_llm_base(server), .api_key = ""};
	convo_model *model = open_model(&opts);

	(void)state;
	must_answer(model, "Hello");
	must(!strstr(fake_llm_request(server, 0), "Authorization"));
	convo_model_close(model);
	fake_llm_stop(server);
}

static void test_options__must_make_sense(void **state)
{
	static const struct {
		struct convo_model_options opts;
		const char *named;
	} bad[] = {{{.connect_timeout_ms = -1}, "connect_timeout_ms"},
		   {{.idle_timeout_ms = INT_MIN}, "idle_timeout_ms"},
		   {{.max_retries = -2}, "max_retries"},
		   {{.max_retries = INT_MAX}, "max_retries"},
		   {{.max_answer = 10}, "max_answer"},
		   {{.max_answer = SIZE_MAX}, "max_answer"}};
	convo_model *model = NULL;
	struct convo_err err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		must_fail_with(CONVO_E_INVALID, convo_model_open(&model, "m", &bad[i].opts, &err));
		must(strstr(err.text, bad[i].named) != NULL);
	}
}

/* ---- requests ----------------------------------------------------------------------------- */

static void test_request__thinking_stays_out_of_the_history(void **state)
{
	struct fake_reply reply = reply_of(EVENT("Hello") DONE, FAKE_CHUNKED);
	struct fake_llm *server = fake_llm_start(&reply, 1, 0);
	struct convo_model_options opts = options_of(fake_llm_base(server));
	convo_model *model = open_model(&opts);
	static const char plain[] =
		"{\"role\":\"assistant\",\"reasoning_content\":\"secret \\\"}\","
		"\"content\":\"a\",\"reasoning\":\"hidden\"}";
	static const char tools[] = "{\"role\":\"assistant\",\"content\":null,"
				    "\"reasoning_content\":\"kept\",\"tool_calls\":[]}";
	struct convo_message messages[] = {{plain, sizeof(plain) - 1}, {tools, sizeof(tools) - 1}};
	struct convo_request request = {.messages = messages, .count = 2};
	struct convo_answer *answer = NULL;
	struct convo_err err;

	(void)state;
	must_pass(convo_model_ask(&answer, model, &request, NULL, NULL, &err));
	convo_answer_free(answer);
	must(strstr(fake_llm_request(server, 0),
		    "\"messages\":[{\"role\":\"assistant\",\"content\":\"a\"},{\"role\":"
		    "\"assistant\",\"content\":null,\"reasoning_content\":\"kept\"") != NULL);
	convo_model_close(model);
	fake_llm_stop(server);
}

static void test_request__a_large_one_is_sent_without_waiting(void **state)
{
	struct fake_reply reply = reply_of(EVENT("Hello") DONE, FAKE_CHUNKED);
	struct fake_llm *server = fake_llm_start(&reply, 1, 0);
	struct convo_model_options opts = options_of(fake_llm_base(server));
	convo_model *model = open_model(&opts);
	struct cv_buf json = {0};
	struct convo_message message;
	struct convo_request request = {.messages = &message, .count = 1};
	struct convo_answer *answer = NULL;
	int64_t began;
	struct convo_err err;

	(void)state;
	must_equal(0, cv_buf_adds(&json, "{\"role\":\"user\",\"content\":\""));
	for (int i = 0; i < 300000; i++)
		must_equal(0, cv_buf_adds(&json, "0123456789"));
	must_equal(0, cv_buf_adds(&json, "\"}"));
	message.json = json.data;
	message.len = json.len;
	began = now_ms();
	must_pass(convo_model_ask(&answer, model, &request, NULL, NULL, &err));
	must(now_ms() - began < 900);
	must(strlen(fake_llm_request(server, 0)) > json.len);
	must(!strstr(fake_llm_request(server, 0), "Expect:"));
	convo_answer_free(answer);
	cv_buf_clear(&json);
	convo_model_close(model);
	fake_llm_stop(server);
}

/* ---- connections -------------------------------------------------------------------------- */

static void test_connection__is_used_again(void **state)
{
	struct fake_reply replies[] = {reply_of(EVENT("one") DONE, FAKE_CHUNKED),
				       error_reply(400, JSON_HEADER, "{}"),
				       reply_of(EVENT("two") DONE, FAKE_CHUNKED)};
	struct fake_llm *server = fake_llm_start(replies, 3, 0);
	struct convo_model_options opts = options_of(fake_llm_base(server));
	convo_model *model = open_model(&opts);
	struct convo_answer *answer;
	struct convo_err err;

	(void)state;
	must_answer(model, "one");
	must_fail_with(CONVO_E_REFUSED, ask_with(&answer, model, NULL, NULL, &err));
	must_answer(model, "two");
	must_equal(1, fake_llm_connections(server));
	convo_model_close(model);
	fake_llm_stop(server);
}

static void test_connection__one_that_has_gone_is_replaced(void **state)
{
	struct fake_reply replies[] = {reply_of(EVENT("one") DONE, FAKE_LEAVE),
				       reply_of(EVENT("two") DONE, FAKE_LENGTH),
				       reply_of("", FAKE_DROP),
				       reply_of(EVENT("three") DONE, FAKE_LENGTH)};
	struct fake_llm *server = fake_llm_start(replies, 4, 0);
	struct convo_model_options opts = options_of(fake_llm_base(server));
	convo_model *model = open_model(&opts);

	(void)state;
	must_answer(model, "one");
	sleep_ms(30);
	must_answer(model, "two");
	must_equal(2, fake_llm_connections(server));
	must_answer(model, "three"); /* it went while the question was on its way */
	must_equal(3, fake_llm_connections(server));
	must_equal(4, fake_llm_requests(server));
	convo_model_close(model);
	fake_llm_stop(server);
}

static void ask_in_thread(void *ctx, int index)
{
	(void)index;
	for (int i = 0; i < 3; i++)
		must_answer(ctx, "Hello");
}

static void test_connection__many_threads_share_a_model(void **state)
{
	struct fake_reply reply = reply_of(EVENT("Hel") EVENT("lo") DONE, FAKE_CHUNKED);
	struct fake_llm *server = fake_llm_start(&reply, 1, 3);
	struct convo_model_options opts = options_of(fake_llm_base(server));
	convo_model *model = open_model(&opts);

	(void)state;
	test_threads(12, ask_in_thread, model);
	must_equal(36, fake_llm_requests(server));
	must(fake_llm_connections(server) <= 36);
	convo_model_close(model);
	fake_llm_stop(server);
}

static void test_connection__refused(void **state)
{
	struct convo_model_options opts =
		options_of(test_text("http://127.0.0.1:%d/v1", test_port()));

	(void)state;
	must(strstr(must_fail_to_ask(CONVO_E_GONE, &opts), "Connection refused") != NULL);
}

static void test_connection__unknown_host(void **state)
{
	struct convo_model_options opts = options_of("http://nobody.invalid/v1");

	(void)state;
	must(strstr(must_fail_to_ask(CONVO_E_GONE, &opts), "nobody.invalid") != NULL);
}

static void *serve_noise(void *arg)
{
	int fd = accept(*(int *)arg, NULL, NULL);

	(void)!write(fd, "SSH-2.0-OpenSSH_9.2\r\n", 21);
	sleep_ms(50);
	close(fd);
	return NULL;
}

static void test_connection__not_an_http_server(void **state)
{
	int port, listener = test_listen(&port);
	struct convo_model_options opts;
	pthread_t thread;

	(void)state;
	must_equal(0, pthread_create(&thread, NULL, serve_noise, &listener));
	opts = options_of(test_text("http://127.0.0.1:%d/v1", port));
	must(strstr(must_fail_to_ask(CONVO_E_NOTFOUND, &opts), "not an HTTP server") != NULL);
	pthread_join(thread, NULL);
	close(listener);
}

static void test_proxy__of_the_environment_is_used(void **state)
{
	struct fake_reply reply = reply_of(EVENT("Hello") DONE, FAKE_CHUNKED);
	struct fake_llm *server = fake_llm_start(&reply, 1, 0);
	struct convo_model_options opts = options_of("http://model.invalid/v1");
	convo_model *model = open_model(&opts);

	(void)state;
	setenv("http_proxy", fake_llm_base(server), 1);
	must_answer(model, "Hello");
	unsetenv("http_proxy");
	must(strstr(fake_llm_request(server, 0),
		    "POST http://model.invalid/v1/chat/completions HTTP/1.1") != NULL);
	convo_model_close(model);
	fake_llm_stop(server);
}

/* ---- timeouts ----------------------------------------------------------------------------- */

static void test_timeout__of_connecting(void **state)
{
	struct convo_model_options opts;
	struct black_hole hole;
	int64_t began = now_ms();

	(void)state;
	black_hole_open(&hole);
	opts = options_of(hole.base);
	opts.connect_timeout_ms = 150;
	must(strstr(must_fail_to_ask(CONVO_E_TIMEOUT, &opts), "no connection within 150 ms"));
	must(now_ms() - began >= 140 && now_ms() - began < 1000);
	opts.base_url = test_text("https%s", hole.base + strlen("http")); /* nobody to speak TLS */
	must(strstr(must_fail_to_ask(CONVO_E_TIMEOUT, &opts), "no connection within 150 ms"));
	black_hole_close(&hole);
}

static void test_timeout__of_a_server_that_hangs(void **state)
{
	struct fake_reply reply = reply_of("", FAKE_HANG);
	struct fake_llm *server = fake_llm_start(&reply, 1, 0);
	struct convo_model_options opts = options_of(fake_llm_base(server));
	int64_t began = now_ms();

	(void)state;
	opts.idle_timeout_ms = 150;
	opts.max_retries = 2;
	must(strstr(must_fail_to_ask(CONVO_E_TIMEOUT, &opts), "no answer for 150 ms"));
	must(now_ms() - began >= 140 && now_ms() - began < 1000);
	must_equal(1, fake_llm_requests(server));
	fake_llm_stop(server);
}

static void test_timeout__in_the_middle_keeps_what_came(void **state)
{
	struct fake_reply reply = reply_of(EVENT("Hello"), FAKE_HOLD);
	struct fake_llm *server = fake_llm_start(&reply, 1, 0);
	struct convo_model_options opts = options_of(fake_llm_base(server));
	convo_model *model;
	struct convo_answer *answer;
	struct convo_err err;

	(void)state;
	opts.idle_timeout_ms = 150;
	model = open_model(&opts);
	must_pass(ask_with(&answer, model, NULL, NULL, &err));
	must_equal(CONVO_FAILED, answer->status);
	must_equal(CONVO_E_TIMEOUT, answer->code);
	must_equal_str("Hello", answer->text);
	must(strstr(answer->error, "silent for 150 ms") != NULL);
	convo_answer_free(answer);
	convo_model_close(model);
	fake_llm_stop(server);
}

static void test_timeout__counts_bytes_not_words(void **state)
{
	struct fake_reply reply = reply_of(":\n:\n:\n:\n:\n" EVENT("Hello") DONE, FAKE_CHUNKED);
	struct fake_llm *server;
	struct convo_model_options opts;
	convo_model *model;

	(void)state;
	for (size_t i = 0; i < 5; i++)
		reply.pauses[i] = (struct fake_pause){2 * i + 2, 80};
	reply.pause_count = 5;
	server = fake_llm_start(&reply, 1, 0);
	opts = options_of(fake_llm_base(server));
	opts.idle_timeout_ms = 200;
	model = open_model(&opts);
	must_answer(model, "Hello");
	convo_model_close(model);
	fake_llm_stop(server);
}

static void test_timeout__after_a_finish_reason_is_short(void **state)
{
	struct fake_reply reply = reply_of(EVENT("Hello") FINISH, FAKE_HOLD);
	struct fake_llm *server = fake_llm_start(&reply, 1, 0);
	struct convo_model_options opts = options_of(fake_llm_base(server));
	convo_model *model = open_model(&opts);
	int64_t began = now_ms();

	(void)state;
	must_answer(model, "Hello");
	must(now_ms() - began >= 2900 && now_ms() - began < 4000);
	convo_model_close(model);
	fake_llm_stop(server);
}

static void test_done__ends_it_at_once(void **state)
{
	struct fake_reply reply = reply_of(EVENT("Hello") DONE, FAKE_HOLD);
	struct fake_llm *server = fake_llm_start(&reply, 1, 0);
	struct convo_model_options opts = options_of(fake_llm_base(server));
	convo_model *model = open_model(&opts);
	int64_t began = now_ms();

	(void)state;
	must_answer(model, "Hello");
	must(now_ms() - began < 100);
	convo_model_close(model);
	fake_llm_stop(server);
}

static void test_done__ends_the_wait_after_a_finish_reason(void **state)
{
	struct fake_reply reply = reply_of(EVENT("Hello") FINISH DONE, FAKE_HOLD);
	struct fake_llm *server;
	struct convo_model_options opts;
	convo_model *model;
	int64_t began = now_ms();

	(void)state;
	reply.pauses[0] = (struct fake_pause){strlen(EVENT("Hello") FINISH), 100};
	reply.pause_count = 1;
	server = fake_llm_start(&reply, 1, 0);
	opts = options_of(fake_llm_base(server));
	model = open_model(&opts);
	must_answer(model, "Hello");
	must(now_ms() - began >= 90 && now_ms() - began < 300);
	convo_model_close(model);
	fake_llm_stop(server);
}

/* When each delta was heard. */
struct times {
	int64_t heard_ms[4];
	size_t count;
};

static int hear_time(void *ctx, const struct convo_delta *delta)
{
	struct times *times = ctx;

	(void)delta;
	must(times->count < 4);
	times->heard_ms[times->count++] = now_ms();
	return 0;
}

static void test_delta__is_heard_at_once(void **state)
{
	struct fake_reply reply = reply_of(EVENT("a") EVENT("b") DONE, FAKE_CHUNKED);
	struct fake_llm *server;
	struct convo_model_options opts;
	struct times times = {0};
	struct convo_listener listener = {.on_delta = hear_time, .ctx = &times};
	struct convo_answer *answer;
	convo_model *model;
	struct convo_err err;

	(void)state;
	reply.pauses[0] = (struct fake_pause){strlen(EVENT("a")), 150};
	reply.pause_count = 1;
	server = fake_llm_start(&reply, 1, 0);
	opts = options_of(fake_llm_base(server));
	model = open_model(&opts);
	must_pass(ask_with(&answer, model, &listener, NULL, &err));
	must_equal(2, times.count);
	must(times.heard_ms[1] - times.heard_ms[0] >= 140);
	must(answer->first_ms < 100);
	must(answer->total_ms >= 140);
	convo_answer_free(answer);
	convo_model_close(model);
	fake_llm_stop(server);
}

/* ---- retries ------------------------------------------------------------------------------ */

static void test_retry__a_dropped_connection_is_made_again(void **state)
{
	struct fake_reply replies[] = {reply_of("", FAKE_DROP),
				       reply_of(EVENT("Hello") DONE, FAKE_CHUNKED)};
	struct fake_llm *server = fake_llm_start(replies, 2, 0);
	struct convo_model_options opts = options_of(fake_llm_base(server));
	struct waits waits = {0};
	struct convo_listener listener = {.on_wait = on_wait, .ctx = &waits};
	struct convo_answer *answer;
	convo_model *model;
	struct convo_err err;

	(void)state;
	opts.max_retries = 0;
	model = open_model(&opts);
	must_pass(ask_with(&answer, model, &listener, NULL, &err));
	must_equal_str("Hello", answer->text);
	must_equal(2, answer->attempts);
	must_equal(1, waits.count);
	must_equal(2, waits.last.attempt);
	must(waits.last.wait_ms >= 375 && waits.last.wait_ms <= 500);
	must(answer->total_ms >= waits.last.wait_ms);
	convo_answer_free(answer);
	convo_model_close(model);
	fake_llm_stop(server);
}

static void test_retry__none_when_told_so(void **state)
{
	struct fake_reply reply = error_reply(500, "retry-after-ms: 1\r\n", "{}");
	struct fake_llm *server = fake_llm_start(&reply, 1, 0);
	struct convo_model_options opts = options_of(fake_llm_base(server));

	(void)state;
	must_fail_to_ask(CONVO_E_REFUSED, &opts);
	must_equal(1, fake_llm_requests(server));
	fake_llm_stop(server);
}

static void test_retry__the_listener_can_stop_it(void **state)
{
	struct fake_reply reply = error_reply(503, "Retry-After: 30\r\n", "{}");
	struct fake_llm *server = fake_llm_start(&reply, 1, 0);
	struct convo_model_options opts = options_of(fake_llm_base(server));
	struct waits waits = {.stop_at = 1};
	struct convo_listener listener = {.on_wait = on_wait, .ctx = &waits};
	struct convo_answer *answer;
	convo_model *model;
	struct convo_err err;

	(void)state;
	opts.max_retries = 2;
	model = open_model(&opts);
	must_fail_with(CONVO_E_CANCELED, ask_with(&answer, model, &listener, NULL, &err));
	must_equal(30000, waits.last.wait_ms);
	must_equal(1, fake_llm_requests(server));
	convo_model_close(model);
	fake_llm_stop(server);
}

static void test_stream_options__what_was_learned_is_remembered(void **state)
{
	struct fake_reply replies[] = {error_reply(400, JSON_HEADER,
						   "{\"error\":\"unknown field stream_options\"}"),
				       reply_of(EVENT("Hello") DONE, FAKE_CHUNKED)};
	struct fake_llm *server = fake_llm_start(replies, 2, 0);
	struct convo_model_options opts = options_of(fake_llm_base(server));
	convo_model *model = open_model(&opts);

	(void)state;
	must_answer(model, "Hello");
	must_answer(model, "Hello");
	must_equal(3, fake_llm_requests(server));
	must(strstr(fake_llm_request(server, 0), "stream_options") != NULL);
	must(!strstr(fake_llm_request(server, 1), "stream_options"));
	must(!strstr(fake_llm_request(server, 2), "stream_options"));
	convo_model_close(model);
	fake_llm_stop(server);
}

/* ---- TLS ----------------------------------------------------------------------------------- */

/* An `openssl s_server` with a certificate of its own, that says one answer. */
struct tls_server {
	pid_t pid;
	const char *base, *certificate;
};

static void tls_start(struct tls_server *server, const char *name)
{
	const char *dir = test_dir();
	const char *body = EVENT("Hello") DONE;
	int port = test_port();

	server->certificate = test_path(dir, "cert.pem");
	server->base = test_text("https://localhost:%d/v1", port);
	must_equal(0, system(test_text("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "
				       "/CN=%s -addext subjectAltName=DNS:%s -keyout %s/key.pem "
				       "-out %s/cert.pem 2>/dev/null",
				       name, name, dir, dir)));
	fflush(NULL);
	server->pid = fork();
	if (server->pid == 0) {
		setpgid(0, 0); /* before exec(), or the parent may come too late */
		execl("/bin/sh", "sh", "-c",
		      test_text(
			      "(printf 'HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\n"
			      "Content-Length: %zu\\r\\n\\r\\n%%s' '%s'; sleep 20) | exec openssl "
			      "s_server -quiet -accept 127.0.0.1:%d -key %s/key.pem -cert "
			      "%s/cert.pem >/dev/null 2>&1",
			      strlen(body), body, port, dir, dir),
		      (char *)NULL);
		_exit(127);
	}
	must(server->pid > 0);
	setpgid(server->pid, server->pid);
}

static void tls_stop(struct tls_server *server)
{
	kill(-server->pid, SIGTERM);
	waitpid(server->pid, NULL, 0);
}

/* Ask until the server is up; the last outcome counts. */
static int tls_ask_with(const struct tls_server *server, struct convo_model_options opts,
			struct convo_err *err)
{
	struct convo_answer *answer = NULL;
	int rc = CONVO_E_GONE;

	opts.base_url = server->base;
	for (int i = 0; i < 100 && rc == CONVO_E_GONE; i++) {
		convo_model *model = open_model(&opts);

		rc = ask_with(&answer, model, NULL, NULL, err);
		convo_model_close(model);
		if (rc == CONVO_E_GONE && !strstr(err->text, "refused"))
			break;
		sleep_ms(rc == CONVO_E_GONE ? 50 : 0);
	}
	if (rc == 0)
		must_equal_str("Hello", answer->text);
	convo_answer_free(answer);
	return rc;
}

static int tls_ask(const struct tls_server *server, struct convo_err *err)
{
	return tls_ask_with(server, options_of(NULL), err);
}

static void test_proxy__that_refuses_is_named(void **state)
{
	struct convo_model_options opts = {.base_url = "http://example.invalid/v1",
					   .max_retries = -1};

	(void)state;
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	must(strstr(must_fail_to_ask(CONVO_E_GONE, &opts),
		    "cannot connect to 127.0.0.1 port 1: Connection refused") != NULL);
	unsetenv("http_proxy");
}

static void test_proxy__with_a_broken_url_shows_no_password(void **state)
{
	static const char *const urls[] = {"://u:s3cret@x", "socks9://u:s3cret@127.0.0.1:1",
					   "http://u:s3cret@127.0.0.1:999999"};
	struct convo_model_options opts = {.base_url = "http://example.invalid/v1"};

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		const char *text;

		setenv("http_proxy", urls[i], 1);
		text = must_fail_to_ask(CONVO_E_IO, &opts);
		must(!strstr(text, "s3cret") && strstr(text, "the proxy's URL is none"));
	}
	unsetenv("http_proxy");
}

static void test_tls__an_unknown_authority_is_refused(void **state)
{
	struct tls_server server;
	struct convo_err err;
	int rc;

	(void)state;
	tls_start(&server, "localhost");
	rc = tls_ask(&server, &err);
	tls_stop(&server);
	must_equal(CONVO_E_IO, rc);
	must(strstr(err.text, "the certificate is not trusted") != NULL);
	must(strstr(err.text, "self-signed certificate") != NULL);
	must(strstr(err.text, "SSL_CERT_FILE") != NULL);
}

static void test_tls__another_name_is_refused(void **state)
{
	struct tls_server server;
	struct convo_err err;
	int rc;

	(void)state;
	tls_start(&server, "other.test");
	setenv("SSL_CERT_FILE", server.certificate, 1);
	rc = tls_ask(&server, &err);
	unsetenv("SSL_CERT_FILE");
	tls_stop(&server);
	must_equal(CONVO_E_IO, rc);
	must(strstr(err.text, "that of another host") && strstr(err.text, "localhost"));
}

static void test_tls__a_known_authority_is_accepted(void **state)
{
	struct tls_server server;
	struct convo_err err;
	int rc;

	(void)state;
	tls_start(&server, "localhost");
	setenv("SSL_CERT_FILE", server.certificate, 1);
	rc = tls_ask(&server, &err);
	unsetenv("SSL_CERT_FILE");
	tls_stop(&server);
	must_equal(0, rc);
}

/* The option comes before the variable. */
static void test_tls__a_ca_file_of_the_options_is_trusted(void **state)
{
	struct convo_model_options opts = options_of(NULL);
	struct tls_server server;
	struct convo_err err;
	int rc;

	(void)state;
	tls_start(&server, "localhost");
	opts.ca_file = server.certificate;
	setenv("SSL_CERT_FILE", "/dev/null", 1);
	rc = tls_ask_with(&server, opts, &err);
	unsetenv("SSL_CERT_FILE");
	tls_stop(&server);
	must_equal(0, rc);
}

static void test_tls__a_ca_file_that_is_none_is_named(void **state)
{
	struct convo_model_options opts = options_of("https://localhost:1/v1");
	convo_model *model = NULL;
	struct tls_server server;
	struct convo_err err;
	int rc;

	(void)state;
	opts.ca_file = "/nowhere/ca.pem";
	must_fail_with(CONVO_E_INVALID, convo_model_open(&model, "m", &opts, &err));
	must(strstr(err.text, "/nowhere/ca.pem") && strstr(err.text, "No such file"));
	tls_start(&server, "localhost");
	setenv("SSL_CERT_FILE", "/nowhere/ca.pem", 1);
	rc = tls_ask(&server, &err);
	unsetenv("SSL_CERT_FILE");
	tls_stop(&server);
	must_equal(CONVO_E_IO, rc);
	must(strstr(err.text, "SSL_CERT_FILE '/nowhere/ca.pem'") != NULL);
}

/* A server that speaks HTTP and answers what it takes for a request. */
static void test_tls__a_plain_server_that_answers_is_told(void **state)
{
	int port, listener = test_listen(&port);
	struct waits waits = {0};
	struct convo_listener ear = {.on_wait = on_wait, .ctx = &waits};
	struct convo_model_options opts;
	struct convo_answer *answer;
	convo_model *model;
	pthread_t thread;
	struct convo_err err;

	(void)state;
	must_equal(0, pthread_create(&thread, NULL, serve_noise, &listener));
	opts = options_of(test_text("https://127.0.0.1:%d/v1", port));
	opts.max_retries = 2;
	model = open_model(&opts);
	must_fail_with(CONVO_E_NOTFOUND, ask_with(&answer, model, &ear, NULL, &err));
	must(strstr(err.text, "does not speak TLS there: try http://") != NULL);
	must_equal(0, waits.count);
	convo_model_close(model);
	pthread_join(thread, NULL);
	close(listener);
}

/* One that waits for the end of a line, as many do: told after one connect timeout, not three. */
static void test_tls__a_plain_server_that_waits_is_told(void **state)
{
	struct fake_reply reply = reply_of("", FAKE_HANG);
	struct fake_llm *server = fake_llm_start(&reply, 1, 0);
	struct waits waits = {0};
	struct convo_listener ear = {.on_wait = on_wait, .ctx = &waits};
	struct convo_model_options opts =
		options_of(test_text("https%s", fake_llm_base(server) + strlen("http")));
	struct convo_answer *answer;
	convo_model *model;
	struct convo_err err;

	(void)state;
	opts.connect_timeout_ms = 200;
	opts.max_retries = 2;
	model = open_model(&opts);
	must_fail_with(CONVO_E_TIMEOUT, ask_with(&answer, model, &ear, NULL, &err));
	must(strstr(err.text, "connected, but no TLS within 200 ms") != NULL);
	must(strstr(err.text, "try http://") != NULL);
	must_equal(0, waits.count);
	convo_model_close(model);
	/* What hangs may be a proxy instead. */
	opts.proxy = fake_llm_base(server);
	opts.base_url = "https://model.invalid/v1";
	opts.max_retries = CONVO_OFF;
	must(strstr(must_fail_to_ask(CONVO_E_TIMEOUT, &opts), "no connection within") != NULL);
	fake_llm_stop(server);
}

/* ---- headers and proxies ------------------------------------------------------------------- */

static void test_header__each_is_sent(void **state)
{
	static const char *const headers[] = {"X-One: 1", "api-key:secret-of-azure",
					      "X-Empty:", "Authorization: Basic am9lOnM=", NULL};
	struct fake_reply reply = error_reply(
		400, JSON_HEADER, "{\"error\":\"no secret-of-azure, no Basic am9lOnM=\"}");
	struct fake_llm *server = fake_llm_start(&reply, 1, 0);
	struct convo_model_options opts = options_of(fake_llm_base(server));
	const char *request, *text;

	(void)state;
	opts.headers = headers;
	opts.api_key = NULL;
	text = must_fail_to_ask(CONVO_E_REFUSED, &opts);
	must(strstr(text, "no ***, no ***") != NULL);
	request = fake_llm_request(server, 0);
	must(strstr(request, "\r\nX-One: 1\r\n") != NULL);
	must(strstr(request, "\r\napi-key:secret-of-azure\r\n") != NULL);
	must(strstr(request, "\r\nX-Empty:") != NULL);
	must(strstr(request, "\r\nAuthorization: Basic am9lOnM=\r\n") != NULL);
	fake_llm_stop(server);
}

static void test_header__bad_ones_are_refused_and_not_shown(void **state)
{
	static const char *const bad[] = {
		"",
		":s3cret",
		"s3cret",
		"X Y: s3cret",
		"X\r\nY: s3cret",
		"X-A: s3cret\r\nX-B: 1",
		"X-A: s3cret\n",
		("X-A: s3\x7f"
		 "cret"),
		"X-\xc3\xa9: s3cret",
		"Content-Length: 5",
		"transfer-encoding: s3cret",
		"HOST: s3cret",
		"Authorization: s3cret",
	};
	convo_model *model = NULL;
	struct convo_err err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *const headers[] = {"X-Good: 1", bad[i], NULL};
		struct convo_model_options opts = {.headers = headers, .api_key = "sk-x"};

		must_fail_with(CONVO_E_INVALID, convo_model_open(&model, "m", &opts, &err));
		must(!strstr(err.text, "s3"));
		must(strstr(err.text, "eader") != NULL);
	}
	must(!model);
}

static void test_header__too_many_and_too_long_are_refused(void **state)
{
	const char *many[70];
	char *large = malloc(9001);
	const char *const one[] = {large, NULL};
	struct convo_model_options opts = {.headers = many};
	convo_model *model = NULL;
	struct convo_err err;

	(void)state;
	for (size_t i = 0; i < 69; i++)
		many[i] = "X-A: 1";
	many[69] = NULL;
	must_fail_with(CONVO_E_INVALID, convo_model_open(&model, "m", &opts, &err));
	memset(large, 'x', 9000);
	large[3] = ':';
	large[9000] = '\0';
	opts.headers = one;
	must_fail_with(CONVO_E_INVALID, convo_model_open(&model, "m", &opts, &err));
	free(large);
}

static void test_proxy__of_the_options_is_used_for_every_host(void **state)
{
	struct fake_reply reply = reply_of(EVENT("Hello") DONE, FAKE_CHUNKED);
	struct fake_llm *server = fake_llm_start(&reply, 1, 0);
	struct convo_model_options opts = options_of("http://model.invalid/v1");
	const char *host = fake_llm_base(server) + strlen("http://");
	convo_model *model;

	(void)state;
	opts.proxy = test_text("http://joe:s3cret@%s", host);
	model = open_model(&opts);
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("no_proxy", "model.invalid", 1);
	must_answer(model, "Hello");
	unsetenv("http_proxy");
	unsetenv("no_proxy");
	must(strstr(fake_llm_request(server, 0),
		    "POST http://model.invalid/v1/chat/completions HTTP/1.1") != NULL);
	must(strstr(fake_llm_request(server, 0), "Proxy-Authorization: Basic ") != NULL);
	convo_model_close(model);
	fake_llm_stop(server);
}

static void test_proxy__empty_means_none(void **state)
{
	struct fake_reply reply = reply_of(EVENT("Hello") DONE, FAKE_CHUNKED);
	struct fake_llm *server = fake_llm_start(&reply, 1, 0);
	struct convo_model_options opts = options_of(fake_llm_base(server));
	convo_model *model;

	(void)state;
	opts.proxy = "";
	model = open_model(&opts);
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	must_answer(model, "Hello");
	unsetenv("http_proxy");
	convo_model_close(model);
	fake_llm_stop(server);
}

static void test_proxy__that_is_none_shows_no_password(void **state)
{
	static const char *const bad[] = {"socks9://u:s3cret@h", "ftp://u:s3cret@h:1",
					  "http://u:s3cret@h h", "http://u:s3cret@h\r\nX: 1"};
	struct convo_model_options opts = options_of("http://model.invalid/v1");
	convo_model *model = NULL;
	struct convo_err err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		opts.proxy = bad[i];
		must_fail_with(CONVO_E_INVALID, convo_model_open(&model, "m", &opts, &err));
		must(strstr(err.text, "proxy") && !strstr(err.text, "s3cret"));
	}
	opts.proxy = "http://u:s3cret@127.0.0.1:999999";
	must(!strstr(must_fail_to_ask(CONVO_E_IO, &opts), "s3cret"));
	opts.proxy = "http://u:s3cret@127.0.0.1:1";
	must(!strstr(must_fail_to_ask(CONVO_E_GONE, &opts), "s3cret"));
}

/* ---- heads without end --------------------------------------------------------------------- */

static void test_head__a_line_that_never_ends_is_the_servers(void **state)
{
	size_t len = 400u << 10;
	char *headers = malloc(len + 1);
	struct fake_reply reply = error_reply(200, headers, "{}");
	struct fake_llm *server;
	struct convo_model_options opts;

	(void)state;
	memset(headers, 'x', len);
	headers[1] = ':';
	headers[len] = '\0';
	server = fake_llm_start(&reply, 1, 0);
	opts = options_of(fake_llm_base(server));
	opts.max_retries = 1;
	must(strstr(must_fail_to_ask(CONVO_E_REFUSED, &opts), "too long a header") != NULL);
	must_equal(1, fake_llm_requests(server));
	fake_llm_stop(server);
	free(headers);
}

static void test_head__lines_that_never_end_are_the_servers(void **state)
{
	struct cv_buf headers = {0};
	struct fake_reply reply;
	struct fake_llm *server;
	struct convo_model_options opts;

	(void)state;
	for (int i = 0; i < 10000; i++)
		must_equal(0, cv_buf_addf(&headers, "X-%d: %060d\r\n", i, i));
	reply = error_reply(200, headers.data, "{}");
	server = fake_llm_start(&reply, 1, 0);
	opts = options_of(fake_llm_base(server));
	opts.max_retries = 1;
	must(strstr(must_fail_to_ask(CONVO_E_REFUSED, &opts), "too long a header") != NULL);
	must_equal(1, fake_llm_requests(server));
	fake_llm_stop(server);
	cv_buf_clear(&headers);
}

/* ---- what is missing ----------------------------------------------------------------------- */

static void test_given__null_and_members_of_a_newer_version_are_refused(void **state)
{
	struct convo_model_options newer = {.reserved = {&newer}};
	struct convo_message message = {"{}", 2};
	struct convo_request request = {.messages = &message, .count = 1};
	struct convo_listener ear = {.reserved = {&ear}};
	struct convo_answer *answer = NULL;
	convo_model *model = NULL;
	struct convo_err err;

	(void)state;
	must_fail_with(CONVO_E_INVALID, convo_model_open(NULL, "echo", NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_model_open(&model, NULL, NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_model_open(&model, "m", &newer, &err));
	must_fail_with(CONVO_E_INVALID, convo_model_from(&model, "m", NULL, NULL, &err));
	must(!model);
	must_pass(convo_model_open(&model, "echo", NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_model_ask(&answer, NULL, &request, NULL, NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_model_ask(NULL, model, &request, NULL, NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_model_ask(&answer, model, NULL, NULL, NULL, &err));
	must_fail_with(CONVO_E_INVALID,
		       convo_model_ask(&answer, model, &request, &ear, NULL, &err));
	request.reserved[1] = &request;
	must_fail_with(CONVO_E_INVALID,
		       convo_model_ask(&answer, model, &request, NULL, NULL, &err));
	must_equal(CONVO_E_INVALID, convo_model_ask(&answer, NULL, NULL, NULL, NULL, NULL));
	must_fail_with(CONVO_E_INVALID, convo_model_check(NULL, NULL, &err));
	must(!convo_model_name(NULL) && !answer);
	convo_model_close(NULL);
	convo_answer_free(NULL);
	convo_model_close(model);
}

/* ---- checking ------------------------------------------------------------------------------ */

static int check_reply(struct fake_reply reply, struct convo_err *err)
{
	struct fake_llm *server = fake_llm_start(&reply, 1, 7);
	struct convo_model_options opts = options_of(fake_llm_base(server));
	convo_model *model = open_model(&opts);
	int rc = convo_model_check(model, NULL, err);

	must(strncmp(fake_llm_request(server, 0), "GET /v1/models HTTP/1.1\r\n", 25) == 0);
	must_equal(1, fake_llm_requests(server));
	convo_model_close(model);
	fake_llm_stop(server);
	return rc;
}

static int check_list(const char *body, struct convo_err *err)
{
	return check_reply(error_reply(200, JSON_HEADER, body), err);
}

static void test_check__knows_its_model(void **state)
{
	struct convo_err err;

	(void)state;
	must_pass(check_list("{\"data\":[{\"id\":\"a\"},{\"id\":\"test-model\"}]}", &err));
	must_pass(check_list("{\"data\":[{\"id\":\"test-model:latest\"}]}", &err));
	must_pass(check_list("{\"data\":[{\"id\":\"models/test-model\"}]}", &err));
	must_pass(check_list("[{\"id\":\"test-model\"}]", &err));
	must_fail_with(CONVO_E_NOTFOUND, check_list("{\"data\":[{\"id\":\"a\"},7]}", &err));
	must_fail_with(CONVO_E_NOTFOUND, check_list("{\"data\":[]}", &err));
}

static void test_check__an_endpoint_without_a_list_passes(void **state)
{
	struct convo_err err;

	(void)state;
	must_pass(check_reply(error_reply(404, NULL, "<html>"), &err));
	must_pass(check_reply(error_reply(405, NULL, ""), &err));
	must_pass(check_list("{}", &err));
}

static void test_check__other_replies_fail(void **state)
{
	struct convo_err err;
	struct convo_model_options opts =
		options_of(test_text("http://127.0.0.1:%d/v1", test_port()));
	convo_model *model = open_model(&opts);

	(void)state;
	must_fail_with(CONVO_E_DENIED, check_reply(error_reply(401, JSON_HEADER, "{}"), &err));
	must_fail_with(CONVO_E_REFUSED, check_reply(error_reply(500, NULL, "x"), &err));
	must_fail_with(CONVO_E_REFUSED,
		       check_reply(error_reply(200, NULL, "<title>Hi</title>"), &err));
	must_fail_with(CONVO_E_REFUSED, check_reply(reply_of(EVENT("x"), FAKE_CHUNKED), &err));
	must_fail_with(CONVO_E_IO, check_reply(reply_of("{\"data\":[", FAKE_CUT), &err));
	must_fail_with(CONVO_E_GONE, convo_model_check(model, NULL, &err));
	must_equal(CONVO_E_GONE, convo_model_check(model, NULL, NULL));
	convo_model_close(model);
}

/* ---- out of memory ------------------------------------------------------------------------- */

static void must_be_right(const struct convo_answer *answer)
{
	must_equal(CONVO_COMPLETE, answer->status);
	must_equal_str("\xf0\x9f\x98\x80", answer->text);
	must(strstr(answer->message, "\"reasoning_content\":\"hm\"") != NULL);
	must(strstr(answer->message, "{\"name\":\"f\",\"arguments\":\"{}\"}") != NULL);
	must_equal_str("m", answer->model);
	must_equal_str("stop", answer->finish_reason);
	must_equal(1, answer->prompt_tokens);
}

static void test_oom__each_allocation_failing_is_an_error(void **state)
{
	struct fake_reply reply = reply_of(
		"data: "
		"{\"model\":\"m\",\"choices\":[{\"delta\":{\"reasoning\":\"hm\",\"tool_calls\":"
		"[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":{}}}]}}]}\n\n" EVENT(
			"\\ud83d") EVENT("\\ude00") FINISH
		"data: {\"usage\":{\"prompt_tokens\":1}}\n\n" DONE,
		FAKE_CHUNKED);
	struct fake_llm *server = fake_llm_start(&reply, 1, 0);
	struct convo_model_options opts = options_of(fake_llm_base(server));
	size_t failed = 0;

	(void)state;
	for (size_t n = 1; test_oom_at(n); n++) {
		convo_model *model = NULL;
		struct convo_answer *answer = NULL;
		struct convo_err err = {0};
		int rc = convo_model_open(&model, "test-model", &opts, &err);

		if (rc == 0)
			rc = ask_with(&answer, model, NULL, NULL, &err);
		if (test_oom_end())
			failed++;
		if (rc < 0) {
			must_equal(CONVO_E_NOMEM, rc);
			must_equal(CONVO_E_NOMEM, err.code);
		} else if (answer->status == CONVO_FAILED) {
			must_equal(CONVO_E_NOMEM, answer->code);
		} else {
			must_be_right(answer);
		}
		convo_answer_free(answer);
		convo_model_close(model);
	}
	must(failed > 20);
	fake_llm_stop(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cancel__while_connecting),
		cmocka_unit_test(test_cancel__while_resolving),
		cmocka_unit_test(test_cancel__while_waiting_for_the_first_byte),
		cmocka_unit_test(test_cancel__while_waiting_for_a_retry),
		cmocka_unit_test(test_cancel__in_the_middle_keeps_what_came),
		cmocka_unit_test(test_cancel__from_a_signal_handler),
		cmocka_unit_test(test_cancel__by_the_listener_closes_the_connection),
		cmocka_unit_test(test_url__is_joined_without_doubling_anything),
		cmocka_unit_test(test_url__must_be_one),
		cmocka_unit_test(test_url__its_secrets_are_not_shown),
		cmocka_unit_test(test_key__odd_characters_are_refused_and_not_shown),
		cmocka_unit_test(test_key__none_means_no_authorization),
		cmocka_unit_test(test_options__must_make_sense),
		cmocka_unit_test(test_request__thinking_stays_out_of_the_history),
		cmocka_unit_test(test_request__a_large_one_is_sent_without_waiting),
		cmocka_unit_test(test_connection__is_used_again),
		cmocka_unit_test(test_connection__one_that_has_gone_is_replaced),
		cmocka_unit_test(test_connection__many_threads_share_a_model),
		cmocka_unit_test(test_connection__refused),
		cmocka_unit_test(test_connection__unknown_host),
		cmocka_unit_test(test_connection__not_an_http_server),
		cmocka_unit_test(test_proxy__of_the_environment_is_used),
		cmocka_unit_test(test_proxy__that_refuses_is_named),
		cmocka_unit_test(test_proxy__with_a_broken_url_shows_no_password),
		cmocka_unit_test(test_timeout__of_connecting),
		cmocka_unit_test(test_timeout__of_a_server_that_hangs),
		cmocka_unit_test(test_timeout__in_the_middle_keeps_what_came),
		cmocka_unit_test(test_timeout__counts_bytes_not_words),
		cmocka_unit_test(test_timeout__after_a_finish_reason_is_short),
		cmocka_unit_test(test_done__ends_it_at_once),
		cmocka_unit_test(test_done__ends_the_wait_after_a_finish_reason),
		cmocka_unit_test(test_delta__is_heard_at_once),
		cmocka_unit_test(test_retry__a_dropped_connection_is_made_again),
		cmocka_unit_test(test_retry__none_when_told_so),
		cmocka_unit_test(test_retry__the_listener_can_stop_it),
		cmocka_unit_test(test_stream_options__what_was_learned_is_remembered),
		cmocka_unit_test(test_tls__an_unknown_authority_is_refused),
		cmocka_unit_test(test_tls__another_name_is_refused),
		cmocka_unit_test(test_tls__a_known_authority_is_accepted),
		cmocka_unit_test(test_tls__a_ca_file_of_the_options_is_trusted),
		cmocka_unit_test(test_tls__a_ca_file_that_is_none_is_named),
		cmocka_unit_test(test_tls__a_plain_server_that_answers_is_told),
		cmocka_unit_test(test_tls__a_plain_server_that_waits_is_told),
		cmocka_unit_test(test_header__each_is_sent),
		cmocka_unit_test(test_header__bad_ones_are_refused_and_not_shown),
		cmocka_unit_test(test_header__too_many_and_too_long_are_refused),
		cmocka_unit_test(test_proxy__of_the_options_is_used_for_every_host),
		cmocka_unit_test(test_proxy__empty_means_none),
		cmocka_unit_test(test_proxy__that_is_none_shows_no_password),
		cmocka_unit_test(test_head__a_line_that_never_ends_is_the_servers),
		cmocka_unit_test(test_head__lines_that_never_end_are_the_servers),
		cmocka_unit_test(test_given__null_and_members_of_a_newer_version_are_refused),
		cmocka_unit_test(test_check__knows_its_model),
		cmocka_unit_test(test_check__an_endpoint_without_a_list_passes),
		cmocka_unit_test(test_check__other_replies_fail),
		cmocka_unit_test(test_oom__each_allocation_failing_is_an_error),
	};
	static const char *const proxies[] = {"http_proxy", "https_proxy", "HTTPS_PROXY",
					      "all_proxy",  "ALL_PROXY",   "no_proxy",
					      "NO_PROXY",   "HTTP_PROXY"};

	for (size_t i = 0; i < sizeof(proxies) / sizeof(proxies[0]); i++)
		unsetenv(proxies[i]);
	/* So that the readers' allocations fail in their turn too. */
	json_set_alloc_funcs(malloc, free);
	return TEST_RUN(tests);
}
