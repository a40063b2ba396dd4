/*
 * What a storage backend promises. See docs/adding-a-backend.md for the way from here to a green
 * contract, and sqlite/ for the reference.
 *
 * The front (store.c) has already checked every argument, applied the defaults, read the clocks
 * and made fresh ids; a backend only stores and fetches. Except for open() and close(), any
 * function may be called from any thread at any time, with no lock held by the caller. Every
 * negative return also fills `err`, and every function returns by the call's deadline.
 */
#ifndef STORE_BACKEND_H
#define STORE_BACKEND_H

#include <convo/store.h>

#include <base/buf.h>
#include <base/share.h>
#include <base/text.h>
#include <base/url.h>
#include <base/uuid.h>

/** How long a server may be silent in one wait before its connection counts as lost. */
struct store_patience {
	int64_t us;     /* 0: as long as there is time */
	bool elsewhere; /* another server may answer: then also if this one has taken the request */
};

/**
 * A call: its moment and its bounds, resolved by the front, so that no backend clamps, multiplies or
 * knows of a default.
 */
struct store_work;

struct store_call {
	int64_t now_us;             /* Unix time; larger in every later call of this process */
	int64_t now_ms;             /* the same moment */
	int64_t deadline_us;        /* by cv_clock_mono_us() */
	const convo_cancel *cancel; /* ends it early with CONVO_E_CANCELED, and err->maybe if it may
	                               have been carried out (A8); NULL: nothing does */
	int64_t ttl_us;      /* what a write adds to now for the expiry; 0: leave that alone (T3) */
	int64_t trash_us;    /* how long a delete keeps; 0: not at all (S4) */
	int64_t event_limit; /* how many of the newest events stay and show (A5); 0: all */
	struct store_patience patience; /* set by the pool, for waits by store/shared/wait.h */
	struct store_work *work;        /* to count in, by the functions below; NULL: nobody asks */
};

/** What a call has cost, as far as a backend can tell: for tracing, and for tests of P1 and P2. */
struct store_work {
	int tries;           /* how often it went to the server */
	int64_t round_trips; /* how often it waited for an answer */
	int64_t steps;       /* of the engine, in a unit of its own */
	bool lost;           /* a try may have been carried out: its connection was lost */
};

/** Count one try; one round trip; tell of a try that was lost; count work of the engine. */
static inline void store_work_try(const struct store_call *call)
{
	if (call->work)
		call->work->tries++;
}

static inline void store_work_trip(const struct store_call *call)
{
	if (call->work)
		call->work->round_trips++;
}

static inline void store_work_lost(const struct store_call *call)
{
	if (call->work)
		call->work->lost = true;
}

static inline void store_work_steps(const struct store_call *call, int64_t steps)
{
	if (call->work)
		call->work->steps += steps;
}

/** When a session expires that is written to by this call and expired at `before_us` until now. */
static inline int64_t store_call_expires(const struct store_call *call, int64_t before_us)
{
	return call->ttl_us ? call->now_us + call->ttl_us : before_us;
}

/** A window as a backend gets it: every member is set and in range. */
struct store_window {
	enum convo_window_kind kind;
	int64_t n;                        /* 1 to STORE_SEQ_MAX, which is "no bound" */
	int64_t seq;                      /* for AFTER and BEFORE: 0 to STORE_SEQ_MAX */
	unsigned char around[UUID_BYTES]; /* for AROUND, else zero */
	bool draft;                       /* the draft, too (R2) */
};

/** More events than any session has; exact in a double, as scripts count. */
#define STORE_SEQ_MAX (INT64_C(1) << 52)

struct convo_store {
	const struct cv_backend *be;
	struct convo_store_options opts; /* defaults applied: nothing is 0 that means "default";
	                                    trash_ms and clean_interval_ms are 0 for "none";
	                                    prefix is set */
	char prefix[33];
	char where[256];                 /* for convo_store_describe() and messages; no secrets */
	struct store_cleaner *cleaner;   /* the cleaning thread, or NULL */
	_Atomic(struct store_hub *) hub; /* of those who watch, or NULL (front/hub.h) */
};

/* ---- what travels --------------------------------------------------------------------- */

