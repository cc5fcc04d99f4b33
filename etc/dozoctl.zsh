#compdef dozoctl
# SPDX-License-Identifier: BSD-2-Clause
# zsh completion for dozoctl: commands and options come from its --help.
local -a found
local first=${words[2]}
if [[ $PREFIX == -* ]]; then
	found=(${(f)"$(dozoctl ${words[2,3]:#-*} --help 2>/dev/null |
	    grep -oE -- '--[a-z-]+' | sort -u)"})
elif (( CURRENT == 2 )); then
	found=(${(f)"$(dozoctl --help 2>/dev/null |
	    sed -nE 's/^  ([a-z-]+).*/\1/p' | sort -u)"})
elif (( CURRENT == 3 )); then
	found=(${(f)"$(dozoctl --help 2>/dev/null |
	    sed -nE "s/^  $first ([a-z-]+).*/\1/p" | sort -u)"})
fi
compadd -a found
(( $#found )) || _files
