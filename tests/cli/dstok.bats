#!/usr/bin/env bats
# dstok: encode, decode, info, train.

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    : "${DS_ROOT:=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)}"
    export LC_ALL=C
    G=$DS_ROOT/tests/golden/tok
    T=$G/small.json
}

# exits STATUS COMMAND...: runs it and says what differs.
exits() {
    local want=$1
    shift
    run "$@"
    if [ "$status" -ne "$want" ]; then
        echo "exit $status, not $want: $*"
        echo "$output"
        return 1
    fi
}

# has WORD...: the output of the last run holds each.
has() {
    local w
    for w in "$@"; do
        case $output in
        *"$w"*) ;;
        *) echo "no '$w' in: $output" && return 1 ;;
        esac
    done
}

@test "encode: a whole text, standard input, lines" {
    dstok encode -t "$T" "$G/mixed.txt" >one
    dstok encode -t "$T" - <"$G/mixed.txt" | cmp - one
    cmp one <(head -n 1 "$G/small.ids")
    dstok encode -t "$T" --lines - <"$G/mixed.txt" | cmp - <(tail -n +2 "$G/small.ids")
    printf 'a\n\nb' >in
    dstok encode -t "$T" --lines in >out
    [ "$(wc -l <out)" -eq 3 ]
    [ -z "$(sed -n 2p out)" ]
    [ -z "$(dstok encode -t "$T" /dev/null)" ]
    dstok encode -t "$T" in /dev/null "$G/mixed.txt" - <in >out # a line each
    [ "$(wc -l <out)" -eq 4 ]
    sed -n 3p out | cmp - one
    [ "$(sed -n 1p out)" = "$(sed -n 4p out)" ]
}

@test "encode: --memory changes no id" {
    local m
    for m in 0 4K 1M 256M; do
        dstok encode -t "$T" --memory "$m" "$G/mixed.txt" | cmp - <(head -n 1 "$G/small.ids")
    done
    exits 2 dstok encode -t "$T" --memory x "$G/mixed.txt"
}

@test "encode: --json" {
    printf 'hi\n\n' >in
    run dstok encode -t "$T" --json --lines in
    [ "$status" -eq 0 ]
    [ "${lines[1]}" = '{"ids":[],"n":0}' ]
    [ "$(dstok encode -t "$T" --json in | sed 's/.*\[//; s/\].*//; s/,/ /g')" = "$(dstok encode -t "$T" in)" ]
    exits 13 dstok encode -t none.json --json in
    has '"error"' none.json
}

@test "encode: special and added tokens" {
    printf '<s>x' >in
    run dstok encode -t "$G/words.json" in
    [ "$output" = "1200 1200 $(printf x | dstok encode --no-special -t "$G/words.json" -) 1201" ]
    run dstok encode -t "$G/words.json" --no-special in
    [ "$output" = "1200 $(printf x | dstok encode --no-special -t "$G/words.json" -)" ]
    run dstok encode -t "$G/words.json" --no-special --no-added in
    case " $output " in *" 1200 "*) return 1 ;; esac
}

@test "train: only files that are not there are no text, and that is the system's word: exit 13" {
    exits 13 dstok train -o t.json missing gone
    has 'every file was skipped'
    printf '\xff' >bad
    exits 1 dstok train -o t.json missing bad
}

@test "encode: text that is not UTF-8, files that are not there" {
    printf 'ab\377' >in
    exits 1 dstok encode -t "$T" in
    has "in" "byte 2"
    printf 'fine\nab\377\n' >in
    exits 1 dstok encode -t "$T" --lines in
    has "in" "line 2" "byte 2"
    exits 13 dstok encode -t "$T" none
    has none
    exits 13 dstok encode -t none.json in
    has none.json
    exits 2 dstok encode in
    has "-t"
    exits 2 dstok encode -t "$T"
    printf a >a
    exits 1 dstok encode -t "$T" a in a
    has "in: not UTF-8"
}

