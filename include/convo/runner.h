/*
 * The runner: one turn of a conversation. It stores what was said, asks the model with what the
 * session holds, streams the answer, and stores that too.
 */
#ifndef CONVO_RUNNER_H
#define CONVO_RUNNER_H

#include <convo/model.h>
#include <convo/store.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Runs turns on one store with one model. Thread-safe: turns may run at once. */
typedef struct convo_runner convo_runner;

/**
 * What is done with neighbouring messages of the user, as a question that was not answered leaves
 * them: many chat templates refuse two in a row.
 */
enum convo_alternate {
	CONVO_ALTERNATE_JOIN = 0, /**< they are sent as one, with an empty line between; once the
	                               endpoint says that roles must alternate, so are the
	                               assistant's, and those that differ in another member */
	CONVO_ALTERNATE_FILL,     /**< an answer, "(no answer)", is sent between them */
	CONVO_ALTERNATE_KEEP      /**< they are sent as they are */
};

/** When the beginning of a conversation is summed up. */
enum convo_summaries {
	CONVO_SUMMARIES_OFF = 0, /**< when it is asked for: convo_runner_summarize() */
	CONVO_SUMMARIES_ON       /**< by itself, too: after an answer with which the conversation
	                              came over 70 % of the tokens that a request may have (set as
	                              context_tokens, or known of the model), or to summary_events */
};

/** What a runner works with. Store and models are borrowed and must outlive it; the rest is copied. */
struct convo_runner_options {
	convo_store *store;
	convo_model *model;
	const char *app;         /**< whose sessions (contract N1) */
	const char *instruction; /**< sent first as a system message; NULL or "": none */
	size_t context_messages; /**< most messages of history sent, the question included; 0: all
	                              that is stored */
	size_t context_tokens;   /**< most tokens sent, by estimate; 0: as many as the model takes,
	                              where that is known */
	const char *params;      /**< for convo_request.params; NULL: none */
	enum convo_alternate alternate; /**< neighbouring messages of the user */
	convo_model *summary_model;     /**< makes the summaries, without the params; NULL: the
	                                     model itself */
	const char *summary_prompt;     /**< what it is told to make; NULL or "": a built-in text */
	size_t summary_events; /**< with CONVO_SUMMARIES_ON: sum up, too, when so many events
	                                     came that no summary covers. To be less than an event
	                                     limit of the store, or what that removes is in none.
	                                     0: their number is no reason */
	enum convo_summaries summaries; /**< each costs a request: off unless it is wanted */
	int64_t lease_ms;        /**< how long a turn holds its session without a sign of life: when
	                              its program is gone, others wait for so long. 1,000 to 600,000;
	                              0: 15,000 */
	const void *reserved[2]; /**< NULL; see version.h */
};

/**
 * Make a runner. Asks neither the store nor the model.
 *
 * @param out set to the runner, the caller's to free; untouched on failure
 * @return 0, CONVO_E_INVALID when store, model or app is missing, params is no JSON object, or
 *         summaries are on with less than 256 context_tokens; CONVO_E_NOMEM. Thread-safe. Does
 *         not block.
 */
CONVO_API int convo_runner_new(convo_runner **out, const struct convo_runner_options *opts,
			       struct convo_err *err);

/**
 * Free a runner; no turn may be running. A summary that is being made is given up: it is made again
 * when it is next needed. Blocks for as long as its call takes to be cancelled, some 100 ms. NULL is
 * fine.
 */
CONVO_API void convo_runner_free(convo_runner *runner);

/** What a turn does while another one holds its session (contract R1). */
enum convo_when_busy {
	CONVO_BUSY_WAIT = 0, /**< it waits, after convo_listener.on_busy */
	CONVO_BUSY_REFUSE,   /**< CONVO_E_BUSY; nothing is stored */
	CONVO_BUSY_TAKE      /**< it takes the session over: what had come of the other answer is
	                          stored as interrupted, and that turn ends with CONVO_E_CONFLICT */
};

/** How one turn differs from what its runner does. All-zero: in nothing. Borrowed for the call. */
struct convo_turn_options {
	/**
	 * The id of the turn, 1 to 255 bytes without control characters (N1); NULL: a new UUID. It makes
	 * a turn safe to repeat: what is stored of the question is not stored again (A2), and once the
	 * answer is stored it is given back, and no model is asked (convo_turn.repeated). Whoever
	 * gives the id sees to it that it always means the same question: what is stored counts.
	 */
	const char *turn;
	convo_model
		*model; /**< is asked, instead of the runner's; must outlive the turn alone. What is
	                         learned of how much a model takes is the model's */
	const char
		*instruction; /**< sent instead of the runner's, and not stored; "": none is sent */
	/**
	 * A JSON object, like convo_runner_options.params: its members take the place of the runner's of
	 * the same name, null takes one away. "messages", "model" and "stream" are refused.
	 */
	const char *params;
	const char
		*extra; /**< a JSON object, stored in the `extra` of the question's first event */
	/**
	 * The question goes behind this seq, or nowhere (A3): CONVO_E_CONFLICT, and nothing stored, when the
	 * session has moved on. 0: behind whatever is there. A turn that was begun before is not hindered.
	 */
	int64_t after_seq;
	const void *reserved[6]; /**< NULL; see version.h */
};

