/*
 * The errors of servers and of the library; see refuse.h.
 */
#include <store/mysql/refuse.h>

#include <stdio.h>

#include <base/fail.h>
#include <store/shared/sql/rare.h>

#define MY_MISSING "; start the nodes that its cluster misses"

/* Its binary log holds statements, and ours are such that it must hold rows. */
#define MY_STATEMENTS 1665

static const struct my_refusal {
	unsigned number;
	int code;
	enum my_how how;
} my_refusals[] = {
	{1205, MY_AGAIN, MY_SAYS}, /* lock wait */
	{1213, MY_AGAIN, MY_SAYS}, /* deadlock; in Galera the other node's writer was first */
	{3101, MY_AGAIN, MY_SAYS}, /* the same in Group Replication */
	{1020, MY_AGAIN, MY_SAYS}, /* the row has changed since */
	{1412, MY_AGAIN, MY_SAYS}, /* the table */
	{1615, MY_AGAIN, MY_SAYS}, /* to be prepared again */
	{1637, MY_AGAIN, MY_SAYS}, /* too many transactions at once */
	{1062, CONVO_E_EXISTS, MY_HUSHED},
	{1644, CONVO_E_TOOBIG, MY_HUSHED}, /* raised by our procedures */
	{1153, CONVO_E_TOOBIG, MY_GONE},   /* max_allowed_packet */
	{1301, CONVO_E_TOOBIG, MY_SAYS},   /* the same, of a result within the server */
	{1406, CONVO_E_TOOBIG, MY_HUSHED},
	{1118, CONVO_E_TOOBIG, MY_SAYS},
	{1044, CONVO_E_DENIED, MY_SAYS},
	{1045, CONVO_E_DENIED, MY_SAYS},
	{1130, CONVO_E_DENIED, MY_SAYS},
	{1142, CONVO_E_DENIED, MY_SAYS},
	{1143, CONVO_E_DENIED, MY_SAYS},
	{1227, CONVO_E_DENIED, MY_SAYS},
	{1370, CONVO_E_DENIED, MY_SAYS},
	{1698, CONVO_E_DENIED, MY_SAYS},
	{1820, CONVO_E_DENIED, MY_SAYS},
	{1862, CONVO_E_DENIED, MY_SAYS},
	{3118, CONVO_E_DENIED, MY_SAYS},
	{3159, CONVO_E_DENIED, MY_SAYS}, /* it wants TLS of everybody */
	{4151, CONVO_E_DENIED, MY_SAYS},
	{2059, CONVO_E_DENIED, MY_SAYS},  /* an authentication plugin that we lack */
	{2061, CONVO_E_DENIED, MY_SAYS},  /* one that wants TLS */
	{1054, CONVO_E_VERSION, MY_SAYS}, /* no such column, table, procedure: not our schema */
	{1146, CONVO_E_VERSION, MY_SAYS},
	{1305, CONVO_E_VERSION, MY_SAYS},
	{1318, CONVO_E_VERSION, MY_SAYS},
	{1366, CONVO_E_INVALID, MY_HUSHED},
	{3140, CONVO_E_INVALID, MY_HUSHED}, /* not JSON, says MySQL; and MariaDB */
	{4025, CONVO_E_INVALID, MY_HUSHED},
	{1969, CONVO_E_TIMEOUT, MY_SAYS}, /* a limit of the administrator's */
	{3024, CONVO_E_TIMEOUT, MY_SAYS},
	{1036, CONVO_E_READONLY, MY_READER}, /* innodb_read_only */
	{1290, CONVO_E_READONLY, MY_READER}, /* read_only, super_read_only */
	{1792, CONVO_E_READONLY, MY_READER},
	{1836, CONVO_E_READONLY, MY_READER},
	{1874, CONVO_E_READONLY, MY_READER},
	{1021, CONVO_E_FULL, MY_SAYS}, /* the disk */
	{1114, CONVO_E_FULL, MY_SAYS}, /* the table */
	{1037, CONVO_E_FULL, MY_SAYS}, /* its memory */
	{1038, CONVO_E_FULL, MY_SAYS},
	{1041, CONVO_E_FULL, MY_SAYS},
	{MY_STATEMENTS, CONVO_E_UNSUPPORTED, MY_SAYS},
	{1690, CONVO_E_IO, MY_HUSHED},   /* a number beyond what there can be: somebody wrote it */
	{1047, CONVO_E_GONE, MY_UNDONE}, /* a node that has lost its cluster; says nothing of use */
	{3032, CONVO_E_GONE, MY_UNDONE}, /* offline */
	{3168, CONVO_E_GONE, MY_UNDONE},
	{3796, CONVO_E_GONE,
	 MY_UNDONE}, /* a member that is no part of its group now, before it began */
	{3797, CONVO_E_GONE, MY_UNDONE},
	{3798, CONVO_E_GONE, MY_UNDONE},
	{3799, CONVO_E_GONE, MY_UNDONE},
	{1040, CONVO_E_GONE, MY_UNDONE}, /* too many connections: in all, of this user, an hour */
	{1203, CONVO_E_GONE, MY_UNDONE},
	{1226, CONVO_E_GONE, MY_UNDONE},
	{1129, CONVO_E_GONE, MY_UNDONE}, /* too many of ours have failed */
	{1053, CONVO_E_GONE, MY_GONE},   /* shutting down */
	{1152, CONVO_E_GONE, MY_GONE},
	{1158, CONVO_E_GONE, MY_GONE},
	{1159, CONVO_E_GONE, MY_GONE},
	{1160, CONVO_E_GONE, MY_GONE},
	{1161, CONVO_E_GONE, MY_GONE},
	{1180, CONVO_E_GONE, MY_GONE}, /* in the middle of a commit, when its cluster fell apart */
	{3100, CONVO_E_GONE, MY_GONE}, /* the same in Group Replication */
	{1317, CONVO_E_GONE, MY_GONE}, /* interrupted */
	{1243, CONVO_E_GONE, MY_GONE}, /* a statement that a proxy has lost */
	{1927, CONVO_E_GONE, MY_GONE}, /* killed */
	{3169, CONVO_E_GONE, MY_GONE},
	{4031, CONVO_E_GONE, MY_GONE}, /* idle for too long */
	{2000, CONVO_E_IO, MY_GONE},
	{2001, CONVO_E_GONE, MY_GONE},
	{2002, CONVO_E_GONE, MY_GONE},
	{2003, CONVO_E_GONE, MY_GONE},
	{2004, CONVO_E_GONE, MY_GONE},
	{2006, CONVO_E_GONE, MY_GONE},
	{2008, CONVO_E_NOMEM, MY_GONE},
	{2012, CONVO_E_GONE, MY_GONE},
	{2013, CONVO_E_GONE, MY_GONE},
	{2014, CONVO_E_IO, MY_GONE},
	{2020, CONVO_E_TOOBIG, MY_GONE},
	{2026, CONVO_E_IO, MY_GONE}, /* TLS */
	{2027, CONVO_E_IO, MY_GONE}, /* nonsense */
	{2055, CONVO_E_GONE, MY_GONE},
	{0, CONVO_E_IO, MY_SAYS},
};

