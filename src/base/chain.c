/*
 * A hash table with chains; see chain.h.
 */
#include <base/chain.h>

#include <stdlib.h>

#include <base/alloc.h>

#define FIRST_BUCKETS 8u

static struct chain_node **chain_place(struct chain_node **bucket, size_t buckets, uint64_t hash)
{
	return &bucket[hash & (buckets - 1)];
}

bool cv_chain_reserve(struct cv_chain *chain, size_t extra)
{
	size_t buckets = chain->buckets ? chain->buckets : FIRST_BUCKETS, i;
	struct chain_node **bucket;

	while (buckets < chain->count || buckets - chain->count < extra) {
		if (!cv_mul(buckets, 2, &buckets))
			return chain->buckets;
	}
	if (buckets == chain->buckets)
		return true;
	bucket = cv_alloc(buckets, sizeof(struct chain_node *));
	if (!bucket)
		return chain->buckets;
	for (i = 0; i < chain->buckets; i++) {
		struct chain_node *node = chain->bucket[i], *next;

		for (; node; node = next) {
			struct chain_node **place = chain_place(bucket, buckets, node->hash);

			next = node->next;
			node->next = *place;
			*place = node;
		}
	}
	free(chain->bucket);
	chain->bucket = bucket;
	chain->buckets = buckets;
	return true;
}

void cv_chain_add(struct cv_chain *chain, struct chain_node *node)
{
	struct chain_node **place = chain_place(chain->bucket, chain->buckets, node->hash);

	node->next = *place;
	*place = node;
	chain->count++;
}

void cv_chain_remove(struct cv_chain *chain, struct chain_node *node)
{
	struct chain_node **place = chain_place(chain->bucket, chain->buckets, node->hash);

	while (*place != node)
		place = &(*place)->next;
	*place = node->next;
	chain->count--;
}

struct chain_node *cv_chain_first(const struct cv_chain *chain, uint64_t hash)
{
	return chain->buckets ? *chain_place(chain->bucket, chain->buckets, hash) : NULL;
}

void cv_chain_clear(struct cv_chain *chain)
{
	free(chain->bucket);
	*chain = (struct cv_chain){0};
}
