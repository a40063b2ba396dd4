/*
 * Fuzzing the reader of server-sent events: no input may upset it, and how the input is cut must not
 * change what is read. The first byte says how large the pieces are.
 */
#include <model/sse.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int keep_event(void *ctx, const struct sse_event *event)
{
	struct cv_buf *heard = ctx;

	if (!event->data.len || event->data.len > LARGEST || event->name.len > LARGEST)
		abort();
	cv_buf_add(heard, event->name.data, event->name.len);
	cv_buf_addc(heard, event->unfinished ? '!' : '=');
	cv_buf_add(heard, event->data.data, event->data.len);
	return cv_buf_addc(heard, ';');
}

static int feed(struct cv_buf *heard, const char *bytes, size_t len, size_t step)
{
	struct sse sse = {.on_event = keep_event, .ctx = heard, .max = LARGEST};
	int rc = 0;

	for (size_t at = 0; at < len && rc == 0; at += step)
		rc = cv_sse_feed(&sse, bytes + at, len - at < step ? len - at : step);
	if (rc == 0)
		rc = cv_sse_end(&sse);
	cv_sse_clear(&sse);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cv_buf whole = {0}, pieces = {0};
	const char *bytes = (const char *)data + 1;
	int rc;

	if (size < 2)
		return 0;
	rc = feed(&whole, bytes, size - 1, size);
	if (rc != feed(&pieces, bytes, size - 1, data[0] % 16 + 1u) || whole.len != pieces.len ||
	    (whole.len && memcmp(whole.data, pieces.data, whole.len) != 0))
		abort();
	cv_buf_clear(&whole);
	cv_buf_clear(&pieces);
	return 0;
}
