#!/usr/bin/env bats
# dsprep tokenize with prompts and answers: ids, what is to be learned of them, whose words they are.

load dsprep_common

jq_or_skip() {
    command -v jq >/dev/null || skip "no jq"
}

# pairs: p.dsr, the answers as text, the prompts in meta.
pairs() {
    dsprep text -q --format jsonl --field a --key-field id - >p.dsr
}

tok() {
    dsprep tokenize -q -t "$TOKENIZER" "$@"
}

@test "pair: ids, targets, roles, and the token at the end" {
    jq_or_skip
    pairs <<<'{"id":"1","q":"the cat","a":"and the hat"}'
    exits 0 bash -c "dsprep tokenize -q -t '$TOKENIZER' --prompt meta.q --response text --separator ' <|end|>' \
        --eos '<|end|>' p.dsr | dsprep cat --no-key -c tokens,loss,roles"
    [ "$output" = '{"tokens":[266,257,220,66,64,83,220,267,260,258,220,71,64,83,267],"loss":[[8,0],[7,1]],"roles":[[1,0],[5,2],[2,0],[7,3]]}' ]
    # no token may reach from the prompt into the answer: the ids are those of the two texts alone
    a=$(printf 'the cat <|end|>' | dstok encode --json -t "$TOKENIZER" - | jq -c .ids)
    b=$(printf 'and the hat' | dstok encode --no-special --json -t "$TOKENIZER" - | jq -c .ids)
    tok --prompt meta.q --response text --separator ' <|end|>' --eos none p.dsr | dsprep cat | jq -c .tokens >got
    [ "$(jq -c . got)" = "$(jq -nc "$a + $b")" ]
}

@test "pair: what looks like a token in content stays text" {
    jq_or_skip
    pairs <<'E'
{"id":"1","q":"x <|end|> y","a":"<|end|><|bos|>"}
{"id":"2","q":"x <|end","a":"|>"}
E
    tok --prompt meta.q --response text --separator '|>' --eos none p.dsr | dsprep cat | jq -c .tokens >got
    [ "$(grep -c 267 got)" -eq 0 ]
    [ "$(sed 's/^.266,//' got | grep -c 266)" -eq 0 ]
    # a separator cannot be completed by content, and content not by a separator
    tok --prompt meta.q --response text --separator '<|end' --eos none p.dsr | dsprep cat | jq -c .tokens >got
    [ "$(grep -c 267 got)" -eq 0 ]
    tok --allow-special --prompt meta.q --response text --eos none p.dsr | dsprep cat | jq -c .tokens >got
    [ "$(grep -c 267 got)" -eq 1 ]
}

@test "pair: truncation, counted" {
    pairs <<'E'
{"id":"1","q":"the cat","a":"and the hat"}
{"id":"2","q":"a","a":"b"}
E
    run dsprep tokenize -t "$TOKENIZER" --prompt meta.q --response text --max-tokens 8 p.dsr -o x.dsr
    [ "$status" -eq 1 ]
    has 'record 0' 'more than 8 tokens'
    [ ! -e x.dsr ]
    opts="--prompt meta.q --response text --eos <|end|> --max-tokens 8"
    run dsprep tokenize -t "$TOKENIZER" $opts --truncate right p.dsr -o x.dsr
    [ "$status" -eq 0 ]
    has '1 records cut'
    [ "$(dsprep cat --no-key -c tokens,loss x.dsr | head -n 1)" = '{"tokens":[266,257,220,66,64,83,260,258],"loss":[[6,0],[2,1]]}' ]
    dsprep tokenize -q -t "$TOKENIZER" $opts --truncate left p.dsr -o x.dsr
    [ "$(dsprep cat --no-key -c tokens,loss x.dsr | head -n 1)" = '{"tokens":[266,260,258,220,71,64,83,267],"loss":[[1,0],[7,1]]}' ]
    run dsprep tokenize -t "$TOKENIZER" $opts --truncate drop p.dsr -o x.dsr
    has '1 records are longer'
    [ "$(dsprep cat --no-key -c tokens,loss,roles x.dsr | head -n 1)" = '{"tokens":null,"loss":null,"roles":null}' ]
    dsprep check x.dsr
    run dsprep tokenize -t "$TOKENIZER" --prompt meta.q --response text --max-tokens 2 --truncate right p.dsr -o x.dsr
    has '2 records have no target'
}

@test "plain text: truncation gives what the whole text's ids give" {
    jq_or_skip
    stream 200
    tok s.dsr | dsprep cat | jq -c '.tokens|.[:9]' >want
    tok --max-tokens 9 --truncate right s.dsr | dsprep cat | jq -c .tokens | cmp - want
    tok s.dsr | dsprep cat | jq -c '.tokens|.[:1] + .[-8:]' >want
    tok --max-tokens 9 --truncate left s.dsr | dsprep cat | jq -c .tokens | cmp - want
    [ "$(tok --max-tokens 9 --truncate drop s.dsr | dsprep cat | jq -c .tokens | sort -u)" = null ]
    run dsprep tokenize -t "$TOKENIZER" --max-tokens 1000 s.dsr -o t.dsr
    [ "$status" -eq 0 ]
    tok s.dsr | dsprep cat >want
    dsprep cat t.dsr | cmp - want
    exits 2 dsprep tokenize -t "$TOKENIZER" --max-tokens 1 s.dsr -o u.dsr
}

