/*
 * Models: something that answers a conversation, piece by piece.
 */
#ifndef CONVO_MODEL_H
#define CONVO_MODEL_H

#include <convo/call.h>
#include <convo/event.h>

#ifdef __cplusplus
extern "C" {
#endif

struct convo_turn; /* convo/runner.h */

/* ---- asking --------------------------------------------------------------------------- */

/** One message of a request: the JSON text of a chat message. Borrowed. */
struct convo_message {
	const char *json;
	size_t len;
};

/** What to ask. */
struct convo_request {
	const struct convo_message *messages; /**< the conversation, oldest first; at least one */
	size_t count;
	bool whole;              /**< ask for the answer in one piece instead of a stream */
	const char *params;      /**< members for the request's body ("temperature", "tools" ...): a
	                         JSON object; NULL: none. They win over ours */
	const void *reserved[4]; /**< NULL; see version.h */
};

enum convo_delta_kind {
	CONVO_DELTA_TEXT,      /**< a piece of the answer */
	CONVO_DELTA_REASONING, /**< a piece of the thinking before it */
	CONVO_DELTA_REFUSAL,   /**< a piece of a refusal; shown as the answer */
	CONVO_DELTA_TOOL_CALL  /**< a piece of a tool call; its text is "", `arguments` has it */
};

/** A piece of an answer as it arrives: valid UTF-8 whole characters, no U+0000. Borrowed. */
struct convo_delta {
	enum convo_delta_kind kind;
	const char *text; /**< NUL-terminated */
	size_t len;
	/**
	 * Of a tool call; else 0 and NULL. Until the answer is complete such a call must not run: of
	 * one that ends early no call is in its message.
	 */
	size_t call;           /**< which one of the answer, from 0; they begin in their order */
	const char *call_id;   /**< in its first piece; NULL in the others */
	const char *call_name; /**< likewise: of the function */
	const char *arguments; /**< the next of them, NUL-terminated; "" is possible. All together
	                            are the arguments in the answer's message */
	size_t arguments_len;
};

/** A pause before the request is tried again. Borrowed. */
struct convo_wait {
	int attempt;        /**< the one to come: 2, 3 ... */
	int wait_ms;        /**< until then */
	const char *reason; /**< one line */
};

/**
 * Hears an answer. All-zero is valid. Callbacks run in the asking thread with no lock held, may
 * call anything but the model they hear, and return 0 to go on or anything else to stop, which
 * the caller sees as CONVO_INTERRUPTED or CONVO_E_CANCELED.
 */
struct convo_listener {
	int (*on_delta)(void *ctx, const struct convo_delta *delta);
	/** Called once per retry, before the wait. Cancelling ends the wait. */
	int (*on_wait)(void *ctx, const struct convo_wait *wait);
	void *ctx;
	/**
	 * Of a runner's turn alone: another turn holds the session, for `busy_ms` more if there is no
	 * further sign of it (contract R1). Called once, before it is waited for. Cancelling ends the
	 * wait.
	 */
	int (*on_busy)(void *ctx, int64_t busy_ms);
	/**
	 * Of a runner's turn alone: its question is stored and the model is about to be asked. The turn
	 * tells its ids, its generation and where the question is (convo/runner.h); it lives for the call.
	 * Called once; not for a turn that was run before.
	 */
	int (*on_begun)(void *ctx, const struct convo_turn *turn);
	const void *reserved[2]; /**< NULL; see version.h */
};

/** What came back. Strings are NUL-terminated and belong to the answer. */
struct convo_answer {
	enum convo_status status; /**< COMPLETE, or how it ended early with what came so far */
	int code;                 /**< enum convo_code: CONVO_OK, or why it is not complete */
	const char *error;        /**< one line; NULL when complete */
	const char *message;      /**< an assistant message: content, reasoning_content, refusal,
	                               tool_calls as they came; storable as it is. Tool calls only
	                               when complete: half of one must not run */
	size_t message_len;
	const char *text; /**< the content alone; "" when there is none */
	size_t text_len;
	const char *model;         /**< as the server names it; NULL when it does not */
	const char *finish_reason; /**< "stop", "length" ...; NULL when none came */
	const char *usage;         /**< a JSON object as it came; NULL when none did */
	int64_t prompt_tokens;     /**< from usage; -1: not told */
	int64_t completion_tokens; /**< from usage; -1: not told */
	int64_t first_ms;          /**< from asking to the first delta; -1: there was none */
	int64_t total_ms;          /**< from asking to the end, retries included */
	int attempts;              /**< requests made: 1 and one for each retry */
	/**
	 * Facts worth telling: "cut by the token limit", "stopped by the content filter"; NULL when
	 * there is none.
	 */
	const char *note;
	size_t call_count; /**< tool calls in `message`: convo_answer_call() */
};

/** A tool call of an answer. Strings are NUL-terminated and belong to the answer. */
struct convo_tool_call {
	const char *id, *name; /**< as the message has them */
	const char
		*arguments; /**< what the model wrote: meant to be a JSON object, "{}" for none */
};

/** A tool call of an answer, in the order of the message. @param i from 0. NULL past the last. */
CONVO_API const struct convo_tool_call *convo_answer_call(const struct convo_answer *answer,
							  size_t i);

/** Free an answer. NULL is fine. */
CONVO_API void convo_answer_free(struct convo_answer *answer);

/* ---- models --------------------------------------------------------------------------- */

/** Something that answers. Thread-safe: many threads may ask at once. */
typedef struct convo_model convo_model;

/** An asking that has ended. Lives for the callback. Grows at its end. */
struct convo_trace_ask {
	/** enum convo_code: what the asking failed with, or the answer's own code. */
	int code;
	const struct convo_answer *answer; /**< what came; it may hold text. NULL: it failed before
	                                        anything did */
	int64_t duration_us;               /**< from its beginning to its end, retries included */
};

/**
 * Hears each asking of a model as it ends: those of convo_model_ask(), of a runner's turns, and of its
 * summaries. What a runner asks anew, since the model takes less, is another one. `on_ask` runs in the
 * thread that asked, with no lock held, several at once; it may call anything but the model. What it
 * takes is added to the asking.
 */
struct convo_model_trace {
	void (*on_ask)(void *ctx, const struct convo_trace_ask *ask);
	void *ctx;               /**< passed first; must outlive the model */
	const void *reserved[2]; /**< NULL; see version.h */
};

/** Where a model is. All-zero gives the defaults. Borrowed for the call. */
struct convo_model_options {
	const char *base_url;   /**< with the version path; NULL or "": https://api.openai.com/v1.
	                             Slashes or "/chat/completions" at its end are dropped; a query
	                             is sent along */
	const char *api_key;    /**< printable ASCII; NULL or "": no Authorization header is sent */
	int connect_timeout_ms; /**< 0: 10,000 */
	int idle_timeout_ms;    /**< longest silence, counted in bytes; 0: 300,000 */
	int max_retries;        /**< before the first byte of an answer, up to 100; 0: 2; CONVO_OFF:
	                             none. A server that says it is loading its model is waited for
	                             longer, up to the idle timeout */
	size_t max_answer; /**< most bytes of an answer's message, 1 KiB to 3 MiB; 0: 3 MiB, the
	                             largest that can be stored whole */
	/**
	 * More headers of every request, "Name: value" each, NULL after the last; NULL: none. At
	 * most 64, each up to 8 KiB: a name of RFC 9110 and a value without control characters.
	 * Those that make the request what it is (Content-Type, Accept, Host ...) are refused, and
	 * so is Authorization beside an api_key. Values of 8 bytes and more are taken for secrets:
	 * what a server says of them is shown as "***".
	 */
	const char *const *headers;
	/**
	 * A proxy's URL: http, https, socks4, socks4a, socks5 or socks5h, with user and password if
	 * it wants them; used for every host. NULL: as http_proxy, https_proxy, all_proxy and
	 * no_proxy of the environment say; "": none.
	 */
	const char *proxy;
	/**
	 * A file of certificates (PEM) to trust instead of the system's; NULL or "": the file that
	 * SSL_CERT_FILE names, or the system's.
	 */
	const char *ca_file;
	/** Hears each asking as it ends; copied. NULL: nobody does. */
	const struct convo_model_trace *trace;
	const void *reserved[4]; /**< NULL; see version.h */
};

/**
 * Open a model. No network is touched.
 *
 * @param out  set to the model, the caller's to close; untouched on failure
 * @param name "echo" is the built-in offline model; any other is asked from an OpenAI-compatible
 *             endpoint
 * @param opts NULL for the defaults
 * @return 0, CONVO_E_INVALID for a base URL that is none, a key or a header with odd characters, a
 *         CA file that cannot be read or an option that makes no sense: the text names it, and
 *         holds neither the key nor a header's value nor a password; CONVO_E_NOMEM
 *
 * Thread-safe. Certificates are always verified.
 */
CONVO_API int convo_model_open(convo_model **out, const char *name,
			       const struct convo_model_options *opts, struct convo_err *err);

/** Close a model; no request may be running. NULL is fine. */
CONVO_API void convo_model_close(convo_model *model);

/** The name it was opened with. Lives as long as the model. NULL: NULL. */
CONVO_API const char *convo_model_name(const convo_model *model);

/**
 * Ask, and hear the answer as it arrives.
 *
 * Once any text came, this returns 0 with what came, whatever happened then: `status`, `code` and
 * `error` of the answer tell. A tool call is no answer before it is complete. Until the first delta of
 * any kind a failed request is retried as the endpoint and the usual rules allow (connection errors, 408, 409, 429 and 5xx; Retry-After), and what is final
 * fails the call. A server that is silent for the idle timeout is not asked again. An answer
 * without text, reasoning, refusal and tool calls fails the call too.
 *
 * @param out      set to the answer, the caller's to free; untouched on failure
 * @param listener NULL: nobody listens
 * @param cancel   NULL: cannot be stopped
 * @return 0; or, with the cause in the text:
 *         CONVO_E_CANCELED: stopped before anything came;
 *         CONVO_E_DENIED: the key was refused (401, 403);
 *         CONVO_E_NOTFOUND: the server has no such model, or the base URL leads to no OpenAI-style
 *         API: 404, a page, a redirect, no HTTP or TLS server;
 *         CONVO_E_REFUSED: the server answered with an error or with nonsense: it is about the
 *         request, or trouble of its own;
 *         CONVO_E_GONE: no connection came about;
 *         CONVO_E_TIMEOUT: none in time, or no answer for the idle timeout;
 *         CONVO_E_IO: the connection broke in the middle, or its certificate is not trusted;
 *         CONVO_E_TOOBIG: too long a conversation for the model, or more bytes than the ceiling
 *         before anything was said;
 *         CONVO_E_INVALID: of the arguments, NULL among them; CONVO_E_UNSUPPORTED: there is no
 *         libcurl; CONVO_E_NOMEM
 *
 * Thread-safe. Blocks until the answer ended; a cancel ends it within 100 ms.
 */
CONVO_API int convo_model_ask(struct convo_answer **out, convo_model *model,
			      const struct convo_request *request,
			      const struct convo_listener *listener, convo_cancel *cancel,
			      struct convo_err *err);

/**
 * Test that the endpoint is there, takes the key and knows the model, at the least cost it offers
 * (GET /models).
 *
 * @param cancel NULL: cannot be stopped
 * @return 0, or as convo_model_ask(), but that CONVO_E_NOTFOUND means a list without this model, and
 *         CONVO_E_REFUSED also that the base URL leads to no OpenAI-style API. An endpoint without
 *         a list of models passes. CONVO_E_INVALID for a model of NULL
 *
 * Thread-safe. Blocks for at most the connect and idle timeouts.
 */
CONVO_API int convo_model_check(convo_model *model, convo_cancel *cancel, struct convo_err *err);

/* ---- a model of your own -------------------------------------------------------------- */

/**
 * Receives the pieces of an answer from a convo_answer_fn.
 *
 * @param text any bytes; characters may be split between calls
 * @return 0 to go on; anything else: stop and return it
 */
typedef int (*convo_emit_fn)(void *emit_ctx, enum convo_delta_kind kind, const char *text,
			     size_t len);

/**
 * Answers a request by calling `emit` for each piece, of any kind but a tool call.
 *
 * @param ctx    the model's
 * @param cancel poll it in long waits; may be NULL
 * @return 0, or a negative code with `err` filled. May run in several threads at once.
 */
typedef int (*convo_answer_fn)(void *ctx, const struct convo_request *request, convo_emit_fn emit,
			       void *emit_ctx, convo_cancel *cancel, struct convo_err *err);

/**
 * Make a model of a function: an inference engine in this process, a script, a test.
 *
 * @param out    set to the model, the caller's to close; untouched on failure
 * @param name   what convo_model_name() tells; copied
 * @param answer called for every request, in the asking thread
 * @param ctx    passed to it first; must outlive the model
 * @return 0, CONVO_E_INVALID, CONVO_E_NOMEM
 */
CONVO_API int convo_model_from(convo_model **out, const char *name, convo_answer_fn answer,
			       void *ctx, struct convo_err *err);

#ifdef __cplusplus
}
#endif

#endif
