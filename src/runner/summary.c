/*
 * Summaries as they are stored and sent; see summary.h. Whether one is still true is told in two ways: by
 * the markers that came after it, which always works, and where all that it was made of is in sight, by
 * the hash of its turns.
 */
#include <runner/summary.h>

#include <stdlib.h>

#include <base/alloc.h>
#include <base/json.h>
#include <runner/conversation.h>

#define LEAD "Summary of the conversation so far: "

/* Room for a hash in hexadecimal digits. */
#define HASH_SIZE 17

/* ---- reading -------------------------------------------------------------------------------- */

static int64_t summary_number(struct cv_text object, const char *name)
{
	struct cv_text value = cv_json_find(object, name);
	int64_t number = 0;
	size_t i;

	if (cv_json_kind(value) != JSON_KIND_NUMBER || value.len > 18)
		return 0;
	for (i = 0; i < value.len && value.data[i] >= '0' && value.data[i] <= '9'; i++)
		number = number * 10 + (value.data[i] - '0');
	return i == value.len ? number : 0;
}

/* The object that tells of a summary, where the event has one. */
static struct cv_text summary_facts(const struct convo_event *event)
{
	struct cv_text facts = {0};

	if (strcmp(event->role, ROLE_CONTROL) == 0 && event->extra)
		facts = cv_json_find(cv_text_of(event->extra), "summary");
	return cv_json_kind(facts) == JSON_KIND_OBJECT ? facts : (struct cv_text){0};
}

/* Anybody may write an event: what makes no sense is no summary. */
static bool summary_read(struct summary *out, const struct convo_event *event)
{
	struct cv_text facts = summary_facts(event);

	if (!facts.data)
		return false;
	*out = (struct summary){.seq = event->seq,
				.from_seq = summary_number(facts, "from_seq"),
				.upto_seq = summary_number(facts, "upto_seq"),
				.messages = summary_number(facts, "messages"),
				.text = cv_json_find(facts, "text")};
	return out->from_seq > 0 && out->from_seq <= out->upto_seq && out->upto_seq < out->seq &&
	       cv_json_kind(out->text) == JSON_KIND_STRING && out->text.len > 2;
}

/* ---- the turns ------------------------------------------------------------------------------ */

/* Where each event of the session stands, in the order of their seqs. NULL: memory is out. */
static struct place *summary_places(const convo_session *session)
{
	size_t count = convo_session_count(session);
	struct place *places = NULL, *sorted = cv_alloc(count, sizeof(*sorted));

	if (!sorted || cv_conversation_place(&places, session, NULL) < 0) {
		free(sorted);
		return NULL;
	}
	for (size_t i = 0; i < count; i++)
		sorted[places[i].index] = places[i];
	free(places);
	return sorted;
}

static uint64_t hash_add(uint64_t hash, const char *text)
{
	do
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
	while (*text++);
	return hash;
}

/* The turns between two seqs that stand (FNV-1a, 64 bits); an event without a turn is one. */
static void hash_turns(char out[HASH_SIZE], const convo_session *session,
		       const struct place *places, int64_t from, int64_t upto)
{
	size_t count = convo_session_count(session);
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < count; i++) {
		const struct convo_event *event = convo_session_event(session, i);

		if (event->seq >= from && event->seq <= upto && !places[i].undone)
			hash = hash_add(hash, event->turn ? event->turn : event->id);
	}
	for (size_t i = 0; i < HASH_SIZE - 1; i++)
		out[i] = "0123456789abcdef"[hash >> (60 - 4 * i) & 0xf];
	out[HASH_SIZE - 1] = '\0';
}

/* Whether the turns are those that the summary was made of, as far as they are in sight. */
static bool hash_fits(const struct summary *summary, const convo_session *session,
		      const struct place *places, size_t index)
{
	struct cv_text facts = summary_facts(convo_session_event(session, index));
	struct cv_text told = cv_json_find(facts, "turns");
	char hash[HASH_SIZE];

	if (convo_session_event(session, 0)->seq > summary->from_seq)
		return true;
	hash_turns(hash, session, places, summary->from_seq, summary->upto_seq);
	return cv_json_kind(told) == JSON_KIND_STRING &&
	       cv_json_name_is((struct cv_text){told.data + 1, told.len - 2}, hash);
}

/* ---- finding -------------------------------------------------------------------------------- */

static bool summary_any(const convo_session *session)
{
	size_t i = convo_session_count(session);

	while (i--) {
		if (summary_facts(convo_session_event(session, i)).data)
			return true;
	}
	return false;
}

int cv_summary_find(struct summary *out, const convo_session *session)
{
	size_t i = convo_session_count(session);
	int64_t taken = INT64_MAX; /* where the oldest turn begins that was taken back since */
	struct place *places;
	struct summary found;

	*out = (struct summary){0};
	if (!summary_any(session))
		return 0;
	places = summary_places(session);
	if (!places)
		return CONVO_E_NOMEM;
	while (i--) {
		if (places[i].marks && places[i].takes < taken)
			taken = places[i].takes;
		if (summary_read(&found, convo_session_event(session, i)) &&
		    found.upto_seq < taken && hash_fits(&found, session, places, i)) {
			*out = found;
			break;
		}
	}
	free(places);
	return 0;
}

int cv_summary_stands(const convo_session *session, int64_t since, int64_t upto)
{
	size_t i = convo_session_count(session);
	struct place *places = summary_places(session);
	bool stands = true;

	if (!places)
		return CONVO_E_NOMEM;
	while (stands && i--) {
		const struct convo_event *event = convo_session_event(session, i);

		if (event->seq <= since)
			break;
		stands =
			!(places[i].marks && places[i].takes <= upto) && !summary_facts(event).data;
	}
	free(places);
	return stands;
}

/* ---- writing -------------------------------------------------------------------------------- */

int cv_summary_extra(struct cv_buf *out, const struct summary_draft *draft,
		     const convo_session *session)
{
	struct place *places = summary_places(session);
	char hash[HASH_SIZE];
	int rc;

	if (!places)
		return CONVO_E_NOMEM;
	hash_turns(hash, session, places, draft->from_seq, draft->upto_seq);
	free(places);
	rc = cv_buf_addf(out,
			 "{\"summary\":{\"from_seq\":%lld,\"upto_seq\":%lld,\"messages\":%lld,"
			 "\"tokens\":%lld,\"prompt\":%d,\"turns\":\"%s\",\"model\":",
			 (long long)draft->from_seq, (long long)draft->upto_seq,
			 (long long)draft->messages, (long long)draft->tokens, draft->prompt, hash);
	if (rc < 0)
		return rc;
	rc = cv_json_quote_to(out, draft->model, strlen(draft->model));
	if (rc < 0)
		return rc;
	rc = cv_buf_adds(out, ",\"text\":");
	if (rc < 0)
		return rc;
	rc = cv_json_quote_to(out, draft->text.data, draft->text.len);
	return rc < 0 ? rc : cv_buf_adds(out, "}}");
}

int cv_summary_message(struct cv_buf *out, const struct summary *summary)
{
	int rc = cv_buf_adds(out, "{\"role\":\"user\",\"content\":\"" LEAD);

	if (rc < 0)
		return rc;
	rc = cv_buf_add(out, summary->text.data + 1, summary->text.len - 1);
	return rc < 0 ? rc : cv_buf_addc(out, '}');
}
