/*
 * See plan.h: sessions and events by their numbers.
 */
#include "plan.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const storm_user_of[STORM_USERS] = {"u/0", "u:1", "u{2}"};

void storm_session(struct storm_session *out, int number)
{
	int own = number - STORM_FIRST_OWN;

	out->user = number % STORM_USERS;
	if (number < STORM_SHAREDS) {
		out->kind = STORM_SHARED;
		snprintf(out->name, sizeof(out->name), "shared %d", number);
	} else if (number == STORM_SHAREDS) {
		out->kind = STORM_LIMITED;
		snprintf(out->name, sizeof(out->name), "limited");
	} else if (own < 0) {
		out->kind = STORM_RACED;
		snprintf(out->name, sizeof(out->name), "raced %d", number);
	} else {
		out->kind = STORM_OWN;
		snprintf(out->name, sizeof(out->name), "of writer %d", own);
	}
	out->key = (struct convo_key){"storm", storm_user_of[out->user], out->name};
}

/* Every fourth program has several, whose appends travel together. */
int storm_threads(int program)
{
	return program % 4 == 0 ? STORM_THREADS : 1;
}

int storm_writer(int program, int thread)
{
	return program * STORM_THREADS + thread;
}

static uint64_t storm_hash(int writer, uint32_t n)
{
	uint64_t z = ((uint64_t)(unsigned)writer << 32) + n + 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

bool storm_is_stateful(enum storm_kind kind)
{
	return kind != STORM_RACED;
}

__attribute__((format(printf, 4, 5))) static void storm_change(struct storm_event *out,
							       enum convo_scope scope,
							       const char *value, const char *fmt,
							       ...)
{
	struct storm_delta *delta = &out->delta[out->deltas++];
	va_list args;

	delta->scope = scope;
	snprintf(delta->value, sizeof(delta->value), "%s", value);
	va_start(args, fmt);
	vsnprintf(delta->name, sizeof(delta->name), fmt, args);
	va_end(args);
}

/*
 * Two kinds of names. One of the event alone, which nobody removes: it is there if the event is.
 * And one of a ring, which the writer's later events set again or remove: a change that is carried
 * out a second time, later, shows there. App and user names are a writer's own, since between two
 * sessions nothing orders the writers.
 */
static void storm_changes(struct storm_event *out, int writer, uint32_t n, uint64_t hash)
{
	static const char *const prefix[] = {"", "user:", "app:"};
	static const enum convo_scope scope[] = {CONVO_SCOPE_SESSION, CONVO_SCOPE_USER,
						 CONVO_SCOPE_APP};
	char number[40], last[40];
	size_t len = 0, size = sizeof(out->state);

	snprintf(number, sizeof(number), "%" PRIu32, n);
	snprintf(last, sizeof(last), "\"%d.%" PRIu32 "\"", writer, n);
	storm_change(out, CONVO_SCOPE_SESSION, last, "last");
	for (size_t i = 0; i < 3; i++) {
		if (i > 0 && hash >> (8 + i) & 1)
			continue;
		storm_change(out, scope[i], n / STORM_RING % 3 == 2 ? "null" : number,
			     "%sring-%d-%" PRIu32, prefix[i], writer, n % STORM_RING);
	}
	if (hash >> 16 & 1) {
		size_t i = hash >> 20 & 0xff ? hash >> 28 & 1 : 2;

		storm_change(out, scope[i], number, "%sonce-%d-%" PRIu32, prefix[i], writer, n);
	}
	for (int i = 0; i < out->deltas; i++)
		len += (size_t)snprintf(out->state + len, size - len, "%s\"%s\":%s", i ? "," : "{",
					out->delta[i].name, out->delta[i].value);
	snprintf(out->state + len, size - len, "}");
}

void storm_event(struct storm_event *out, int writer, uint32_t n, bool stateful)
{
	uint64_t hash = storm_hash(writer, n);
	int padding = (int)(hash % 400);

	memset(out, 0, sizeof(*out));
	snprintf(out->id, sizeof(out->id), "%08x-0000-7000-8000-%012" PRIx32, (unsigned)writer, n);
	snprintf(out->author, sizeof(out->author), "writer %d", writer);
	snprintf(out->message, sizeof(out->message),
		 "{\"role\":\"user\",\"content\":\"%d.%" PRIu32 " %0*d\"}", writer, n, padding + 1,
		 0);
	out->event =
		(struct convo_event){.id = out->id, .author = out->author, .message = out->message};
	if (stateful && hash % 3 == 0) {
		storm_changes(out, writer, n, hash);
		out->event.state = out->state;
	}
}

bool storm_parse_id(const char *id, int *writer, uint32_t *n)
{
	unsigned number;
	int end = 0;

	if (sscanf(id, "%8x-0000-7000-8000-%12" SCNx32 "%n", &number, n, &end) != 2 ||
	    id[end] != '\0' || number >= STORM_WRITERS || *n == 0)
		return false;
	*writer = (int)number;
	return true;
}

int64_t storm_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void storm_nap_us(int64_t us)
{
	struct timespec ts = {us / 1000000, us % 1000000 * 1000};

	nanosleep(&ts, NULL);
}
