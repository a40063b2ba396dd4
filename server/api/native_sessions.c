/*
 * Making sessions, and changing them.
 */
#include <stdlib.h>
#include <string.h>

#include "api/native.h"
#include "api/native_write.h"

/* Reply with a session as it is now; a new one's `status` is 201. */
static void reply_session(const struct service *service, struct http_request *request,
			  const char *name, int status)
{
	const struct convo_key key = {request->who.app, request->who.user, name};
	const struct convo_window none = {.kind = CONVO_WINDOW_NONE};
	const struct convo_call call = native_call(request);
	struct text body = {0}, where = {0};
	convo_session *session = NULL;
	struct convo_err err = {0};

	if (convo_store_load(&session, service->store, &key, &none, &call, &err) < 0) {
		native_fail(request, OPENAI_STORE, &err);
		return;
	}
	if (status == 201 && text_adds(&where, "/convo/v1/sessions/") &&
	    text_add_encoded(&where, name, ""))
		http_add_header(request, "Location", where.data);
	native_reply(request, status, &body, native_write_meta(&body, convo_session_meta(session)));
	convo_session_free(session);
	text_clear(&where);
}

void native_create(void *ctx, struct http_request *request)
{
	const struct service *service = ctx;
	const struct convo_call call = native_call(request);
	const char *id = NULL, *title = NULL;
	const json_t *state = NULL;
	const struct native_member members[] = {{"id", NATIVE_STRING, &id},
						{"title", NATIVE_STRING, &title},
						{"state", NATIVE_OBJECT, &state}};
	struct convo_item *items = NULL;
	struct convo_create create = {0};
	struct convo_created made;
	struct text texts = {0};
	struct convo_err err = {0};
	json_t *body = NULL;

	if (!native_query_only(request, "") || !native_body(&body, request, false, false) ||
	    !native_members(request, body, "", members, 3) ||
	    !native_state(&items, &create.state_count, &texts, request, state, "state"))
		goto out;
	if (id && !*id) {
		native_wrong(request, "id", "an id has 1 to 255 bytes");
		goto out;
	}
	create.title = title;
	create.state = items;
	if (convo_store_create(service->store,
			       &(struct convo_key){request->who.app, request->who.user, id},
			       &create, &made, &call, &err) < 0)
		native_fail(request, OPENAI_STORE, &err);
	else
		reply_session(service, request, made.session, 201);
out:
	json_decref(body);
	free(items);
	text_clear(&texts);
}

/* Set the names in one step, then the title. @return success; else it was refused */
static bool patch_apply(const struct service *service, struct http_request *request,
			const struct convo_item *items, size_t count, const char *title)
{
	const struct convo_key key = native_key(request);
	const struct convo_call call = native_call(request);
	struct convo_err err = {0};
	int rc = 0;

	if (count)
		rc = convo_store_state_set(service->store, &key, items, count, &call, &err);
	if (rc == 0 && title)
		rc = convo_store_rename(service->store, &key, title, &call, &err);
	if (rc < 0)
		native_fail(request, OPENAI_STORE, &err);
	return rc == 0;
}

void native_patch(void *ctx, struct http_request *request)
{
	const struct service *service = ctx;
	const char *title = NULL;
	const json_t *state = NULL;
	const struct native_member members[] = {{"title", NATIVE_STRING, &title},
						{"state", NATIVE_OBJECT, &state}};
	struct convo_item *items = NULL;
	size_t count = 0;
	struct text texts = {0};
	json_t *body = NULL;

	if (!native_query_only(request, "") || !native_body(&body, request, true, false) ||
	    !native_members(request, body, "", members, 2) ||
	    !native_state(&items, &count, &texts, request, state, "state"))
		goto out;
	if (json_is_null(json_object_get(body, "title")))
		title = "";
	if (patch_apply(service, request, items, count, title))
		reply_session(service, request, request->param[0], 200);
out:
	json_decref(body);
	free(items);
	text_clear(&texts);
}

/* ---- the trash ------------------------------------------------------------------------ */

/* Whether a session is there; else it was refused. */
static bool session_is_there(const struct service *service, struct http_request *request)
{
	const struct convo_key key = native_key(request);
	const struct convo_window none = {.kind = CONVO_WINDOW_NONE};
	const struct convo_call call = native_call(request);
	convo_session *session = NULL;
	struct convo_err err = {0};
	int rc = convo_store_load(&session, service->store, &key, &none, &call, &err);

	convo_session_free(session);
	if (rc < 0)
		native_fail(request, OPENAI_STORE, &err);
	return rc == 0;
}

void native_delete(void *ctx, struct http_request *request)
{
	const struct service *service = ctx;
	const struct convo_key key = native_key(request);
	const struct convo_call call = native_call(request);
	const char *generation = http_query(request, "generation");
	struct convo_err err = {0};
	bool purge = false;
	int rc;

	if (!native_query_only(request, "trash generation") ||
	    !native_query_switch(&purge, request, "trash"))
		return;
	if (generation && !purge) {
		native_wrong(request, "generation", "goes with trash=true");
		return;
	}
	/* To delete what is absent succeeds in the store; a client is told of a wrong id. */
	if (!purge && !session_is_there(service, request))
		return;
	rc = purge ? convo_store_purge(service->store, &key, generation, &call, &err)
		   : convo_store_delete(service->store, &key, &call, &err);
	if (rc < 0)
		native_fail(request, OPENAI_STORE, &err);
	else
		http_reply(request, 204, NULL, NULL);
}

void native_restore(void *ctx, struct http_request *request)
{
	const struct service *service = ctx;
	const struct convo_key key = native_key(request);
	const struct convo_call call = native_call(request);
	const char *generation = NULL;
	const struct native_member members[] = {{"generation", NATIVE_STRING, &generation}};
	struct convo_err err = {0};
	json_t *body = NULL;

	if (!native_query_only(request, "") || !native_body(&body, request, false, false) ||
	    !native_members(request, body, "", members, 1))
		goto out;
	if (convo_store_restore(service->store, &key, generation, &call, &err) < 0)
		native_fail(request, OPENAI_STORE, &err);
	else
		reply_session(service, request, request->param[0], 200);
out:
	json_decref(body);
}

void native_fork(void *ctx, struct http_request *request)
{
	const struct service *service = ctx;
	const struct convo_key key = native_key(request);
	const struct convo_call call = native_call(request);
	struct convo_fork fork = {0};
	const struct native_member members[] = {{"id", NATIVE_STRING, &fork.session},
						{"upto_seq", NATIVE_NUMBER, &fork.upto_seq}};
	struct convo_created made;
	struct convo_err err = {0};
	json_t *body = NULL;

	if (!native_query_only(request, "") || !native_body(&body, request, false, false) ||
	    !native_members(request, body, "", members, 2))
		goto out;
	if (fork.session && !*fork.session)
		native_wrong(request, "id", "an id has 1 to 255 bytes");
	else if (convo_store_fork(service->store, &key, &fork, &made, &call, &err) < 0)
		native_fail(request, OPENAI_STORE, &err);
	else
		reply_session(service, request, made.session, 201);
out:
	json_decref(body);
}
