/*
 * How an endpoint is reached: what a program said in convo_model_options, checked and copied.
 */
#ifndef MODEL_ACCESS_H
#define MODEL_ACCESS_H

#include <convo/model.h>

#include <model/keep.h>

struct access {
	int connect_ms, idle_ms, retries;
	char **lines; /* more headers as libcurl takes them, with that of the key */
	size_t line_count;
	char *proxy;            /* NULL: as the environment says; "": none */
	char *ca_file;          /* NULL: SSL_CERT_FILE, or the system's authorities */
	struct secrets secrets; /* the key and values of headers: point into the lines */
};

/**
 * Check the options and keep what they say. No text of an error holds a key, a header's value or a
 * proxy's password.
 *
 * @return 0, CONVO_E_INVALID, CONVO_E_NOMEM; clear it in any case
 */
int cv_access_init(struct access *out, const struct convo_model_options *opts,
		   struct convo_err *err);

void cv_access_clear(struct access *access);

#endif
