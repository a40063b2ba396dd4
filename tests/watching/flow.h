/*
 * What flows from writers to watchers: 8 writers append to 100 sessions, of which each has two of them, and
 * 100 watchers follow two sessions each, by convo/watch.h and by loads after the seq that they know. Each
 * event must reach both watchers of its session once and in order, whatever happens meanwhile (W1 to W3).
 *
 * A session ends after so many events, and the next life of its lane begins under another name. What an
 * event says follows from its lane, its part (which of the two writers), its life and its number, so that
 * who finds one knows what it must look like, and a writer that was killed goes on with the same batch.
 */
#ifndef TESTS_WATCHING_FLOW_H
#define TESTS_WATCHING_FLOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convo/store.h>

enum {
	FLOW_WRITERS = 8,
	FLOW_WATCHERS = 100,
	FLOW_LISTENERS = 5, /* programs in which the watchers are, where these may be several */
	FLOW_LANES = 100,
	FLOW_SHARE = 2 /* writers of a lane, watchers of a lane, lanes of a watcher */
};

/** How far a writer has come in a lane. */
struct flow_state {
	uint32_t life, n; /* its next event */
	uint64_t sum;     /* of what was acknowledged: flow_sum() of each */
};

/** The same, kept so that a kill finds the one before or the one after. */
struct flow_part {
	struct flow_state state[2];
	_Atomic uint32_t now;
};

struct flow_lane {
	struct flow_part part[FLOW_SHARE];
	_Atomic uint32_t past[FLOW_SHARE]; /* lives that a watcher has seen the end of */
	uint64_t sum[FLOW_SHARE];          /* of what a watcher has seen */
};

/** When an event was acknowledged, and loaded by each of its watchers; flow_now_us(). */
struct flow_stamp {
	int64_t acked, seen[FLOW_SHARE];
};

/** A flow, in memory that all its programs share. */
struct flow {
	char url[512];
	bool apart; /* in many programs, not in many threads of one */
	uint32_t lives;
	uint32_t quota; /* events of a part in a life */
	uint32_t batch; /* most events of an append */
	int pause_ms;   /* of a writer between two appends */
	int wait_ms;    /* before a writer begins */

	_Atomic uint64_t written, seen; /* events; seen: by each of their watchers */
	atomic_int wrong;
	_Atomic int64_t back_us; /* since when the server is there; INT64_MAX while it is not */
	_Atomic int64_t late_us; /* the longest time from writing to seeing */
	struct flow_lane lane[FLOW_LANES];
	struct flow_stamp stamp[]; /* one for each event of one life; none: nobody asks for them */
};

/** How many events there will be. */
uint64_t flow_events(const struct flow *flow);

/** The session of a life of a lane; the key points into `name`. */
#define FLOW_NAME 32
struct convo_key flow_key(char name[FLOW_NAME], uint32_t lane, uint32_t life);

/** An event by its place. */
struct flow_event {
	uint32_t lane, part, life, n;
	char id[CONVO_UUID_SIZE];
	char message[160];
};

/** Fill id and message, which says when that was. */
void flow_event_make(struct flow_event *event);

/** Read a place and a time from a stored event. @return false for one that nobody wrote */
bool flow_event_read(struct flow_event *event, const struct convo_event *stored, int64_t *at_us);

/** What an event with its seq adds to the sums, in whatever order. */
uint64_t flow_sum(const struct flow_event *event, int64_t seq);

/** How many events go with the one numbered n. */
uint32_t flow_batch(const struct flow *flow, uint32_t lane, uint32_t part, uint32_t life,
		    uint32_t n);

/** Where a part is; and move it on. */
struct flow_state flow_part_state(struct flow_part *part);
void flow_part_set(struct flow_part *part, const struct flow_state *state);

/** The writer of a part of a lane. */
uint32_t flow_writer_of(uint32_t lane, uint32_t part);

/** The lanes of a watcher. */
uint32_t flow_lane_of(uint32_t watcher, uint32_t which);

/** Count and print what is wrong. */
void flow_wrong(struct flow *flow, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Whether a code is one that trouble with servers gives. */
bool flow_is_trouble(int code);

/** A clock that all programs share. */
int64_t flow_now_us(void);

void flow_nap_ms(int ms);

/** Be a writer, or a watcher, until all is written, or seen. */
void flow_write(struct flow *flow, convo_store *store, uint32_t writer);
void flow_watch(struct flow *flow, convo_store *store, uint32_t watcher);

#endif