static const struct my_refusal *refusal_of(unsigned number, const char *text)
{
	static const struct my_refusal full = {0, CONVO_E_FULL, MY_SAYS};
	const struct my_refusal *refusal = my_refusals;

	while (refusal->number && refusal->number != number)
		refusal++;
	/* Some numbers are for any trouble; 28 is that of the operating system. */
	if ((!refusal->number || number == 1180) &&
	    (strstr(text, "error 28 ") || strstr(text, "rrno: 28 ")))
		return &full;
	return refusal;
}

enum my_how cv_my_how(unsigned number, const char *text)
{
	return refusal_of(number, text)->how;
}

/* One line out of several. */
static void refusal_line(char *line, size_t size, const char *text)
{
	snprintf(line, size, "%s", text);
	for (; *line; line++) {
		if (*line == '\n' || *line == '\r' || *line == '\t')
			*line = ' ';
	}
}

/* What a refused login, or a node without its cluster, does not say of itself. */
static const char *refusal_hint(const struct my_plan *plan, unsigned number)
{
	bool login = number == 1045 || number == 1698 || number == 3159 || number == 2061;

	if (number == 1047)
		return MY_MISSING;
	if (!login || plan->tls || plan->socket)
		return "";
	return "; if it wants TLS of this user, add tls=verify to the URL";
}

int cv_my_refuse(const struct my_plan *plan, const char *where, unsigned number, const char *text,
		 bool asked, struct convo_err *err)
{
	const struct my_refusal *refusal = refusal_of(number, text);
	char line[512];

	refusal_line(line, sizeof(line), text);
	if (number == MY_STATEMENTS)
		return cv_fail(err, refusal->code,
			       "%s: its binary log holds statements; set binlog_format to ROW or "
			       "MIXED",
			       where);
	if (number == 1690)
		return cv_sql_damaged(err, where);
	if (refusal->how == MY_HUSHED)
		return cv_fail(err, refusal->code, "%s: the server refused the data", where);
	if (refusal->how == MY_GONE && asked &&
	    (refusal->code == CONVO_E_GONE || refusal->code == CONVO_E_IO))
		return cv_fail_maybe(err, refusal->code, "%s: connection lost (%s)", where, line);
	return cv_fail(err, refusal->code, "%s: %s%s", where, line, refusal_hint(plan, number));
}

int cv_my_unready(const char *where, const char *words, struct convo_err *err)
{
	return cv_fail(err, CONVO_E_GONE, "%s: the node does not serve (%s)" MY_MISSING, where,
		       words);
}

int cv_my_damaged(const char *where, struct convo_err *err)
{
	cv_sql_damaged(err, where);
	if (err)
		err->maybe = true;
	return CONVO_E_IO;
}
