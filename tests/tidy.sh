#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The rules of the source that a machine can check.  Each check prints what it
# found; the last line counts.
set -u
cd "${srcdir:-$(dirname "$0")/..}" || exit 99

results=$(mktemp) || exit 99
trap 'rm -f "$results"' EXIT
check() { # NAME, findings on stdin; runs at the end of a pipe
	found=$(cat)
	if [ -z "$found" ]; then
		echo "ok   $1" | tee -a "$results"
	else
		echo "FAIL $1" | tee -a "$results"
		printf '%s\n' "$found" | sed 's/^/     /' | head -n 40
	fi
}

if [ -e .git ] && command -v git >/dev/null; then
	files() { git ls-files --cached --others --exclude-standard -- "$@" |
	    while read -r f; do [ -f "$f" ] && echo "$f"; done; }
else
	files() { for g; do find . -name "$g" -type f | sed 's|^\./||'; done; }
fi
c_files=$(files '*.c' '*.h')

# Arrows only point down (DESIGN section 2).
layers() {
	for dir in core block raid pool target webui; do
		case $dir in
		core) up='block|raid|pool|target|admin|webui' ;;
		block) up='raid|pool|target|admin|webui' ;;
		raid) up='pool|target|admin|webui' ;;
		pool) up='target|admin|webui' ;;
		target) up='raid|pool|admin|webui' ;;
		webui) up='block|raid|pool|target|admin' ;;
		esac
		for f in $c_files; do
			case $f in
			$dir/*) grep -nE "^#include \"($up)/" "$f" /dev/null ;;
			esac
		done
	done
	grep -nE '^#include "target/iscsi/' target/scsi/* 2>/dev/null
}
layers | check "includes point down"

for f in $c_files; do
	head -n 1 "$f" | grep -q 'SPDX-License-Identifier: BSD-2-Clause' ||
	    echo "$f"
done | check "every C file starts with its licence line"

for f in $c_files; do
	sed -n 2,3p "$f" | grep -q '^/\*' || echo "$f"
done | check "every C file says what it is for"

# A tab is eight columns.
for f in $c_files; do
	expand "$f" | awk -v f="$f" 'length($0) > 80 { print f ":" NR }'
done | grep -v '^core/wire.h' | check "lines fit in 80 columns"

# KNF: a function is from a line `{` to a line `}`.
for f in $c_files; do
	awk -v f="$f" '
	/^\{$/ { start = NR }
	/^\}/ && start { if (NR - start - 1 > 70)
		print f ":" start ": " NR - start - 1 " lines"; start = 0 }
	' "$f"
done | check "functions have at most 70 lines"

for f in $c_files; do
	n=$(wc -l <"$f")
	[ "$n" -le 1000 ] || echo "$f: $n lines"
done | check "files have at most 1000 lines"

words='TODO|FIXME|XXX|HACK|not implemented|unimplemented|for now'
grep -nE "\b($words)\b" $c_files /dev/null | check "nothing is marked unfinished"

calls='strcat|sprintf|gets|system|popen|strtok|alloca|mktemp|tmpnam'
for f in $c_files; do
	case $f in tests/*) continue ;; esac
	grep -nE "\b($calls)\(" "$f" /dev/null
done | check "no calls that invite accidents"

for f in $(files 'core/*.c' 'block/*.c' 'raid/*.c' 'pool/*.c' 'target/*.c' \
    'admin/*.c' 'webui/*.c'); do
	grep -nE '\b(typedef struct)\b' "$f" /dev/null
done | check "no typedef of structs"

for f in $c_files; do
	case $f in core/*) continue ;; esac
	grep -nE '^#[[:space:]]*if(def|ndef)?\b' "$f" /dev/null |
	    grep -vE '_H$|_H_?[0-9]*:' | grep -vE '#ifndef [A-Z0-9_]+_H$'
done | check "conditional compilation stays in core"

sed -nE 's/^ \* scenario ([0-9]+): ([a-z0-9_./]+)$/\1 \2/p' \
    tests/unit/raid_scenarios.c | while read -r n name; do
	case $name in
	*.sh) [ -x "$name" ] ;;
	*) grep -qE "^$name\(|\"$name\"" tests/unit/*.c tests/sim/*.c ;;
	esac || echo "scenario $n: no test $name"
done | check "the scenarios of the array have their tests"

passed=$(grep -c '^ok' "$results")
failed=$(grep -c '^FAIL' "$results")
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