@test "encode: a long line without end is not a problem" {
    head -c 300000 /dev/zero | tr '\0' a >in
    [ "$(dstok encode -t "$T" in | dstok decode -t "$T" - | cksum)" = "$(cksum <in)" ]
}

@test "decode: what encode made, in any form" {
    dstok encode -t "$T" "$G/mixed.txt" >ids
    dstok decode -t "$T" ids | cmp - "$G/mixed.txt"
    tr ' ' '\n' <ids | dstok decode -t "$T" - | cmp - "$G/mixed.txt"
    tr ' ' ',' <ids | dstok decode -t "$T" - | cmp - "$G/mixed.txt"
    dstok encode -t "$T" --lines "$G/mixed.txt" | dstok decode -t "$T" --lines - >out
    cmp out <(cat "$G/mixed.txt" && echo)
}

@test "decode: special tokens, broken characters, wrong ids" {
    [ "$(echo 0 | dstok decode -t "$T" -)" = '<|endoftext|>' ]
    [ -z "$(echo 0 | dstok decode -t "$T" --skip-special -)" ]
    printf '\363\240\200\201' >e
    id=$(dstok encode -t "$T" e | cut -d' ' -f1) # less than a character
    [ "$(echo "$id" | dstok decode -t "$T" --lossy - | od -An -tx1 | tr -d ' ')" = efbfbd ]
    exits 1 bash -c "echo 1 99999 | dstok decode -t '$T' -"
    has "99999"
    exits 1 bash -c "echo 1 x | dstok decode -t '$T' -"
    has "byte 2"
    exits 1 bash -c "echo 99999999999999999999 | dstok decode -t '$T' -"
    exits 1 bash -c "echo -1 | dstok decode -t '$T' -"
    exits 2 dstok decode -
}

@test "info: text and JSON" {
    exits 0 dstok info "$T"
    has "llama3" "1200 tokens" "u16" "$(sha256sum "$T" | cut -d' ' -f1)"
    exits 0 dstok info --json "$G/deepseek.json"
    has '"pre_tokenizer":"deepseek-v3"' '"max_id":1208' '"</s>":1201' '"prefix":[1200],"suffix":[1201]'
    if command -v jq >/dev/null; then echo "$output" | jq -e .vocab_size >/dev/null; fi
    exits 13 dstok info none.json
    echo '{"model":{"type":"Unigram"}}' >u.json
    exits 1 dstok info u.json
    has u.json Unigram
    exits 1 dstok info --json u.json
    has '"error"' Unigram
    exits 1 dstok info /dev/null
}

@test "train: the same for any order and number of threads" {
    mkdir -p texts/b texts/a
    head -n 20 "$G/mixed.txt" >texts/b/x
    tail -n +21 "$G/mixed.txt" >texts/a/y
    : >texts/empty
    exits 0 dstok train --vocab-size 500 -j 1 -o one.json texts
    exits 0 dstok train --vocab-size 500 -j 4 -o two.json texts/a texts/b/x
    cmp one.json two.json
    cat texts/b/x | dstok train --vocab-size 500 -o three.json texts/a/y - 2>/dev/null
    cmp one.json three.json
    dstok train --vocab-size 1200 -o small.json "$G/mixed.txt" 2>/dev/null
    cmp small.json "$T"
}

@test "train: under --memory, which changes no result" {
    awk 'BEGIN { for (i = 0; i < 400000; i++) { s = ""
        for (n = (i * 7919) % 90000; n > 0; n = int(n / 26)) s = s sprintf("%c", 97 + n % 26)
        printf "%s%s", s, i % 9 ? " " : "\n" } }' >words
    exits 0 dstok train --vocab-size 900 -o whole.json words
    [[ "$output" != *"--memory"* ]]
    for j in 1 3; do
        exits 0 dstok train -m 1M -j $j --vocab-size 900 -o "parts$j.json" words
        [[ "$output" == *"merging takes about "*" MiB for "*" distinct words"* ]]
        cmp whole.json "parts$j.json"
    done
    TMPDIR=$PWD/none exits 13 dstok train -m 1M --vocab-size 900 -o no.json words
    [[ "$output" == *"none"* ]]
    [ ! -e no.json ]
    exits 2 dstok train -m 1000 --vocab-size 900 -o no.json words
}

