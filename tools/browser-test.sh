#!/usr/bin/env bash
# The page in headless Chromium, from the built site in dist/. Screenshots go to target/browser.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -d tests/browser/node_modules ] || (cd tests/browser && npm install --silent --no-audit --no-fund)
node tests/browser/run.mjs dist --shots "${SHOTS:-target/browser}"
node tests/browser/labs.mjs dist --shots "${SHOTS:-target/browser}"
node tests/browser/links.mjs dist --shots "${SHOTS:-target/browser}"
node tests/browser/embeds.mjs dist --shots "${SHOTS:-target/browser}"
node tests/browser/trouble.mjs dist --shots "${SHOTS:-target/browser}"
node tests/browser/slow.mjs dist --shots "${SHOTS:-target/browser}"
node tests/browser/panels.mjs dist --shots "${SHOTS:-target/browser}"
node tests/browser/bars.mjs dist --shots "${SHOTS:-target/browser}"
node tests/browser/rows.mjs dist --shots "${SHOTS:-target/browser}"
