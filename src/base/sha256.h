/*
 * SHA-256 (FIPS 180-4), for ids that are derived from names.
 */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stddef.h>

#define SHA256_BYTES 32

/** The digest of `len` bytes. */
void cv_sha256(unsigned char out[SHA256_BYTES], const void *data, size_t len);

#endif