@test "train: -q says nothing but errors" {
    run dstok train -q --vocab-size 300 -o t.json "$G/mixed.txt"
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    [ -s t.json ]
    exits 1 dstok train -q -o t2.json /dev/null
    has "no text"
}

@test "train, stats, diff: the texts of record streams" {
    dsprep text -q --split line "$G/mixed.txt" >r.dsr
    dsprep cat -c text r.dsr 2>/dev/null | python3 -c 'import sys, json
for l in sys.stdin: sys.stdout.write(json.loads(l)["text"] + "\n")' >r.txt
    dstok train -q --vocab-size 1200 -o a.json r.txt
    dstok train -q --vocab-size 1200 -o b.json r.dsr
    cat r.dsr | dstok train -q --vocab-size 1200 -o c.json -
    cmp a.json b.json
    cmp a.json c.json
    cmp <(dstok stats -t a.json r.txt) <(dstok stats -t a.json r.dsr)
    exits 0 dstok diff a.json b.json r.dsr
    exits 1 dstok train --column none --vocab-size 1200 -o d.json r.dsr
    has "r.dsr: it has no column 'none'"
    head -c 3000 r.dsr >cut.dsr
    exits 12 dstok train --vocab-size 1200 -o d.json cut.dsr
    [ ! -e d.json ]
}

@test "train: special tokens" {
    exits 0 dstok train --vocab-size 300 --special '<pad>' --special '</s>' -o t.json "$G/mixed.txt"
    exits 0 dstok info --json t.json
    has '"special_tokens":{"<pad>":0,"</s>":1}' '"vocab_size":300'
    exits 0 dstok train --vocab-size 300 --no-special -o t.json "$G/mixed.txt"
    exits 0 dstok info --json t.json
    has '"special_tokens":{}'
    exits 2 dstok train --vocab-size 300 --special a --special a -o t2.json "$G/mixed.txt"
    has "'a'"
    [ ! -e t2.json ]
}

@test "train --like: the pipeline and the added tokens of another tokenizer" {
    exits 0 dstok train --vocab-size 400 --special '<|report|>' --like "$G/deepseek.json" -o t.json "$G/mixed.txt"
    exits 0 dstok info --json t.json
    has '"pre_tokenizer":"deepseek-v3"' '"<|report|>":10' '"prefix":[1]' '"vocab_size":400'
    # all but ids and vocabulary is as it was, and what is put around a text has its new id
    local old='del(.model.vocab, .model.merges, .added_tokens, .padding) | walk(if type == "object" then del(.ids) else . end)'
    cmp <(jq "$old" t.json) <(jq "$old" "$G/deepseek.json")
    printf 'x' | dstok encode -t t.json - | grep -q '^1 [0-9]* 2$'
    # neither parts nor threads nor the way in change anything, also where texts are not cut
    for p in deepseek llm words; do
        dstok train -q -j 1 --vocab-size 400 --like "$G/$p.json" -o one.json "$G/mixed.txt" "$G/gen.py"
        dstok train -q -j 3 -m 1M --vocab-size 400 --like "$G/$p.json" -o two.json "$G/gen.py" - <"$G/mixed.txt"
        cmp one.json two.json
    done
    # where a text's beginning matters, every record is one
    printf '%s\n' '{"text":"abab"}' '{"text":"abab"}' | dsprep text --format jsonl - >r.dsr 2>/dev/null
    printf abab >a && printf abab >b
    dstok train -q --vocab-size 262 --like "$G/gpt2.json" -o one.json r.dsr
    dstok train -q --vocab-size 262 --like "$G/gpt2.json" -o two.json a b
    cmp one.json two.json
}

