#!/bin/sh
# Bundles the terminal and the editor into www/dist, if their sources are newer than the bundles.
set -eu
cd "$(dirname "$0")"
[ -d node_modules ] || npm ci --no-audit --no-fund --silent
newest=$(ls -t package-lock.json package.json src/*.js dist/editor.js 2>/dev/null | head -n 1)
[ "$newest" = dist/editor.js ] || npm run --silent build
