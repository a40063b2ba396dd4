/*
 * Keys that are kept; see keyring.h.
 */
#include "auth/keyring.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/fail.h"
#include "core/fetch.h"
#include "http/clock.h"
#include "term/term.h"

struct keyring {
	const char *place;
	pthread_mutex_t lock; /* guards what follows */
	struct jwks *jwks;    /* NULL: none could be read yet */
	int64_t read_ms;      /* when they were read; see clock.h */
	int64_t tried_ms;     /* when that was tried last */
	int64_t unknown_ms;   /* when it was tried for an unknown name */
	bool failed;          /* the last try */
	bool reading;         /* a thread does */
};

/* ---- reading -------------------------------------------------------------------------- */

static int ring_fetch(struct jwks **out, const char *place, struct convo_err *err)
{
	struct text text = {0};
	int rc = fetch(&text, place, KEYRING_MOST, KEYRING_WAIT_MS, err);

	if (rc == 0)
		rc = jwks_read(out, text.data ? text.data : "", text.len, err);
	text_clear(&text);
	return rc;
}

static void ring_tell(const char *place, const struct convo_err *err, bool any)
{
	struct text shown = {0};

	if (fetch_show(&shown, place))
		term_note("-jwt-keys %s: %s: %s", shown.data, err->text,
			  any ? "the keys that were read before are used on"
			      : "until it is there no token can be checked");
	text_clear(&shown);
}

/* By the thread that has set `reading`, without the lock. */
static int ring_read(struct keyring *ring, struct convo_err *err)
{
	struct jwks *fresh = NULL, *old = NULL;
	bool first, any;
	int rc = ring_fetch(&fresh, ring->place, err);

	pthread_mutex_lock(&ring->lock);
	first = rc < 0 && !ring->failed;
	ring->failed = rc < 0;
	ring->reading = false;
	ring->tried_ms = clock_ms();
	if (rc == 0) {
		old = ring->jwks;
		ring->jwks = fresh;
		ring->read_ms = ring->tried_ms;
	}
	any = ring->jwks != NULL;
	pthread_mutex_unlock(&ring->lock);
	jwks_unref(old);
	if (first)
		ring_tell(ring->place, err, any);
	return rc;
}

/* Whether the caller should read the keys now; with the lock held. */
static bool ring_is_due(const struct keyring *ring, bool unknown)
{
	const int64_t now_ms = clock_ms();

	if (ring->reading)
		return false;
	if (!ring->jwks)
		return now_ms - ring->tried_ms >= KEYRING_NONE_MS;
	if (unknown)
		return now_ms - ring->unknown_ms >= KEYRING_AGAIN_MS;
	return now_ms - ring->read_ms >= KEYRING_MS && now_ms - ring->tried_ms >= KEYRING_AGAIN_MS;
}

/* The keys there are, read again if that is due. NULL: there are none. */
static struct jwks *ring_take(struct keyring *ring, bool unknown)
{
	struct jwks *jwks;
	struct convo_err err;
	bool due;

	pthread_mutex_lock(&ring->lock);
	due = ring_is_due(ring, unknown);
	if (due) {
		ring->reading = true;
		if (unknown)
			ring->unknown_ms = clock_ms();
	}
	pthread_mutex_unlock(&ring->lock);
	if (due)
		ring_read(ring, &err);
	pthread_mutex_lock(&ring->lock);
	jwks = ring->jwks ? jwks_ref(ring->jwks) : NULL;
	pthread_mutex_unlock(&ring->lock);
	return jwks;
}

/* ---- making --------------------------------------------------------------------------- */

int keyring_new(struct keyring **out, const char *place, struct convo_err *err)
{
	const bool address = fetch_is_address(place);
	struct keyring *ring;
	int rc;

	if (address && !fetch_is_safe(place))
		return fail(err, CONVO_E_INVALID,
			    "keys over http can be anybody's: https is wanted, or this machine");
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return fail(err, CONVO_E_NOMEM, "out of memory");
	ring->place = place;
	ring->unknown_ms = clock_ms() - KEYRING_AGAIN_MS;
	ring->failed = !address; /* said by who gets the error */
	pthread_mutex_init(&ring->lock, NULL);
	rc = ring_read(ring, err);
	if (rc < 0 && !address) {
		keyring_free(ring);
		return rc;
	}
	*out = ring;
	return 0;
}

void keyring_free(struct keyring *ring)
{
	if (!ring)
		return;
	jwks_unref(ring->jwks);
	pthread_mutex_destroy(&ring->lock);
	free(ring);
}

/* ---- checking ------------------------------------------------------------------------- */

static bool ring_is_in_doubt(struct keyring *ring)
{
	bool doubt;

	pthread_mutex_lock(&ring->lock);
	doubt = ring->failed || ring->reading;
	pthread_mutex_unlock(&ring->lock);
	return doubt;
}

enum keyring_end keyring_verify(struct keyring *ring, enum crypto_alg alg, const char *kid,
				struct crypto_bytes signature, struct crypto_bytes text)
{
	enum jwks_end end = JWKS_UNKNOWN;
	struct jwks *jwks;
	int pass;

	for (pass = 0; pass < 2 && end == JWKS_UNKNOWN; pass++) {
		jwks = ring_take(ring, pass > 0);
		if (!jwks)
			return KEYRING_AWAY;
		end = jwks_verify(jwks, alg, kid, signature, text);
		jwks_unref(jwks);
	}
	if (end == JWKS_UNKNOWN && ring_is_in_doubt(ring))
		return KEYRING_AWAY;
	return end == JWKS_RIGHT ? KEYRING_RIGHT : KEYRING_WRONG;
}
