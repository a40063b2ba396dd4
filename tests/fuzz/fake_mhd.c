/*
 * A connection without a socket; see fake_mhd.h.
 */
#include "fake_mhd.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static void must(bool truth)
{
	if (!truth)
		abort();
}

/* ---- what was read ---------------------------------------------------------------------- */

int MHD_get_connection_values_n(struct MHD_Connection *connection, enum MHD_ValueKind kind,
				MHD_KeyValueIteratorN each, void *ctx)
{
	const bool query = kind == MHD_GET_ARGUMENT_KIND;
	const struct fake_pair *pair = query ? connection->query : connection->header;
	const size_t count = query ? connection->queries : connection->headers;
	size_t i;

	for (i = 0; i < count; i++) {
		const char *value = pair[i].value;

		if (each(ctx, kind, pair[i].name, strlen(pair[i].name), value,
			 value ? strlen(value) : 0) == MHD_NO)
			break;
	}
	return (int)i;
}

const union MHD_ConnectionInfo *MHD_get_connection_info(struct MHD_Connection *connection,
							enum MHD_ConnectionInfoType type, ...)
{
	(void)connection;
	(void)type;
	return NULL;
}

/* ---- waiting ---------------------------------------------------------------------------- */

void MHD_suspend_connection(struct MHD_Connection *connection)
{
	pthread_mutex_lock(&connection->lock);
	must(!connection->suspended);
	connection->suspended = true;
	pthread_mutex_unlock(&connection->lock);
}

void MHD_resume_connection(struct MHD_Connection *connection)
{
	pthread_mutex_lock(&connection->lock);
	must(connection->suspended);
	connection->suspended = false;
	pthread_cond_signal(&connection->woken);
	pthread_mutex_unlock(&connection->lock);
}

bool fake_wait(struct MHD_Connection *connection, int ms)
{
	struct timespec until;
	bool awake;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&connection->lock);
	while (connection->suspended && rc == 0)
		rc = pthread_cond_timedwait(&connection->woken, &connection->lock, &until);
	awake = !connection->suspended;
	pthread_mutex_unlock(&connection->lock);
	return awake;
}

/* ---- what is answered ------------------------------------------------------------------- */

struct MHD_Response *MHD_create_response_from_buffer(size_t len, void *data,
						     enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *response = calloc(1, sizeof(*response));

	must(mode == MHD_RESPMEM_MUST_FREE && response);
	response->refs = 1;
	response->data = data;
	response->len = len;
	return response;
}

struct MHD_Response *MHD_create_response_from_callback(uint64_t len, size_t block,
						       MHD_ContentReaderCallback read, void *ctx,
						       MHD_ContentReaderFreeCallback on_free)
{
	struct MHD_Response *response = calloc(1, sizeof(*response));

	(void)block;
	must(len == MHD_SIZE_UNKNOWN && response);
	response->refs = 1;
	response->read = read;
	response->free = on_free;
	response->ctx = ctx;
	return response;
}

/* Nobody may end a header, and begin another one or the body. */
enum MHD_Result MHD_add_response_header(struct MHD_Response *response, const char *name,
					const char *value)
{
	const char *c;

	for (c = name; *c; c++)
		must(*c > ' ' && *c < 0x7f && *c != ':');
	for (c = value; *c; c++)
		must((unsigned char)*c >= ' ' && *c != 0x7f);
	if (!strcasecmp(name, "Content-Type"))
		snprintf(response->type, sizeof(response->type), "%s", value);
	return MHD_YES;
}

enum MHD_Result MHD_queue_response(struct MHD_Connection *connection, unsigned status,
				   struct MHD_Response *response)
{
	must(!connection->response && response);
	response->refs++;
	connection->response = response;
	connection->status = status;
	return MHD_YES;
}

void MHD_destroy_response(struct MHD_Response *response)
{
	if (--response->refs)
		return;
	if (response->free)
		response->free(response->ctx);
	free(response->data);
	free(response);
}
