/*
 * The packed event; see event.h.
 */
#include <store/redis/event.h>

#include <stdio.h>
#include <string.h>

/*
 * A packed event: the time in ms as 16 digits, 16 bytes of id, '0' + status, and each field of
 * enum event_field in turn: its length + 1 in groups of 7 bits, the lowest first and all but the
 * last with the top bit set, and its bytes; an absent one is a 0.
 */
#define PACKED_TIME 16
#define PACKED_HEAD (PACKED_TIME + UUID_BYTES + 1)

static size_t length_size(size_t number)
{
	size_t size = 1;

	for (; number >= 0x80; number >>= 7)
		size++;
	return size;
}

static char *length_put(char *to, size_t number)
{
	for (; number >= 0x80; number >>= 7)
		*to++ = (char)(number | 0x80);
	*to++ = (char)number;
	return to;
}

static bool length_get(struct cv_text *from, size_t *number)
{
	unsigned shift = 0;
	unsigned char c;

	*number = 0;
	do {
		if (!from->len || shift > 28)
			return false;
		c = (unsigned char)*from->data++;
		from->len--;
		*number |= (size_t)(c & 0x7f) << shift;
		shift += 7;
	} while (c & 0x80);
	return true;
}

size_t cv_event_size(const struct store_event *event)
{
	size_t size = PACKED_HEAD;
	int i;

	for (i = 0; i < FIELD_COUNT; i++) {
		const struct cv_text *field = &event->field[i];

		size += field->data ? length_size(field->len + 1) + field->len : 1;
	}
	return size;
}

void cv_event_pack(char *to, const struct store_event *event, int64_t now_ms)
{
	char time[PACKED_TIME + 8];
	int i;

	snprintf(time, sizeof(time), "%016lld", (long long)now_ms);
	memcpy(to, time, PACKED_TIME);
	memcpy(to + PACKED_TIME, event->id, UUID_BYTES);
	to[PACKED_HEAD - 1] = (char)('0' + event->status);
	to += PACKED_HEAD;
	for (i = 0; i < FIELD_COUNT; i++) {
		const struct cv_text *field = &event->field[i];

		to = length_put(to, field->data ? field->len + 1 : 0);
		if (field->data && field->len)
			memcpy(to, field->data, field->len);
		to += field->data ? field->len : 0;
	}
}

bool cv_event_unpack(struct store_event *event, struct cv_text from)
{
	int i;

	*event = (struct store_event){0};
	if (from.len < PACKED_HEAD)
		return false;
	for (i = 0; i < PACKED_TIME; i++) {
		if (from.data[i] < '0' || from.data[i] > '9')
			return false;
		event->time_ms = event->time_ms * 10 + (from.data[i] - '0');
	}
	memcpy(event->id, from.data + PACKED_TIME, UUID_BYTES);
	event->status = from.data[PACKED_HEAD - 1] - '0';
	if (event->status < CONVO_COMPLETE || event->status > CONVO_FAILED)
		return false;
	from.data += PACKED_HEAD;
	from.len -= PACKED_HEAD;
	for (i = 0; i < FIELD_COUNT; i++) {
		size_t len;

		if (!length_get(&from, &len))
			return false;
		if (!len)
			continue;
		if (--len > from.len || memchr(from.data, 0, len))
			return false;
		event->field[i] = (struct cv_text){from.data, len};
		from.data += len;
		from.len -= len;
	}
	return !from.len && event->field[FIELD_MESSAGE].data && event->field[FIELD_ROLE].data &&
	       event->field[FIELD_AUTHOR].data;
}
