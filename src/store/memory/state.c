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
	struct state_value value; /* first */
	struct chain_node chain;  /* the table's; not for those who share the value */
	char data[];              /* prefix, name, NUL, value, NUL */
};

static struct state_node *node_of(struct chain_node *chain)
{
	return (struct state_node *)(void *)((char *)chain - offsetof(struct state_node, chain));
}

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
	return node->value.name.len + node->value.item.json_len;
}

static struct state_node *table_find(const struct state_table *table, struct cv_text name,
				     uint64_t hash)
{
	struct chain_node *at = cv_chain_first(&table->names, hash);

	for (; at; at = at->next) {
		struct state_node *node = node_of(at);

		if (at->hash == hash && node->value.name.len == name.len &&
		    memcmp(node->value.name.data, name.data, name.len) == 0)
			return node;
	}
	return NULL;
}

int cv_table_each(const struct state_table *table, const struct cv_text *name, state_add_fn add,
		  void *into, struct convo_err *err)
{
	size_t i;
	int rc = 0;

	if (name) {
		struct state_node *node = table_find(table, *name, name_hash(*name));

		return node ? add(into, &node->value, err) : 0;
	}
	for (i = 0; rc >= 0 && i < table->names.buckets; i++) {
		struct chain_node *at = table->names.bucket[i];

		for (; rc >= 0 && at; at = at->next)
			rc = add(into, &node_of(at)->value, err);
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
			cv_share_drop(&node_of(at)->value.share);
		}
	}
	cv_chain_clear(&table->names);
	table->bytes = 0;
}

/* ---- plans ------------------------------------------------------------------------------ */

static struct state_node *node_make(const struct store_change *change)
{
	const char *prefix = cv_scope_prefix(change->scope);
	size_t prefix_len = strlen(prefix);
	struct state_node *node =
		malloc(sizeof(*node) + prefix_len + change->name.len + 1 + change->value.len + 1);
	char *name, *value;

	if (!node)
		return NULL;
	name = node->data + prefix_len;
	value = name + change->name.len + 1;
	atomic_init(&node->value.share.uses, 1);
	node->value.scope = change->scope;
	node->value.name = (struct cv_text){name, change->name.len};
	node->value.item = (struct convo_item){node->data, value, change->value.len};
	node->chain.hash = name_hash(change->name);
	memcpy(node->data, prefix, prefix_len);
	memcpy(name, change->name.data, change->name.len);
	name[change->name.len] = '\0';
	memcpy(value, change->value.data, change->value.len);
	value[change->value.len] = '\0';
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
		cv_share_drop(&old->value.share);
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