/** The text fields of an event. Each is absent (data NULL) or set; message, role, author are set. */
enum event_field {
	FIELD_ROLE,
	FIELD_AUTHOR,
	FIELD_TURN,
	FIELD_MODEL,
	FIELD_FINISH_REASON,
	FIELD_ERROR,
	FIELD_MESSAGE, /* from here on: JSON */
	FIELD_USAGE,
	FIELD_STATE,
	FIELD_EXTRA,
	FIELD_COUNT
};

/** Their names, as columns and members are called in every backend: "role", "author" ... */
extern const char *const cv_event_field_name[FIELD_COUNT];

static inline bool event_field_is_json(enum event_field field)
{
	return field >= FIELD_MESSAGE;
}

struct store_event {
	int64_t seq;     /* set by the backend */
	int64_t time_ms; /* set by the backend: max(now, that of the event before) */
	unsigned char id[UUID_BYTES];
	int status; /* enum convo_status */
	struct cv_text field[FIELD_COUNT];
};

/** One change of state. */
struct store_change {
	enum convo_scope scope;
	struct cv_text name;  /* without the scope's prefix */
	struct cv_text value; /* JSON; data NULL removes the name */
	size_t event;         /* index of the event it came with; 0 without events */
};

/** What a scope counts against CONVO_MAX_STATE: the bytes of its names and values as passed in. */
static inline size_t store_change_bytes(const struct store_change *change)
{
	return change->value.data ? change->name.len + change->value.len : 0;
}

/** Order of two changes by scope and name; 0 when both are the same. */
int cv_change_compare(const struct store_change *left, const struct store_change *right);

struct store_create {
	unsigned char generation[UUID_BYTES];
	struct cv_text title; /* "" for none */
	const struct store_change *changes;
	size_t change_count;
};

/**
 * What an append does with the lease of its session (R1, R3 to R5). A lease is a name, which its holder
 * has made up, and the moment until which it holds, by the engine's clock: the programs' clocks do not
 * count. What is decided is cv_hold_check()'s, in C or in the engine's own words.
 */
struct store_hold {
	enum convo_hold what; /* TAKE, FORCE, KEEP or END */
	unsigned char lease[UUID_BYTES];
	int64_t us;   /* how long it holds from now on; 0: not at all */
	bool settles; /* the one event of this append is the draft of that id and so many bytes,
	                 which is in the way of a TAKE or FORCE and goes in the same step (R5) */
	unsigned char draft[UUID_BYTES];
	int64_t draft_len;
};

/** What a session has of a lease. All-zero: nobody has ever held it. */
struct store_held {
	unsigned char lease[UUID_BYTES]; /* of who holds it, or held it last */
	int64_t left_us;                 /* how much longer; 0 or less: its time is over */
	bool ended;                      /* its holder has ended it, or there never was one */
	bool has_draft;                  /* of that holder: nobody else's is kept */
	unsigned char draft[UUID_BYTES];
	int64_t draft_len; /* bytes of its message */
};

/** A draft is in the way (append), or is not what it was thought to be (draft): nothing is stored. */
#define STORE_IN_THE_WAY 1

/**
 * Whether an append may do with the lease what it wants to. `fresh` tells whether it has events
 * that are not stored yet.
 *
 * @return 0: it may, and then the lease is the append's: for `us`, or ended with its draft removed
 *         (END), and the draft that it settles is removed; STORE_IN_THE_WAY; CONVO_E_BUSY;
 *         CONVO_E_CONFLICT
 */
int cv_hold_check(const struct store_hold *hold, const struct store_held *held, bool fresh);

/**
 * A draft (R2): the event as it is so far. Or none, and its lease alone is to be prolonged (KEEP of an
 * append without events).
 */
struct store_draft {
	const struct convo_key *key;
	unsigned char lease[UUID_BYTES];
	int64_t us; /* how long the lease holds from now on */
	bool none;  /* there is no event: what follows is not set */
	struct store_event
		event; /* ROLE, AUTHOR, MESSAGE are set, TURN, MODEL, EXTRA may be, no other */
	size_t pos; /* so many bytes of the message are there already, and all else of the event if
	               that is not 0 */
	int rc;     /* set by the backend: 0, STORE_IN_THE_WAY, or negative with `err` filled */
	struct convo_err err;
};

/** What is new of a draft's message; empty without one. */
static inline struct cv_text store_draft_piece(const struct store_draft *draft)
{
	const struct cv_text *message = &draft->event.field[FIELD_MESSAGE];

	return draft->none
		       ? (struct cv_text){"", 0}
		       : (struct cv_text){message->data + draft->pos, message->len - draft->pos};
}

