#!/usr/bin/env bash
# Everything that CI needs: formatting and lints; the page's crates for wasm32; unit, recording, scenario, fault and determinism
# tests. Stops at the first failure. The page in a real browser is `make browser-test`.
set -euo pipefail
cd "$(dirname "$0")/.."
step() { printf '\n== %s (%ss)\n' "$*" "$SECONDS"; }

step "format and lints"
cargo fmt --all --check
cargo clippy --workspace --all-targets --quiet -- -D warnings
step "wasm"
cargo check --quiet --target wasm32-unknown-unknown --bin page --bin worker
step "the splitter of the site's wasm"
node --test tools/split/
step "tests"
cargo test --workspace
step "done"
