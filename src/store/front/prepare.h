/*
 * From what a caller passes in to what a backend gets: every rule on names, sizes and JSON is
 * checked here, once, before anything is sent (contract N1 to N3).
 */
#ifndef STORE_FRONT_PREPARE_H
#define STORE_FRONT_PREPARE_H

#include <store/backend.h>

#include <base/arena.h>

/** Check a name (N1). `what` names it in the error. NULL is INVALID. */
int cv_prepare_name(const char *name, const char *what, struct convo_err *err);

/** The same of bytes; and valid UTF-8 without C0, DEL and C1 controls, of any length. */
int cv_check_name(struct cv_text name, const char *what, struct convo_err *err);
int cv_check_plain(struct cv_text text, const char *what, struct convo_err *err);

/** Check the names of a key that are needed; `scopes` or-ed: a user, a session. */
int cv_prepare_key(const struct convo_key *key, unsigned scopes, struct convo_err *err);

/** Check a title: up to 255 bytes, no control characters; NULL becomes "". */
int cv_prepare_title(struct cv_text *out, const char *title, struct convo_err *err);

/** Check a window, NULL being every event, and resolve it for the backend. */
int cv_prepare_window(struct store_window *full, const struct convo_window *window,
		      struct convo_err *err);

/**
 * Split a state name into its scope and the rest. @return 0, CONVO_E_INVALID
 *
 * @param temp set when the name is a `temp:` one, which is stored nowhere
 */
int cv_prepare_state_name(const char *name, size_t len, enum convo_scope *scope, bool *temp,
			  struct cv_text *rest, struct convo_err *err);

/** Changes being collected; what they point to is the caller's or in the arena. */
struct change_list {
	struct store_change *change;
	size_t count, cap;
	size_t bytes[CONVO_SCOPE_APP + 1]; /* by scope */
};

/** Turn items into changes. The names must differ. */
int cv_prepare_items(struct change_list *list, const struct convo_item *items, size_t count,
		     struct convo_err *err);

/** Add one name; *temp tells that it is a temp: one, which is only checked. */
int cv_changes_add(struct change_list *list, struct cv_text name, struct cv_text value,
		   size_t event, bool *temp, struct convo_err *err);

/** No name twice among the changes from `first` on. */
int cv_changes_check_unique(const struct change_list *list, size_t first, struct convo_err *err);

/** The scopes that the changes touch, or-ed. */
unsigned cv_prepare_scopes(const struct change_list *list);

/** A whole batch, ready for the backend. */
struct prepared_append {
	struct cv_arena arena;
	struct store_append append;
	struct store_event *events; /* = append.events */
	size_t *place;              /* caller's index -> index in events */
	struct change_list changes;
	struct store_event one; /* where events and place are for a batch of one */
	size_t one_place;
};

/** Check and convert a batch; clear it in any case. */
int cv_prepare_append(struct prepared_append *out, const struct convo_event *events, size_t count,
		      struct convo_err *err);
void cv_prepare_clear(struct prepared_append *prepared);

/**
 * The same for the one event of a draft.
 *
 * @param role that of its message, which has been checked; data NULL: it has not
 */
int cv_prepare_draft(struct prepared_append *out, const struct convo_event *event,
		     struct cv_text role, struct convo_err *err);

#endif
