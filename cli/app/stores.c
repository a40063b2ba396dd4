/*
 * The stores to choose from; see stores.h.
 */
#include "app/stores.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/exit.h"
#include "term/term.h"

/* ---- where the environment says they are ---------------------------------------------- */

const char *stores_env(const char *name, const char *standard)
{
	const char *value = getenv(name);

	return value && *value ? value : standard;
}

/* @return 0 or an errno value, with `path` cut after the folder that cannot be made. */
static int make_folder(struct text *path)
{
	size_t i;

	for (i = 1; i <= path->len; i++) {
		char c = path->data[i];

		if (c != '/' && c != '\0')
			continue;
		path->data[i] = '\0';
		if (mkdir(path->data, 0700) < 0 && errno != EEXIST && errno != EISDIR &&
		    errno != EROFS) {
			path->len = i;
			return errno;
		}
		path->data[i] = c;
	}
	return 0;
}

int stores_path(struct text *out, const char *variable, const char *fallback, const char *name)
{
	const char *base = stores_env(variable, NULL), *home = stores_env("HOME", NULL);
	int rc;

	/* The XDG rules want relative paths ignored. */
	if (base && base[0] != '/')
		base = NULL;
	if (!base && !home)
		return ENOENT;
	if (!(base ? text_addf(out, "%s/convo", base)
		   : text_addf(out, "%s/%s/convo", home, fallback)))
		return ENOMEM;
	rc = make_folder(out);
	if (rc)
		return rc;
	return text_addf(out, "/%s", name) ? 0 : ENOMEM;
}

/* What the environment, or else the table, says of a part. NULL: nothing, or the backend lacks it. */
static const char *part_value(const struct convo_backend *backend, enum convo_backend_part part,
			      const char **name)
{
	const struct convo_backend_variable *var;
	size_t i;

	for (i = 0; (var = convo_backend_variable_at(backend, i)); i++) {
		if (var->part != part)
			continue;
		*name = var->name;
		return stores_env(var->name, var->standard);
	}
	*name = NULL;
	return NULL;
}

static int out_of_memory(void)
{
	term_error("out of memory");
	return EXIT_FAILED;
}

/* `path` is what the variable says: of itself, or of a file in our folder if it is not set. */
static int file_url(struct text *url, const char *scheme, const char *variable, const char *path)
{
	struct text own = {0};
	int rc;

	if (!stores_env(variable, NULL)) {
		rc = stores_path(&own, "XDG_DATA_HOME", ".local/share", path);
		if (rc) {
			if (own.len)
				term_error("no place for the sessions: cannot make %s: %s; set %s",
					   own.data, strerror(rc), variable);
			else
				term_error("no place for the sessions: HOME is not set; set %s",
					   variable);
			text_clear(&own);
			return EXIT_USAGE;
		}
		path = own.data;
	}
	rc = text_addf(url, path[0] == '/' ? "%s://" : "%s:", scheme) &&
			     text_add_encoded(url, path, "/")
		     ? 0
		     : out_of_memory();
	text_clear(&own);
	return rc;
}

static int address_url(struct text *url, const char *scheme, const char *address)
{
	if (strstr(address, "://"))
		return text_adds(url, address) ? 0 : out_of_memory();
	return text_addf(url, "%s://", scheme) && text_add_encoded(url, address, "[]:/,")
		       ? 0
		       : out_of_memory();
}

/* Whether a host has a port of its own: "host:1" or "[::1]:1", not "::1". */
static bool has_port(const char *host)
{
	const char *colon = strchr(host, ':');

	if (host[0] == '[')
		return strstr(host, "]:") != NULL;
	return colon && !strchr(colon + 1, ':');
}

/* "host:port"; an IPv6 address gets its brackets, a socket's folder is encoded. */
static bool add_host(struct text *url, const char *host, const char *port)
{
	if (has_port(host))
		return text_add_encoded(url, host, ":[]");
	if (strchr(host, ':') && host[0] != '[')
		return text_adds(url, "[") && text_add_encoded(url, host, ":") &&
		       text_addf(url, "]:%s", port);
	return text_add_encoded(url, host, "[]:") && text_addf(url, ":%s", port);
}

/* A list of them; those without a port get the one that goes for all. */
static bool add_hosts(struct text *url, const char *list, const char *port)
{
	for (;;) {
		size_t len = strcspn(list, ",");
		char *host = strndup(list, len);
		bool added = host && add_host(url, host, port);

		free(host);
		if (!added || !list[len])
			return added;
		if (!text_adds(url, ","))
			return false;
		list += len + 1;
	}
}

static bool add_server(struct text *url, const struct convo_backend *backend, const char *host,
		       const char *port)
{
	const char *name;
	const char *user = part_value(backend, CONVO_PART_USER, &name);
	const char *password = part_value(backend, CONVO_PART_PASSWORD, &name);
	const char *database = part_value(backend, CONVO_PART_DATABASE, &name);

	return text_addf(url, "%s://", backend->scheme) &&
	       text_add_encoded(url, user ? user : "", "") &&
	       (!password || (text_adds(url, ":") && text_add_encoded(url, password, ""))) &&
	       text_adds(url, "@") && add_hosts(url, host, port) && text_adds(url, "/") &&
	       text_add_encoded(url, database ? database : "", "");
}

static int server_url(struct text *url, const struct convo_backend *backend, const char *host)
{
	const char *name, *port = part_value(backend, CONVO_PART_PORT, &name);

	if (port && port[strspn(port, "0123456789")]) {
		term_error("%s: '%s' is not a port number", name, port);
		return EXIT_USAGE;
	}
	return add_server(url, backend, host, port ? port : "") ? 0 : out_of_memory();
}

int stores_url(struct text *url, const struct convo_backend *backend)
{
	const char *name, *value;

	value = part_value(backend, CONVO_PART_PATH, &name);
	if (value)
		return file_url(url, backend->scheme, name, value);
	value = part_value(backend, CONVO_PART_ADDRESS, &name);
	if (value)
		return address_url(url, backend->scheme, value);
	value = part_value(backend, CONVO_PART_HOST, &name);
	if (value)
		return server_url(url, backend, value);
	return text_addf(url, "%s:", backend->scheme) ? 0 : out_of_memory();
}

/* ---- which there are ------------------------------------------------------------------ */

bool stores_list(struct text *out, const char *between, bool with_schema)
{
	const struct convo_backend *backend;
	size_t i;
	bool first = true;

	for (i = 0; (backend = convo_backend_at(i)); i++) {
		if (!convo_backend_is_built(backend) || (with_schema && !backend->has_schema))
			continue;
		if (!text_addf(out, "%s%s", first ? "" : between, backend->name))
			return false;
		first = false;
	}
	return true;
}

const struct convo_backend *stores_find(const char *session)
{
	size_t len = strcspn(session, ":");
	struct text scheme = {0}, list = {0};
	const struct convo_backend *backend = NULL;

	if (!text_add(&scheme, session, len) || !stores_list(&list, ", ", false)) {
		out_of_memory();
		goto out;
	}
	backend = convo_backend_find(scheme.data);
	if (!backend)
		term_error("-session %s: no such store; there are: %s", scheme.data, list.data);
	else if (!convo_backend_is_built(backend))
		term_error("-session %s: not in this build, which has: %s", scheme.data, list.data);
	if (!convo_backend_is_built(backend))
		backend = NULL;
out:
	text_clear(&scheme);
	text_clear(&list);
	return backend;
}
