#!/usr/bin/env bats
# dsprep tokenize: a column of tokens beside the text, and nothing else changed.

load dsprep_common

@test "tokenize: ids, with and without special and added tokens" {
    printf 'the cat and the <|end|>' >a
    dsprep text -q --format text a >s.dsr
    dsprep tokenize -q -t "$TOKENIZER" s.dsr >t.dsr
    exits 0 dsprep cat --no-key -c tokens t.dsr
    [ "$output" = '{"tokens":[266,257,220,66,64,83,261,258,220,267]}' ]
    exits 0 bash -c "dsprep tokenize -q --no-special -t '$TOKENIZER' <s.dsr | dsprep cat --no-key -c tokens"
    [ "$output" = '{"tokens":[257,220,66,64,83,261,258,220,267]}' ]
    exits 0 bash -c "dsprep tokenize -q --no-special --no-added -t '$TOKENIZER' <s.dsr | dsprep cat --no-key -c tokens"
    [ "$output" = '{"tokens":[257,220,66,64,83,261,258,220,27,91,68,77,67,91,29]}' ]
    exits 0 dsprep tokenize --json -t "$TOKENIZER" -o j.dsr s.dsr
    echo "$output" | jq -ce '[.command, .input, .output, .tokens, .text_bytes] == ["dsprep tokenize", 1, 1, 10, 23]'
    exits 2 dsprep tokenize --json --column nothing -t "$TOKENIZER" -o k.dsr s.dsr
    echo "$output" | jq -e '.type == "exit" and .code == 2'
}

@test "tokenize: the same bytes for any number of threads, and all else unchanged" {
    stream 6000
    dsprep tokenize -q -j 1 -t "$TOKENIZER" s.dsr >one.dsr
    dsprep tokenize -q -j 8 -t "$TOKENIZER" <s.dsr >eight.dsr
    cmp one.dsr eight.dsr
    dsprep check one.dsr
    dsprep cat --origin -c text s.dsr >a
    dsprep cat --origin -c text one.dsr >b
    cmp a b
    [ "$(dsprep check s.dsr | sed 's/ source.*//; s/.*record//')" = "$(dsprep check one.dsr | sed 's/ source.*//; s/.*record//')" ]
    dsprep info --sources s.dsr | sed -n '/^sources$/,$p' >a
    dsprep info --sources one.dsr | sed -n '/^sources$/,$p' >b
    [ -s a ]
    cmp a b
}

@test "tokenize: many sources pass in order" {
    local i
    mkdir d
    for i in 0 1 2 3 4 5 6 7 8 9; do
        lines 500 | sed "s/^/$i /" >d/$i.txt
        : >d/$i.empty.txt
    done
    dsprep text -q --split line d >s.dsr
    dsprep tokenize -q -j 1 -t "$TOKENIZER" s.dsr >one.dsr
    dsprep tokenize -q -j 8 -t "$TOKENIZER" s.dsr >eight.dsr
    cmp one.dsr eight.dsr
    dsprep check one.dsr
    dsprep info --sources s.dsr | sed -n '/^sources$/,$p' >a
    dsprep info --sources one.dsr | sed -n '/^sources$/,$p' | cmp - a
    [ "$(wc -l <a)" -eq 21 ]
}

@test "tokenize: provenance and attributes name the tokenizer's digest" {
    stream 100
    dsprep tokenize -q -t "$TOKENIZER" --name ids s.dsr >t.dsr
    local sum
    sum=sha256:$(sha256sum <"$TOKENIZER" | cut -c 1-64)
    exits 0 dsprep info --json t.dsr
    has "\"name\":\"ids\",\"type\":\"tokens16\",\"attrs\":{\"source\":\"text\",\"tokenizer\":\"$sum\"}" \
        '"tool":"dsprep tokenize"' "\"digests\":{\"tokenizer\":\"$sum\"}" \
        '"options":{"added":true,"column":"text","name":"ids","special":true}'
}

@test "tokenize: another column, nulls, and what does not fit" {
    dsprep tokenize -q -t "$TOKENIZER" "$GOLDEN/explicit.dsr" >t.dsr
    dsprep check t.dsr
    dsprep cat --no-key -c text,tokens t.dsr | grep -q '{"text":null,"tokens":null}'
    fails dsprep tokenize -q -t "$TOKENIZER" --column nothing "$GOLDEN/explicit.dsr" -o x.dsr
    has nothing
    fails dsprep tokenize -q -t "$TOKENIZER" --column label "$GOLDEN/explicit.dsr" -o x.dsr
    has label
    fails dsprep tokenize -q -t "$TOKENIZER" --name meta "$GOLDEN/explicit.dsr" -o x.dsr
    has meta
    fails dsprep tokenize -q -t not-there "$GOLDEN/explicit.dsr" -o x.dsr
    has not-there
    exits 2 dsprep tokenize -q "$GOLDEN/explicit.dsr" -o x.dsr
    [ ! -e x.dsr ]
}

@test "tokenize: counts of what was held back or failed pass" {
    dsprep info --json "$GOLDEN/lineage.dsr" | grep -o '"records":.*"failed":{[^}]*}' >a
    dsprep tokenize -q -t "$TOKENIZER" --name more "$GOLDEN/lineage.dsr" | dsprep info --json |
        grep -o '"records":.*"failed":{[^}]*}' >b
    grep -q '"NUL byte":1' a
    cmp a b
}

@test "tokenize: a file appears whole or not at all" {
    stream 6000
    dsprep tokenize -q -t "$TOKENIZER" s.dsr -o t.dsr
    dsprep tokenize -q -t "$TOKENIZER" s.dsr | dsprep cat >a
    dsprep cat t.dsr | cmp - a
    [ "$(stat -c %s t.dsr)" -lt "$(stat -c %s s.dsr)" ]
    head -c 200000 s.dsr >cut.dsr
    exits 12 dsprep tokenize -q -t "$TOKENIZER" cut.dsr -o u.dsr
    [ "$(ls -A | grep -c u.dsr)" -eq 0 ]
}

@test "tokenize: a broken input is never a whole output" {
    stream 6000
    head -c 200000 s.dsr >cut.dsr
    run bash -c "dsprep tokenize -q -t '$TOKENIZER' <cut.dsr >out.dsr"
    [ "$status" -eq 12 ]
    exits 1 dsprep check out.dsr
    has "standard input"
    run bash -c "{ head -c 200000 s.dsr; kill -9 \$BASHPID; } | dsprep tokenize -q -t '$TOKENIZER' | dsprep check"
    [ "$status" -ne 0 ]
    run bash -c "dsprep tokenize -q -t '$TOKENIZER' </dev/null | dsprep check"
    [ "$status" -ne 0 ]
    run bash -c "dsprep tokenize -q -t '$TOKENIZER' '$GOLDEN/aborted.dsr' | dsprep check"
    [ "$status" -ne 0 ]
}
