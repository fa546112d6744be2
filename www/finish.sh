#!/bin/sh
# After Trunk: embed.html is index.html under another name (the page looks at its address), so that both share every file; and the
# worker's wasm is cut in two, so that the first load is small (tools/split/run.mjs; KUBOTTLE_SPLIT=0 leaves it whole, and so does a
# debug build).
set -eu
cp "$TRUNK_STAGING_DIR/index.html" "$TRUNK_STAGING_DIR/embed.html"
if [ "${KUBOTTLE_SPLIT:-1}" != 0 ] && [ "${TRUNK_PROFILE:-release}" != debug ]; then
  node "$(dirname "$0")/../tools/split/run.mjs" "$TRUNK_STAGING_DIR"
fi
