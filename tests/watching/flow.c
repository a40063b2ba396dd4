/*
 * See flow.h: events by their places, and how far who has come.
 */
#include "flow.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <support/test.h>

uint64_t flow_events(const struct flow *flow)
{
	return (uint64_t)FLOW_LANES * FLOW_SHARE * flow->lives * flow->quota;
}

struct convo_key flow_key(char name[FLOW_NAME], uint32_t lane, uint32_t life)
{
	static const char *const users[] = {"ann", "bob", "c:3", "d{4}"};

	snprintf(name, FLOW_NAME, "lane %" PRIu32 ".%" PRIu32, lane, life);
	return (struct convo_key){"watching", users[lane % 4], name};
}

void flow_event_make(struct flow_event *event)
{
	snprintf(event->id, sizeof(event->id), "%08" PRIx32 "-0000-7000-8%03" PRIx32 "-%012" PRIx32,
		 event->lane * FLOW_SHARE + event->part, event->life & 0xfff, event->n);
	snprintf(event->message, sizeof(event->message),
		 "{\"role\":\"user\",\"content\":\"%" PRIu32 ".%" PRIu32 ".%" PRIu32 ".%" PRIu32
		 " at %" PRId64 " %030d\"}",
		 event->lane, event->part, event->life, event->n, flow_now_us(), 0);
}

bool flow_event_read(struct flow_event *event, const struct convo_event *stored, int64_t *at_us)
{
	const char *content = strstr(stored->message, "\"content\"");
	struct flow_event same;

	content = content ? strchr(content + strlen("\"content\""), '"') : NULL;
	if (!content ||
	    sscanf(content + 1, "%" SCNu32 ".%" SCNu32 ".%" SCNu32 ".%" SCNu32 " at %" SCNd64,
		   &event->lane, &event->part, &event->life, &event->n, at_us) != 5)
		return false;
	same = *event;
	flow_event_make(&same);
	return strcmp(same.id, stored->id) == 0 && event->part < FLOW_SHARE;
}

static uint64_t flow_mix(uint64_t z)
{
	z += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t flow_place(uint32_t lane, uint32_t part, uint32_t life, uint32_t n)
{
	return flow_mix(((uint64_t)(lane * FLOW_SHARE + part) << 32 | life) ^ flow_mix(n));
}

uint64_t flow_sum(const struct flow_event *event, int64_t seq)
{
	return flow_mix(flow_place(event->lane, event->part, event->life, event->n) ^
			flow_mix((uint64_t)seq));
}

/* Every fourth append is a small one. */
uint32_t flow_batch(const struct flow *flow, uint32_t lane, uint32_t part, uint32_t life,
		    uint32_t n)
{
	uint64_t hash = flow_place(lane, part, life, n);
	uint32_t count = flow->batch, left = flow->quota - n;

	if (hash % 4 == 0)
		count = 1 + (uint32_t)(hash >> 32) % (flow->batch < 20 ? flow->batch : 20);
	return count < left ? count : left;
}

struct flow_state flow_part_state(struct flow_part *part)
{
	return part->state[atomic_load(&part->now)];
}

void flow_part_set(struct flow_part *part, const struct flow_state *state)
{
	uint32_t other = !atomic_load(&part->now);

	part->state[other] = *state;
	atomic_store(&part->now, other);
}

uint32_t flow_writer_of(uint32_t lane, uint32_t part)
{
	return (lane + 3 * part) % FLOW_WRITERS;
}

uint32_t flow_lane_of(uint32_t watcher, uint32_t which)
{
	return (watcher + which) % FLOW_LANES;
}

void flow_wrong(struct flow *flow, const char *fmt, ...)
{
	char text[400];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (atomic_fetch_add(&flow->wrong, 1) < 50)
		test_say("WRONG: %s", text);
}

bool flow_is_trouble(int code)
{
	return code == CONVO_E_TIMEOUT || code == CONVO_E_IO || code == CONVO_E_GONE ||
	       code == CONVO_E_READONLY;
}

int64_t flow_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void flow_nap_ms(int ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}
