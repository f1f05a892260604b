#!/usr/bin/env bats
# The example of examples/ecommerce, as small as it gets: every target, and what runs again when.

load dsprep_common

example() {
    make --no-print-directory -f "$DS_ROOT/examples/ecommerce/Makefile" PRODUCTS=120 VOCAB=300 BASE_STEPS=4 \
        EPOCHS=1 BATCH=4 EVERY=8 "$@"
}

@test "ecommerce: trains, evaluates, audits, reports and replays; only what changed runs again" {
    command -v python3 >/dev/null || skip "python3 is not installed"
    unset MAKEFLAGS MFLAGS MAKELEVEL DSVER_STORE
    export HOME=$BATS_TEST_TMPDIR
    exits 0 example
    has "of at most 10 characters left out" "base model, without the adapter" "with the adapter" "macro-F1" \
        "accuracy at noise 0.05" "truth \\ answer" "ok dataset train: " "ok order: "
    [ -s work/evaluation.txt ]
    fails grep -q 'Category' work/test.jsonl
    awk -F '"' '{ if (length($8) <= 10) exit 1 }' work/test.jsonl
    exits 0 example report replay
    has ": the same bits: "
    grep -q '<svg' work/report.html
    # the same records again: a new commit is no new version, and nothing is trained
    sum=$(sha256sum work/runs/lora/metrics.jsonl)
    touch work/products.jsonl
    exits 0 example
    has "dsver commit"
    fails grep -q finetune <<<"$output"
    [ "$(sha256sum work/runs/lora/metrics.jsonl)" = "$sum" ]
    exits 0 example clean
    [ ! -e work ]
}
