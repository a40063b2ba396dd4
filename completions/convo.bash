# Completes the flags of convo in bash.

_convo() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words='' dashes='' serve=''

	# Of -x=value bash makes three words.
	if [[ $cur == = ]]; then
		cur=''
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	# The server has flags of its own.
	if [[ ${COMP_WORDS[1]} == serve ]] && ((COMP_CWORD > 1)); then
		serve=serve
	fi
	case ${prev/#--/-} in
	-model) words='echo' ;;
	-session) words=$(convo -complete stores 2>/dev/null) ;;
	-color) words='auto always never' ;;
	schema) words=$(convo -complete schemas 2>/dev/null) ;;
	-event-limit | -session-ttl | -cleanup-interval) words='off' ;;
	-listen) words='127.0.0.1:8080 unix: systemd' ;;
	-tls-cert | -tls-key | -config | -jwt-keys)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	-drain) words='off' ;;
	-auth) words='keys jwt keys,jwt none' ;;
	key) words='add list revoke' ;;
	-jwt-user) words='sub email preferred_username' ;;
	-jwt-rights) words='chat,read read chat,read,admin' ;;
	-host | -origin | -workers | -jwt-*) ;;
	-user | -app | -p | -system | -context | -table-prefix | -key-prefix) ;;
	*)
		case $cur in
		-*) words=$(convo ${serve:+"$serve"} -complete flags 2>/dev/null) dashes=${cur%%[!-]*} ;;
		*) [[ -n $serve ]] || words='schema serve key stats' ;;
		esac
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -P "$dashes" -W "$words" -- "${cur#"$dashes"}")
}
complete -F _convo convo
