/*
 * What every API works with; see service.h.
 */
#include "core/service.h"

#define ASK_MS 1000

/* A name that nobody has: an answer of the store is what is wanted. */
int service_ask_store(const struct service *service, convo_cancel *cancel, struct convo_err *err)
{
	const struct convo_key key = {"convo", "convo", "readyz"};
	const struct convo_call call = {.timeout_ms = ASK_MS, .cancel = cancel};
	const struct convo_window window = {.kind = CONVO_WINDOW_NONE};
	convo_session *session = NULL;
	int rc = convo_store_load(&session, service->store, &key, &window, &call, err);

	convo_session_free(session);
	return rc == CONVO_E_NOTFOUND ? 0 : rc;
}
