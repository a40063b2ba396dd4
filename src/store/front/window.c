/*
 * Windows: from what a caller asks for to what a backend gets, and which seqs a window shows; once
 * for all backends.
 */
#include <base/fail.h>
#include <store/front/call.h>
#include <store/front/prepare.h>

int cv_prepare_window(struct store_window *full, const struct convo_window *window,
		      struct convo_err *err)
{
	static const struct convo_window all;
	int rc;

	if (!window)
		window = &all;
	rc = CHECK_RESERVED(window, err);
	if (rc < 0)
		return rc;
	if ((unsigned)window->kind > CONVO_WINDOW_NONE)
		return cv_fail(err, CONVO_E_INVALID, "the window is of an unknown kind");
	if (window->with & ~(unsigned)CONVO_WITH_DRAFT)
		return cv_fail(err, CONVO_E_INVALID, "the window asks for something unknown");
	if (window->seq < 0)
		return cv_fail(err, CONVO_E_INVALID, "the window's seq is negative");
	*full = (struct store_window){
		.kind = window->kind,
		.n = window->n && window->n < STORE_SEQ_MAX ? (int64_t)window->n : STORE_SEQ_MAX,
		.seq = window->seq < STORE_SEQ_MAX ? window->seq : STORE_SEQ_MAX,
		.draft = window->with & CONVO_WITH_DRAFT,
	};
	if (window->kind == CONVO_WINDOW_AROUND &&
	    (!window->id || !cv_uuid_parse(full->around, window->id)))
		return cv_fail(err, CONVO_E_INVALID, "the window's event id is not a UUID");
	return 0;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

void cv_window_range(const struct store_window *window, int64_t first, int64_t last, int64_t around,
		     int64_t *from, int64_t *to)
{
	int64_t n = window->n;

	*to = last;
	switch (window->kind) {
	case CONVO_WINDOW_LAST:
		*from = last - n + 1;
		break;
	case CONVO_WINDOW_AFTER:
		*from = window->seq < last ? window->seq + 1 : last + 1;
		if (*from < first)
			*from = first;
		*to = least(last, *from + n - 1);
		break;
	case CONVO_WINDOW_BEFORE:
		*to = least(last, window->seq - 1);
		*from = *to - n + 1;
		break;
	case CONVO_WINDOW_AROUND:
		*to = least(last, around + (n - 1) / 2);
		*from = around - (n - 1 - (n - 1) / 2);
		break;
	case CONVO_WINDOW_NONE:
		*from = last + 1;
		break;
	}
	if (*from < first)
		*from = first;
}
