#!/bin/sh
# Turn Lua scripts into C: embed.sh OUT FILE... A line "--include FILE" stands for that file; other
# lines of comment are left out.
set -eu
out=$1
shift
{
	echo '/* Made by embed.sh from the scripts. */'
	echo '#include <store/redis/ask.h>'
	for file in "$@"; do
		name=${file##*/}
		echo
		echo "static const char script_${name%.lua}[] = {"
		awk -v dir="${file%/*}" '
			$1 == "--include" {
				while ((getline line < (dir "/" $2)) > 0)
					print line
				close(dir "/" $2)
				next
			}
			{ print }' "$file" | sed '/^[[:space:]]*--/d' | od -An -v -tu1 |
			sed 's/[0-9][0-9]*/&,/g'
		echo '};'
	done
	echo
	echo 'const struct redis_script cv_redis_scripts[REDIS_SCRIPTS] = {'
	for file in "$@"; do
		name=${file##*/}
		name=${name%.lua}
		upper=$(echo "$name" | tr a-z A-Z)
		echo "	[REDIS_SCRIPT_$upper] = {script_$name, sizeof(script_$name)},"
	done
	echo '};'
} >"$out"
