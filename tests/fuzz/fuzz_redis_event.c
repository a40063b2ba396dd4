/*
 * Fuzzing what a Redis server may hold in the place of an event: what unpack() takes is an event
 * whose texts lie within the input, and packs to the same bytes again.
 */
#include <store/redis/event.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be_within(struct cv_text text, const char *data, size_t size)
{
	if (!text.data)
		return;
	if (text.data < data || text.len > size || text.data + text.len > data + size ||
	    memchr(text.data, 0, text.len))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	struct store_event event;
	char *again;
	int i;

	if (!cv_event_unpack(&event, (struct cv_text){bytes, size}))
		return 0;
	for (i = 0; i < FIELD_COUNT; i++)
		must_be_within(event.field[i], bytes, size);
	if (!event.field[FIELD_ROLE].data || !event.field[FIELD_AUTHOR].data ||
	    !event.field[FIELD_MESSAGE].data || event.time_ms < 0)
		abort();
	/* A length may have been written with more groups than it needs. */
	if (cv_event_size(&event) > size)
		abort();
	again = malloc(size);
	if (!again)
		return 0;
	cv_event_pack(again, &event, event.time_ms);
	if (cv_event_size(&event) == size && memcmp(again, data, size) != 0)
		abort();
	free(again);
	return 0;
}
