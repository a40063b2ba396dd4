/*
 * A hash table of nodes that stand in the caller's structs. It grows when it can; where memory is
 * out it only gets slower. All-zero is a valid empty table.
 */
#ifndef BASE_CHAIN_H
#define BASE_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chain_node {
	struct chain_node *next;
	uint64_t hash;
};

struct cv_chain {
	struct chain_node **bucket;
	size_t buckets, count;
};

/** Make room for so many more nodes: false only for an empty table when memory is out. */
bool cv_chain_reserve(struct cv_chain *chain, size_t extra);

/** Add a node whose hash is set; the table was reserved. */
void cv_chain_add(struct cv_chain *chain, struct chain_node *node);

/** Take out a node that is in the table. */
void cv_chain_remove(struct cv_chain *chain, struct chain_node *node);

/** The first node whose hash may be this one, or NULL; go on with `next` and compare. */
struct chain_node *cv_chain_first(const struct cv_chain *chain, uint64_t hash);

/** Free the buckets; the nodes are the caller's. */
void cv_chain_clear(struct cv_chain *chain);

#endif
