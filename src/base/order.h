/*
 * An ordered set of nodes that stand in the caller's structs, keyed by two numbers: a treap, so
 * that nothing is allocated and every operation takes logarithmic time.
 */
#ifndef BASE_ORDER_H
#define BASE_ORDER_H

#include <stdint.h>

struct order_node {
	struct order_node *left, *right;
	int64_t major, minor; /* the key; not changed while in a set */
};

/** Add a node; no other may have its key. */
void cv_order_insert(struct order_node **root, struct order_node *node);

/** Take out a node that is in the set. */
void cv_order_remove(struct order_node **root, struct order_node *node);

/** The node with the greatest key below this one, or NULL. */
struct order_node *cv_order_below(struct order_node *root, int64_t major, int64_t minor);

/** The node with the least key, or NULL. */
struct order_node *cv_order_least(struct order_node *root);

#endif