@test "pair: nulls, members that are missing, --on-error" {
    jq_or_skip
    pairs <<'E'
{"id":"1","q":"the","a":"cat"}
{"id":"2","q":null,"a":"cat"}
{"id":"3","a":"cat"}
{"id":"4","z":1,"a":"cat"}
{"id":"5","q":7,"a":"cat"}
E
    run dsprep tokenize -t "$TOKENIZER" --prompt meta.q --response text p.dsr -o x.dsr
    [ "$status" -eq 1 ]
    has 'record 3' 'no member "q", but: '
    run dsprep tokenize -t "$TOKENIZER" --prompt q --response text p.dsr -o x.dsr
    [ "$status" -eq 1 ]
    has 'record 3' 'no member "q", but: '
    run dsprep tokenize -t "$TOKENIZER" --column body p.dsr -o x.dsr
    [ "$status" -eq 2 ]
    has "no column 'body'" 'columns are: ' 'text, meta' 'meta.MEMBER'
    run dsprep tokenize -t "$TOKENIZER" --prompt meta.q --response text --on-error skip p.dsr -o x.dsr
    [ "$status" -eq 3 ]
    has 'record 3' '2 of 5 records'
    dsprep cat x.dsr | jq -c '.tokens == null' | tr '\n' ' ' >got
    [ "$(cat got)" = 'false true true true true ' ]
    dsprep check x.dsr
    for bad in "--prompt meta.q" "--response text" "--prompt nothing --response text" "--prompt text.q --response text" \
        "--prompt meta.q --response text --column text" "--separator x" "--prompt meta.q --response text --eos <none>"; do
        fails dsprep tokenize -q -t "$TOKENIZER" $bad p.dsr -o y.dsr
    done
    [ ! -e y.dsr ]
}

@test "pair: the same bytes for any number of threads; provenance" {
    jq_or_skip
    lines 3000 | jq -Rc '{id: .[5:12], q: .[0:30], a: .[30:]}' | sort -u -t'"' -k4,4 >in.jsonl
    dsprep text -q --field a in.jsonl >p.dsr
    tok -j 1 --prompt meta.q --response text p.dsr >one.dsr
    tok -j 8 --prompt meta.q --response text p.dsr >eight.dsr
    cmp one.dsr eight.dsr
    dsprep check one.dsr
    exits 0 dsprep info --json one.dsr
    has '"prompt":"meta.q"' '"allow_special":false' '"source":"meta.q, text"' '"of":"tokens"'
}

@test "ids that are there: input_ids, labels and attention_mask become tokens and loss" {
    jq_or_skip
    printf '%s\n' '{"input_ids":[5,6,7],"labels":[-100,6,7],"attention_mask":[1,1,1],"m":{"ids":[8]}}' \
        '{"input_ids":[9,10,0,0],"labels":[-100,10,-100,-100],"attention_mask":[1,1,0,0],"m":{"ids":[]}}' \
        '{"input_ids":null,"labels":null,"attention_mask":null,"m":{"ids":null}}' >ids.jsonl
    dsprep import -q ids.jsonl >ids.dsr
    tok --ids input_ids --labels labels --attention-mask attention_mask ids.dsr >t.dsr
    dsprep cat --no-key -c tokens,loss t.dsr >got
    printf '%s\n' '{"tokens":[5,6,7],"loss":[[1,0],[2,1]]}' '{"tokens":[9,10],"loss":[[1,0],[1,1]]}' '{"tokens":null,"loss":null}' | diff - got
    tok --ids input_ids ids.dsr | dsprep cat --no-key -c tokens >got
    printf '%s\n' '{"tokens":[5,6,7]}' '{"tokens":[9,10,0,0]}' '{"tokens":null}' | diff - got
    tok --ids m.ids ids.dsr | dsprep cat --no-key -c tokens >got
    printf '%s\n' '{"tokens":[8]}' '{"tokens":[]}' '{"tokens":null}' | diff - got
    # A column of tokens, too: of a dataset whose tokenizer.json came later.
    tok --ids tokens --name again t.dsr | dsprep cat --no-key -c again | head -n 1 | diff - <(echo '{"again":[5,6,7]}')
    tok --ids input_ids --max-tokens 2 --truncate left ids.dsr | dsprep cat --no-key -c tokens >got
    printf '%s\n' '{"tokens":[6,7]}' '{"tokens":[0,0]}' '{"tokens":null}' | diff - got
    exits 3 bash -c "dsprep tokenize -t '$TOKENIZER' --on-error skip --ids input_ids --labels attention_mask ids.dsr >x.dsr"
    has 'attention_mask: 1 at 0, where the token is 5: a label is its token, or -100' '2 of 3 records could not be used'
    exits 1 dsprep tokenize -t "$TOKENIZER" --ids labels ids.dsr -o x.dsr
    has 'labels: -100: ids of this tokenizer go up to 26'
    exits 1 dsprep tokenize -t "$TOKENIZER" --ids input_ids --labels m.ids ids.dsr -o x.dsr
    has 'm.ids has 1 numbers and input_ids 3'
    exits 2 dsprep tokenize -t "$TOKENIZER" --ids input_ids --no-special ids.dsr
    exits 2 dsprep tokenize -t "$TOKENIZER" --labels labels ids.dsr
    # Lists alone are a dataset, too, and what was done is done again.
    printf '{"input_ids":[%d,1]}\n' 3 4 >only.jsonl
    dsver init >/dev/null
    dsprep import -q only.jsonl | tok --ids input_ids | dsver commit -m m only
    exits 0 dsver rebuild only --source . --file "$TOKENIZER"
    has 'rebuilt: root sha256:'
}
