#!/usr/bin/env bash
# Puts the built site into a folder that is served: as its newest, and for ever under v/RELEASE/, which links to a moment name.
#   tools/release.sh FOLDER [DIST]
set -euo pipefail
folder=${1:?usage: tools/release.sh FOLDER [DIST]}
dist=${2:-$(dirname "$0")/../dist}
release=$(sed -n 's/.*name="kubottle-release" content="\([0-9a-f]*\)".*/\1/p' "$dist/index.html")
[ -n "$release" ] || { echo "release.sh: $dist is no built site" >&2; exit 1; }
mkdir -p "$folder/v/$release"
cp -r "$dist/." "$folder/v/$release/"
# sw.js goes last: who finds a new one must find its files too.
find "$dist" -mindepth 1 -maxdepth 1 ! -name sw.js -exec cp -r {} "$folder/" \;
cp "$dist/sw.js" "$folder/"
echo "release $release: $folder and $folder/v/$release"
