# SPDX-License-Identifier: BSD-2-Clause
# bash completion for dozoctl: commands and options come from its --help.
_dozoctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} word words=() help
	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		[[ $word == -* || ${#words[@]} -ge 2 ]] || words+=("$word")
	done
	if [[ $cur == /* || $cur == ./* ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
	fi
	if [[ $cur == -* ]]; then
		help=$(dozoctl "${words[@]}" --help 2>/dev/null |
		    grep -oE -- '--[a-z-]+' | sort -u)
	else
		help=$(dozoctl --help 2>/dev/null |
		    sed -nE "s/^  ${words[*]:0:1}${words:+ }([a-z-]+).*/\1/p" |
		    sort -u)
	fi
	mapfile -t COMPREPLY < <(compgen -W "$help" -- "$cur")
}
complete -o default -F _dozoctl dozoctl
