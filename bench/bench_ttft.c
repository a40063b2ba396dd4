/*
 * Time to the first token: a question through the library beside the same request through bare
 * libcurl, in turns, to one server in this program that answers at once.
 *
 *     bench_ttft [ROUNDS]
 *
 * "whole turn" is convo_runner_run() on the memory store: what the program does for one question,
 * storing it included. The connection is kept by all three.
 */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <convo/runner.h>

#include <base/clock.h>

#define QUESTION "What is the capital of France?"
#define WARM 20 /* rounds that are not counted */

static const char stream[] =
	"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 132\r\n\r\n"
	"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Paris\"}}]}\n\n"
	"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
	"data: [DONE]\n\n";

_Noreturn static void bench_die(const char *what)
{
	fprintf(stderr, "bench_ttft: %s\n", what);
	exit(1);
}

/* ---- the server ----------------------------------------------------------------------- */

/* Reads one request. @return false at the end of the connection. */
static bool server_read(int fd)
{
	char data[16384];
	size_t have = 0, want = 0;

	while (!want || have < want) {
		ssize_t n = recv(fd, data + have, sizeof(data) - 1 - have, 0);
		char *body, *length;

		if (n <= 0)
			return false;
		have += (size_t)n;
		data[have] = '\0';
		body = strstr(data, "\r\n\r\n");
		length = strstr(data, "Content-Length:");
		if (body && length)
			want = (size_t)(body + 4 - data) + strtoul(length + 15, NULL, 10);
	}
	return true;
}

static void *server_talk(void *arg)
{
	int fd = (int)(intptr_t)arg, on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	while (server_read(fd) && send(fd, stream, sizeof(stream) - 1, MSG_NOSIGNAL) > 0)
		;
	close(fd);
	return NULL;
}

static void *server_run(void *arg)
{
	int listener = (int)(intptr_t)arg;

	for (;;) {
		int fd = accept(listener, NULL, NULL);
		pthread_t thread;

		if (fd < 0 || pthread_create(&thread, NULL, server_talk, (void *)(intptr_t)fd))
			bench_die("the server cannot go on");
		pthread_detach(thread);
	}
	return NULL;
}

/* @return its port */
static int server_start(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	pthread_t thread;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 8) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) ||
	    pthread_create(&thread, NULL, server_run, (void *)(intptr_t)fd))
		bench_die("the server cannot be started");
	return ntohs(addr.sin_port);
}

/* ---- the three ways ------------------------------------------------------------------- */

static int64_t first_us; /* when the first token was there */

struct ways {
	CURL *bare;
	struct curl_slist *headers;
	convo_model *model;
	convo_store *store;
	convo_runner *runner;
};

static size_t bare_write(char *data, size_t size, size_t count, void *ctx)
{
	(void)data;
	(void)ctx;
	if (!first_us)
		first_us = cv_clock_mono_us();
	return size * count;
}

static void bare_ask(struct ways *ways)
{
	if (curl_easy_perform(ways->bare) != CURLE_OK)
		bench_die("libcurl failed");
}

static int heard(void *ctx, const struct convo_delta *delta)
{
	(void)ctx;
	(void)delta;
	if (!first_us)
		first_us = cv_clock_mono_us();
	return 0;
}

static const struct convo_listener listener = {.on_delta = heard};

static void model_ask(struct ways *ways)
{
	static const char text[] = "{\"role\":\"user\",\"content\":\"" QUESTION "\"}";
	struct convo_message message = {text, sizeof(text) - 1};
	struct convo_request request = {.messages = &message, .count = 1};
	struct convo_answer *answer = NULL;
	struct convo_err err;

	if (convo_model_ask(&answer, ways->model, &request, &listener, NULL, &err) < 0)
		bench_die(err.text);
	convo_answer_free(answer);
}