/** What is said in a turn: a text of the user, or messages. Borrowed for the call. */
struct convo_question {
	const char *user;    /**< whose session (N1) */
	const char *session; /**< its id; created if absent, with a title from what the user said */
	const char *text;    /**< what the user said: not empty, up to 4 MiB as JSON; any bytes,
	                          broken UTF-8 and U+0000 become U+FFFD. NULL: messages are given */
	size_t text_len;     /**< 0: strlen(text) */
	bool whole;          /**< ask the model for the answer in one piece */
	bool fresh;          /**< the session must not exist yet: CONVO_E_EXISTS, nothing stored */
	enum convo_when_busy when_busy;
	/**
	 * Instead of a text: `count` new messages, each a chat message as JSON, kept as it is (N2, N3).
	 * They become an event each, in one append (A1). The role is "user", "tool", "system" or
	 * "developer", or "assistant" but for the last one; the content a text or an array of parts
	 * with a "type", which may be pictures; null where a message of the assistant calls tools. A
	 * message of a tool has a "tool_call_id".
	 *
	 * Outputs of tools stand first, in any order, and are those of all the calls of the answer
	 * before, or with those calls in the messages themselves. What fits no call that waits for it is
	 * refused. Where a call is not answered but passed over, it is kept and no longer sent.
	 */
	const struct convo_message *messages;
	size_t count;
	const struct convo_turn_options *options; /**< NULL: none */
	const void *reserved[2];                  /**< NULL; see version.h */
};

/** Which side of a turn failed. */
enum convo_turn_part { CONVO_TURN_OK = 0, CONVO_TURN_STORE, CONVO_TURN_MODEL };

/** How a turn went. Strings belong to it. */
struct convo_turn {
	const char *id;       /**< the turn id that all its events carry */
	int64_t question_seq; /**< where the question begins in the store; 0: it is not stored */
	int64_t answer_seq;   /**< where the answer is stored; 0: it is not */
	bool created;         /**< the session was created by this turn */
	size_t sent;          /**< messages sent to the model, instruction included */
	size_t joined;        /**< stored messages, the question among them, that went as a part
	                               of the one before them: neighbouring messages of the user
	                               are sent as one */
	size_t left_out;      /**< messages of the session not sent */
	const char *left_out_why; /**< one line for a person when left_out > 0; else NULL */
	const struct convo_answer *answer; /**< NULL when nothing came */
	/** Which side a failure came from; OK also when it was stopped before anything came. */
	enum convo_turn_part failed;
	size_t summarized;   /**< messages of the session that went as a summary */
	int64_t summary_seq; /**< where that is stored; 0: there was none */
	/** It was run before: the answer is the one that was stored then, and no listener heard it. */
	bool repeated;
	const char *generation;          /**< of its session (S5); "" before there is one */
	size_t question_count;           /**< events of the question */
	const int64_t *question_seqs;    /**< where each is stored; 0: it is not */
	const char *const *question_ids; /**< their event ids */
	const char *answer_id;           /**< the event id of the answer */
};

/** Free a turn and its answer. NULL is fine. */
CONVO_API void convo_turn_free(struct convo_turn *turn);

/**
 * The event ids of a turn follow from its id, so its events can be loaded without reading the session:
 * by a convo_window of the kind CONVO_WINDOW_AROUND. This function gives the same ids in all versions
 * to come. Turns that were run before there was it have others.
 *
 * A turn id says nothing of the session that holds the turn, and the store does not look for it: who
 * hands turn ids out puts the session's name into them, or beside.
 *
 * @param out  receives a UUID; nothing when it or `turn` is NULL
 * @param turn convo_turn.id, or convo_event.turn
 * @param n    0: the answer; 1, 2 ...: the messages of the question
 *
 * Thread-safe. Does not block.
 */
CONVO_API void convo_turn_event_id(char out[CONVO_UUID_SIZE], const char *turn, size_t n);

