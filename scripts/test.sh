#!/usr/bin/env bash
# Every check of the project, in order, with how long each took. Installs and builds what is missing.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
exec </dev/null
cd "$ROOT"

export CARGO_INCREMENTAL=0
failed=0 times=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# phase NAME COMMAND…: runs it; a failure is counted and the rest still runs.
phase() {
    local name=$1 start=$SECONDS result=passed
    shift
    printf '\n=== %s\n' "$name"
    "$@" 2>&1 | tee -a "$log" || failed=$((failed + 1)) result=FAILED
    times+=("$(printf '%-7s %-25s %5d s' "$result" "$name" $((SECONDS - start)))")
}

with_libsodium() {
    need_venv pynacl pynacl==1.6.2 && "$CACHE/pynacl/bin/python" tests/libsodium/envelopes.py "$BIN/virtengine" client/src/testdata/envelope.json
}

in_go_module() { (cd "$1" && go vet ./... && go test ./...); }

need_compilers
need_go
need shellcheck dbus-daemon=dbus gnome-keyring-daemon=gnome-keyring
if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
    say "installing the Rust components rustfmt and clippy"
    rustup component add rustfmt clippy >&2
fi

phase format cargo fmt --all --check
phase build build
export VIRTENGINE_BUILT=1
phase clippy cargo clippy --release --workspace --all-targets -- -D warnings
phase 'unit and scenario tests' cargo test --release --workspace --exclude e2e --no-fail-fast
phase 'fuzzing' ./scripts/fuzz.sh
phase 'go: node/cometbft' in_go_module node/cometbft
phase 'go: tests/light' in_go_module tests/light
phase 'envelopes and libsodium' with_libsodium
phase 'go: tests/amino' in_go_module tests/amino
phase 'end to end' cargo test --release --package e2e --no-fail-fast -- --nocapture
phase 'published clients' ./tests/clients/run.sh

printf '\n'
printf '%s\n' "${times[@]}"
awk -v phases="${#times[@]}" -v bad="$failed" -v seconds="$SECONDS" '
    /^test result:/ { passed += $4; failed += $6 }
    END { printf "%d phases, %d of them failed; %d tests passed, %d failed; %d s\n", phases, bad, passed, failed, seconds }' "$log"
((failed == 0))
