#!/usr/bin/env bash
# check.sh BUILD - the CUDA backend on a real device. The last line is "N passed, N failed".
#
# Each function and the whole network beside the CPU's (the programs that run under emulation elsewhere), whole runs by
# dstrain (the same bits three times, resumed and replayed), and, where compute-sanitizer is there, memory and shared-memory
# races of the kernels. DS_TEST_DEVICE: which device (cuda).
set -u
B=$(cd "$1" && pwd)
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export DS_TEST_DEVICE=${DS_TEST_DEVICE:-cuda} DS_CUDA_PLUGIN=$B/lib/libds-cuda.so DS_BIN_DIR=$B/bin DS_BUILD=$B DS_ROOT=$ROOT
export PATH=$B/bin:$PATH CMOCKA_MESSAGE_OUTPUT=TAP LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# count NAME COMMAND...: adds up its TAP lines; a command without any counts by its exit status.
count() {
    local name=$1 ok bad rc
    shift
    "$@" >"$work/out" 2>&1 </dev/null
    rc=$?
    ok=$(grep -c '^ok ' "$work/out")
    bad=$(grep -c '^not ok ' "$work/out")
    if [ $((ok + bad)) -eq 0 ]; then
        [ "$rc" -eq 0 ] && ok=1 || bad=1
    elif [ "$rc" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
    fi
    passed=$((passed + ok)) failed=$((failed + bad))
    printf '%-40s %d passed, %d failed\n' "$name" "$ok" "$bad"
    [ "$bad" -eq 0 ] || sed 's/^/    /' "$work/out"
}

[ -e "$DS_CUDA_PLUGIN" ] || { echo "check-gpu: no plugin was built: is nvcc there?" >&2; exit 1; }
command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
git -C "$ROOT" rev-parse HEAD 2>/dev/null
count "functions" "$B/tests/test_cuda"
count "network" "$B/tests/test_cuda_net"
if command -v bats >/dev/null; then
    count "runs" bats --tap "$ROOT/tests/cli/dstrain_cuda.bats"
else
    echo "runs: skipped, bats is not installed"
fi
sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
if [ -n "$sanitizer" ]; then
    for tool in memcheck racecheck; do
        count "functions under $tool" "$sanitizer" --tool "$tool" --error-exitcode 9 "$B/tests/test_cuda"
    done
else
    echo "compute-sanitizer: skipped, it is not installed"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
