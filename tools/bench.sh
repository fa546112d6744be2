#!/usr/bin/env bash
# Measures the performance promises natively and prints one table; target/bench.json has the same.
#   make bench                    all but the 150,000 pods
#   make bench BENCH=limit        these
set -euo pipefail
cd "$(dirname "$0")/.."
cargo bench --bench bottle -- ${BENCH:-}
