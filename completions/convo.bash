# Completes the flags of convo in bash.

_convo() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words='' dashes=''
	local flags='model session streaming event-limit session-ttl user app c p json system context
		table-prefix key-prefix cleanup-interval check color debug help version'

	# Of -x=value bash makes three words.
	if [[ $cur == = ]]; then
		cur=''
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	case ${prev/#--/-} in
	-model) words='echo' ;;
	-session) words='inmemory sqlite redis pgsql postgres mysql' ;;
	-color) words='auto always never' ;;
	schema) words='sqlite pgsql mysql' ;;
	-event-limit | -session-ttl | -user | -app | -p | -system | -context | -table-prefix | \
		-key-prefix | -cleanup-interval) ;;
	*)
		case $cur in
		-*) words=$flags dashes=${cur%%[!-]*} ;;
		*) words=schema ;;
		esac
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -P "$dashes" -W "$words" -- "${cur#"$dashes"}")
}
complete -F _convo convo
