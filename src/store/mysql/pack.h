/*
 * What comes in lists on its way to the procedures of MySQL: all texts one after the other, and an
 * index of where each is; see 0001.sql and 0005.sql.
 */
#ifndef STORE_MYSQL_PACK_H
#define STORE_MYSQL_PACK_H

#include <store/backend.h>

/** The largest batch with its ids and small fields. */
#define MY_PACK_MAX (64u << 20)

/** `rc` is that of the first piece that could not be added. */
struct my_pack {
	struct cv_buf events, changes, data;
	unsigned scopes; /* of the changes, or-ed */
	int rc;
};

/** Add pieces. */
void cv_my_pack_changes(struct my_pack *pack, const struct store_change *changes, size_t count);
void cv_my_pack_events(struct my_pack *pack, const struct store_event *events, size_t count);

/** Drafts; the list of them is `events`. */
void cv_my_pack_drafts(struct my_pack *pack, struct store_draft *const *drafts, size_t count);

void cv_my_pack_clear(struct my_pack *pack);

#endif