@test "train --like: what cannot be is refused before anything is read" {
    exits 1 dstok train --like "$G/llama2.json" -o t.json none
    has "llama2.json" "of characters"
    exits 13 dstok train --like none.json -o t.json none
    exits 2 dstok train --no-special --like "$T" -o t.json none
    exits 2 dstok train --no-special --special a -o t.json none
    exits 2 dstok train --vocab-size 260 --like "$G/deepseek.json" -o t.json none
    has "at least" ": 266"
    jq '.post_processor.special_tokens["<s>"] |= (.tokens = ["e"])' "$G/deepseek.json" >odd.json
    exits 1 dstok train --like odd.json -o t.json none
    has "odd.json" "<s>"
    exits 2 dstok train --vocab-size 400 --special '<s>' --like "$G/deepseek.json" -o t.json none
    has "'<s>' is given twice"
    exits 2 dstok train --vocab-size 400 --special a --special a -o t.json none
    has "'a' is given twice"
    jq '.model.continuing_subword_prefix = "##"' "$G/gpt2.json" >odd.json
    exits 1 dstok train --like odd.json -o t.json none
    has "odd.json" "continuing_subword_prefix"
    [ ! -e t.json ]
}

@test "train: files that cannot be used are named, counted and skipped" {
    mkdir texts
    cp "$G/mixed.txt" texts/good
    for i in $(seq 10 34); do printf 'bad \377' >texts/bad$i; done
    exits 3 dstok train --vocab-size 1200 -o t.json texts
    has "texts/bad10: not UTF-8 at byte 4" "texts/bad29" "5 more files skipped" "25 of 26 files skipped"
    case $output in *texts/bad30*) return 1 ;; esac
    cmp t.json "$T"
    exits 1 dstok train --on-error fail --vocab-size 1200 -o t2.json texts
    has "texts/bad10"
    [ ! -e t2.json ]
    exits 3 dstok train --vocab-size 1200 -o t.json none "$G/mixed.txt"
    has none
    exits 1 dstok train -o t2.json texts/bad10
    has "no text"
    exits 1 dstok train -o t2.json /dev/null
    [ ! -e t2.json ]
}

@test "train: odd things in a folder" {
    mkdir -p texts/sub
    cp "$G/mixed.txt" texts/sub/good
    ln -s .. texts/sub/loop
    mkfifo texts/pipe
    exits 3 dstok train --vocab-size 1200 -o t.json texts
    has "texts/pipe" "texts/sub/loop"
    cmp t.json "$T"
}

@test "train: a store in the folder is no text" {
    mkdir -p texts
    head -n 20 "$G/mixed.txt" >texts/a
    dstok train -q --vocab-size 400 -o one.json texts
    dsver init texts
    dsver config --store texts user.name "somebody whose name is not to be learned"
    exits 0 dstok train --vocab-size 400 -o two.json texts
    has " 1 file,"
    cmp one.json two.json
    mkdir -p texts/b/.dsver && cp texts/a texts/b/.dsver/
    exits 0 dstok train --vocab-size 400 -o two.json texts
    has " 2 files,"
}

@test "train: an output that cannot be is told before anything is read" {
    for o in nowhere/t.json . -; do
        run dstok train --vocab-size 400 -o "$o" not-there
        [ "$status" -eq 13 ] || [ "$o" = - ]
        has "$o: "
        [[ "$output" != *not-there* && "$output" != *.tmp-* ]]
        [ ! -e ./- ]
    done
}

@test "train: wrong options" {
    exits 2 dstok train --vocab-size 300 "$G/mixed.txt"
    has "-o"
    exits 2 dstok train --vocab-size 10 -o t.json "$G/mixed.txt"
    exits 2 dstok train --vocab-size x -o t.json "$G/mixed.txt"
    exits 2 dstok train --on-error maybe -o t.json "$G/mixed.txt"
    exits 13 dstok train --vocab-size 300 -o none/t.json "$G/mixed.txt"
    [ ! -e t.json ]
    exits 0 dstok train --vocab-size 99999 -o t.json --json "$G/mixed.txt"
    has '"tokens":' '"files":1' '"skipped":0'
}

