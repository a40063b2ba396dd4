/*
 * Advice; see advice.h.
 */
#include "app/advice.h"

#include <string.h>

#include "app/exit.h"

enum {
	MEMORY = 1 << ADVICE_MEMORY,
	FILES = 1 << ADVICE_FILE,
	SERVER = 1 << ADVICE_SERVER,
	MODEL = 1 << ADVICE_MODEL,
	STORES = MEMORY | FILES | SERVER
};

/*
 * What stands in braces is named as the user named it, by variables of the environment or "the URL":
 * {where} it is, {who} logs in, {what} is opened there, and the {prefix} flag.
 */
static const struct advice {
	int sides;
	int code; /* enum convo_code */
	int exit; /* enum exit_code */
	const char *text;
} advices[] = {
	{STORES | MODEL, CONVO_E_NOMEM, EXIT_FAILED, NULL},
	{STORES, CONVO_E_INVALID, EXIT_USAGE, NULL},
	{STORES, CONVO_E_TOOBIG, EXIT_FAILED, "send it in smaller pieces"},
	{STORES, CONVO_E_NOTFOUND, EXIT_FAILED, "/sessions lists those there are"},
	{STORES | MODEL, CONVO_E_EXISTS, EXIT_FAILED, NULL},
	{STORES | MODEL, CONVO_E_CONFLICT, EXIT_FAILED, "another program wrote to it: try again"},
	{STORES, CONVO_E_BUSY, EXIT_FAILED, "another program is answering in it"},
	{MODEL, CONVO_E_BUSY, EXIT_MODEL, NULL},
	{MEMORY, CONVO_E_TIMEOUT, EXIT_STORE, NULL},
	{FILES, CONVO_E_TIMEOUT, EXIT_STORE, "another program may hold the file"},
	{SERVER, CONVO_E_TIMEOUT, EXIT_STORE, "it may be busy, or {where} may lead nowhere"},
	{MEMORY | SERVER, CONVO_E_IO, EXIT_STORE, NULL},
	{FILES, CONVO_E_IO, EXIT_STORE, "check the file and its disk"},
	{MEMORY, CONVO_E_VERSION, EXIT_STORE, NULL},
	{FILES, CONVO_E_VERSION, EXIT_STORE, "another file can be named by {what}"},
	{SERVER, CONVO_E_VERSION, EXIT_STORE, "another place can be named by {what} or {prefix}"},
	{MEMORY, CONVO_E_DENIED, EXIT_STORE, NULL},
	{FILES, CONVO_E_DENIED, EXIT_STORE,
	 "check who may read and write it and its folder; another can be named by {where}"},
	{SERVER, CONVO_E_DENIED, EXIT_STORE, "check {who}, and what that user may do"},
	{STORES | MODEL, CONVO_E_CANCELED, EXIT_INTERRUPTED, NULL},
	{STORES | MODEL, CONVO_E_UNSUPPORTED, EXIT_USAGE, NULL},
	{STORES, CONVO_E_REFUSED, EXIT_STORE, NULL},
	{MEMORY, CONVO_E_FULL, EXIT_STORE, NULL},
	{FILES, CONVO_E_FULL, EXIT_STORE, "make room on its disk, or raise the limit"},
	{SERVER, CONVO_E_FULL, EXIT_STORE, "make room there"},
	{MEMORY, CONVO_E_READONLY, EXIT_STORE, NULL},
	{FILES, CONVO_E_READONLY, EXIT_STORE,
	 "/log and /sessions can be used; to write, check the rights of the file and its folder"},
	{SERVER, CONVO_E_READONLY, EXIT_STORE,
	 "/log and /sessions can be used; to write, {where} must name the server that takes "
	 "writes"},
	{MEMORY, CONVO_E_GONE, EXIT_STORE, NULL},
	{FILES, CONVO_E_GONE, EXIT_STORE, "check {where}"},
	{SERVER, CONVO_E_GONE, EXIT_STORE, "is it running and reachable? Check {where}"},
	{MODEL, CONVO_E_INVALID, EXIT_FAILED, NULL},
	{MODEL, CONVO_E_TOOBIG, EXIT_MODEL,
	 "-context N sends less of the conversation, /new begins another"},
	{MODEL, CONVO_E_NOTFOUND, EXIT_MODEL, "check -model and OPENAI_BASE_URL"},
	{MODEL, CONVO_E_TIMEOUT, EXIT_MODEL, "it may be busy, or OPENAI_BASE_URL may lead nowhere"},
	{MODEL, CONVO_E_IO, EXIT_MODEL, NULL},
	{MODEL, CONVO_E_VERSION, EXIT_MODEL, NULL},
	{MODEL, CONVO_E_DENIED, EXIT_MODEL, "check OPENAI_API_KEY"},
	{MODEL, CONVO_E_REFUSED, EXIT_MODEL, NULL},
	{MODEL, CONVO_E_FULL, EXIT_MODEL, NULL},
	{MODEL, CONVO_E_READONLY, EXIT_MODEL, NULL},
	{MODEL, CONVO_E_GONE, EXIT_MODEL, "check OPENAI_BASE_URL and the network"},
};

