/*
 * Appending: {p}append() takes the events of a call and answers with their seqs.
 */
#include <store/mysql/store.h>

#include <store/mysql/pack.h>

struct my_append {
	const char *where;
	struct store_append *append;
	bool answered;
	int64_t code, last_seq;
};

static void append_begin(void *ctx)
{
	struct my_append *self = ctx;

	self->answered = false;
}

/* Read a seq and the comma after it. */
static bool append_seq(struct cv_text *seqs, int64_t *seq)
{
	*seq = 0;
	while (seqs->len && *seqs->data >= '0' && *seqs->data <= '9' && *seq <= STORE_SEQ_MAX) {
		*seq = *seq * 10 + (*seqs->data++ - '0');
		seqs->len--;
	}
	if (!seqs->len || *seqs->data != ',' || *seq <= 0 || *seq > STORE_SEQ_MAX)
		return false;
	seqs->data++;
	seqs->len--;
	return true;
}

static int append_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct my_append *self = ctx;
	struct cv_text seqs = column[2].text;
	size_t i;

	if (self->answered)
		return cv_my_damaged(self->where, err);
	self->answered = true;
	self->code = column[0].number;
	self->last_seq = column[1].number;
	for (i = 0; self->code == 0 && i < self->append->count; i++) {
		if (!append_seq(&seqs, &self->append->events[i].seq))
			return cv_my_damaged(self->where, err);
	}
	return 0;
}

int cv_my_append(struct convo_store *store, const struct store_call *call,
		 const struct convo_key *key, struct store_append *append, struct convo_err *err)
{
	struct my_append self = {.where = store->where, .append = append};
	struct my_query query = {.text = MY_APPEND,
				 .begin = append_begin,
				 .take[0] = {"iIt", append_row},
				 .ctx = &self};
	struct my_pack pack = {.data.max = MY_PACK_MAX};
	struct my_args args = {0};
	int rc;

	cv_my_pack_events(&pack, append->events, append->count);
	cv_my_pack_changes(&pack, append->changes, append->change_count);
	if (pack.rc < 0) {
		rc = cv_buf_fail(err, pack.rc);
		goto out;
	}
	cv_my_key(&args, key);
	cv_my_int(&args, call->now_us);
	cv_my_int(&args, call->ttl_us);
	cv_my_int(&args, CONVO_MAX_STATE);
	cv_my_int(&args, call->event_limit);
	cv_my_bytes(&args, append->generation, UUID_BYTES);
	cv_my_int(&args, append->check_seq ? append->after_seq : -1);
	cv_my_buf(&args, &pack.events);
	cv_my_int(&args, pack.scopes);
	cv_my_buf(&args, &pack.changes);
	cv_my_buf(&args, &pack.data);
	rc = cv_my_call(cv_my_of(store), call, true, &query, &args, err);
	if (rc < 0)
		goto out;
	if (!self.answered)
		rc = cv_my_damaged(store->where, err);
	else if (self.code == CONVO_E_NOTFOUND)
		rc = cv_refuse_notfound(err, key);
	else if (self.code == CONVO_E_CONFLICT)
		rc = cv_refuse_conflict(err, key, self.last_seq);
	else if (self.code)
		rc = cv_refuse_generation(err, key, self.last_seq);
out:
	cv_my_pack_clear(&pack);
	return rc;
}
