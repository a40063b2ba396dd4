/*
 * Opening and closing stores, and what is known of one without asking it.
 */
#include <convo/store.h>
#include <convo/version.h>

#include <stdlib.h>

#include <base/alloc.h>
#include <base/check.h>
#include <base/fail.h>
#include <store/front/backends.h>
#include <store/front/call.h>
#include <store/front/cleaner.h>
#include <store/front/hub.h>
#include <store/front/options.h>
#include <store/trace/trace.h>

const char *convo_version(void)
{
	return CONVO_VERSION;
}

/* ---- opening ---------------------------------------------------------------------------- */

/* Put the listener of the options around a store. */
static int store_trace(convo_store **store, const struct convo_trace *trace, struct convo_err *err)
{
	convo_store *outer;
	int rc = CHECK_RESERVED(trace, err);

	if (rc < 0)
		return rc;
	rc = cv_check_given(trace->on_call ? trace : NULL, "the function of the trace", err);
	if (rc < 0)
		return rc;
	(*store)->opts.trace = NULL; /* the caller's, and copied */
	outer = cv_trace_wrap(*store, trace);
	if (!outer)
		return cv_fail_nomem(err);
	*store = outer;
	return 0;
}

/* A store that is not open yet, with its options. */
static int store_make(convo_store **out, const struct cv_url *url,
		      const struct convo_store_options *opts, struct convo_err *err)
{
	const struct cv_backend *be = cv_backend_find(url->scheme, err);
	convo_store *store;
	int rc;

	if (!be)
		return CONVO_E_UNSUPPORTED;
	store = cv_alloc(1, be->size);
	if (!store)
		return cv_fail_nomem(err);
	store->be = be;
	rc = cv_options_apply(store, opts, url, err);
	if (rc < 0)
		goto out;
	if (store->opts.trace) {
		rc = store_trace(&store, store->opts.trace, err);
		if (rc < 0)
			goto out;
	}
	*out = store;
	return 0;
out:
	free(store);
	return rc;
}

static int store_open_url(convo_store **out, const struct cv_url *url,
			  const struct convo_store_options *opts, struct convo_err *err)
{
	struct convo_call how = {.cancel = opts ? opts->cancel : NULL};
	struct store_call call;
	convo_store *store = NULL;
	int rc = store_make(&store, url, opts, err);

	if (rc < 0)
		return rc;
	rc = cv_call_begin(&call, store, &how, err);
	if (rc < 0)
		goto out;
	rc = store->be->open(store, &call, url, err);
	if (rc < 0)
		goto out;
	rc = cv_cleaner_start(store, err);
	if (rc < 0)
		goto out;
	*out = store;
	return 0;
out:
	convo_store_close(store);
	return rc;
}

int convo_store_open(convo_store **out, const char *url, const struct convo_store_options *opts,
		     struct convo_err *err)
{
	struct cv_url parsed;
	int rc = cv_check_given(out, "where the store goes", err);

	if (rc < 0)
		return rc;
	rc = cv_check_given(url, "the store URL", err);
	if (rc < 0)
		return rc;
	rc = cv_url_parse(&parsed, url, err);
	if (rc < 0)
		return rc;
	rc = store_open_url(out, &parsed, opts, err);
	cv_url_clear(&parsed);
	return rc;
}

void convo_store_close(convo_store *store)
{
	if (!store)
		return;
	cv_hub_close(store);
	cv_cleaner_stop(store);
	store->be->close(store);
	free(store);
}

const char *convo_store_describe(const convo_store *store)
{
	return store ? store->where : "no store";
}

int convo_store_schema(char **out, const char *scheme, const char *prefix, struct convo_err *err)
{
	const struct cv_backend *be;
	struct cv_buf text = {0};
	char *taken;
	int rc = cv_check_given(out, "where the schema goes", err);

	if (rc < 0)
		return rc;
	rc = cv_check_given(scheme, "the scheme", err);
	if (rc < 0)
		return rc;
	be = cv_backend_find(scheme, err);
	if (!be)
		return CONVO_E_UNSUPPORTED;
	if (!be->schema)
		return cv_fail(err, CONVO_E_UNSUPPORTED, "the %s store has no schema", be->scheme);
	if (!prefix)
		prefix = be->default_prefix;
	rc = cv_options_prefix(prefix, err);
	if (rc < 0)
		return rc;
	rc = be->schema(&text, prefix, err);
	if (rc < 0)
		goto out;
	taken = cv_buf_take(&text);
	if (taken)
		*out = taken;
	else
		rc = cv_fail_nomem(err);
out:
	cv_buf_clear(&text);
	return rc;
}
