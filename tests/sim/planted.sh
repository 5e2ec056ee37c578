#!/usr/bin/env bash
# Plants each bug of bugs/ in a copy of the project and lets the simulation look for it: `planted.sh [NAME…]`.
# Finished ones are remembered in the cache, by bug and commit, and left out the next time. Fails if one is not found.
set -euo pipefail
# shellcheck source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

SEEDS=${SEEDS:-0..400} BLOCKS=${BLOCKS:-100} OPS=${OPS:-40}
bugs=$ROOT/tests/sim/bugs
# One path for all runs, so that what is built for one is there for the next.
copy=$CACHE/planted
commit=$(git -C "$ROOT" rev-parse --short HEAD)
results=$CACHE/planted-$commit.txt
touch "$results"

names=("$@")
if [[ $# == 0 ]]; then
    names=("$bugs"/*.patch)
    names=("${names[@]##*/}")
    names=("${names[@]%.patch}")
fi
if [[ ! -d $copy ]]; then
    git clone --quiet --shared "$ROOT" "$copy"
fi
git -C "$copy" fetch --quiet origin HEAD
git -C "$copy" checkout --quiet --force --detach FETCH_HEAD

# A place of its own, so that nobody waits for these builds; it begins with the dependencies that are there.
own=$CACHE/planted-target
if [[ ! -d $own ]]; then
    mkdir -p "$own/release"
    for part in deps build .fingerprint; do
        [[ ! -d $CARGO_TARGET_DIR/release/$part ]] || cp -a "$CARGO_TARGET_DIR/release/$part" "$own/release/"
    done
fi
export CARGO_TARGET_DIR=$own

# The members of the workspace are built quickly rather than to be fast; their dependencies are those of every build.
profile=()
for crate in kernel auth bank staking escrow provider encryption deployment market app client sim; do
    profile+=(--config "profile.release.package.$crate.opt-level=0" --config "profile.release.package.$crate.debug=false")
done
build() { (cd "$copy" && cargo build --quiet --release --package sim "${profile[@]}"); }

failed=0
for name in "${names[@]}"; do
    if grep -q "^$name: found" "$results"; then
        continue
    fi
    [[ -f $bugs/$name.patch ]] || die "no such bug: $name"
    git -C "$copy" checkout --quiet --force .
    git -C "$copy" apply --recount "$bugs/$name.patch" || die "the bug $name cannot be planted"
    say "$name: building"
    build || die "the bug $name cannot be built"
    cp "$CARGO_TARGET_DIR/release/sim" "$copy/sim-planted"
    out=$("$copy/sim-planted" run --seeds "$SEEDS" --blocks "$BLOCKS" --ops "$OPS" --patience 0) || true
    line=$(grep -m1 '^seed ' <<<"$out" || true)
    if [[ -n $line ]]; then
        printf '%s: found by %s\n' "$name" "${line:0:200}" | tee -a "$results" >&2
    else
        say "$name: NOT found"
        failed=$((failed + 1))
    fi
done
git -C "$copy" checkout --quiet --force .
sort -u "$results"
((failed == 0)) || die "$failed planted bugs were not found"
