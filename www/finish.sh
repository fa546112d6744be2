#!/bin/sh
# After Trunk: the worker's wasm and the page's are cut in two, so that the first load is small (tools/split/run.mjs;
# KUBOTTLE_SPLIT=0 leaves them whole, and so does a debug build); then the site is made strict, installable and offline (finish.mjs).
set -eu
here=$(dirname "$0")
if [ "${KUBOTTLE_SPLIT:-1}" != 0 ] && [ "${TRUNK_PROFILE:-release}" != debug ]; then
  tests="$here/../tests/browser"
  [ -d "$tests/node_modules" ] || (cd "$tests" && npm ci --silent --no-audit --no-fund) || true
  node "$here/../tools/split/run.mjs" "$TRUNK_STAGING_DIR"
fi
node "$here/finish.mjs" "$TRUNK_STAGING_DIR"
