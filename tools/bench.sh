#!/usr/bin/env bash
# Measures the performance promises natively, in headless Chromium and beside a peer, and prints one table; target/bench.json has
# the same. The exit code says whether every "must" holds.
#   make bench                    all but the 150,000 pods
#   make bench BENCH=limit        these, natively and in Chromium
#   make bench BENCH="boot pause" only those whose name begins so
set -euo pipefail
cd "$(dirname "$0")/.."
[ -d benches/browser/node_modules ] || (cd benches/browser && npm ci --silent --no-audit --no-fund)
mkdir -p target
rm -f target/bench-*.json
# 150,000 pods are three gigabytes of small blocks: malloc asks the kernel for large pages, where there are any, and for them it keeps
# what it has got. (Small clusters are slower so.)
malloc=glibc.malloc.hugetlb=1
case " ${BENCH:-} " in *" limit "*) malloc+=:glibc.malloc.mmap_threshold=8000000000:glibc.malloc.trim_threshold=8000000000:glibc.malloc.tcache_count=20000 ;; esac
cargo bench --quiet --bench bottle --no-run
GLIBC_TUNABLES=$malloc cargo bench --quiet --bench bottle -- ${BENCH:-}
complete=0
node benches/browser/run.mjs dist target/bench-browser.json ${BENCH:-} || { complete=1; echo "bench: the part in Chromium ended early, its rows are missing" >&2; }
node benches/table.mjs target/bench.json target/bench-native.json target/bench-browser.json
exit "$complete"
