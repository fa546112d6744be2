#!/usr/bin/env bash
# Replays a folder of recordings against fresh servers of this build and prints what share holds.
#   tools/check-reference.sh REFERENCE_DIR [scenarios|wire|validation]...
# KUBECTL: the kubectl of the scenarios (default: tools/kubectl.sh's, else the one on the PATH). JOBS: servers at a time.
# SPEED and QUIET: virtual seconds a second, and how long `sim settle` waits (wall seconds).
set -uo pipefail
cd "$(dirname "$0")/.."
reference=$(realpath "${1:?a folder with scenarios/, wire/, validation.jsonl and check/}")
shift
parts=${*:-scenarios wire validation}
jobs=${JOBS:-8} speed=${SPEED:-1x} quiet=${QUIET:-3}
binary=${KUBOTTLE:-target/debug/kubottle}
[[ -x $binary ]] || cargo build --quiet --bin kubottle || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# start NAME CONFIG SPEED: a server of its own; its address is in $work/NAME.url, its files beside it.
start() {
    "$binary" serve --config "$2" --speed "$3" --port 0 --write-kubeconfig "$work/$1.kubeconfig" >"$work/$1.log" 2>&1 &
    echo $! >"$work/$1.pid"
    for _ in $(seq 300); do
        grep -q '^Kubottle: ' "$work/$1.log" 2>/dev/null && break
        sleep 0.1
    done
    sed -n 's/^Kubottle: //p' "$work/$1.log" >"$work/$1.url"
    for part in certificate-authority:ca client-certificate:crt client-key:key; do
        sed -n "s/.*${part%%:*}-data: //p" "$work/$1.kubeconfig" | base64 -d >"$work/$1.${part##*:}"
    done
}
stop() { kill "$(cat "$work/$1.pid")" 2>/dev/null; wait "$(cat "$work/$1.pid")" 2>/dev/null; }

scenarios() {
    local kubectl=${KUBECTL:-$(tools/kubectl.sh 2>/dev/null || command -v kubectl)}
    one() {
        local name
        name=$(basename "$1" .md)
        start "$name" recorded "$speed"
        python3 "$reference/check/check.py" "$1" --kubeconfig "$work/$name.kubeconfig" --kubectl "$kubectl" --quiet "$quiet" \
            >"$work/$name.out" 2>&1
        stop "$name"
    }
    for file in "$reference"/scenarios/*.md; do
        [[ $file == */README.md ]] && continue
        while (($(jobs -rp | wc -l) >= jobs)); do wait -n; done
        one "$file" &
    done
    wait
    cat "$work"/*.out >"${REPORT:-target/check-scenarios.log}"
    awk '/ passed, .* failed \(/ { n++; p += $2; f += $4; if ($4 == 0) w++ }
        END { printf "scenarios: %d of %d commands (%.1f %%), %d of %d files whole\n", p, p + f, 100 * p / (p + f), w, n }' "$work"/*.out
}

wire() {
    # Recorded of a cluster in its own time: at full speed nodes that no kubelet speaks for are lost between two exchanges.
    start wire wire 1x
    python3 "$reference/check/wire_check.py" "$reference"/wire/*.jsonl --server "$(cat "$work/wire.url")" --cert "$work/wire.crt" \
        --key "$work/wire.key" --ca "$work/wire.ca" --jobs 4 >target/check-wire.log 2>&1
    stop wire
    awk '/^(ok|FAIL) .* passed, / { n++; p += $3; f += $5; if ($5 == 0) w++ }
        END { printf "wire: %d of %d exchanges (%.1f %%), %d of %d files whole\n", p, p + f, 100 * p / (p + f), w, n }' target/check-wire.log
}

validation() {
    start validation wire max
    python3 "$reference/check/validation_check.py" "$work/validation.kubeconfig" "$(sed 's/.*://' "$work/validation.url")" \
        "$reference/validation.jsonl" -v >target/check-validation.log 2>&1
    stop validation
    awk '/ passed, .* failed, / { printf "validation: %d of %d requests (%.1f %%)\n", $1, $1 + $3, 100 * $1 / ($1 + $3) }' target/check-validation.log
}

for part in $parts; do
    case $part in
    scenarios | wire | validation) $part ;;
    *) echo "unknown part: $part" >&2 && exit 2 ;;
    esac
done
