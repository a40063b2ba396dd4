/*
 * Following a session: the request is read and the stream begun here; what happens is told by the hub (hub.h).
 */
#include <stdlib.h>
#include <string.h>

#include "api/hub.h"
#include "api/live.h"
#include "api/native.h"

/* Read a seq that one knows. It keeps its value when the header is absent. */
static bool last_id_read(int64_t *out, struct http_request *request)
{
	const char *value = http_header(request, "Last-Event-ID");
	size_t len;

	/* A page that has not had one yet sends none, or an empty one. */
	if (!value || !*value)
		return true;
	len = strspn(value, "0123456789");
	if (value[len] || len > 18)
		return native_wrong(request, "Last-Event-ID", "must be a seq");
	*out = strtoll(value, NULL, 10);
	return true;
}

/* What is asked for. A browser that connects again by itself keeps the query and adds the header. */
static bool follow_read(int64_t *after, const char **generation, struct http_request *request)
{
	*after = -1;
	*generation = http_query(request, "generation");
	return native_query_only(request, "after generation") &&
	       native_query_number(after, request, "after", 0, INT64_MAX) &&
	       last_id_read(after, request);
}

static void follow_begin(const struct service *service, struct http_request *request,
			 const struct hub_known *known)
{
	const struct convo_key key = native_key(request);
	http_stream *stream = http_reply_stream(request);

	if (!stream)
		native_nomem(request);
	else
		hub_add(service->live->hub, &key, known, stream, NULL);
}

void native_follow(void *ctx, struct http_request *request)
{
	const struct service *service = ctx;
	const struct convo_key key = native_key(request);
	const struct convo_window none = {.kind = CONVO_WINDOW_NONE};
	const struct convo_call call = native_call(request);
	const struct convo_meta *meta;
	struct hub_known known;
	convo_session *session = NULL;
	struct convo_err err = {0};

	if (!follow_read(&known.seq, &known.generation, request))
		return;
	if (convo_store_load(&session, service->store, &key, &none, &call, &err) < 0) {
		native_fail(request, OPENAI_STORE, &err);
		return;
	}
	meta = convo_session_meta(session);
	if (known.seq < 0)
		known.seq = meta->last_seq;
	/* A seq that is not there yet is of another life. */
	if (known.seq > meta->last_seq)
		known.generation = "";
	else if (!known.generation)
		known.generation = meta->generation;
	follow_begin(service, request, &known);
	convo_session_free(session);
}
