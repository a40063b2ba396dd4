/*
 * The text of a key: "ck_" and 32 random bytes in base64url, shown once. Of it the beginning is public, the
 * key's id; a store knows the whole by its hash alone.
 */
#ifndef SERVER_AUTH_KEY_H
#define SERVER_AUTH_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include <convo/err.h>

#include "auth/crypto.h"

/** "ck_", 43 letters, NUL. */
#define KEY_TEXT_SIZE 47

/** "ck_", 12 letters, NUL: 72 of the 256 bits, which leaves 184 to guess. */
#define KEY_ID_SIZE 16

/** SHA-256 in hexadecimal, NUL. What is random all over needs no slow hash. */
#define KEY_HEX_SIZE (2 * CRYPTO_HASH_SIZE + 1)

/** Make one. @return 0, CONVO_E_IO when the system gives no random bytes */
int key_make(char out[KEY_TEXT_SIZE], struct convo_err *err);

/** Whether a text can be a key, by its form. */
bool key_is_whole(const char *text);

/** The same for an id. */
bool key_is_id(const char *text);

/** The id that a key begins with. */
void key_id(char out[KEY_ID_SIZE], const char *text);

/** Its hash, in hexadecimal. @return success */
bool key_hash(char out[KEY_HEX_SIZE], const char *text);

/** Whether two hashes are equal, in a time that does not tell where they differ. */
bool key_hash_same(const char a[KEY_HEX_SIZE], const char b[KEY_HEX_SIZE]);

#endif