/**
 * Run one turn: load the window, or create the session; store the question; ask; stream; store the
 * answer with its status, usage and times.
 *
 * The question is stored before the model is asked, and an answer that ends early is stored with
 * what came, so nothing typed or told is lost. Storing is retried under the same event id (A2) as
 * long as its outcome is unknown. A session that was deleted meanwhile, or created again, does not
 * get a late answer (A3, A4).
 *
 * A turn whose id was given (convo_turn_options.turn) is looked for first: with an answer in the store
 * nothing else is done. Of several that run at once with the same id, one asks the model, and those that
 * wait for it (CONVO_BUSY_WAIT) get its answer. An answer that ended early is an answer: its program gone,
 * what it had saved is given back as interrupted. The code of such a one is not stored;
 * it is CONVO_E_CANCELED for an interrupted one and CONVO_E_IO for a failed one.
 *
 * A turn holds its session, so turns on one session, of whatever programs, come one after the other
 * (R1): the lease is taken by the append of the question and ended by that of the answer, without a
 * further round trip. What comes of an answer is saved within a second, in the background, as a draft
 * (R2): the runner's turns in one call. If the program is gone then, whoever begins the next turn
 * stores it first, as an interrupted answer (R5). Where events come from others all the same, who hold
 * nothing, those of two turns may alternate in seq; each carries its turn id, and the next request
 * puts every turn's messages together again.
 *
 * Neighbouring messages of the user, as they are left by a question that was not answered, are sent
 * as one with an empty line between, because many chat templates refuse two in a row (enum
 * convo_alternate has other ways). They are stored as they were said. Where their content is parts,
 * the parts go in one array. Messages that differ in another member, such as "name", stay apart.
 *
 * What the endpoint refuses is learned, for as long as the model is open, and the question is sent
 * once more, better: of a conversation that is too long, the newest messages that take 70 % of what
 * the model takes; roles in turn where it insists on them; no system message where it takes none.
 * Conversations of more than some 1,000 tokens have it asked in the background how many its model
 * takes (GET /models). From then on only what fits is sent, with room for the answer, and what is
 * not sent is told (left_out).
 *
 * Where the session has a summary of its beginning that is true (convo_runner_summarize()), the
 * messages that it stands for are not sent: it goes in their place, a message of the user in front of
 * the others, and is sent as one with the next of the user.
 *
 * The answer's event names its model and has the facts of the request in `extra`:
 * {"sent_messages":9,"sent_bytes":1234,"sent_tokens":310,"first_ms":80,"total_ms":950,
 * "attempts":1}, the tokens by an estimate that knows no model, and
 * "joined_messages":1 when some went as a part of the one before (convo_turn.joined). When nothing
 * came, an event with the content null stands for the answer, with its status and error; it is
 * never sent to a model. The authors are the roles, "user" and "assistant".
 *
 * @param out set to how it went, the caller's to free, also on failure, unless nothing could even
 *            begin (then untouched: initialise it with NULL)
 * @return 0 when question and answer are stored, also for an answer that ended early (its status
 *         tells); CONVO_E_CANCELED: stopped before anything came; CONVO_E_INVALID,
 *         CONVO_E_TOOBIG: of the question, nothing is stored (the text names the message that is at
 *         fault, "messages[0]" being the first), or an argument that must be given is NULL; else the code of what failed, out->failed telling which side. With
 *         CONVO_TURN_STORE, CONVO_E_CONFLICT and CONVO_E_NOTFOUND mean that the session is
 *         another one now, was taken over, or is gone, and that the answer is not stored;
 *         CONVO_E_BUSY: another turn holds it, nothing is stored.
 *
 * Thread-safe. Blocks until the answer ended and is stored; a store that cannot be reached is
 * tried for 5 s more than its timeout. A cancel ends the calls of the store that come before the
 * model is asked, too; the question is then stored if the store takes it within a second or so, but
 * not while it waits for another turn.
 * The storing of an answer is not cancelled.
 */
CONVO_API int convo_runner_run(struct convo_turn **out, convo_runner *runner,
			       const struct convo_question *question,
			       const struct convo_listener *listener, convo_cancel *cancel,
			       struct convo_err *err);

/** Where it is known from how many tokens a request may have. */
enum convo_limit {
	CONVO_LIMIT_NONE = 0, /**< it is not known */
	CONVO_LIMIT_OPTION,   /**< convo_runner_options.context_tokens */
	CONVO_LIMIT_ENDPOINT, /**< the endpoint's list of models */
	CONVO_LIMIT_REFUSAL   /**< the endpoint refused a request as too long */
};

