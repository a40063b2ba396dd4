/*
 * A treap; see order.h. A node's priority is a mix of its key, so it needs no room of its own.
 */
#include <base/order.h>

#include <stdbool.h>
#include <stddef.h>

static uint64_t order_priority(const struct order_node *node)
{
	uint64_t mix = (uint64_t)node->major * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)node->minor;

	mix = (mix ^ (mix >> 32)) * UINT64_C(0xd6e8feb86659fd93);
	return mix ^ (mix >> 29);
}

static bool order_less(const struct order_node *node, int64_t major, int64_t minor)
{
	return node->major != major ? node->major < major : node->minor < minor;
}

/* Cut a tree into what is below the key and the rest. */
static void order_split(struct order_node *root, int64_t major, int64_t minor,
			struct order_node **below, struct order_node **rest)
{
	while (root) {
		if (order_less(root, major, minor)) {
			*below = root;
			below = &root->right;
			root = root->right;
		} else {
			*rest = root;
			rest = &root->left;
			root = root->left;
		}
	}
	*below = *rest = NULL;
}

/* Join two trees, all keys of the first below those of the second. */
static void order_merge(struct order_node **out, struct order_node *below, struct order_node *rest)
{
	while (below && rest) {
		if (order_priority(below) > order_priority(rest)) {
			*out = below;
			out = &below->right;
			below = below->right;
		} else {
			*out = rest;
			out = &rest->left;
			rest = rest->left;
		}
	}
	*out = below ? below : rest;
}

void cv_order_insert(struct order_node **root, struct order_node *node)
{
	uint64_t priority = order_priority(node);

	while (*root && order_priority(*root) >= priority)
		root = order_less(*root, node->major, node->minor) ? &(*root)->right
								   : &(*root)->left;
	order_split(*root, node->major, node->minor, &node->left, &node->right);
	*root = node;
}

void cv_order_remove(struct order_node **root, struct order_node *node)
{
	while (*root != node)
		root = order_less(*root, node->major, node->minor) ? &(*root)->right
								   : &(*root)->left;
	order_merge(root, node->left, node->right);
	node->left = node->right = NULL;
}

struct order_node *cv_order_below(struct order_node *root, int64_t major, int64_t minor)
{
	struct order_node *found = NULL;

	while (root) {
		if (order_less(root, major, minor)) {
			found = root;
			root = root->right;
		} else {
			root = root->left;
		}
	}
	return found;
}

struct order_node *cv_order_least(struct order_node *root)
{
	while (root && root->left)
		root = root->left;
	return root;
}
