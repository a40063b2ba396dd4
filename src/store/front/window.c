/*
 * Which seqs a window shows: once for all backends.
 */
#include <store/backend.h>

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
