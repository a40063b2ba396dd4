#!/bin/sh
# Turn the migrations of a dialect into C: embed.sh OUT DIALECT FILE... with files named
# <number>.sql, in their order. A statement ends with a ';' at the end of a line; one that holds such
# lines stands within $$ and $$, or between the lines DELIMITER $$ and DELIMITER ; like for the mysql
# program. See sql.h.
set -eu
out=$1
dialect=$2
shift 2
LC_ALL=C
export LC_ALL

{
	echo '/* Made by embed.sh from the migrations. */'
	echo '#include <store/shared/sql/sql.h>'
	echo '#pragma GCC diagnostic ignored "-Woverlength-strings"'
	for file in "$@"; do
		name=${file##*/}
		awk -v id="${name%.sql}" '
			function close_statement() {
				if (open)
					print "\t\"\","
				open = 0
			}
			BEGIN {
				print "\nstatic const char *const migration_" id "[] = {"
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
	echo
	echo "const struct sql_migration cv_sql_$dialect[] = {"
	for file in "$@"; do
		name=${file##*/}
		echo "${name%.sql}" | awk '{ print "\t{" ($1 + 0) ", migration_" $1 "}," }'
	done
	echo '	{0, NULL}};'
} >"$out"
