/*
 * Lists of sessions, a page at a time. Nothing is kept between pages: a cursor is the place where one ended.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <convo/place.h>

#include "api/native.h"
#include "api/native_write.h"
#include "auth/key.h"

/* Two numbers and a sum in hexadecimal, NUL. */
#define CURSOR_SIZE 49

/*
 * The sum is no secret: it lets a cursor of another list, or one that was damaged, be refused where it
 * would show a wrong part.
 */
static bool cursor_write(char out[CURSOR_SIZE], const struct http_who *who, bool trash,
			 const struct convo_place *place)
{
	char digits[33], hash[KEY_HEX_SIZE];
	struct text whole = {0};
	bool ok;

	snprintf(digits, sizeof(digits), "%016" PRIx64 "%016" PRIx64, (uint64_t)place->position,
		 (uint64_t)place->number);
	/* No name holds a newline. */
	ok = text_addf(&whole, "%s\n%s\n%s\n%d", digits, who->app, who->user, trash) &&
	     key_hash(hash, whole.data);
	text_clear(&whole);
	if (ok)
		snprintf(out, CURSOR_SIZE, "%s%.16s", digits, hash);
	return ok;
}

static bool cursor_read(struct convo_place *out, const char *text, const struct http_who *who,
			bool trash)
{
	char again[CURSOR_SIZE];
	uint64_t position = 0, number = 0;

	if (strlen(text) != CURSOR_SIZE - 1 || strspn(text, "0123456789abcdef") != CURSOR_SIZE - 1)
		return false;
	if (sscanf(text, "%16" SCNx64 "%16" SCNx64, &position, &number) != 2)
		return false;
	out->position = (int64_t)position;
	out->number = (int64_t)number;
	return cursor_write(again, who, trash, out) && !strcmp(again, text);
}

/* What is asked for. */
struct listing {
	int64_t limit;
	bool trash, seek;
	struct convo_place from;
};

static bool listing_read(struct listing *out, struct http_request *request)
{
	const char *cursor = http_query(request, "cursor");

	if (!native_query_only(request, "limit cursor trash") ||
	    !native_query_number(&out->limit, request, "limit", 1, 1000) ||
	    !native_query_switch(&out->trash, request, "trash"))
		return false;
	out->seek = cursor != NULL;
	return !cursor || cursor_read(&out->from, cursor, &request->who, out->trash) ||
	       native_wrong(request, "cursor", "this is no cursor of this list");
}

static bool listing_write(struct text *out, const convo_cursor *cursor, size_t count,
			  const struct listing *listing, const struct http_who *who)
{
	struct convo_place place;
	char next[CURSOR_SIZE];
	bool ok = text_adds(out, "{\"sessions\":[");
	size_t i;

	for (i = 0; ok && i < count; i++)
		ok = (!i || text_adds(out, ",")) &&
		     native_write_meta(out, convo_cursor_meta(cursor, i));
	if (!ok || count < (size_t)listing->limit)
		return ok && text_adds(out, "],\"cursor\":null}");
	return convo_cursor_place(cursor, &place, NULL) == 0 &&
	       cursor_write(next, who, listing->trash, &place) &&
	       text_addf(out, "],\"cursor\":\"%s\"}", next);
}

void native_list(void *ctx, struct http_request *request)
{
	const struct service *service = ctx;
	const struct convo_call call = native_call(request);
	struct listing listing = {.limit = 50};
	convo_cursor *cursor = NULL;
	struct text body = {.max = 6 * HTTP_BODY_MAX};
	struct convo_err err = {0};
	size_t count = 0;
	int rc;

	if (!listing_read(&listing, request))
		return;
	rc = convo_cursor_new(&cursor, request->who.app, request->who.user,
			      listing.trash ? CONVO_LIST_TRASH : CONVO_LIST_LIVE, &err);
	if (rc == 0 && listing.seek)
		rc = convo_cursor_seek(cursor, &listing.from, &err);
	if (rc == 0)
		rc = convo_store_list(service->store, cursor, (size_t)listing.limit, &count, &call,
				      &err);
	if (rc < 0)
		native_fail(request, OPENAI_STORE, &err);
	else
		native_reply(request, 200, &body,
			     listing_write(&body, cursor, count, &listing, &request->who));
	convo_cursor_free(cursor);
}
