#!/usr/bin/env bash
# The page in Firefox and WebKitGTK, from the built site in dist/ (`tools/setup.sh --engines` installs them). Screenshots go to
# target/browser.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -d tests/browser/node_modules ] || (cd tests/browser && npm install --silent --no-audit --no-fund)
node tests/browser/engines.mjs dist --shots "${SHOTS:-target/browser}" --engines "${ENGINES:-firefox,webkit}"
