/*
 * Putting messages together for a request; see parcel.h.
 */
#include <runner/parcel.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <runner/join.h>

/* What stands between two questions where the first got no answer. */
#define FILLER "{\"role\":\"assistant\",\"content\":\"(no answer)\"}"

/* Give system messages to the user where the endpoint takes none. */
static void parcel_recast(struct piece *pieces, size_t count, const struct parcel_rules *rules)
{
	bool first = true;

	for (size_t i = 0; i < count; i++) {
		if (pieces[i].side == SIDE_SYSTEM &&
		    (rules->no_system || (rules->strict && !first)))
			pieces[i].side = SIDE_USER;
		first = false;
	}
}

static bool parcel_fits(const struct piece *first, const struct piece *second,
			const struct parcel_rules *rules)
{
	if (first->side != second->side || first->calls || second->calls)
		return false;
	if (first->side == SIDE_ASSISTANT && !rules->strict)
		return false;
	if (first->side != SIDE_USER && first->side != SIDE_ASSISTANT)
		return false;
	return rules->strict || rules->no_system
		       ? cv_join_speaks(&first->message) && cv_join_speaks(&second->message)
		       : cv_join_fits(&first->message, &second->message);
}

/* How many pieces from `first` on are to be one message. */
static size_t parcel_run(const struct piece *first, size_t count, const struct parcel_rules *rules)
{
	bool joins = rules->alternate == CONVO_ALTERNATE_JOIN;
	bool fills = rules->alternate == CONVO_ALTERNATE_FILL;
	size_t n = 1;

	while (n < count && (joins || first[n - 1].leads || (fills && first[n].goes_on)) &&
	       parcel_fits(&first[n - 1], &first[n], rules))
		n++;
	return n;
}

/* Whether a message must be written anew, for its role is another one now. */
static bool parcel_is_recast(const struct piece *piece)
{
	return piece->side == SIDE_USER && !cv_join_is_role(&piece->message, "user");
}

/* Put `count` messages, which stand at the end already, together in the place of the first. */
static int parcel_join(struct parcel *out, size_t count, const char *role)
{
	struct convo_message *first = &out->messages[out->count - count];
	struct cv_buf one = {0};
	int rc = CONVO_E_NOMEM;

	if (!cv_grow((void **)&out->made, &out->made_cap, out->made_count + 1, sizeof(*out->made)))
		goto out;
	rc = cv_join(&one, first, count, role);
	if (rc < 0)
		goto out;
	for (size_t i = 0; i < count; i++)
		out->bytes -= first[i].len;
	out->bytes += one.len;
	*first = (struct convo_message){one.data, one.len};
	out->made[out->made_count++] = cv_buf_take(&one);
	out->count -= count - 1;
	out->joined += count - 1;
out:
	cv_buf_clear(&one);
	return rc;
}

/* Add `count` pieces as one message. */
static int parcel_add(struct parcel *out, const struct piece *first, size_t count,
		      const struct parcel_rules *rules)
{
	bool plain = count == 1, anew = rules->strict;
	const char *role = NULL;
	int rc;

	for (size_t i = 0; i < count; i++) {
		out->messages[out->count++] = first[i].message;
		out->bytes += first[i].bytes;
		anew = anew || parcel_is_recast(&first[i]);
		plain = plain && !parcel_is_recast(&first[i]);
	}
	if (plain)
		return 0;
	if (anew)
		role = first->side == SIDE_USER ? "user" : "assistant";
	rc = parcel_join(out, count, role);
	for (size_t i = 0; i < count && count > 1 && rc == 0; i++)
		out->joined -= first[i].leads;
	return rc;
}

int cv_parcel_fill(struct parcel *out, struct piece *pieces, size_t count,
		   const struct parcel_rules *rules)
{
	const bool fills = rules->alternate == CONVO_ALTERNATE_FILL;
	int rc = 0;

	out->messages = cv_alloc(count ? count : 1, 2 * sizeof(*out->messages));
	if (!out->messages)
		return CONVO_E_NOMEM;
	parcel_recast(pieces, count, rules);
	for (size_t i = 0, n; i < count && rc == 0; i += n) {
		if (fills && i && !pieces[i].goes_on && pieces[i - 1].side == SIDE_USER &&
		    pieces[i].side == SIDE_USER) {
			out->messages[out->count++] =
				(struct convo_message){FILLER, strlen(FILLER)};
			out->bytes += strlen(FILLER);
		}
		n = parcel_run(&pieces[i], count - i, rules);
		rc = parcel_add(out, &pieces[i], n, rules);
	}
	return rc;
}

bool cv_parcel_same(const struct parcel *a, const struct parcel *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct convo_message *one = &a->messages[i], *other = &b->messages[i];

		if (one->len != other->len ||
		    (one->json != other->json && memcmp(one->json, other->json, one->len) != 0))
			return false;
	}
	return true;
}

void cv_parcel_clear(struct parcel *parcel)
{
	while (parcel->made_count)
		free(parcel->made[--parcel->made_count]);
	free(parcel->made);
	free(parcel->messages);
	memset(parcel, 0, sizeof(*parcel));
}
