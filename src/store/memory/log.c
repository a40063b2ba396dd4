/*
 * Events in memory; see log.h. An event is one block: a fixed head, the lengths of the
 * fields it has, and their bytes, so that it takes little more room than its own text.
 */
#include <store/memory/log.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>

struct memory_event {
	int64_t time_ms;
	unsigned char id[UUID_BYTES];
	uint16_t present; /* a bit for each field it has */
	uint8_t status;
	uint32_t len[]; /* of the fields present; their bytes follow */
};

#define FIRST_CAP 8u

/* ---- packing ---------------------------------------------------------------------------- */

static struct memory_event *event_pack(const struct store_event *event, int64_t time_ms)
{
	size_t size = sizeof(struct memory_event), fields = 0;
	struct memory_event *packed;
	char *to;
	int i;

	for (i = 0; i < FIELD_COUNT; i++) {
		if (event->field[i].data) {
			size += sizeof(uint32_t) + event->field[i].len;
			fields++;
		}
	}
	packed = malloc(size);
	if (!packed)
		return NULL;
	packed->time_ms = time_ms;
	memcpy(packed->id, event->id, UUID_BYTES);
	packed->present = 0;
	packed->status = (uint8_t)event->status;
	to = (char *)(packed->len + fields);
	fields = 0;
	for (i = 0; i < FIELD_COUNT; i++) {
		const struct cv_text *field = &event->field[i];

		if (!field->data)
			continue;
		packed->present = (uint16_t)(packed->present | 1u << i);
		packed->len[fields++] = (uint32_t)field->len;
		memcpy(to, field->data, field->len);
		to += field->len;
	}
	return packed;
}

void cv_log_get(const struct memory_log *log, int64_t seq, struct store_event *out)
{
	const struct memory_event *packed = log->ring[(size_t)seq & (log->cap - 1)];
	size_t fields = 0, at = 0;
	const char *from;
	int i;

	memset(out, 0, sizeof(*out));
	out->seq = seq;
	out->time_ms = packed->time_ms;
	out->status = packed->status;
	memcpy(out->id, packed->id, UUID_BYTES);
	for (i = 0; i < FIELD_COUNT; i++)
		fields += packed->present >> i & 1;
	from = (const char *)(packed->len + fields);
	for (i = 0; i < FIELD_COUNT; i++) {
		if (!(packed->present >> i & 1))
			continue;
		out->field[i] = (struct cv_text){from, packed->len[at]};
		from += packed->len[at++];
	}
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

	while (cap < used + extra)
		cap *= 2;
	if (cap == log->cap)
		return 0;
	if (cap > UINT32_MAX / 2 || !cv_mul(cap, sizeof(struct memory_event *), &bytes))
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

		if (now_ms < last->time_ms)
			now_ms = last->time_ms;
	}
	for (i = 0; i < count; i++) {
		struct memory_event **place = &log->ring[(size_t)(last_seq + 1) & (log->cap - 1)];

		if (events[i].seq)
			continue;
		*place = event_pack(&events[i], now_ms);
		if (!*place) {
			for (seq = log->last_seq + 1; seq <= last_seq; seq++)
				free(log->ring[(size_t)seq & (log->cap - 1)]);
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

void cv_log_trim(struct memory_log *log, int64_t first_seq)
{
	for (; log->first_seq < first_seq; log->first_seq++) {
		table_remove(log, log->first_seq);
		free(log->ring[(size_t)log->first_seq & (log->cap - 1)]);
	}
}

void cv_log_clear(struct memory_log *log)
{
	int64_t seq;

	for (seq = log->first_seq; seq <= log->last_seq; seq++)
		free(log->ring[(size_t)seq & (log->cap - 1)]);
	free(log->ring);
	free(log->table);
	memset(log, 0, sizeof(*log));
}
