#!/bin/sh
# Turn Lua scripts into C: embed.sh OUT COMMON FILE...; each becomes the bytes of COMMON and its own,
# without the lines of comment.
set -eu
out=$1
common=$2
shift 2
{
	echo '/* Made by embed.sh from the scripts. */'
	echo '#include <store/redis_link.h>'
	for file in "$@"; do
		name=${file##*/}
		echo
		echo "static const char script_${name%.lua}[] = {"
		sed '/^[[:space:]]*--/d' "$common" "$file" | od -An -v -tu1 | sed 's/[0-9][0-9]*/&,/g'
		echo '};'
	done
	echo
	echo 'const struct redis_script convo_redis_scripts[REDIS_SCRIPTS] = {'
	for file in "$@"; do
		name=${file##*/}
		name=${name%.lua}
		upper=$(echo "$name" | tr a-z A-Z)
		echo "	[REDIS_SCRIPT_$upper] = {script_$name, sizeof(script_$name)},"
	done
	echo '};'
} >"$out"
