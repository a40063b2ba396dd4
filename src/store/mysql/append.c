/*
 * Appending: {p}append() takes the events of a call and answers with their seqs, and {p}hold() those of a
 * call with a lease; calls without one that come together travel together (round.c).
 */
#include <store/mysql/store.h>

#include <store/mysql/pack.h>
#include <store/mysql/round.h>

/* Callers at a time from which on they travel together, and most that each of them may bring. Over a way
 * that takes longer than the server does, a round costs its round trips, and a caller alone costs one. */
#define APPEND_CROWD 4
#define APPEND_FAR_US 10000
#define APPEND_TRIPS 7
#define APPEND_EVENTS 16
#define APPEND_BYTES (MY_ROUND_BYTES / 16)

struct my_answer {
	const char *where;
	struct store_append *append;
	bool answered;
	int64_t code, last_seq, left_us;
};

static void append_begin(void *ctx)
{
	struct my_answer *self = ctx;

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
	struct my_answer *self = ctx;
	struct cv_text seqs = column[2].text;
	size_t i;

	if (self->answered)
		return cv_my_damaged(self->where, err);
	self->answered = true;
	self->code = column[0].number;
	self->last_seq = column[1].number;
	if (self->append->hold)
		self->left_us = column[3].number;
	for (i = 0; self->code == 0 && i < self->append->count; i++) {
		if (!append_seq(&seqs, &self->append->events[i].seq))
			return cv_my_damaged(self->where, err);
	}
	return 0;
}

static void append_args(struct my_args *args, const struct my_append *self,
			const struct my_pack *pack)
{
	const struct store_append *append = self->append;
	const struct store_hold *hold = append->hold;

	cv_my_key(args, self->key);
	cv_my_int(args, self->call->now_us);
	cv_my_int(args, self->call->ttl_us);
	cv_my_int(args, CONVO_MAX_STATE);
	cv_my_int(args, self->call->event_limit);
	cv_my_bytes(args, append->generation, UUID_BYTES);
	cv_my_int(args, append->check_seq ? append->after_seq : -1);
	cv_my_buf(args, &pack->events);
	cv_my_int(args, pack->scopes);
	cv_my_buf(args, &pack->changes);
	cv_my_buf(args, &pack->data);
	if (!hold)
		return;
	cv_my_int(args, hold->what);
	cv_my_bytes(args, hold->lease, UUID_BYTES);
	cv_my_int(args, hold->us);
	cv_my_bytes(args, hold->settles ? hold->draft : NULL, UUID_BYTES);
	cv_my_int(args, hold->draft_len);
}

/* What {p}append() or {p}hold() has answered. */
static int append_verdict(const struct my_append *self, const struct my_answer *answer,
			  struct convo_err *err)
{
	if (!answer->answered)
		return cv_my_damaged(answer->where, err);
	switch (answer->code) {
	case 0:
		return 0;
	case CONVO_E_NOTFOUND:
		return cv_refuse_notfound(err, self->key);
	case CONVO_E_CONFLICT:
		return cv_refuse_conflict(err, self->key, answer->last_seq);
	case CONVO_E_BUSY:
		return cv_refuse_busy(err, self->key, answer->last_seq, answer->left_us);
	case MY_LEASE_LOST:
		return cv_refuse_lease(err, self->key, answer->last_seq);
	case MY_DRAFT_THERE:
		return STORE_IN_THE_WAY;
	default:
		return cv_refuse_generation(err, self->key, answer->last_seq);
	}
}

static int append_alone(struct my_append *self, struct convo_err *err)
{
	const struct store_append *append = self->append;
	struct my_answer answer = {.where = self->store->where, .append = self->append};
	struct my_query query = {.text = append->hold ? MY_HOLD : MY_APPEND,
				 .begin = append_begin,
				 .take[0] = {append->hold ? "iIti" : "iIt", append_row},
				 .ctx = &answer};
	struct my_pack pack = {.data.max = MY_PACK_MAX};
	struct my_args args = {0};
	int rc;

	cv_my_pack_events(&pack, append->events, append->count);
	cv_my_pack_changes(&pack, append->changes, append->change_count);
	if (pack.rc < 0) {
		rc = cv_buf_fail(err, pack.rc);
		goto out;
	}
	append_args(&args, self, &pack);
	rc = cv_my_call(cv_my_of(self->store), self->call, true, &query, &args, err);
	if (rc == 0)
		rc = append_verdict(self, &answer, err);
out:
	cv_my_pack_clear(&pack);
	return rc;
}

/* Whether it may travel with others: what is small, and changes what belongs to its session alone.
 */
static bool append_shares(const struct store_append *append, size_t *weight)
{
	size_t i;
	int field;

	*weight = 0;
	for (i = 0; i < append->count && i < APPEND_EVENTS; i++) {
		for (field = 0; field < FIELD_COUNT; field++)
			*weight += append->events[i].field[field].len;
	}
	return !append->change_count && i == append->count && *weight <= APPEND_BYTES;
}

static int append_crowd(struct my_store *my)
{
	if (atomic_load(&my->trip_us) < APPEND_FAR_US)
		return APPEND_CROWD;
	return APPEND_TRIPS * my->sql.base.opts.max_connections;
}

int cv_my_append(struct convo_store *store, const struct store_call *call,
		 const struct convo_key *key, struct store_append *append, struct convo_err *err)
{
	struct my_append self = {.job.deadline_us = call->deadline_us,
				 .job.cancel = call->cancel,
				 .store = store,
				 .call = call,
				 .key = key,
				 .append = append};
	struct my_store *my = cv_my_of(store);
	struct convo_err why = {0};
	int rc = 0;

	if (append->hold || !my->rounds || !append_shares(append, &self.job.weight))
		return append_alone(&self, err);
	self.alone = atomic_fetch_add(&my->appending, 1) + 1 < append_crowd(my);
	if (!self.alone)
		rc = cv_group_run(my->appends, &self.job, &why);
	if (rc == 0 && self.alone)
		rc = append_alone(&self, &why);
	atomic_fetch_sub(&my->appending, 1);
	if (rc < 0 && self.maybe)
		rc = cv_pool_undecide(&why);
	if (rc < 0 && err)
		*err = why;
	return rc;
}
