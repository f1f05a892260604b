#!/usr/bin/env bash
# Runs tests that are already built, J at a time, and counts.
#
#   tests/run.sh [-j N] [-r] [-t WORD] LANE:BUILD...       LANE: unit cli extra fuzz
#
# -r     what failed beside other tests is run once more, alone: a second failure counts, and a pass is named at the end, for such
#        a test asks for more of the machine's time than it was given, or shows a race that is to be found
# unit   BUILD/tests/*           programs that print TAP (cmocka)
# cli    tests/cli/*.bats        with BUILD/bin first in PATH
# extra  tests/*/*.test          scripts that print TAP, or exit 0 (pass), 77 (skip), anything else (fail)
# fuzz   BUILD/fuzz/*            each over tests/fuzz/corpus/NAME/
#
# Tests see DS_ROOT (this tree), DS_BIN_DIR (the programs), DS_SHARED (test data from outside; may be
# absent), TMPDIR (fresh, removed at the end) and standard input from /dev/null. The whole output of
# what failed is shown. The last line is "N passed, N failed, N skipped"; exit 1 when any failed.
set -u
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# tally FILE STATUS: prints "passed failed skipped" for the output of one test.
tally() {
    awk -v rc="$2" '
        { line = tolower($0) }
        /^1\.\.[0-9]+/ { plan += substr($1, 4); planned = 1; next }
        /^not ok([ \t]|$)/ { if (line ~ /# *skip/) s++; else f++; next }
        /^ok([ \t]|$)/ { if (line ~ /# *skip/) s++; else p++; next }
        END {
            seen = p + f + s
            if (!planned && !seen) {
                if (rc == 0) p = 1; else if (rc == 77) s = 1; else f = 1
            } else {
                if (planned && seen < plan && rc != 77) f++
                if (rc != 0 && rc != 77 && f == 0) f = 1
                if (planned && plan == 0 && (rc == 0 || rc == 77) && seen == 0) s = 1
            }
            printf "%d %d %d\n", p, f, s
        }' "$1"
}

# one LANE:BUILD:PATH: runs one test in a folder of its own and reports it in one piece.
one() {
    local spec=$1 lane=${1%%:*} rest=${1#*:} build path name label out rc start took
    build=${rest%%:*} path=${rest#*:}
    name=$(basename "$path") label="$lane/$name"
    case $build in *asan*) label="asan/$label" ;; *tsan*) label="tsan/$label" ;; esac
    export DS_BIN_DIR=$build/bin DS_BUILD=$build
    export PATH="$build/bin:$PATH" CMOCKA_MESSAGE_OUTPUT=TAP
    export ASAN_OPTIONS=${ASAN_OPTIONS:-allocator_may_return_null=1}
    export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
    export TMPDIR="$RUN_DIR/${label//\//_}"
    out="$RUN_DIR/${label//\//_}.out"
    mkdir -p "$TMPDIR" && cd "$TMPDIR" || exit 1
    # of its own, and a file: git config --global would put one in the place of /dev/null
    export GIT_CONFIG_GLOBAL="$RUN_DIR/${label//\//_}.gitconfig"
    : >"$GIT_CONFIG_GLOBAL"
    set -- "$path"
    case $lane in
    cli) set -- bats --tap "$path" ;;
    fuzz) set -- "$path" "$ROOT/tests/fuzz/corpus/${name#fuzz_}" ;;
    esac
    start=$(date +%s%N)
    timeout -k 10 "${DS_TEST_TIMEOUT:-1800}" "$@" </dev/null >"$out" 2>&1
    rc=$?
    took=$((($(date +%s%N) - start) / 10000000))
    cd / && chmod -R u+rwX "$TMPDIR" 2>/dev/null
    rm -rf "$TMPDIR"

    local p f s
    read -r p f s < <(tally "$out" "$rc")
    echo "$p $f $s $label" >>"$RUN_DIR/counts"
    [ "$f" -eq 0 ] || echo "$spec" >>"$RUN_DIR/failed"
    {
        if [ "$f" -gt 0 ]; then
            printf '\nFAIL  %s (%d passed, %d failed, %d skipped, exit %d)\n' "$label" "$p" "$f" "$s" "$rc"
            [ "$rc" -eq 124 ] && echo "      timed out"
            sed 's/^/    | /' "$out"
            echo
        else
            printf 'ok    %-40s %4d passed' "$label" "$p"
            [ "$s" -gt 0 ] && printf ', %d skipped' "$s"
            printf '  %d.%02d s\n' $((took / 100)) $((took % 100))
            if [ "$s" -gt 0 ]; then
                grep -iE '^(not )?ok.*# *skip' "$out" | sed 's/^/      /' || true
                [ "$rc" -eq 77 ] && tail -n 3 "$out" | sed 's/^/      /'
            fi
        fi
    } >"$out.say"
    flock "$RUN_DIR/lock" cat "$out.say"
    return 0
}

if [ "${1:-}" = --one ]; then
    one "$2"
    exit 0
fi

jobs=2 word="" again=0
while getopts j:rt: c; do
    case $c in
    j) jobs=$OPTARG ;;
    r) again=1 ;;
    t) word=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))

unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES MODE B T V WERROR # a test that runs make starts afresh
RUN_DIR=$(mktemp -d "${TMPDIR:-/tmp}/ds-test.XXXXXX") || exit 1
trap 'chmod -R u+rwX "$RUN_DIR" 2>/dev/null; rm -rf "$RUN_DIR"' EXIT
trap 'exit 130' INT TERM
: >"$RUN_DIR/counts"
: >"$RUN_DIR/failed"
: >"$RUN_DIR/lock"
: >"$RUN_DIR/unsteady"
export RUN_DIR DS_ROOT=$ROOT DS_SHARED=${DS_SHARED:-$ROOT/../shared}
export GIT_CONFIG_NOSYSTEM=1

# python3 may be a script that looks for the interpreter each time, which takes longer than most that a test has it do.
python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null)
case $python in
"$(command -v python3)" | '') ;;
*/python3) PATH=${python%/*}:$PATH ;;
esac

for l in "$@"; do
    lane=${l%%:*}
    build=$(cd "$ROOT" && cd "${l#*:}" && pwd) || exit 1
    case $lane in
    unit) set -- "$ROOT"/tests/unit/test_*.c ;;
    cli) set -- "$ROOT"/tests/cli/*.bats ;;
    extra) set -- "$ROOT"/tests/*/*.test ;;
    fuzz) set -- "$ROOT"/tests/fuzz/fuzz_*.c ;;
    *) echo "tests/run.sh: no lane $lane" >&2 && exit 2 ;;
    esac
    for f in "$@"; do
        [ -e "$f" ] || continue
        case $lane in
        unit) f=$build/tests/$(basename "$f" .c) ;;
        fuzz) f=$build/fuzz/$(basename "$f" .c) ;;
        esac
        case $l$f in *"$word"*) echo "$lane:$build:$f" ;; esac
    done
done >"$RUN_DIR/list"

xargs -r -d '\n' -n 1 -P "$jobs" bash "$ROOT/tests/run.sh" --one <"$RUN_DIR/list"

# More failures than this are no matter of chance.
if [ $again -eq 1 ] && [ "$(wc -l <"$RUN_DIR/failed")" -le 5 ]; then
    sort "$RUN_DIR/failed" >"$RUN_DIR/again"
    : >"$RUN_DIR/failed"
    awk '$2 == 0' "$RUN_DIR/counts" >"$RUN_DIR/good" && mv "$RUN_DIR/good" "$RUN_DIR/counts"
    [ -s "$RUN_DIR/again" ] && printf '\nOnce more, alone:\n'
    xargs -r -d '\n' -n 1 bash "$ROOT/tests/run.sh" --one <"$RUN_DIR/again"
    grep -vxFf "$RUN_DIR/failed" "$RUN_DIR/again" >"$RUN_DIR/unsteady"
fi

expected=$(wc -l <"$RUN_DIR/list")
done_=$(wc -l <"$RUN_DIR/counts")
[ "$expected" -eq "$done_" ] || echo "0 1 0 $((expected - done_)) tests did not report" >>"$RUN_DIR/counts"
[ -s "$RUN_DIR/unsteady" ] && printf '\nFailed beside others, passed alone:\n' && sed -E 's|^([a-z]+):.*asan.*:|asan/\1:|; s|^([a-z/]+):.*/|  \1/|' "$RUN_DIR/unsteady"
awk '
    { p += $1; f += $2; s += $3; if ($2) { $1 = $2 = $3 = ""; bad = bad "\n  " $0 } }
    END {
        if (bad != "") print "\nFailed:" bad
        printf "%d passed, %d failed, %d skipped\n", p, f, s
        exit f > 0
    }' "$RUN_DIR/counts"
