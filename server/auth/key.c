/*
 * Keys as text; see key.h. The one file of the server that includes GnuTLS, which the HTTP library brings
 * along.
 */
#include "auth/key.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

#include "core/fail.h"

#define PREFIX "ck_"
#define PREFIX_LEN (sizeof(PREFIX) - 1)
#define RANDOM_SIZE 32

static const char key_letters[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Base64url without padding (RFC 4648, 5). */
static void key_encode(char *out, const unsigned char *bytes, size_t len)
{
	unsigned bits = 0, held = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		bits = bits << 8 | bytes[i];
		for (held += 8; held >= 6; held -= 6)
			*out++ = key_letters[bits >> (held - 6) & 63];
		bits &= (1u << held) - 1;
	}
	if (held)
		*out++ = key_letters[bits << (6 - held) & 63];
	*out = '\0';
}

int key_make(char out[KEY_TEXT_SIZE], struct convo_err *err)
{
	unsigned char bytes[RANDOM_SIZE];

	if (gnutls_rnd(GNUTLS_RND_KEY, bytes, sizeof(bytes)) < 0)
		return fail(err, CONVO_E_IO, "the system gives no random bytes");
	memcpy(out, PREFIX, PREFIX_LEN);
	key_encode(out + PREFIX_LEN, bytes, sizeof(bytes));
	gnutls_memset(bytes, 0, sizeof(bytes));
	return 0;
}

static bool key_has_form(const char *text, size_t size)
{
	return strlen(text) == size - 1 && !strncmp(text, PREFIX, PREFIX_LEN) &&
	       strspn(text + PREFIX_LEN, key_letters) == size - 1 - PREFIX_LEN;
}

bool key_is_whole(const char *text)
{
	return key_has_form(text, KEY_TEXT_SIZE);
}

bool key_is_id(const char *text)
{
	return key_has_form(text, KEY_ID_SIZE);
}

void key_id(char out[KEY_ID_SIZE], const char *text)
{
	memcpy(out, text, KEY_ID_SIZE - 1);
	out[KEY_ID_SIZE - 1] = '\0';
}

bool key_hash(char out[KEY_HEX_SIZE], const char *text)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char hash[KEY_HASH_SIZE];
	size_t i;

	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, text, strlen(text), hash) < 0)
		return false;
	for (i = 0; i < sizeof(hash); i++) {
		out[2 * i] = digits[hash[i] >> 4];
		out[2 * i + 1] = digits[hash[i] & 15];
	}
	out[KEY_HEX_SIZE - 1] = '\0';
	return true;
}

bool key_hash_same(const char a[KEY_HEX_SIZE], const char b[KEY_HEX_SIZE])
{
	return gnutls_memcmp(a, b, KEY_HEX_SIZE - 1) == 0;
}
