#!/usr/bin/env bash
# Everything that CI needs: formatting, lints, unit and scenario tests, the page in a browser. Stops at the first failure.
set -euo pipefail
cd "$(dirname "$0")/.."
step() { printf '\n== %s (%ss)\n' "$*" "$SECONDS"; }

step "format"
cargo fmt --all --check
step "clippy"
cargo clippy --workspace --all-targets --quiet -- -D warnings
step "tests"
cargo test --workspace --quiet
step "wasm"
cargo check --quiet --target wasm32-unknown-unknown --workspace --bins --exclude server
step "done"
