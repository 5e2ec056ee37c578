#!/usr/bin/env bash
# Fuzzes every target at once, or those named, for FUZZ_SECONDS each (30): tests/fuzz says how. FUZZ_SEED tries other inputs.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

targets=("$@")
[[ ${#targets[@]} != 0 ]] || targets=(tx query rest sdl genesis)
need_compilers
cargo build --release --quiet --package fuzz
pids=()
for target in "${targets[@]}"; do
    "$CARGO_TARGET_DIR/release/fuzz" "$target" &
    pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
exit "$failed"
