/*
 * /v1/conversations: sessions, by ids that carry their names. Their items are in conversation_items.c.
 */
#include <string.h>

#include <convo/text.h>

#include "api/apis.h"
#include "api/conversation_items.h"
#include "api/items.h"
#include "api/kept.h"
#include "api/openai.h"
#include "api/paging.h"
#include "auth/auth.h"

static json_t *conversation_object(const char *id, const convo_session *session)
{
	const struct convo_item *item = convo_session_state_get(session, KEPT_METADATA);
	json_t *metadata = item ? json_read(item->json, item->json_len, NULL) : NULL;

	if (!metadata)
		metadata = json_object();
	return json_pack("{s:s,s:s,s:I,s:o}", "id", id, "object", "conversation", "created_at",
			 (json_int_t)(convo_session_meta(session)->created_ms / 1000), "metadata",
			 metadata);
}

static void conversation_reply(const struct service *service, struct http_request *request,
			       const struct token *token)
{
	const struct convo_window none = {.kind = CONVO_WINDOW_NONE};
	convo_session *session = NULL;
	char id[TOKEN_SIZE];
	struct convo_err err;
	int rc = kept_load(&session, service, request, token, &none, &err);

	token_write(id, token);
	if (rc == CONVO_E_NOTFOUND)
		openai_absent(request, "conversation");
	else if (rc < 0)
		openai_fail(request, OPENAI_STORE, &err);
	else
		paging_reply_object(request, conversation_object(id, session));
	convo_session_free(session);
}

/* The body as an object; one that is missing is empty. @return NULL: refused */
static json_t *body_read(struct http_request *request)
{
	json_t *body = request->body_len ? openai_body(request) : json_object();

	if (!body && !request->body_len)
		openai_nomem(request);
	return body;
}

/* The metadata of a body as a name of the state; "" when there is none. @return false: refused */
static bool metadata_read(struct text *out, const json_t *body, struct http_request *request)
{
	const json_t *metadata = json_object_get(body, "metadata");

	if (!metadata || json_is_null(metadata))
		return true;
	if (!json_is_object(metadata))
		return openai_wrong(request, "metadata", "metadata is an object");
	return json_write(out, metadata) || openai_nomem(request);
}

/* ---- making --------------------------------------------------------------------------- */

/* Make the session; of a replay it is there. @return false: refused */
static bool conversation_make(const struct service *service, struct http_request *request,
			      struct token *token, const struct text *metadata)
{
	const struct convo_item item = {.name = KEPT_METADATA, .json = metadata->data};
	const struct convo_create create = {.state = &item, .state_count = metadata->len ? 1 : 0};
	const struct convo_window none = {.kind = CONVO_WINDOW_NONE};
	const struct convo_key key = kept_key(request, token);
	struct convo_created created = {0};
	convo_session *session = NULL;
	struct convo_err err;
	int rc = convo_store_create(service->store, &key, &create, &created, NULL, &err);

	if (rc == 0)
		memcpy(token->generation, created.generation, sizeof(token->generation));
	if (rc == CONVO_E_EXISTS) {
		rc = convo_store_load(&session, service->store, &key, &none, NULL, &err);
		if (rc == 0)
			memcpy(token->generation, convo_session_meta(session)->generation,
			       sizeof(token->generation));
	}
	convo_session_free(session);
	if (rc < 0)
		openai_fail(request, OPENAI_STORE, &err);
	return rc == 0;
}

static void conversations_create(void *ctx, struct http_request *request)
{
	json_t *body = body_read(request);
	const json_t *items = json_object_get(body, "items");
	bool filled = json_array_size(items) > 0;
	struct messages said = {0};
	struct text metadata = {0};
	struct token token = {.session = ""};
	char name[CONVO_UUID_SIZE];

	if (!body || !metadata_read(&metadata, body, request) ||
	    !openai_once(name, request, "conversations"))
		goto out;
	if (items && !json_is_null(items) && !json_is_array(items)) {
		openai_wrong(request, "items", "items are an array");
		goto out;
	}
	if (filled && !items_read(&said, items, "items", request))
		goto out;
	if (!*name)
		convo_uuid_make(name);
	memcpy(token.session, name, sizeof(name));
	if (conversation_make(ctx, request, &token, &metadata) &&
	    (!filled || conversation_append(ctx, request, &token, &said, name, NULL)))
		conversation_reply(ctx, request, &token);
out:
	messages_clear(&said);
	text_clear(&metadata);
	json_decref(body);
}

/* ---- one ------------------------------------------------------------------------------ */

static void conversations_get(void *ctx, struct http_request *request)
{
	struct token token;

	if (conversation_find(&token, NULL, ctx, request, NULL))
		conversation_reply(ctx, request, &token);
}

static void conversations_update(void *ctx, struct http_request *request)
{
	const struct service *service = ctx;
	json_t *body = body_read(request);
	struct text metadata = {0};
	struct convo_item item = {.name = KEPT_METADATA};
	struct token token;
	struct convo_err err;

	if (!body || !metadata_read(&metadata, body, request) ||
	    !conversation_find(&token, NULL, ctx, request, NULL))
		goto out;
	item.json = metadata.data;
	if (metadata.len) {
		const struct convo_key key = kept_key(request, &token);

		if (convo_store_state_set(service->store, &key, &item, 1, NULL, &err) < 0) {
			openai_fail(request, OPENAI_STORE, &err);
			goto out;
		}
	}
	conversation_reply(service, request, &token);
out:
	text_clear(&metadata);
	json_decref(body);
}

static void conversations_delete(void *ctx, struct http_request *request)
{
	const struct service *service = ctx;
	struct token token;
	struct convo_err err;
	struct convo_key key;

	if (!conversation_find(&token, NULL, service, request, NULL))
		return;
	key = kept_key(request, &token);
	if (convo_store_delete(service->store, &key, NULL, &err) < 0)
		openai_fail(request, OPENAI_STORE, &err);
	else
		paging_reply_object(request,
				    json_pack("{s:s,s:s,s:b}", "id", request->param[0], "object",
					      "conversation.deleted", "deleted", 1));
}

static const struct http_route conversations_routes[] = {
	{HTTP_POST, "/v1/conversations", conversations_create, AUTH_CHAT, HTTP_QUICK},
	{HTTP_GET, "/v1/conversations/{id}", conversations_get, AUTH_READ, HTTP_QUICK},
	{HTTP_POST, "/v1/conversations/{id}", conversations_update, AUTH_CHAT, HTTP_QUICK},
	{HTTP_DELETE, "/v1/conversations/{id}", conversations_delete, AUTH_CHAT, HTTP_QUICK},
	{HTTP_GET, "/v1/conversations/{id}/items", conversation_items_list, AUTH_READ, HTTP_QUICK},
	{HTTP_POST, "/v1/conversations/{id}/items", conversation_items_create, AUTH_CHAT,
	 HTTP_QUICK},
	{HTTP_GET, "/v1/conversations/{id}/items/{item}", conversation_items_get, AUTH_READ,
	 HTTP_QUICK},
	{HTTP_DELETE, "/v1/conversations/{id}/items/{item}", conversation_items_delete, AUTH_CHAT,
	 HTTP_QUICK},
};

struct http_api conversations_api(struct service *service)
{
	return openai_api(conversations_routes,
			  sizeof(conversations_routes) / sizeof(conversations_routes[0]), service);
}
