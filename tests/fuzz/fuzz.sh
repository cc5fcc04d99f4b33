#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Fuzz with libFuzzer: fuzz.sh SECONDS [pdu|text|conn|http|md|array]...  New
# inputs stay in the build directory (fuzz/NAME); a crash in fuzz/crash-*.
set -eu
src=${srcdir:-$(dirname "$0")/../..}
seconds=${1:-60}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- pdu text conn http md array
command -v clang >/dev/null || { echo "SKIP: no clang"; exit 77; }
mkdir -p fuzz
core="$(ls "$src"/core/*.c | grep -v -e loop_uring -e uring_)"
# What a target is linked with.
parts_of() {
	case $1 in
	http)
		echo "$src"/core/err.c "$src"/core/log.c webui/assets.c \
		    "$src/tests/fuzz/http_stub.c" \
		    "$(ls "$src"/webui/*.c | grep -v /main.c)" \
		    "@$src/tests/fuzz/http.wrap" \
		    "$(pkg-config --cflags --libs libevent libevent_openssl \
		    libssl libcrypto jansson libcrypt)"
		;;
	md | array)
		echo "$core" "$src"/block/*.c "$src"/raid/*.c \
		    "$src"/tests/sim/loop_sim.c "$src"/tests/sim/history.c \
		    "$src"/tests/sim/sim_disk.c "$src"/tests/sim/sim_net.c \
		    "$(pkg-config --cflags --libs libisal libcrypto)"
		;;
	*)
		echo "$core" "$src"/block/*.c "$src"/target/scsi/*.c \
		    "$src"/target/iscsi/*.c "$src"/tests/sim/loop_sim.c \
		    "$src"/tests/sim/history.c "$src"/tests/sim/sim_disk.c \
		    "$src"/tests/sim/sim_net.c \
		    "$(pkg-config --cflags --libs libisal libcrypto)" -lmd
		;;
	esac
}
for name; do
	# shellcheck disable=SC2046
	clang -std=gnu17 -g -O1 -D_GNU_SOURCE -I"$src" -I. \
	    -fsanitize=fuzzer,address,undefined \
	    -fno-sanitize-recover=undefined "$src/tests/fuzz/fuzz_$name.c" \
	    $(parts_of "$name") -o "fuzz/fuzz_$name"
	mkdir -p "fuzz/$name"
	"fuzz/fuzz_$name" -max_total_time="$seconds" -max_len=20000 \
	    -rss_limit_mb=1024 -timeout=20 -print_final_stats=1 \
	    -artifact_prefix=fuzz/ "fuzz/$name" \
	    "$src/tests/fuzz/corpus/$name" 2>&1 | tail -n 12
done
