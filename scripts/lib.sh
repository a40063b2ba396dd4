# What the scripts share: where the project is, and building it quietly. Source it after setting
# `root` to the project's directory.
# shellcheck shell=bash
# shellcheck disable=SC2154 # root is the caller's

# Every part of the project, so that a missing library is an error and no suite is left out.
# shellcheck disable=SC2034 # used by test and check
everything=(-Dcli=enabled -Dserver=enabled -Dtests=enabled
	-Dsqlite=enabled -Dredis=enabled -Dpostgres=enabled -Dmysql=enabled)

die() {
	echo "$*" >&2
	exit 1
}

# Whether a variable is set to "true" or "1".
is_true() {
	case $1 in
	1 | true | TRUE | yes) return 0 ;;
	esac
	return 1
}

# quietly LOG CMD...: run it with no input; its output goes to LOG, and to stderr if it fails.
quietly() {
	_log=$1
	shift
	"$@" </dev/null >"$_log" 2>&1 && return 0
	_rc=$?
	cat "$_log" >&2
	return "$_rc"
}

# build_in DIR [MESON OPTION...]: set up or update a build directory, and build all of it. Two
# that build the same one take turns.
build_in() {
	dir=$1
	shift
	mkdir -p "$dir" 2>/dev/null || :
	[ -w "$dir" ] || die "Cannot write to $dir: build in a copy of the project that you own."
	(
		flock 9
		if needs_setup "$dir" "$@"; then
			[ ! -f "$dir/meson-private/coredata.dat" ] || set -- --reconfigure "$@"
			[ -f "$dir/build.ninja" ] || echo "Building convo in $dir ..." >&2
			quietly "$dir/setup.log" meson setup "$@" "$dir" "$root" ||
				die "The build could not be set up; if $dir is an old one, remove it."
		fi
		quietly "$dir/build.log" ninja -C "$dir" || die "The build failed."
	) 9>"$dir/.lock"
}

# Options may be new, and libraries may have come or gone since the last time.
needs_setup() {
	[ $# -gt 1 ] || [ ! -f "$1/build.ninja" ] || [ /var/lib/dpkg/status -nt "$1/build.ninja" ]
}

# Where tests put their databases, unless TMPDIR says so: in memory if there is room for it, since the
# servers flush for every test what nobody needs after it.
room_for_tests() {
	[ -z "${TMPDIR-}" ] && [ -w /dev/shm ] || return 0
	free=$(df -Pk /dev/shm | awk 'END { print $4 }')
	if [ "$free" -ge 6000000 ]; then
		export TMPDIR=/dev/shm
	fi
}

# What runs the tests; nothing unless a check sets it.
launcher=()

# run_suites DIR [ARGUMENT OF meson test...]: run the tests of a build directory, show the output
# of those that failed, and count their cases (summary.py). In CI a skipped one is an error.
run_suites() {
	dir=$1
	shift
	strict=''
	if is_true "${CI-}" || is_true "${CONVO_CI-}"; then
		strict=strict
	fi
	room_for_tests
	# Most of them wait more than they work: a contract is 80 s of waiting beside 2 to 60 s of work.
	export MESON_TESTTHREADS=${MESON_TESTTHREADS:-$((2 * $(nproc) + 1))}
	rm -f "$dir"/meson-logs/testlog*.json
	"${launcher[@]}" meson test -C "$dir" --no-rebuild --print-errorlogs "$@" </dev/null || :
	python3 "$root/scripts/summary.py" "$dir" $strict
}