/** What prolongs its lease, for an append without events. */
static inline struct store_hold store_draft_hold(const struct store_draft *draft)
{
	struct store_hold hold = {.what = CONVO_HOLD_KEEP, .us = draft->us};

	memcpy(hold.lease, draft->lease, UUID_BYTES);
	return hold;
}

/** Most drafts of one call, and most bytes that are new in all of them but the last. */
#define STORE_DRAFTS 250
#define STORE_DRAFTS_BYTES ((size_t)1 << 20)

/** What a fork is (S6). */
struct store_fork {
	const char *session; /* its id, in the app and user of the source */
	unsigned char generation[UUID_BYTES];
	int64_t upto_seq; /* 1 to STORE_SEQ_MAX, which is "all" */
};

struct store_append {
	const unsigned char *generation; /* expected, or NULL */
	bool check_seq;
	int64_t after_seq;
	struct store_event *events; /* no id twice; the backend sets seq (and may set time_ms) */
	size_t count;
	const struct store_change *changes; /* in the order of their events; within one event no
	                                       (scope, name) twice */
	size_t change_count;
	const struct store_hold *hold; /* NULL: no lease; with one `count` may be 0 */
};

/** What a backend tells of a session. Times in µs; 0 means never or not. */
struct store_meta {
	struct cv_text session, title;
	unsigned char generation[UUID_BYTES];
	int64_t created_us, updated_us, expires_us, deleted_us;
	int64_t first_seq, last_seq; /* of what is stored; empty: first_seq = last_seq + 1 */
	int64_t position; /* where it stands in its list: higher is nearer to the front. The µs of
	                     the create, write, delete or restore that put it there; never lower
	                     than it was, whatever the clocks say */
	int64_t number;   /* breaks ties of position; higher is nearer to the front */
	int64_t held_us; /* how much longer a turn holds it, by the engine's clock; 0 or less: nobody */
	struct cv_text fork_session; /* of what it is a fork; data NULL: of none */
	unsigned char fork_generation[UUID_BYTES];
	int64_t fork_seq;
};

/** Where a page begins: after this (position, number), in list order. */
struct store_place {
	int64_t position, number; /* INT64_MAX both: from the front */
};

/** For list(): all there are. */
#define STORE_LIST_ALL ((size_t)INT32_MAX)

/* ---- what a backend fills in ---------------------------------------------------------- */

/** Begin filling a session: forgets what was added before, so that a lost connection can retry. */
void cv_session_reset(struct convo_session *into);

/** Set what is known of a session being loaded. Copies. 0 or CONVO_E_NOMEM. */
int cv_session_set_meta(struct convo_session *into, const struct store_meta *meta,
			struct convo_err *err);

/** Add one event of the window; any order, they are sorted by seq afterwards. Copies. */
int cv_session_add_event(struct convo_session *into, const struct store_event *event,
			 struct convo_err *err);

/** Set the draft: the fields of struct store_draft, its message whole. Copies. */
int cv_session_set_draft(struct convo_session *into, const struct store_event *event,
			 struct convo_err *err);

/** Add one name of state. Copies. */
int cv_session_add_state(struct convo_session *into, enum convo_scope scope, struct cv_text name,
			 struct cv_text value, struct convo_err *err);

/**
 * The same for an event and a name that the backend keeps as they are handed out, in a block whose
 * bytes never change: the session holds the block (unless the one added before was in it) in place
 * of a copy. `bytes` is what the event's texts count.
 */
int cv_session_share_event(struct convo_session *into, const struct convo_event *event,
			   size_t bytes, struct cv_share *block, struct convo_err *err);
int cv_session_share_state(struct convo_session *into, const struct convo_item *item,
			   struct cv_share *block, struct convo_err *err);

/** What a scope's names begin with where scopes are mixed: "", "user:" or "app:". */
const char *cv_scope_prefix(enum convo_scope scope);

/** Forget what was added to a list, add one name to it. Copies. */
void cv_state_reset(struct convo_state *into);
int cv_state_add(struct convo_state *into, enum convo_scope scope, struct cv_text name,
		 struct cv_text value, struct convo_err *err);

