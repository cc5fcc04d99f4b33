#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Manual pages and --help say the same: every command, argument and option of
# the programs and every key of dozo.conf, in both directions.
set -u
srcdir=$(cd "${srcdir:-$(dirname "$0")/..}" && pwd)
build=${DOZO_BUILD:-$PWD}
man=$srcdir/man
passed=0 failed=0

ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAIL $*"; }

# Names out of a page: options, commands.
page_options() { sed -nE 's/^\.(It|Op) .*Fl Fl ([a-z0-9-]+).*/\2/p' "$1"; }
help_options() { grep -oE '(^|[ ,])--[a-z0-9-]+' | sed -E 's/.*--//'; }

in_both() { # WHAT LIST-A LIST-B NAME-A NAME-B
	for word in $2; do
		case " $(echo $3) " in
		*" $word "*) ok ;;
		*) bad "$1: $word is in $4, not in $5" ;;
		esac
	done
}

commands=$("$build/dozoctl" --help |
    sed -nE 's/^  ([a-z]+( [a-z-]+)?)  +[a-z].*/\1/p' | tr ' ' '_')
paged=$(sed -nE '/COMMANDS BEGIN/,/COMMANDS END/s/^\.It Cm ([a-z]+( [a-z-]+)?)( Ar.*)?$/\1/p' \
    "$man/dozoctl.8" | tr ' ' '_')
in_both dozoctl "$commands" "$paged" --help dozoctl.8
in_both dozoctl "$paged" "$commands" dozoctl.8 --help

# The options of each command, from its own part of the page.
for command in $commands; do
	words=$(echo "$command" | tr _ ' ')
	# shellcheck disable=SC2086
	text=$("$build/dozoctl" $words --help)
	helped=$(echo "$text" | sed -nE 's/^  --([a-z0-9-]+).*/\1/p' |
	    grep -vxE 'json|socket|dry-run|if-match')
	part=$(awk -v start=".It Cm $words" '
	    $0 == start || index($0, start " Ar ") == 1 { on = 1; next }
	    /^\.It Cm / || /COMMANDS END/ { on = 0 }
	    on' "$man/dozoctl.8" |
	    sed -nE 's/^\.It Fl Fl ([a-z0-9-]+).*/\1/p')
	in_both "$words" "$helped" "$part" --help dozoctl.8
	in_both "$words" "$part" "$helped" dozoctl.8 --help
done

helped=$("$build/dozod" --help | sed 1d | help_options)
paged=$(page_options "$man/dozod.8" | sort -u)
in_both dozod "$helped" "$paged" --help dozod.8
in_both dozod "$paged" "$helped" dozod.8 --help

helped=$("$build/dozo-webui" --help | sed 1,3d | help_options)
paged=$(page_options "$man/dozo-webui.8" | sort -u)
in_both dozo-webui "$helped" "$paged" --help dozo-webui.8
in_both dozo-webui "$paged" "$helped" dozo-webui.8 --help

keys=$(sed -nE 's/^#?([a-z-]+) = .*/\1/p' "$srcdir/etc/dozo.conf")
paged=$(sed -nE 's/^\.It Cm ([a-z-]+)$/\1/p' "$man/dozo.conf.5")
known=$(sed -nE 's/^	\{ "([a-z-]+)", set_.*/\1/p' "$srcdir/admin/conf.c")
in_both dozo.conf "$known" "$keys" admin/conf.c etc/dozo.conf
in_both dozo.conf "$keys" "$known" etc/dozo.conf admin/conf.c
in_both dozo.conf "$known" "$paged" admin/conf.c dozo.conf.5
in_both dozo.conf "$paged" "$known" dozo.conf.5 admin/conf.c

if command -v mandoc >/dev/null; then
	for page in "$man"/*.[1-9]; do
		if out=$(mandoc -T lint -W warning "$page"); then
			ok
		else
			bad "$page: $out"
		fi
	done
else
	echo "SKIP mandoc is not installed: pages are not linted"
fi
echo "docs: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
