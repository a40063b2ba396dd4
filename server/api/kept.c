/*
 * What is kept; see kept.h.
 */
#include "api/kept.h"

#include <stdio.h>
#include <string.h>

#include <convo/runner.h>

#include "core/fail.h"
#include "core/json.h"

/* A name of the state, by the id of the turn's answer. */
#define FACT_SIZE 64

struct convo_key kept_key(const struct http_request *request, const struct token *token)
{
	const struct convo_key key = {request->who.app, request->who.user, token->session};

	return key;
}

int kept_load(convo_session **out, const struct service *service,
	      const struct http_request *request, const struct token *token,
	      const struct convo_window *window, struct convo_err *err)
{
	const struct convo_key key = kept_key(request, token);
	convo_session *session = NULL;
	int rc = convo_store_load(&session, service->store, &key, window, NULL, err);

	/* A forged token may hold what is no name. */
	if (rc == CONVO_E_INVALID)
		rc = fail(err, CONVO_E_NOTFOUND, "no such session");
	if (rc < 0)
		return rc;
	if (strcmp(convo_session_meta(session)->generation, token->generation) != 0) {
		convo_session_free(session);
		return fail(err, CONVO_E_NOTFOUND, "no such session");
	}
	*out = session;
	return 0;
}

static void fact_name(char out[FACT_SIZE], enum kept_fact fact, const char *turn)
{
	char id[CONVO_UUID_SIZE] = "";

	convo_turn_event_id(id, turn, 0);
	snprintf(out, FACT_SIZE, "convo:%s/%s", fact == KEPT_UNDONE ? "undone" : "cancelled", id);
}

bool kept_is(const convo_session *session, enum kept_fact fact, const char *turn)
{
	char name[FACT_SIZE];

	fact_name(name, fact, turn);
	return convo_session_state_get(session, name) != NULL;
}

bool kept_shows(const convo_session *session, const struct convo_event *event)
{
	return !event->turn || !kept_is(session, KEPT_UNDONE, event->turn);
}

int kept_undo(const struct service *service, const struct http_request *request,
	      const struct token *token, const char *turn, struct convo_err *err)
{
	const struct convo_key key = kept_key(request, token);
	const struct convo_expect expect = {.generation = token->generation};
	struct convo_event marker = {.message = "{\"role\":\"control\",\"content\":\"undo\"}"};
	struct text extra = {0}, state = {0};
	char name[FACT_SIZE], id[CONVO_UUID_SIZE];
	int rc;

	fact_name(name, KEPT_UNDONE, turn);
	convo_turn_event_id(id, name, 0);
	if (text_adds(&extra, "{\"undo\":") && json_quotes(&extra, turn) &&
	    text_adds(&extra, "}") && text_addf(&state, "{\"%s\":true}", name)) {
		marker.id = id;
		marker.extra = extra.data;
		marker.state = state.data;
		rc = convo_store_append(service->store, &key, &expect, &marker, 1, NULL, NULL, err);
	} else {
		rc = fail(err, CONVO_E_NOMEM, "out of memory");
	}
	text_clear(&extra);
	text_clear(&state);
	return rc;
}

int kept_cancelled(const struct service *service, const struct http_request *request,
		   const struct token *token, const char *turn, struct convo_err *err)
{
	const struct convo_key key = kept_key(request, token);
	char name[FACT_SIZE];
	const struct convo_item item = {.name = name, .json = "true"};

	fact_name(name, KEPT_CANCELLED, turn);
	return convo_store_state_set(service->store, &key, &item, 1, NULL, err);
}