@test "encode: --offsets" {
    printf 'hi \xe5\xa5\xbdx' >in
    exits 0 dstok encode -t "$T" --json --offsets --no-special in
    command -v jq >/dev/null || skip "no jq"
    [ "$(jq -c .ids <<<"$output")" = "$(dstok encode -t "$T" --json --no-special in | jq -c .ids)" ]
    # the tokens cover the text without a gap
    [ "$(jq -c '[.bytes[0][0], .bytes[-1][1], ([range(1; .n) as $i | .bytes[$i][0] == .bytes[$i - 1][1]] | all)]' <<<"$output")" = '[0,7,true]' ]
    [ "$(jq -c '[.chars[0][0], .chars[-1][1]]' <<<"$output")" = '[0,5]' ]
    exits 2 dstok encode -t "$T" --offsets in
}

@test "stats: tokens, bytes and scripts add up" {
    exits 0 dstok stats -t "$T" --json -n 3 "$G/mixed.txt"
    echo "$output" >s
    local n
    n=$(dstok encode -t "$T" --no-special "$G/mixed.txt" | wc -w)
    [ "$(jq .tokens s)" -eq "$n" ]
    [ "$(jq '[.scripts[].tokens] | add' s)" -eq "$n" ]
    [ "$(jq '[.scripts[].bytes] | add' s)" -eq "$(wc -c <"$G/mixed.txt")" ]
    [ "$(jq '.longest | length' s)" -eq 3 ]
    [ "$(jq '.frequent[0].count' s)" -eq "$(dstok encode -t "$T" --no-special "$G/mixed.txt" | tr ' ' '\n' | sort | uniq -c | sort -rn | awk 'NR == 1 { print $1 }')" ]
    [ "$(jq '[.scripts[] | select(.script == "Han")] | length' s)" -eq 1 ]
    exits 0 dstok stats -t "$T" "$G/mixed.txt"
    has Cyrillic longest "parts of characters"
    printf '\360\237\246\231x' | dstok stats -t "$T" --json - | jq -e '.parts_of_characters >= 2 and
        ([.scripts[] | select(.script == "Emoji")][0].chars == 1)'
    printf 'a\n' >a
    exits 0 dstok stats -t "$G/unk.json" --json "$G/mixed.txt"
    [ "$(echo "$output" | jq .unknown)" -gt 0 ]
    exits 2 dstok stats a
    exits 13 dstok stats -t "$T" none
    exits 3 dstok stats -t "$T" --on-error skip a none
}

@test "diff: where ids differ, and what the files do not share" {
    exits 0 dstok diff "$T" "$T" "$G/mixed.txt"
    has "0 places"
    exits 0 dstok diff "$T" "$T"
    exits 1 dstok diff "$T" "$G/qwen2.json"
    has "normalizer     a none, b NFC" "pre_tokenizer"
    printf 'x 1234 y\n' >in # three digits, or one
    exits 1 dstok diff --json "$T" "$G/qwen2.json" in
    [ "$(echo "$output" | jq -r 'select(.summary | not) | .file + ":" + (.offset | tostring)' | head -n 1)" = in:2 ]
    [ "$(echo "$output" | jq 'select(.summary).files')" -eq 1 ]
    printf 'x y\n' >same
    exits 0 dstok diff "$T" "$G/qwen2.json" same
    exits 1 dstok diff -n 1 "$T" "$G/gpt2.json" "$G/mixed.txt"
    [ "$(echo "$output" | grep -c ': byte ')" -eq 1 ]
    exits 0 dstok diff --by-text "$T" "$T" "$G/mixed.txt"
    exits 2 dstok diff "$T"
    exits 13 dstok diff "$T" none.json
    exits 13 dstok diff "$T" "$T" none
}
