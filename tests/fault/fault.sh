# fault.sh - sourced by the fault tests: counting, and a folder to work in.
# shellcheck shell=bash
set -u
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
: "${DS_BIN_DIR:=$ROOT/build/release/bin}"
PATH="$DS_BIN_DIR:$PATH"
n=0 failed=0
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ds-fault.XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1

skip_all() {
    echo "1..0 # skip $1"
    exit 77
}

result() { # STATUS NAME: what is in $tmp/log is shown when it failed
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $n - $2"
    else
        echo "not ok $n - $2"
        sed 's/^/# /' "$tmp/log" | head -n 40
        failed=1
    fi
}

finish() {
    echo "1..$n"
    exit "$failed"
}
