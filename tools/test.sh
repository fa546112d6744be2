#!/usr/bin/env bash
# Everything that CI needs: unit, recording, scenario, fault and determinism tests; the page's crates for wasm32. Stops at the first
# failure. Formatting and lints are `make lint`, the page in a real browser is `make browser-test`.
set -euo pipefail
cd "$(dirname "$0")/.."
step() { printf '\n== %s (%ss)\n' "$*" "$SECONDS"; }

step "wasm"
cargo check --quiet --target wasm32-unknown-unknown --bin page --bin worker
step "the splitter of the site's wasm"
node --test tools/split/
step "tests"
cargo test --workspace
step "done"
