#!/usr/bin/env bats
# dstrain classify: the likeliest label after a text, from a store and from a file.
load dstrain_common

# Texts whose first word says what they are, with the answer (train) or without (asked).
setup_file() {
    export F=$BATS_FILE_TMPDIR LC_ALL=C HOME=$BATS_FILE_TMPDIR
    unset NO_COLOR DS_FAKE_TTY DSVER_STORE GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL
    cd "$F" || return 1
    awk 'BEGIN {
        split("warm cold plain", a, " "); split("summer winter spring", b, " ")
        for (i = 0; i < 90; i++) {
            k = 1 + (i * 7 + int(i / 3)) % 3
            print a[k] " day number " i % 5 >"texts"
            print b[k] >"labels"
        }
    }'
    paste -d '\t' texts labels | awk -F '\t' '{
        printf "{\"text\":\"%s It is %s.\",\"season\":\"%s\"}\n", $1, $2, $2 >"train.jsonl"
        printf "{\"text\":\"%s\",\"season\":\"%s\",\"id\":\"k%d\"}\n", $1, $2, NR >"asked.jsonl"
    }'
    dstok train --vocab-size 300 -o tok.json train.jsonl 2>/dev/null
    dsprep text -q train.jsonl | dsprep tokenize -q -t tok.json -o train.dsr
    dsprep text -q --key-field id asked.jsonl >asked.dsr
    dsver init >/dev/null
    dsver commit -m first asked asked.dsr >/dev/null 2>&1
    dstrain init --tokenizer tok.json -o base >/dev/null
    dstrain finetune -q --model base --data train.dsr --method full --steps 60 --batch 4 --seq-len 32 \
        --lr 3e-3 -j 2 -o run >/dev/null
}

ask() {
    dstrain classify --model "${MODEL:-$F/run/step-000060}" --store "$F" --data "${DATA:-asked}" \
        --labels summer,winter,spring --before ' It is ' --after . --truth meta.season -j 2 "$@"
}

@test "classify: a model that learned the answers gives them" {
    ask >table
    grep -q '^records  *90$' table
    grep -q '^accuracy  *1\.0000  (95 % interval 1\.0000 to 1\.0000)$' table
    grep -q '^AUC, one against rest  *1\.0000$' table
    grep -Eq '^summer +30 +0 +0$' table
    grep -Eq '^spring +0 +0 +30$' table
    MODEL=$F/base ask >untrained
    fails grep -q '^accuracy  *1\.0000' untrained
}

@test "classify: records that were erased are not asked about" {
    dsver init e >/dev/null
    dsver commit --store e -m m asked "$F/asked.dsr" >/dev/null
    dsver forget --store e --reason asked k1 >/dev/null
    dsver forget --store e --reason asked k90 >/dev/null
    exits 0 ask --store e
    has "records                  88"
}

@test "classify: a file gives what a store gives, on any number of threads, and --records ends early" {
    need_jq
    keep='del(.seconds_p50, .seconds_p95, .peak_bytes)'
    ask --json >whole
    jq -c "$keep" whole >first
    DATA=$F/asked.dsr ask --json | jq -c "$keep" | cmp first -
    ask --json -j 1 | jq -c "$keep" | cmp first -
    jq -e '.type == "classify" and .records == 90 and .accuracy == 1 and .macro_f1 == 1 and .auc == 1
        and .confusion == [[30,0,0],[0,30,0],[0,0,30]] and .labels == ["summer","winter","spring"]
        and .accuracy_interval == [1,1] and .seconds_p50 > 0 and .seconds_p95 >= .seconds_p50
        and .peak_bytes > 0 and (has("noise") | not)' whole >/dev/null
    [ "$(ask --json --records 7 | jq .records)" -eq 7 ]
}

@test "classify: the truth is a member of JSON, or a column of text, numbers or booleans" {
    need_jq
    keep='del(.seconds_p50, .seconds_p95, .peak_bytes)'
    ask --json | jq -c "$keep" >first
    dsprep map -q --set season:utf8=meta.season --set summery='meta.season == "summer"' \
        --set n:i64='meta.season == "summer"' "$F/asked.dsr" -o m.dsr
    DATA=m.dsr ask --json --truth season | jq -c "$keep" | cmp first -
    for c in summery:true:false n:1:0; do
        IFS=: read -r name yes no <<<"$c"
        dstrain classify --model "$F/run/step-000060" --data m.dsr --labels "$yes,$no" --truth "$name" \
            --json | jq -e '(.confusion[0] | add) == 30 and .records == 90' >/dev/null
    done
}

@test "classify: noise costs accuracy, the same for the same seed" {
    need_jq
    keep='del(.seconds_p50, .seconds_p95, .peak_bytes)'
    ask --json --noise 0.6 --noise-seed 3 | jq -c "$keep" >a
    ask --json --noise 0.6 --noise-seed 3 | jq -c "$keep" >b
    ask --json --noise 0.6 --noise-seed 4 | jq -c "$keep" >c
    cmp a b
    fails cmp -s a c
    jq -e '.accuracy == 1 and .drop > 0 and .drop_interval[0] <= .drop and .drop <= .drop_interval[1]
        and ((.noisy_accuracy + .drop - 1) | . < 1e-5 and . > -1e-5)' a >/dev/null
    ask --noise 0.6 | grep -q '^accuracy at noise 0\.6 '
}

@test "classify: what it cannot do is said" {
    exits 2 dstrain classify --model "$F/base" --data asked
    has "--labels A,B is missing"
    exits 2 dstrain classify --model "$F/base" --store "$F" --data asked --labels summer
    has "two labels at least"
    exits 2 ask --labels 'summer,,winter'
    has "an empty label"
    exits 2 ask --labels 'a,b,a'
    has "'a' twice"
    exits 2 ask --noise 1.5
    has "--noise 1.5: from 0 to 1"
    exits 1 ask --labels summer,winter
    has "is none of the labels"
    exits 1 ask --truth meta.colour
    has "record 0: no 'meta.colour'"
    exits 1 ask --truth text.season
    has "column 'text' holds utf8, not json"
    exits 1 ask --truth season
    has "no column 'season'"
    exits 1 ask --after '' --labels summer,summery,winter,spring
    has "the tokens of one begin those of the other"
    exits 1 dstrain classify --model "$F/base" --data "$F/train.dsr" \
        --labels a,b --truth tokens
    has "column 'tokens' holds"
    exits 1 ask --text-column body
    has "no column 'body'"
}
