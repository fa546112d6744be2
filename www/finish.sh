#!/bin/sh
# After Trunk: embed.html is index.html under another name (the page looks at its address), so that both share every file.
set -eu
cp "$TRUNK_STAGING_DIR/index.html" "$TRUNK_STAGING_DIR/embed.html"