/* The row for a code; for one that is not there, that of CONVO_E_IO, which every side has. */
static const struct advice *advice_find(enum advice_side side, int code)
{
	const struct advice *io = advices;
	size_t i;

	for (i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
		if (!(advices[i].sides & 1 << side))
			continue;
		if (advices[i].code == code)
			return &advices[i];
		if (advices[i].code == CONVO_E_IO)
			io = &advices[i];
	}
	return io;
}

bool advice_knows(enum advice_side side, int code)
{
	return advice_find(side, code)->code == code;
}

int advice_exit(enum advice_side side, int code)
{
	return advice_find(side, code)->exit;
}

enum advice_side advice_side_of(const struct convo_backend *backend)
{
	const struct convo_backend_variable *var = convo_backend_variable_at(backend, 0);

	if (!var)
		return ADVICE_MEMORY;
	return var->part == CONVO_PART_PATH ? ADVICE_FILE : ADVICE_SERVER;
}

/* ---- what stands in braces ------------------------------------------------------------ */

static const struct {
	const char *name;
	unsigned parts; /* bits of enum convo_backend_part */
} names[] = {
	{"where", 1u << CONVO_PART_PATH | 1u << CONVO_PART_ADDRESS | 1u << CONVO_PART_HOST |
			  1u << CONVO_PART_PORT},
	{"who", 1u << CONVO_PART_ADDRESS | 1u << CONVO_PART_USER | 1u << CONVO_PART_PASSWORD},
	{"what", 1u << CONVO_PART_PATH | 1u << CONVO_PART_ADDRESS | 1u << CONVO_PART_DATABASE},
};

/* "PG_USER and PG_PASSWORD" */
static bool name_add(struct text *out, const struct settings *settings, unsigned parts)
{
	const struct convo_backend_variable *var;
	size_t i;
	bool first = true;

	if (settings->by_url)
		return text_adds(out, "the URL");
	for (i = 0; (var = convo_backend_variable_at(settings->backend, i)); i++) {
		if (!(parts & 1u << var->part))
			continue;
		if (!text_addf(out, "%s%s", first ? "" : " and ", var->name))
			return false;
		first = false;
	}
	return true;
}

static bool brace_add(struct text *out, const char *name, size_t len,
		      const struct settings *settings)
{
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strlen(names[i].name) == len && !memcmp(names[i].name, name, len))
			return name_add(out, settings, names[i].parts);
	}
	return text_adds(out, settings->backend->has_schema ? "-table-prefix" : "-key-prefix");
}

bool advice_add(struct text *out, enum advice_side side, int code, const struct settings *settings)
{
	const char *at = advice_find(side, code)->text;

	if (!at)
		return true;
	if (!text_adds(out, "; "))
		return false;
	while (*at) {
		size_t plain = strcspn(at, "{"), len;

		if (!text_add(out, at, plain))
			return false;
		at += plain;
		if (!*at)
			break;
		len = strcspn(at, "}");
		if (!brace_add(out, at + 1, len - 1, settings))
			return false;
		at += len + 1;
	}
	return true;
}