/** A page of a list being read. */
struct store_page;
void cv_page_reset(struct store_page *into);
int cv_page_add(struct store_page *into, const struct store_meta *meta, struct convo_err *err);
size_t cv_page_count(const struct store_page *page);

/**
 * The seqs that a window shows of a session which shows first to last (nothing when first > last):
 * *from to *to, and nothing when *from > *to. `around` is the seq of the window's event.
 */
void cv_window_range(const struct store_window *window, int64_t first, int64_t last, int64_t around,
		     int64_t *from, int64_t *to);

/** The first seq a session shows: of what is stored, the newest call->event_limit (A5). */
static inline int64_t store_first_shown(const struct store_call *call, int64_t first_seq,
					int64_t last_seq)
{
	int64_t limit = call->event_limit;

	return limit && last_seq - limit + 1 > first_seq ? last_seq - limit + 1 : first_seq;
}

/** Most sessions of one question for marks, for weights. */
#define STORE_MARKS 500
#define STORE_WEIGHED 500

/** What tells a session from others on the way of a notice: equal for equal names. */
uint64_t cv_key_tag(const struct convo_key *key);

/** A connection that hears of sessions; a backend's own. */
struct store_ear;

/** A session whose messages are to be weighed: as list() has told it, and the seqs that it shows. */
struct store_weighed {
	const char *session;
	int64_t number;
	unsigned char generation[UUID_BYTES];
	int64_t first_seq, last_seq;
};

/** Owners of sessions being read: (app, user). */
struct store_owners;

/** Forget what was added; add one. Copies. 0 or CONVO_E_NOMEM. */
void cv_owners_reset(struct store_owners *into);
int cv_owners_add(struct store_owners *into, struct cv_text app, struct cv_text user,
		  struct convo_err *err);

/** Where the owners go on; all-zero: from the front. */
struct store_owners_place {
	char app[CONVO_MAX_NAME + 1], user[CONVO_MAX_NAME + 1]; /* after these, by their bytes */
	uint64_t step;    /* for a backend that has no such order: its own */
	char server[280]; /* the same: of whom */
};

/* ---- refusals, worded once -------------------------------------------------------------- */

int cv_refuse_notfound(struct convo_err *err, const struct convo_key *key);
int cv_refuse_event(struct convo_err *err, const struct convo_key *key); /* AROUND: not in it */
int cv_refuse_trash(struct convo_err *err, const struct convo_key *key); /* not in the trash */
int cv_refuse_exists(struct convo_err *err, const struct convo_key *key);

/** The session has moved on to `last_seq` (A3). */
int cv_refuse_conflict(struct convo_err *err, const struct convo_key *key, int64_t last_seq);

/** The session is another one than the writer means (A3, S5). */
int cv_refuse_generation(struct convo_err *err, const struct convo_key *key, int64_t last_seq);

/** Another one holds the session for so much longer (R1). */
int cv_refuse_busy(struct convo_err *err, const struct convo_key *key, int64_t last_seq,
		   int64_t left_us);

/** The lease is not held any more (R4). */
int cv_refuse_lease(struct convo_err *err, const struct convo_key *key, int64_t last_seq);

/** A scope would pass CONVO_MAX_STATE (N3). */
int cv_refuse_state(struct convo_err *err, enum convo_scope scope);

/* ---- the functions -------------------------------------------------------------------- */

struct cv_backend {
	const char *scheme;         /* the URL scheme that selects it: "sqlite" */
	const char *title;          /* for people: "SQLite" */
	size_t size;                /* of the backend's own store struct, a convo_store first */
	const char *default_prefix; /* "convo_" or "convo" */
	/* The URL options that are its own, NULL after the last; may be NULL. The front refuses
	 * others, and any twice. */
	const char *const *params;

	/* Connect and bring the schema up to date (L1). `store` is `size` zero bytes with the base
	 * filled in but for `where`, which open() fills. `url` is borrowed for the call. May fail
	 * halfway: close() follows anyway. */
	int (*open)(struct convo_store *store, const struct store_call *call,
		    const struct cv_url *url, struct convo_err *err);

	/* Release whatever open() got hold of. The front frees the struct. */
	void (*close)(struct convo_store *store);

	/* Add an empty session; CONVO_E_EXISTS if a live one has the name (S1). An expired one does
	 * not count and must not block it. CONVO_E_TOOBIG as in state_set. */
	int (*create)(struct convo_store *store, const struct store_call *call,
		      const struct convo_key *key, const struct store_create *create,
		      struct convo_err *err);

