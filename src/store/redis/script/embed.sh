#!/bin/sh
# Turn Lua scripts into C: embed.sh OUT FILE... A line "--include FILE" stands for that file; other
# lines of comment are left out, and what stands in front of a line.
set -eu
out=$1
shift
{
	echo '/* Made by embed.sh from the scripts. */'
	echo '#include <store/redis/script.h>'
	for file in "$@"; do
		name=${file##*/}
		echo
		echo "static const char script_${name%.lua}[] = {"
		awk -v dir="${file%/*}" -v file="$file" '
			function put(file, line, word) {
				while ((getline line < file) > 0) {
					sub(/^[ \t]+/, "", line)
					if (split(line, word) == 2 && word[1] == "--include")
						put(dir "/" word[2])
					else if (line !~ /^--/ && line != "")
						print line
				}
				close(file)
			}
			BEGIN { put(file) }' | od -An -v -tu1 | sed 's/[0-9][0-9]*/&,/g'
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
