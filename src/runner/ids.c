/*
 * The ids of a turn's events, derived from the turn's: so a turn that is run again finds what of it is
 * stored (A2), and its events are found without reading the session; see convo/runner.h.
 */
#include <runner/ids.h>

#include <stdio.h>
#include <string.h>

#include <convo/runner.h>

#include <base/sha256.h>
#include <base/uuid.h>

/* Of a UUID of version 7: its time, by which ids that are made together lie together in an index. */
#define TIME_BYTES 6

/* The version of UUIDs that are made by a rule of one's own (RFC 9562, 5.8). */
#define OWN_VERSION 8

static int uuid_version(const unsigned char uuid[UUID_BYTES])
{
	return uuid[6] >> 4;
}

void convo_turn_event_id(char out[CONVO_UUID_SIZE], const char *turn, size_t n)
{
	unsigned char uuid[UUID_BYTES], digest[SHA256_BYTES];
	char name[CONVO_MAX_NAME + 32];
	int len;

	if (!out || !turn)
		return;
	len = snprintf(name, sizeof(name), "%zu %.*s", n, (int)CONVO_MAX_NAME, turn);
	cv_sha256(digest, name, (size_t)len);
	if (cv_uuid_parse(uuid, turn) && uuid_version(uuid) == 7)
		memcpy(digest, uuid, TIME_BYTES);
	digest[6] = (unsigned char)(OWN_VERSION << 4 | (digest[6] & 0x0f));
	digest[8] = (unsigned char)(0x80 | (digest[8] & 0x3f));
	cv_uuid_format(out, digest);
}

bool cv_turn_begins(const struct convo_event *event)
{
	unsigned char uuid[UUID_BYTES];
	char first[CONVO_UUID_SIZE];

	if (!event->turn || !cv_uuid_parse(uuid, event->id) || uuid_version(uuid) != OWN_VERSION)
		return strcmp(event->role, "user") == 0;
	convo_turn_event_id(first, event->turn, 1);
	return strcmp(first, event->id) == 0;
}
