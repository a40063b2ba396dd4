/*
 * Whether MySQL's JSON type gives a value back as it was (contract N2).
 *
 * MySQL keeps numbers as integers of 64 bits or as doubles, and 5.7 and 8.0 read decimals without
 * full precision: they multiply the digits by a power of ten, which is exact for at most 15 digits
 * and powers up to 22, and one bit off now and then beyond. 5.7 keeps the first of two members with
 * one name, where everybody else keeps the last. A name of 64 KiB is refused.
 */
#ifndef STORE_MYSQL_EXACT_H
#define STORE_MYSQL_EXACT_H

#include <base/text.h>

enum my_exact {
	MY_EXACT_KEPT,   /* it comes back */
	MY_EXACT_COPIED, /* it may not: its text has to be kept beside it */
	MY_EXACT_REFUSED /* the type does not take it at all: its text is kept in place of it */
};

/** Look at a checked JSON text. Says COPIED where finding out would cost more than the copy. */
enum my_exact cv_my_exact(struct cv_text json);

#endif
