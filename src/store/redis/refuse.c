/*
 * What the errors of a Redis server mean; see refuse.h.
 */
#include <store/redis/refuse.h>

#include <stdio.h>
#include <string.h>

/* What more there is to say of an error than its meaning. */
enum error_more { MORE_NOTHING, MORE_USER, MORE_COMMAND };

/* An error and what it means. Its own text is passed on only where it cannot hold ours. */
struct server_error {
	const char *word;
	int code;
	enum error_more more;
	const char *text;
};

/* What begins so was not done, but may be in a moment. */
static const char *const errors_that_pass[] = {"LOADING", "BUSY", "TRYAGAIN", "MASTERDOWN",
					       "CLUSTERDOWN"};

#define NO_PASSWORD "it has no password, but one was given"
#define NO_RIGHT "the user may not use this key or command"
#define NO_COMMAND "it does not know a command, renamed or newer than it is (version 5 is needed)"
#define ONE_DATABASE "it is a node of a cluster, which has the database 0 alone"
#define OF_A_CLUSTER "it is a node of a cluster: write redis+cluster://"
#define DAMAGED "the database is damaged: a key does not hold what convo stored"

static const struct server_error errors[] = {
	{"NOAUTH", CONVO_E_DENIED, MORE_USER, "it wants a password"},
	{"WRONGPASS", CONVO_E_DENIED, MORE_USER, "wrong user or password"},
	{"invalid password", CONVO_E_DENIED, MORE_USER, "wrong user or password"},
	{"without any password configured", CONVO_E_DENIED, MORE_NOTHING, NO_PASSWORD},
	{"no password is set", CONVO_E_DENIED, MORE_NOTHING, NO_PASSWORD},
	{"NOPERM", CONVO_E_DENIED, MORE_COMMAND, NO_RIGHT},
	{"ACL failure", CONVO_E_DENIED, MORE_COMMAND, NO_RIGHT},
	{"can't run this command", CONVO_E_DENIED, MORE_COMMAND, NO_RIGHT},
	{"can't access", CONVO_E_DENIED, MORE_COMMAND, NO_RIGHT},
	{"for 'auth' command", CONVO_E_DENIED, MORE_NOTHING, "it knows no users; version 6 does"},
	{"DENIED", CONVO_E_DENIED, MORE_NOTHING, "it runs in protected mode"},
	{"READONLY", CONVO_E_READONLY, MORE_NOTHING, "it is a read-only replica"},
	{"MISCONF", CONVO_E_IO, MORE_NOTHING,
	 "it cannot save to its disk and refuses writes (MISCONF)"},
	{"OOM", CONVO_E_FULL, MORE_NOTHING,
	 "it is out of memory: maxmemory is reached; purge what is deleted, or raise it"},
	{"invalid bulk length", CONVO_E_TOOBIG, MORE_NOTHING,
	 "it takes no argument as large as this: raise its proto-max-bulk-len"},
	{"NOREPLICAS", CONVO_E_IO, MORE_NOTHING, "it has too few replicas and refuses writes"},
	{"max number of clients", CONVO_E_IO, MORE_NOTHING, "it has too many clients"},
	{"WRONGTYPE", CONVO_E_VERSION, MORE_NOTHING,
	 "a key is not what convo made of it (WRONGTYPE)"},
	{"MOVED", CONVO_E_UNSUPPORTED, MORE_NOTHING, OF_A_CLUSTER},
	{"CROSSSLOT", CONVO_E_UNSUPPORTED, MORE_NOTHING, OF_A_CLUSTER},
	{"cluster support disabled", CONVO_E_INVALID, MORE_NOTHING,
	 "it is no node of a cluster: write redis:// for one server"},
	{"SELECT is not allowed in cluster", CONVO_E_INVALID, MORE_NOTHING, ONE_DATABASE},
	{"DB index", CONVO_E_INVALID, MORE_NOTHING, "it has no database of that number"},
	{"unknown command", CONVO_E_UNSUPPORTED, MORE_COMMAND, NO_COMMAND},
	{"Unknown Redis command", CONVO_E_UNSUPPORTED, MORE_COMMAND, NO_COMMAND},
	/* What scripts stumble over: the first is their own word for it. */
	{"DAMAGED", CONVO_E_IO, MORE_NOTHING, DAMAGED},
	{": attempt to ", CONVO_E_IO, MORE_NOTHING, DAMAGED},
	{": bad argument ", CONVO_E_IO, MORE_NOTHING, DAMAGED},
	{"not an integer", CONVO_E_IO, MORE_NOTHING, DAMAGED},
	{"not a valid float", CONVO_E_IO, MORE_NOTHING, DAMAGED},
	{"not a float", CONVO_E_IO, MORE_NOTHING, DAMAGED},
	{"Bad data format in input", CONVO_E_IO, MORE_NOTHING, DAMAGED},
	{"Missing bytes in input", CONVO_E_IO, MORE_NOTHING, DAMAGED},
	{"invalid expire", CONVO_E_IO, MORE_NOTHING, DAMAGED},
	{"arguments must be strings or integers", CONVO_E_IO, MORE_NOTHING, DAMAGED},
};

