#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# mdadm --examine must accept every member we write, in every state.
set -u
tool=$PWD/tests/tools/raidtool
mdadm=$(command -v mdadm || echo /usr/sbin/mdadm)
[ -x "$mdadm" ] || { echo "SKIP: no mdadm"; exit 77; }
[ -x "$tool" ] || { echo "no $tool: run make check"; exit 99; }
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0

ok() { # WHAT, command
	what=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAIL $what"
	fi
}
says() { # IMAGE PATTERN
	"$mdadm" --examine "$1" 2>&1 | grep -qE "$2" || {
		"$mdadm" --examine "$1"
		return 1
	}
}

head -c 300000 /dev/urandom >"$dir/data"
for n in 3 4 7; do
	for chunk in 4 64 512; do
		case $chunk in
		4) policy=bitmap mark='Internal Bitmap : 8 sectors' ;;
		64) policy=resync mark='Magic' ;;
		*) policy=ppl mark='PPL : 2048 sectors at offset 8 ' ;;
		esac
		images=
		rm -f "$dir"/m*
		for i in $(seq 0 $((n - 1))); do
			truncate -s 32M "$dir/m$i"
			images="$images $dir/m$i"
		done
		what="n=$n chunk=${chunk}K"
		# shellcheck disable=SC2086 # a list of paths without spaces
		ok "$what create" "$tool" -p "$policy" \
		    -c $((chunk * 1024)) \
		    create,write="$dir/data@12800" $images
		for image in $images; do
			ok "$what csum" says "$image" 'Checksum.*correct'
			ok "$what clean" says "$image" 'State : clean'
			ok "$what policy" says "$image" "$mark"
			ok "$what chunk" says "$image" "Chunk Size : ${chunk}K"
			ok "$what array" says "$image" "Array State : A{$n} "
		done
		# shellcheck disable=SC2086
		ok "$what degrade" "$tool" fail=1,write="$dir/data@0" $images
		for image in "$dir/m0" "$dir/m2"; do
			ok "$what degraded csum" says "$image" \
			    'Checksum.*correct'
			ok "$what degraded" says "$image" 'Array State : A\.A'
			ok "$what degraded clean" says "$image" 'State : clean'
		done
		# shellcheck disable=SC2086
		ok "$what crash" "$tool" -x write="$dir/data@0" $images
		ok "$what active" says "$dir/m0" 'State : active'
	done
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
