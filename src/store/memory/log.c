/*
 * Events in memory; see log.h.
 */
#include <store/memory/log.h>

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>

struct log_chunk {
	struct cv_share share; /* first; one use is the log's */
	size_t size, used;     /* of data */
	size_t events;         /* of the log that stand here */
	alignas(max_align_t) char data[];
};

struct memory_event {
	struct convo_event event; /* as it is handed out; its texts stand behind this */
	size_t bytes;             /* of its fields */
	struct log_chunk *chunk;
	unsigned char id[UUID_BYTES];
	char text[];
};

#define FIRST_CAP 8u
#define MOST_EVENTS ((size_t)1 << 30) /* so that a place in the ring fits a slot */

/* ---- chunks ----------------------------------------------------------------------------- */

#define SMALLEST_CHUNK ((size_t)1 << 10)
#define LARGEST_CHUNK ((size_t)1 << 16)

/* A quarter of what the log holds, so that what is dropped is not kept for long by what is not. */
static struct log_chunk *chunk_new(struct memory_log *log, size_t need)
{
	size_t size = log->bytes / 4;
	struct log_chunk *chunk;

	if (need > SIZE_MAX - sizeof(*chunk))
		return NULL;
	need += sizeof(*chunk);
	if (size < SMALLEST_CHUNK)
		size = SMALLEST_CHUNK;
	if (size > LARGEST_CHUNK)
		size = LARGEST_CHUNK;
	if (size < need)
		size = need;
	chunk = malloc(size);
	if (!chunk)
		return NULL;
	atomic_init(&chunk->share.uses, 1);
	chunk->size = size - sizeof(*chunk);
	chunk->used = chunk->events = 0;
	log->bytes += size;
	return chunk;
}

static void chunk_drop(struct memory_log *log, struct log_chunk *chunk)
{
	log->bytes -= chunk->size + sizeof(*chunk);
	cv_share_drop(&chunk->share);
}

/* So many bytes, aligned for any type, of the chunk that is being filled. */
static void *chunk_take(struct memory_log *log, size_t size)
{
	const size_t align = alignof(max_align_t);
	struct log_chunk *chunk = log->chunk;
	void *taken;

	if (size > SIZE_MAX - align)
		return NULL;
	size = (size + align - 1) / align * align;
	if (!chunk || chunk->size - chunk->used < size) {
		chunk = chunk_new(log, size);
		if (!chunk)
			return NULL;
		if (log->chunk && !log->chunk->events)
			chunk_drop(log, log->chunk);
		log->chunk = chunk;
	}
	taken = chunk->data + chunk->used;
	chunk->used += size;
	chunk->events++;
	return taken;
}

/* ---- events ----------------------------------------------------------------------------- */

/* Where the fields stand in what is handed out. */
static const size_t event_member[FIELD_COUNT] = {
	[FIELD_ROLE] = offsetof(struct convo_event, role),
	[FIELD_AUTHOR] = offsetof(struct convo_event, author),
	[FIELD_TURN] = offsetof(struct convo_event, turn),
	[FIELD_MODEL] = offsetof(struct convo_event, model),
	[FIELD_FINISH_REASON] = offsetof(struct convo_event, finish_reason),
	[FIELD_ERROR] = offsetof(struct convo_event, error),
	[FIELD_MESSAGE] = offsetof(struct convo_event, message),
	[FIELD_USAGE] = offsetof(struct convo_event, usage),
	[FIELD_STATE] = offsetof(struct convo_event, state),
	[FIELD_EXTRA] = offsetof(struct convo_event, extra),
};

static struct memory_event *event_make(struct memory_log *log, const struct store_event *event,
				       int64_t seq, int64_t time_ms)
{
	size_t bytes = 0;
	struct memory_event *made;
	char *to;
	int i;

	for (i = 0; i < FIELD_COUNT; i++)
		bytes += event->field[i].len;
	made = chunk_take(log, sizeof(*made) + CONVO_UUID_SIZE + bytes + FIELD_COUNT);
	if (!made)
		return NULL;
	made->bytes = bytes;
	made->chunk = log->chunk;
	memcpy(made->id, event->id, UUID_BYTES);
	made->event = (struct convo_event){
		.seq = seq,
		.time_ms = time_ms,
		.id = made->text,
		.status = (enum convo_status)event->status,
		.message_len = event->field[FIELD_MESSAGE].len,
	};
	cv_uuid_format(made->text, event->id);
	to = made->text + CONVO_UUID_SIZE;
	for (i = 0; i < FIELD_COUNT; i++) {
		const struct cv_text *field = &event->field[i];

		if (!field->data)
			continue;
		memcpy(to, field->data, field->len);
		to[field->len] = '\0';
		*(const char **)(void *)((char *)&made->event + event_member[i]) = to;
		to += field->len + 1;
	}
	return made;
}