	/* One consistent view (S2): meta, the state of the three scopes, the events of the window,
	 * of which none is older than the newest call->event_limit. cv_refuse_event() when the event
	 * of AROUND is absent. Starts with cv_session_reset(). */
	int (*load)(struct convo_store *store, const struct store_call *call,
		    const struct convo_key *key, const struct store_window *window,
		    struct convo_session *into, struct convo_err *err);

	/* Append (A1 to A7). In this order: absent, deleted or expired: CONVO_E_NOTFOUND. Another
	 * generation than expected: CONVO_E_CONFLICT. Events whose id is stored get their seq; if
	 * none is left, success, and the session is not touched. after_seq not the last one:
	 * CONVO_E_CONFLICT with err->last_seq. Otherwise the rest is numbered, stored, and the
	 * changes that came with them (not those of events already stored; for one name the last
	 * wins) are applied, all in one step; a scope that would pass CONVO_MAX_STATE fails it with
	 * CONVO_E_TOOBIG. Then, with call->event_limit = n, events older than both the newest n and
	 * this batch go (A5). updated = the later of now and what it was; expires by
	 * store_call_expires().
	 * With a hold, cv_hold_check() is asked between generation and after_seq, once it is known
	 * which events are stored: BUSY by cv_refuse_busy(), CONFLICT by cv_refuse_lease(),
	 * STORE_IN_THE_WAY is returned as it is. What it grants is done in the same step, also where no
	 * event is left to store. */
	int (*append)(struct convo_store *store, const struct store_call *call,
		      const struct convo_key *key, struct store_append *append,
		      struct convo_err *err);

	/* Save drafts, 1 to STORE_DRAFTS of them, no lease twice. Each as if it were alone, and told in
	 * its rc: in this order CONVO_E_NOTFOUND; cv_refuse_lease() unless the lease is the session's and
	 * has not ended (that its time is over does not matter, as long as nobody else has taken it);
	 * with a `pos`, STORE_IN_THE_WAY unless there is a draft of the event's id that has as many
	 * bytes. Then the draft's message is its first `pos` bytes and what the event has behind them,
	 * and the lease holds for `us`. The session does not count as written to. The array may be put
	 * in another order. */
	void (*drafts)(struct convo_store *store, const struct store_call *call,
		       struct store_draft **drafts, size_t count);

	/* Make another session out of this one in one step (S6): the title, the state of the session,
	 * and of the events it shows (A5) those up to upto_seq, with seq, id, time and every field; its
	 * last seq is upto_seq or the source's, whichever is less. No lease and no draft. created,
	 * updated and expires as in create. CONVO_E_NOTFOUND for the source before CONVO_E_EXISTS for
	 * the new one. */
	int (*fork)(struct convo_store *store, const struct store_call *call,
		    const struct convo_key *key, const struct store_fork *fork,
		    struct convo_err *err);

	/* For each of at most STORE_MARKS sessions a number that changes with whatever happens to it:
	 * events, title, state of its own, its draft, a lease that is taken or ended (not one that is
	 * prolonged or whose time is over), its end; 0 when it is absent. In one round trip (W1). */
	int (*marks)(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *const *keys, size_t count, uint64_t *marks,
		     struct convo_err *err);
	int64_t marks_us; /* how often to ask where no ear is open */

	/* Hear of sessions from the engine (W1 to W3); NULL where it cannot tell. An ear has a
	 * connection of its own, outside the pool, and is used by one thread. ear_set() begins or ends to
	 * hear of a session; whatever happens to it after that has been confirmed is told, once or more,
	 * by ear_wait(): as the tag of its key (cv_key_tag()). ear_wait() sends what ear_set() asked for,
	 * and returns 0 at the call's deadline, CONVO_E_CANCELED, or with the failure after which the ear
	 * is of no use any more. CONVO_E_UNSUPPORTED from ear_open(): not with this server. */
	int (*ear_open)(struct convo_store *store, const struct store_call *call,
			struct store_ear **out, struct convo_err *err);
	int (*ear_set)(struct store_ear *ear, const struct convo_key *key, bool on,
		       struct convo_err *err);
	int (*ear_wait)(struct store_ear *ear, const struct store_call *call,
			void (*tell)(void *ctx, uint64_t tag), void *ctx, struct convo_err *err);
	void (*ear_close)(struct store_ear *ear);

