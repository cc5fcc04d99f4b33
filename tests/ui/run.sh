#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The suites of page and API, with the npm packages of webui/package-lock.json
# installed into the build directory.  What is missing is said and skipped.
. "${srcdir:-.}/tests/lib.sh"
name=$1
export srcdir DOZO_BUILD

command -v node >/dev/null || skip_all "node is missing (apt install nodejs npm)"
major=$(node -p 'process.versions.node.split(".")[0]')
[ "$major" -ge 18 ] || skip_all "node $major is too old: 18 is needed"

case $name in
page | bundle)
	WEBUI=$DOZO_BUILD/ui-npm
	export WEBUI
	mkdir -p "$WEBUI"
	if ! cmp -s "$srcdir/webui/package-lock.json" \
	    "$WEBUI/node_modules/.lock-used"; then
		cp "$srcdir/webui/package.json" \
		    "$srcdir/webui/package-lock.json" "$WEBUI"
		(cd "$WEBUI" && npm ci --ignore-scripts --no-audit --no-fund \
		    >npm.log 2>&1) || {
			tail -5 "$WEBUI/npm.log"
			skip_all "npm cannot install the packages of the page"
		}
		cp "$srcdir/webui/package-lock.json" \
		    "$WEBUI/node_modules/.lock-used"
	fi
	rm -rf "$WEBUI/src"
	cp -R "$srcdir/webui/src" "$srcdir/webui/build.mjs" "$WEBUI"
	;;
esac
if [ "$name" = page ] && ! command -v chromium >/dev/null; then
	skip_all "Chromium is missing (apt install chromium)"
fi
exec node "$srcdir/tests/ui/$name.mjs"