/* Give the chunks back that a fork has been lent. */
static void lent_drop(struct memory_log *log)
{
	while (log->lent_count)
		cv_share_drop(log->lent[--log->lent_count]);
	free(log->lent);
	log->lent = NULL;
}

/* What was lent goes as a whole, with the last event of it. */
static void event_drop(struct memory_log *log, struct memory_event *event, int64_t seq)
{
	struct log_chunk *chunk = event->chunk;

	if (seq <= log->lent_seq) {
		if (seq == log->lent_seq)
			lent_drop(log);
		return;
	}
	if (--chunk->events == 0 && chunk != log->chunk)
		chunk_drop(log, chunk);
}

int cv_log_share(const struct memory_log *log, int64_t seq, struct convo_session *into,
		 struct convo_err *err)
{
	const struct memory_event *event = log->ring[(size_t)seq & (log->cap - 1)];

	return cv_session_share_event(into, &event->event, event->bytes, &event->chunk->share, err);
}

/* ---- the table of ids ------------------------------------------------------------------- */

static uint32_t id_hash(const struct memory_log *log, const unsigned char *id)
{
	uint64_t half[2];

	memcpy(half, id, sizeof(half));
	half[1] = (half[1] ^ log->seed) * UINT64_C(0x9e3779b97f4a7c15);
	half[0] = (half[0] + (half[1] ^ (half[1] >> 31))) * UINT64_C(0xd6e8feb86659fd93);
	return (uint32_t)(half[0] >> 32);
}

static size_t table_mask(const struct memory_log *log)
{
	return log->cap * 2 - 1;
}

static void table_put(struct memory_log *log, struct log_slot entry)
{
	size_t mask = table_mask(log), slot = entry.hash & mask;

	while (log->table[slot].place)
		slot = (slot + 1) & mask;
	log->table[slot] = entry;
}

static void table_add(struct memory_log *log, int64_t seq)
{
	size_t index = (size_t)seq & (log->cap - 1);

	table_put(log, (struct log_slot){id_hash(log, log->ring[index]->id), (uint32_t)index + 1});
}

/* Take out a seq, and move back what stands behind it only because of it. */
static void table_remove(struct memory_log *log, int64_t seq)
{
	size_t index = (size_t)seq & (log->cap - 1), mask = table_mask(log);
	size_t hole = id_hash(log, log->ring[index]->id) & mask, slot;

	while (log->table[hole].place != (uint32_t)index + 1)
		hole = (hole + 1) & mask;
	for (slot = (hole + 1) & mask; log->table[slot].place; slot = (slot + 1) & mask) {
		size_t home = log->table[slot].hash & mask;

		if (((slot - home) & mask) < ((slot - hole) & mask))
			continue;
		log->table[hole] = log->table[slot];
		hole = slot;
	}
	log->table[hole].place = 0;
}

int64_t cv_log_find(const struct memory_log *log, const unsigned char *id)
{
	uint32_t hash = id_hash(log, id);
	size_t mask, slot;

	if (!log->cap)
		return 0;
	mask = table_mask(log);
	for (slot = hash & mask; log->table[slot].place; slot = (slot + 1) & mask) {
		size_t index = log->table[slot].place - 1;

		if (log->table[slot].hash == hash &&
		    memcmp(log->ring[index]->id, id, UUID_BYTES) == 0)
			return log->first_seq +
			       (int64_t)((index - (size_t)log->first_seq) & (log->cap - 1));
	}
	return 0;
}

/* ---- the ring --------------------------------------------------------------------------- */

