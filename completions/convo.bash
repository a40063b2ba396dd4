# Completes the flags of convo in bash.

_convo() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words='' dashes=''

	# Of -x=value bash makes three words.
	if [[ $cur == = ]]; then
		cur=''
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	case ${prev/#--/-} in
	-model) words='echo' ;;
	-session) words=$(convo -complete stores 2>/dev/null) ;;
	-color) words='auto always never' ;;
	schema) words=$(convo -complete schemas 2>/dev/null) ;;
	-event-limit | -session-ttl | -cleanup-interval) words='off' ;;
	-user | -app | -p | -system | -context | -table-prefix | -key-prefix) ;;
	*)
		case $cur in
		-*) words=$(convo -complete flags 2>/dev/null) dashes=${cur%%[!-]*} ;;
		*) words=schema ;;
		esac
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -P "$dashes" -W "$words" -- "${cur#"$dashes"}")
}
complete -F _convo convo
