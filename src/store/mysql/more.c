/*
 * What a session may have beside its row; see more.h.
 */
#include <store/mysql/more.h>

enum { MORE_LEFT = 10, MORE_DRAFT = 1, MORE_SEQ = 19 };

/* So many digits, and move behind them. */
static bool more_number(struct cv_text *text, size_t digits, int64_t *number)
{
	*number = 0;
	if (text->len < digits)
		return false;
	for (; digits; digits--, text->data++, text->len--) {
		if (*text->data < '0' || *text->data > '9' || *number > INT64_MAX / 10 - 1)
			return false;
		*number = *number * 10 + (*text->data - '0');
	}
	return true;
}

int cv_my_more(struct store_meta *meta, bool *draft, const struct sql_value *column,
	       const char *where, struct convo_err *err)
{
	struct cv_text text = column->text;
	int64_t has_draft = 0;

	if (draft)
		*draft = false;
	if (column->kind == SQL_NULL)
		return 0;
	if (!more_number(&text, MORE_LEFT, &meta->held_us) ||
	    !more_number(&text, MORE_DRAFT, &has_draft))
		return cv_sql_damaged(err, where);
	if (draft)
		*draft = has_draft;
	if (!text.len)
		return 0;
	if (!more_number(&text, MORE_SEQ, &meta->fork_seq) || text.len <= UUID_BYTES ||
	    text.len > UUID_BYTES + CONVO_MAX_NAME || meta->fork_seq > STORE_SEQ_MAX)
		return cv_sql_damaged(err, where);
	memcpy(meta->fork_generation, text.data, UUID_BYTES);
	meta->fork_session = (struct cv_text){text.data + UUID_BYTES, text.len - UUID_BYTES};
	return 0;
}
