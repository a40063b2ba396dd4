#!/bin/sh
# Turn migrations into C: embed.sh OUT FILE... with files named <dialect>-<number>.sql. A statement
# ends with a ';' at the end of a line; one that holds such lines stands within $$ and $$, or between
# the lines DELIMITER $$ and DELIMITER ; like for the mysql program. See ../sql.h.
set -eu
out=$1
shift
LC_ALL=C
export LC_ALL

{
	echo '/* Made by embed.sh from the migrations. */'
	echo '#include <store/sql.h>'
	echo '#pragma GCC diagnostic ignored "-Woverlength-strings"'
	for file in "$@"; do
		echo "$file"
	done | sort | while read -r file; do
		name=${file##*/}
		awk -v name="${name%.sql}" '
			function close_statement() {
				if (open)
					print "\t\"\","
				open = 0
			}
			BEGIN {
				id = name
				gsub(/-/, "_", id)
				print "\nstatic const char *const sql_" id "[] = {"
			}
			{
				if (!open && $0 ~ /^[ \t]*$/)
					next
				if ($0 ~ /^DELIMITER /) {
					routine = !routine
					next
				}
				open = 1
				if (!routine && gsub(/\$\$/, "&") % 2)
					body = !body
				if (routine)
					last = sub(/ \$\$$/, "")
				else
					last = !body && sub(/;[ \t]*$/, "")
				gsub(/\\/, "\\\\")
				gsub(/"/, "\\\"")
				print "\t\"" $0 (last ? "\"" : "\\n\"")
				if (last)
					close_statement()
			}
			END {
				close_statement()
				print "\tNULL};"
			}' "$file"
	done
	for file in "$@"; do
		name=${file##*/}
		echo "${name%-*}"
	done | sort -u | while read -r dialect; do
		echo
		echo "const struct sql_migration convo_sql_$dialect[] = {"
		for file in "$@"; do
			name=${file##*/}
			echo "${name%.sql}"
		done | sort | awk -F- -v dialect="$dialect" '$1 == dialect {
			print "\t{" ($2 + 0) ", sql_" $1 "_" $2 "},"
		}'
		echo '	{0, NULL}};'
	done
} >"$out"
