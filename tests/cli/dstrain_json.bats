#!/usr/bin/env bats
# Every command of dstrain that has --json prints what docs/json-output.md says.
load dstrain_common
load json_common

@test "dstrain: every command's --json" {
    need_jq
    cd "$BATS_TEST_TMPDIR" || return 1
    dt() { json dstrain "$@"; }
    export DSVER_STORE=$F
    dt plan --model "$F/base" --data docs
    dt plan --model none --data docs '#'
    dt resize --model "$F/base" --add-token '<|x|>' -o wider
    dt finetune --model "$F/base" --data docs --seq-len 32 --batch 4 --steps 4 --checkpoint-every 2 --rank 4 --eval-data docs -o run
    dt finetune --model "$F/base" --data docs --seq-len 32 --batch 4 --steps 4 -o run '#'
    dt replay run/step-000004
    dt eval --model "$F/base" --adapter run/step-000004 --data "$F/test.dsr"
    dt generate --model "$F/base" -n 4 'the cat'
    dt generate --model "$F/base" none.txt '#'
    all_said dstrain classify selftest # which other tests run
}