/** What of a conversation would go with the next question. Strings belong to it. */
struct convo_context {
	size_t messages;          /**< the instruction among them; joined ones count as one */
	size_t joined;            /**< stored messages that go as a part of the one before them */
	size_t left_out;          /**< messages of the session that do not go */
	const char *left_out_why; /**< one line for a person when left_out > 0; else NULL */
	int64_t tokens;           /**< of those that go, as the model is thought to count */
	double factor;            /**< for that: what it counts for each token of the estimate */
	bool measured;            /**< an answer has told the factor; else it is 1 */
	int64_t limit;            /**< most tokens of a request; 0: none is known */
	enum convo_limit limit_from;
	int64_t window;    /**< tokens that the model takes, its answer's among them; 0: unknown */
	size_t summarized; /**< messages of the session that go as a summary */
	int64_t summary_seq; /**< where that is stored; 0: there is none */
	const char *
		summary_error; /**< one line: why this runner made none when it last tried; NULL: it
	                                did not fail */
};

/** Free what convo_runner_context() has made. NULL is fine. */
CONVO_API void convo_context_free(struct convo_context *context);

/**
 * See what would go with the next question, and how much of what may. Asks the store alone.
 *
 * @param out  set to it, the caller's to free; untouched on failure
 * @param call bounds the call to the store; NULL: as the store is bounded
 * @return 0, CONVO_E_NOTFOUND when there is no such session, CONVO_E_INVALID for an argument of
 *         NULL, CONVO_E_NOMEM, or a store's code
 *
 * Thread-safe. Blocks for the store's timeout at most.
 */
CONVO_API int convo_runner_context(struct convo_context **out, convo_runner *runner,
				   const char *user, const char *session,
				   const struct convo_call *call, struct convo_err *err);

/**
 * Sum up the conversation now, but for its last 8 messages at most: the model is asked for a text that
 * takes the place of the summary before and the messages since, in several steps where it does not
 * take them all at once. Each step is stored as an event, the message
 * {"role":"control","content":"summary"} with
 * {"summary":{"from_seq":3,"upto_seq":40,"messages":38,"tokens":210,"prompt":1,"turns":"...",
 * "model":"...","text":"..."}} in `extra`, and from the next turn on it is sent instead of what it
 * covers. Nothing is erased. A turn that is taken back makes each summary that covers it void, and
 * another is made.
 *
 * With CONVO_SUMMARIES_ON the runner does the same by itself, in one thread of its own, one session
 * after the other; no turn waits for it. What fails is tried again after a later answer, not before
 * 1, 2, 4 ... 64 minutes have passed. Of several that make one at once, in whatever programs, one
 * stores it.
 *
 * A text that is longer than a quarter of the limit is cut at a sentence.
 *
 * @param call bounds each call to the store; its cancel ends the asking, too. NULL: as the store is
 *             bounded
 * @return 0; CONVO_E_NOTFOUND when there is no such session or too little to sum up;
 *         CONVO_E_CONFLICT when another one was made meanwhile, or a turn that it would cover was taken
 *         back; CONVO_E_REFUSED also for a text that is empty, or longer than what it stands for;
 *         CONVO_E_INVALID for an argument of NULL, or when a request may have less than 256 tokens;
 *         CONVO_E_NOMEM, or the code of the model or the store
 *
 * Thread-safe. Blocks until the model has answered and that is stored.
 */
CONVO_API int convo_runner_summarize(convo_runner *runner, const char *user, const char *session,
				     const struct convo_call *call, struct convo_err *err);

/**
 * Take back the turn that began last and is not yet taken back: a marker event is appended, the
 * message {"role":"control","content":"undo"} with {"undo":"<turn id>"} in `extra`, and from then
 * on no event of that turn is sent to a model. Nothing is erased. Events without a turn id cannot
 * be taken back.
 *
 * @param text set to what the user had said in it, the caller's to convo_free(); may be NULL
 * @param call bounds each of the few calls to the store; its cancel stops them all. NULL: as the
 *             store is bounded
 * @return 0, CONVO_E_NOTFOUND when there is no such session or no turn left, CONVO_E_INVALID for a
 *         runner of NULL, or a store's code
 *
 * Thread-safe. Blocks for a few of the store's timeouts at most.
 */
CONVO_API int convo_runner_undo(char **text, convo_runner *runner, const char *user,
				const char *session, const struct convo_call *call,
				struct convo_err *err);

/**
 * Which events of a loaded session take part in the conversation, in the order a model is sent
 * them: turns that were taken back, control events, and answers without content are left out, and
 * each turn's events stand together, placed by their first. The window may begin in the middle of
 * a turn. Neighbours among them whose role is "user" are sent as one.
 *
 * @param session NULL: there are none
 * @param events  receives pointers into the session; room for as many as it has events
 * @return how many were written; CONVO_E_INVALID for events of NULL; CONVO_E_NOMEM
 *
 * Thread-safe. Does not block.
 */
CONVO_API int64_t convo_session_conversation(const convo_session *session,
					     const struct convo_event **events);

#ifdef __cplusplus
}
#endif

#endif