static int log_reserve(struct memory_log *log, size_t extra)
{
	size_t used = (size_t)(log->last_seq - log->first_seq + 1);
	size_t cap = log->cap ? log->cap : FIRST_CAP, bytes;
	struct memory_log grown = *log;
	int64_t seq;

	if (extra > MOST_EVENTS - used)
		return CONVO_E_NOMEM;
	while (cap < used + extra)
		cap *= 2;
	if (cap == log->cap)
		return 0;
	if (!cv_mul(cap, sizeof(struct memory_event *), &bytes))
		return CONVO_E_NOMEM;
	grown.cap = cap;
	grown.ring = malloc(bytes);
	grown.table = cv_alloc(cap * 2, sizeof(*grown.table));
	if (!grown.ring || !grown.table) {
		free(grown.ring);
		free(grown.table);
		return CONVO_E_NOMEM;
	}
	for (seq = log->first_seq; seq <= log->last_seq; seq++) {
		grown.ring[(size_t)seq & (cap - 1)] = log->ring[(size_t)seq & (log->cap - 1)];
		table_add(&grown, seq);
	}
	free(log->ring);
	free(log->table);
	*log = grown;
	return 0;
}

int cv_log_append(struct memory_log *log, struct store_event *events, size_t count, int64_t now_ms)
{
	int64_t last_seq = log->last_seq, seq;
	size_t i;

	if (log_reserve(log, count) < 0)
		return CONVO_E_NOMEM;
	if (last_seq >= log->first_seq) {
		const struct memory_event *last = log->ring[(size_t)last_seq & (log->cap - 1)];

		if (now_ms < last->event.time_ms)
			now_ms = last->event.time_ms;
	}
	for (i = 0; i < count; i++) {
		struct memory_event **place = &log->ring[(size_t)(last_seq + 1) & (log->cap - 1)];

		if (events[i].seq)
			continue;
		*place = event_make(log, &events[i], last_seq + 1, now_ms);
		if (!*place) {
			for (seq = log->last_seq + 1; seq <= last_seq; seq++)
				event_drop(log, log->ring[(size_t)seq & (log->cap - 1)], seq);
			return CONVO_E_NOMEM;
		}
		last_seq++;
	}
	for (i = 0; i < count; i++) {
		if (events[i].seq)
			continue;
		events[i].seq = ++log->last_seq;
		events[i].time_ms = now_ms;
		table_add(log, log->last_seq);
	}
	return 0;
}

/* Hold a chunk; events that stand side by side mostly share one. */
static bool log_lend(struct memory_log *log, size_t *cap, struct cv_share *chunk)
{
	if (log->lent_count && log->lent[log->lent_count - 1] == chunk)
		return true;
	if (!cv_grow((void **)&log->lent, cap, log->lent_count + 1, sizeof(struct cv_share *)))
		return false;
	cv_share_hold(chunk);
	log->lent[log->lent_count++] = chunk;
	return true;
}

int cv_log_fork(struct memory_log *log, const struct memory_log *source, int64_t from, int64_t to)
{
	size_t cap = 0;
	int64_t seq;

	log->first_seq = from <= to ? from : to + 1;
	log->last_seq = log->first_seq - 1;
	if (from > to)
		return 0;
	if (log_reserve(log, (size_t)(to - from + 1)) < 0)
		return CONVO_E_NOMEM;
	log->lent_seq = to;
	for (seq = from; seq <= to; seq++) {
		struct memory_event *event = source->ring[(size_t)seq & (source->cap - 1)];

		if (!log_lend(log, &cap, &event->chunk->share))
			return CONVO_E_NOMEM;
		log->ring[(size_t)seq & (log->cap - 1)] = event;
		log->last_seq = seq;
		table_add(log, seq);
	}
	return 0;
}

int64_t cv_log_weigh(const struct memory_log *log, int64_t from, int64_t to)
{
	int64_t bytes = 0, seq;

	if (from < log->first_seq)
		from = log->first_seq;
	if (to > log->last_seq)
		to = log->last_seq;
	for (seq = from; seq <= to; seq++)
		bytes += (int64_t)log->ring[(size_t)seq & (log->cap - 1)]->event.message_len;
	return bytes;
}

void cv_log_trim(struct memory_log *log, int64_t first_seq)
{
	for (; log->first_seq < first_seq; log->first_seq++) {
		table_remove(log, log->first_seq);
		event_drop(log, log->ring[(size_t)log->first_seq & (log->cap - 1)], log->first_seq);
	}
}

void cv_log_clear(struct memory_log *log)
{
	int64_t seq;

	for (seq = log->first_seq; seq <= log->last_seq; seq++)
		event_drop(log, log->ring[(size_t)seq & (log->cap - 1)], seq);
	lent_drop(log);
	if (log->chunk)
		chunk_drop(log, log->chunk);
	free(log->ring);
	free(log->table);
	memset(log, 0, sizeof(*log));
}
