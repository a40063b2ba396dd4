/*
 * JSON trees of what servers send. The one file that includes jansson's header; wire.c reads answers
 * from them, error.c errors.
 */
#ifndef MODEL_TREE_H
#define MODEL_TREE_H

#include <jansson.h>
#include <stdint.h>

#include <base/buf.h>
#include <base/text.h>

/**
 * A tree from text; what follows the JSON value is ignored. What does not pass is looked at once more,
 * with less insistence on whole characters and integers that fit.
 *
 * @param guarded set to whether its strings are to go through cv_guard_undo()
 * @param rc      set to 0 or CONVO_E_NOMEM
 * @return NULL, with `*rc` 0, when it is no JSON; the caller's to json_decref()
 */
json_t *cv_tree_parse(struct cv_text text, bool *guarded, int *rc);

/** A member's string; absent when it is none. */
struct cv_text cv_tree_string(const json_t *object, const char *name);

/** A member's integer; -1 when it is none, or negative. */
int64_t cv_tree_integer(const json_t *object, const char *name);

/** Append a tree as text. @return 0, CONVO_E_NOMEM */
int cv_tree_dump(struct cv_buf *out, const json_t *tree);

/** Whether a value is there and says something: servers write null, false and "" for "no". */
bool cv_tree_says(const json_t *value);

#endif
