#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# embed.sh DIST OPENAPI: print assets.c, which holds the page's files as they
# are and gzipped, with a hash of the contents as ETag.
set -eu
dist=$1 openapi=$2

bytes() { od -An -v -tu1 | sed 's/  */,/g; s/^,//; s/$/,/'; }

data() { # NAME FILE
	echo "static const unsigned char $1[] = {"
	bytes <"$2"
	echo "};"
	echo "static const unsigned char $1_gz[] = {"
	gzip -9nc "$2" | bytes
	echo "};"
}

entry() { # NAME PATH TYPE FILE
	printf '{ "%s", "%s", "%s", %s, %s_gz, sizeof(%s), sizeof(%s_gz) }' \
	    "$2" "$3" "$(sha256sum <"$4" | cut -c1-16)" "$1" "$1" "$1" "$1"
}

cat <<'EOT'
/* Made by webui/embed.sh. */
#include "config.h"

#include "webui/web.h"

EOT
data index_html "$dist/index.html"
data app_js "$dist/app.js"
data app_css "$dist/app.css"
data icon_svg "$dist/icon.svg"
data openapi "$openapi"
echo "const struct asset assets[] = {"
entry index_html /index.html "text/html; charset=utf-8" "$dist/index.html"
echo ,
entry app_js /app.js "text/javascript; charset=utf-8" "$dist/app.js"
echo ,
entry app_css /app.css "text/css; charset=utf-8" "$dist/app.css"
echo ,
entry icon_svg /icon.svg image/svg+xml "$dist/icon.svg"
echo ,
echo "{ 0 } };"
echo "const struct asset openapi_asset ="
entry openapi /openapi.json application/json "$openapi"
echo ";"