/* Each turn in a session of its own: the request stays as long as the others'. */
static void turn_ask(struct ways *ways)
{
	static unsigned number;
	char session[32];
	struct convo_question question = {.user = "u", .session = session, .text = QUESTION};
	struct convo_turn *turn = NULL;
	struct convo_err err;

	snprintf(session, sizeof(session), "s%u", number++);
	if (convo_runner_run(&turn, ways->runner, &question, &listener, NULL, &err) < 0)
		bench_die(err.text);
	convo_turn_free(turn);
}

static void ways_open(struct ways *ways, int port)
{
	static const char body[] =
		"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"" QUESTION
		"\"}],\"stream\":true,\"stream_options\":{\"include_usage\":true}}";
	char base[64], url[96];
	struct convo_model_options opts = {.base_url = base};
	struct convo_runner_options runner = {.app = "bench"};
	struct convo_err err;

	snprintf(base, sizeof(base), "http://127.0.0.1:%d/v1", port);
	snprintf(url, sizeof(url), "%s/chat/completions", base);
	if (convo_model_open(&ways->model, "m", &opts, &err) < 0 ||
	    convo_store_open(&ways->store, "memory:", NULL, &err) < 0)
		bench_die(err.text);
	runner.model = ways->model;
	runner.store = ways->store;
	if (convo_runner_new(&ways->runner, &runner, &err) < 0)
		bench_die(err.text);
	ways->headers = curl_slist_append(NULL, "Content-Type: application/json");
	ways->bare = curl_easy_init();
	if (!ways->headers || !ways->bare)
		bench_die("libcurl cannot begin");
	curl_easy_setopt(ways->bare, CURLOPT_URL, url);
	curl_easy_setopt(ways->bare, CURLOPT_HTTPHEADER, ways->headers);
	curl_easy_setopt(ways->bare, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(ways->bare, CURLOPT_WRITEFUNCTION, bare_write);
}

static void ways_close(struct ways *ways)
{
	curl_easy_cleanup(ways->bare);
	curl_slist_free_all(ways->headers);
	convo_runner_free(ways->runner);
	convo_store_close(ways->store);
	convo_model_close(ways->model);
}

/* ---- the figures ---------------------------------------------------------------------- */

static int figure_compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static double figure_ms(const int64_t *sorted, size_t count, unsigned percent)
{
	size_t at = (count - 1) * percent / 100;

	return (double)sorted[at] / 1000;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*ask)(struct ways *ways);
	} all[] = {{"bare libcurl", bare_ask},
		   {"convo_model_ask", model_ask},
		   {"whole turn", turn_ask}};
	enum { COUNT = sizeof(all) / sizeof(all[0]) };
	size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000, i, k;
	int64_t *spent[COUNT], began;
	struct ways ways = {0};

	if (!rounds || rounds > 1000000)
		bench_die("usage: bench_ttft [ROUNDS]");
	ways_open(&ways, server_start());
	for (k = 0; k < COUNT; k++)
		if (!(spent[k] = calloc(rounds, sizeof(int64_t))))
			bench_die("out of memory");
	for (i = 0; i < rounds + WARM; i++) {
		for (k = 0; k < COUNT; k++) {
			first_us = 0;
			began = cv_clock_mono_us();
			all[k].ask(&ways);
			if (i >= WARM)
				spent[k][i - WARM] = first_us - began;
		}
	}
	printf("%-16s %10s %10s %10s   ms to the first token, %zu rounds\n", "", "median", "90 %",
	       "more", rounds);
	for (k = 0; k < COUNT; k++) {
		qsort(spent[k], rounds, sizeof(int64_t), figure_compare);
		printf("%-16s %10.3f %10.3f %+10.3f\n", all[k].name,
		       figure_ms(spent[k], rounds, 50), figure_ms(spent[k], rounds, 90),
		       figure_ms(spent[k], rounds, 50) - figure_ms(spent[0], rounds, 50));
	}
	for (k = 0; k < COUNT; k++)
		free(spent[k]);
	ways_close(&ways);
	return 0;
}