	/* The bytes of the messages of at most STORE_WEIGHED sessions of (app, user), as they are
	 * stored, together; what is gone meanwhile counts nothing (E2). In one round trip. */
	int (*weigh)(struct convo_store *store, const struct store_call *call, const char *app,
		     const char *user, const struct store_weighed *sessions, size_t count,
		     int64_t *bytes, struct convo_err *err);

	/* Set the title; counts as a write. CONVO_E_NOTFOUND. */
	int (*rename)(struct convo_store *store, const struct store_call *call,
		      const struct convo_key *key, struct cv_text title, struct convo_err *err);

	/* At most n sessions (1 to STORE_LIST_ALL) of (app, user) after `place`, in falling order of
	 * (position, number): the live ones, or with `trash` the deleted ones whose trash time is
	 * not over. One atomic view, however many (S3 rests on that). Starts with
	 * cv_page_reset(). */
	int (*list)(struct convo_store *store, const struct store_call *call, const char *app,
		    const char *user, bool trash, const struct store_place *place, size_t n,
		    struct store_page *into, struct convo_err *err);

	/* Owners (all, or those of `app`) that have live sessions, or with `trash` deleted ones, after
	 * `place`: some n of them. Each that has one throughout a walk from the front to the end is
	 * told, others may be; twice only with `owners_twice`. *place is moved on by success, and *more
	 * tells whether to ask again. Starts with cv_owners_reset(). */
	int (*owners)(struct convo_store *store, const struct store_call *call, const char *app,
		      bool trash, size_t n, struct store_owners_place *place,
		      struct store_owners *into, bool *more, struct convo_err *err);
	bool owners_twice;

	/* Hide the live session and put it into the trash until now + trash_us; with a
	 * trash_us of 0 it is gone at once. Absent is a success. */
	int (*delete)(struct convo_store *store, const struct store_call *call,
		      const struct convo_key *key, struct convo_err *err);

	/* Bring the newest deleted session of the name, or that generation, back. CONVO_E_EXISTS if
	 * the name lives; CONVO_E_NOTFOUND. updated as in append; with a ttl expires = now + ttl, else a
	 * session that expires does so as much later as it was deleted. */
	int (*restore)(struct convo_store *store, const struct store_call *call,
		       const struct convo_key *key, const unsigned char *generation,
		       struct convo_err *err);

	/* Remove deleted sessions of the name, or that generation, for good. Absent is a success. */
	int (*purge)(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, const unsigned char *generation,
		     struct convo_err *err);

	/* Apply all changes in one step. A change in the session's scope needs the session
	 * (CONVO_E_NOTFOUND) and counts as a write of it. CONVO_E_TOOBIG when a scope would pass
	 * CONVO_MAX_STATE. key->session, key->user may be NULL when no change needs them. */
	int (*state_set)(struct convo_store *store, const struct store_call *call,
			 const struct convo_key *key, const struct store_change *changes,
			 size_t count, struct convo_err *err);

	/* Read the names of the scopes (or-ed), or with `name` that one name of the one scope.
	 * CONVO_E_NOTFOUND only for a session that is needed and absent. Starts with
	 * cv_state_reset(). */
	int (*state_list)(struct convo_store *store, const struct store_call *call,
			  const struct convo_key *key, unsigned scopes, const struct cv_text *name,
			  struct convo_state *into, struct convo_err *err);

	/* One bounded step of removing expired sessions, trash whose time is over, and what deletes
	 * left behind: at most some thousand rows or some milliseconds. *removed rises by the
	 * sessions that are gone for good; *more tells whether another step would find work. NULL
	 * where the server does that by itself. */
	int (*clean)(struct convo_store *store, const struct store_call *call, int64_t *removed,
		     bool *more, struct convo_err *err);

	/* Append the SQL of an empty database to `out`; NULL where there is none. */
	int (*schema)(struct cv_buf *out, const char *prefix, struct convo_err *err);
};

extern const struct cv_backend cv_backend_memory;
extern const struct cv_backend cv_backend_sqlite;
extern const struct cv_backend cv_backend_redis;
extern const struct cv_backend cv_backend_postgres;
extern const struct cv_backend cv_backend_mysql;

#endif
