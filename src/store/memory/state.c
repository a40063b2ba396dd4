/*
 * State in memory; see state.h.
 */
#include <store/memory/state.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/fail.h>

/* One name and its value, in one block. */
struct state_node {
	struct chain_node chain; /* first */
	uint32_t name_len, value_len;
	char data[]; /* the name, then the value */
};

struct state_step {
	const struct store_change *change;
	struct state_node *node; /* to be put into the table; NULL removes the name */
};

/* ---- tables ----------------------------------------------------------------------------- */

/* FNV-1a with a final mix: state names are chosen by the program, not by its users. */
static uint64_t name_hash(struct cv_text name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	size_t i;

	for (i = 0; i < name.len; i++)
		hash = (hash ^ (unsigned char)name.data[i]) * UINT64_C(0x100000001b3);
	return hash ^ (hash >> 29);
}

static size_t node_bytes(const struct state_node *node)
{
	return (size_t)node->name_len + node->value_len;
}

static struct state_node *table_find(const struct state_table *table, struct cv_text name,
				     uint64_t hash)
{
	struct chain_node *at = cv_chain_first(&table->names, hash);

	for (; at; at = at->next) {
		struct state_node *node = (struct state_node *)at;

		if (at->hash == hash && node->name_len == name.len &&
		    memcmp(node->data, name.data, name.len) == 0)
			return node;
	}
	return NULL;
}

static int node_add(const struct state_node *node, enum convo_scope scope, state_add_fn add,
		    void *into, struct convo_err *err)
{
	struct cv_text name = {node->data, node->name_len};
	struct cv_text value = {node->data + node->name_len, node->value_len};

	return add(into, scope, name, value, err);
}

int cv_table_each(const struct state_table *table, enum convo_scope scope,
		  const struct cv_text *name, state_add_fn add, void *into, struct convo_err *err)
{
	size_t i;
	int rc = 0;

	if (name) {
		const struct state_node *node = table_find(table, *name, name_hash(*name));

		return node ? node_add(node, scope, add, into, err) : 0;
	}
	for (i = 0; rc >= 0 && i < table->names.buckets; i++) {
		const struct chain_node *at = table->names.bucket[i];

		for (; rc >= 0 && at; at = at->next)
			rc = node_add((const struct state_node *)at, scope, add, into, err);
	}
	return rc;
}

void cv_table_clear(struct state_table *table)
{
	size_t i;

	for (i = 0; i < table->names.buckets; i++) {
		struct chain_node *at = table->names.bucket[i], *next;

		for (; at; at = next) {
			next = at->next;
			free(at);
		}
	}
	cv_chain_clear(&table->names);
	table->bytes = 0;
}

/* ---- plans ------------------------------------------------------------------------------ */

static struct state_node *node_make(const struct store_change *change)
{
	struct state_node *node = malloc(sizeof(*node) + change->name.len + change->value.len);

	if (!node)
		return NULL;
	node->chain.hash = name_hash(change->name);
	node->name_len = (uint32_t)change->name.len;
	node->value_len = (uint32_t)change->value.len;
	memcpy(node->data, change->name.data, change->name.len);
	memcpy(node->data + change->name.len, change->value.data, change->value.len);
	return node;
}

static int step_compare(const void *a, const void *b)
{
	const struct state_step *left = a, *right = b;
	int order = cv_change_compare(left->change, right->change);

	if (order)
		return order;
	return left->change < right->change ? -1 : left->change > right->change;
}

/* Of steps with the same name keep the last. */
static void plan_keep_last(struct state_plan *plan)
{
	size_t i, kept = 0;

	qsort(plan->step, plan->count, sizeof(*plan->step), step_compare);
	for (i = 0; i < plan->count; i++) {
		if (i + 1 < plan->count &&
		    cv_change_compare(plan->step[i].change, plan->step[i + 1].change) == 0)
			continue;
		plan->step[kept++] = plan->step[i];
	}
	plan->count = kept;
}

int cv_plan_make(struct state_plan *plan, const struct store_change *changes, size_t count,
		 const struct store_event *events, struct convo_err *err)
{
	size_t i;

	if (!count)
		return 0;
	plan->step = cv_alloc(count, sizeof(*plan->step));
	if (!plan->step)
		return cv_fail_nomem(err);
	for (i = 0; i < count; i++) {
		if (!events || !events[changes[i].event].seq)
			plan->step[plan->count++].change = &changes[i];
	}
	if (plan->count > 1)
		plan_keep_last(plan);
	for (i = 0; i < plan->count; i++) {
		struct state_step *step = &plan->step[i];

		step->node = NULL;
		plan->scopes |= step->change->scope;
	}
	for (i = 0; i < plan->count; i++) {
		struct state_step *step = &plan->step[i];

		if (!step->change->value.data)
			continue;
		step->node = node_make(step->change);
		if (!step->node)
			return cv_fail_nomem(err);
	}
	return 0;
}

int cv_plan_check(const struct state_plan *plan, enum convo_scope scope, struct state_table *table,
		  struct convo_err *err)
{
	size_t bytes = table->bytes, i;

	if (!(plan->scopes & scope))
		return 0;
	if (!cv_chain_reserve(&table->names, plan->count))
		return cv_fail_nomem(err);
	for (i = 0; i < plan->count; i++) {
		const struct store_change *change = plan->step[i].change;
		const struct state_node *old;

		if (change->scope != scope)
			continue;
		old = table_find(table, change->name, name_hash(change->name));
		bytes -= old ? node_bytes(old) : 0;
		bytes += store_change_bytes(change);
	}
	return bytes > CONVO_MAX_STATE && bytes > table->bytes ? cv_refuse_state(err, scope) : 0;
}

static void table_put(struct state_table *table, struct state_step *step)
{
	struct cv_text name = step->change->name;
	uint64_t hash = step->node ? step->node->chain.hash : name_hash(name);
	struct state_node *old = table_find(table, name, hash);

	if (old) {
		cv_chain_remove(&table->names, &old->chain);
		table->bytes -= node_bytes(old);
		free(old);
	}
	if (step->node) {
		cv_chain_add(&table->names, &step->node->chain);
		table->bytes += node_bytes(step->node);
		step->node = NULL;
	}
}

void cv_plan_apply(struct state_plan *plan, enum convo_scope scope, struct state_table *table)
{
	size_t i;

	for (i = 0; i < plan->count; i++) {
		if (plan->step[i].change->scope == scope)
			table_put(table, &plan->step[i]);
	}
}

void cv_plan_clear(struct state_plan *plan)
{
	size_t i;

	for (i = 0; i < plan->count; i++)
		free(plan->step[i].node);
	free(plan->step);
	memset(plan, 0, sizeof(*plan));
}