bool cv_redis_error_is(const struct redis_value *value, const char *word)
{
	return strncmp(value->data, word, strlen(word)) == 0;
}

const char *cv_redis_error_passes(const struct redis_value *value)
{
	size_t i;

	for (i = 0; i < sizeof(errors_that_pass) / sizeof(errors_that_pass[0]); i++) {
		if (cv_redis_error_is(value, errors_that_pass[i]))
			return errors_that_pass[i];
	}
	return NULL;
}

/* The command that an error names itself, between quotes: unknown command `EVAL`, with ..., or: no
 * permissions to run the 'wait' command. */
static size_t error_command(const char *error, const char **command)
{
	static const char *const before[] = {"unknown command ", "run the "};
	const char *at = NULL;
	size_t i;

	for (i = 0; i < 2 && !at; i++) {
		at = strstr(error, before[i]);
		if (at)
			at += strlen(before[i]);
	}
	if (!at || !*at || !strchr("`'", *at))
		return 0;
	*command = at + 1;
	return strcspn(*command, "`'");
}

/* What is known no better is passed on, as one line. */
static int error_unknown(const struct redis_place *place, const char *error, struct convo_err *err)
{
	char line[sizeof(err->text)];
	size_t i;

	snprintf(line, sizeof(line), "%s", error);
	for (i = 0; line[i]; i++) {
		if (line[i] == '\n' || line[i] == '\r')
			line[i] = ' ';
	}
	return cv_fail(err, CONVO_E_IO, "%s: %s", place->name, line);
}

int cv_redis_refuse(const struct redis_place *place, const char *error, const char *command,
		    struct convo_err *err)
{
	const struct server_error *known = errors, *end = errors + sizeof(errors) / sizeof(*errors);
	size_t len = command ? strlen(command) : 0;

	while (known < end && !strstr(error, known->word))
		known++;
	if (known == end)
		return error_unknown(place, error, err);
	if (known->more == MORE_USER)
		return cv_fail(err, known->code, "%s: %s (user '%.60s'; the URL says both, %s)",
			       place->name, known->text,
			       place->login->user ? place->login->user : "default",
			       place->login->of_sentinels ? "sentinel_user= and sentinel_password="
							  : "redis://user:password@host");
	if (known->more == MORE_COMMAND && !len)
		len = error_command(error, &command);
	if (known->more == MORE_COMMAND && len)
		return cv_fail(err, known->code, "%s: %s: %.*s", place->name, known->text,
			       len > 40 ? 40 : (int)len, command);
	return cv_fail(err, known->code, "%s: %s", place->name, known->text);
}

int cv_redis_damaged(const char *name, struct convo_err *err)
{
	return cv_fail(err, CONVO_E_IO, "%s: " DAMAGED, name);
}
