#!/usr/bin/env bats
# The example of examples/ops-logs, smaller: every target, and what its reports say.

load dsprep_common

example() {
    make --no-print-directory -f "$DS_ROOT/examples/ops-logs/Makefile" LINES=600 VOCAB=400 STEPS=8 "$@"
}

@test "ops-logs: a version a day without customers, and the day that drifted is found twice" {
    command -v python3 >/dev/null || skip "python3 is not installed"
    unset MAKEFLAGS MFLAGS MAKELEVEL DSVER_STORE
    export HOME=$BATS_TEST_TMPDIR
    exits 0 example
    has "day 5 drifted" "new: retry <*> of 5: connection to <*> refused" "ok order: "
    [ "$(grep -c ' drifted$' work/drift.txt)" = 1 ]
    fails grep -qE '@(mail\.)?example' work/tok.json
    grep -q '@example' work/day-1.log
    for d in 1 2 3 4 5; do
        dsprep export -q --format jsonl -o day.jsonl work/day-$d.dsr
        fails grep -qE '@(mail\.)?example' day.jsonl
        rm day.jsonl*
    done
    awk '{ sub(/,$/, ""); loss[NR] = $4 + 0 } END { exit !(loss[1] > 0 && loss[2] > loss[1]) }' work/losses.txt
    exits 2 example gate
    has "day 5 drifted"
    exits 0 example gate DAYS="1 2 3 4"
    exits 0 example clean
    [ ! -e work ]
}
