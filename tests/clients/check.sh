# One line per check on standard output; a failed check fails the program and lets the others run.
# shellcheck shell=bash
set -uo pipefail

failed=0
trap '((failed == 0)) || exit 1' EXIT

# check NAME FUNCTION…: the function runs in a shell of its own, where every command has to succeed.
check() {
    local name=$1 said
    shift
    # `set -e` does not hold inside a condition.
    set +e
    said=$(
        exec 2>&1
        set -eEuo pipefail
        trap 'echo "line $LINENO: $BASH_COMMAND"' ERR
        "$@"
    )
    local code=$?
    if ((code == 0)); then
        printf 'ok      %s\n' "$name"
    else
        # shellcheck disable=SC2034
        failed=1
        printf 'FAILED  %s: %s\n' "$name" "${said//$'\n'/ | }"
    fi
}

# expect WANTED GOT
expect() {
    [[ $1 == "$2" ]] || { echo "expected $1, got $2" && return 1; }
}

# matches TEXT PATTERN (an extended regular expression)
matches() {
    [[ $1 =~ $2 ]] || { echo "expected a match of $2, got $1" && return 1; }
}

# refused COMMAND…: what it says; it has to fail.
refused() {
    local said
    if said=$("$@" 2>&1); then
        echo "succeeded: $*: $said" >&2
        return 1
    fi
    printf '%s' "$said"
}
