/*
 * All APIs; see apis.h.
 */
#include "api/apis.h"

size_t apis_all(struct http_api out[APIS_MOST], struct service *service)
{
	size_t count = 0;

	/* The first one's form is used for paths of none. */
	out[count++] = models_api(service);
	out[count++] = chat_api(service);
	out[count++] = responses_api(service);
	out[count++] = conversations_api(service);
	out[count++] = adk_api(service);
	out[count++] = health_api(service);
	out[count++] = metrics_api(service);
	out[count++] = native_api(service);
	out[count++] = page_api(service);
	return count;
}
