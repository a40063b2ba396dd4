/*
 * Keys as text; see key.h.
 */
#include "auth/key.h"

#include <string.h>

#include "core/base64url.h"
#include "core/fail.h"

#define PREFIX "ck_"
#define PREFIX_LEN (sizeof(PREFIX) - 1)
#define RANDOM_SIZE 32

int key_make(char out[KEY_TEXT_SIZE], struct convo_err *err)
{
	unsigned char bytes[RANDOM_SIZE];

	if (!crypto_random(bytes, sizeof(bytes)))
		return fail(err, CONVO_E_IO, "the system gives no random bytes");
	memcpy(out, PREFIX, PREFIX_LEN);
	base64url_encode(out + PREFIX_LEN, bytes, sizeof(bytes));
	crypto_forget(bytes, sizeof(bytes));
	return 0;
}

static bool key_has_form(const char *text, size_t size)
{
	return strlen(text) == size - 1 && !strncmp(text, PREFIX, PREFIX_LEN) &&
	       strspn(text + PREFIX_LEN, base64url_letters) == size - 1 - PREFIX_LEN;
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
	unsigned char hash[CRYPTO_HASH_SIZE];
	size_t i;

	if (!crypto_hash(hash, text, strlen(text)))
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
	return crypto_same(a, b, KEY_HEX_SIZE - 1);
}
