#!/usr/bin/env bash
# Every check of the project, in order, with how long each took. Installs and builds what is missing.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
exec </dev/null
cd "$ROOT"

export CARGO_INCREMENTAL=0
passed=0 failed=0 times=()

# phase NAME COMMAND…: runs it; a failure is counted and the rest still runs.
phase() {
    local name=$1 start=$SECONDS result=passed
    shift
    printf '\n=== %s\n' "$name"
    if "$@"; then passed=$((passed + 1)); else
        failed=$((failed + 1)) result=FAILED
    fi
    times+=("$(printf '%-9s %-28s %5d s' "$result" "$name" $((SECONDS - start)))")
}

in_go_module() { (cd "$1" && go vet ./... && go test ./...); }

need_compilers
need_go
need shellcheck
cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || {
    say "installing the Rust components rustfmt and clippy"
    rustup component add rustfmt clippy >&2
}

phase format cargo fmt --all --check
phase build build
phase clippy cargo clippy --release --workspace --all-targets -- -D warnings
phase 'unit and scenario tests' cargo test --release --workspace --exclude e2e
phase 'go: node/cometbft' in_go_module node/cometbft
phase 'go: tests/light' in_go_module tests/light
phase 'end to end' cargo test --release --package e2e -- --nocapture

printf '\n'
printf '%s\n' "${times[@]}"
printf '%d passed, %d failed, in %d s\n' "$passed" "$failed" "$SECONDS"
((failed == 0))
