#!/usr/bin/env bats
# dsprep show: whose words a record's tokens are, and which of them are learned.

load dsprep_common

tokens() {
    printf '{"id":"k\\u001b1","q":"the cat\\n","a":"and \\u001b[31mthe"}\n{"id":"2","q":null,"a":"x"}\n' >in.jsonl
    dsprep text -q --field a --key-field id in.jsonl |
        dsprep tokenize -q -t "$TOKENIZER" --prompt meta.q --response text --eos '<|end|>' >t.dsr
}

@test "show: stretches of one role, targets marked without colour" {
    tokens
    exits 0 dsprep show -t "$TOKENIZER" t.dsr
    [ "${lines[0]}" = 'record 0  key k\x1b1  16 tokens, 9 targets' ]
    [ "${lines[1]}" = '  none        |<|bos|>|' ]
    [ "${lines[2]}" = '  user        |the cat\n|' ]
    [ "${lines[3]}" = '  assistant * |and \x1b[31mthe<|end|>|' ]
    [ "${lines[4]}" = 'record 1  key 2  0 tokens, 0 targets' ]
    dsprep show -t "$TOKENIZER" t.dsr | grep -c "$(printf '\033')" >got || true
    [ "$(cat got)" = 0 ]
    NO_COLOR=1 dsprep show --color always -t "$TOKENIZER" t.dsr | grep -q "$(printf '\033\\[32m')"
    exits 0 dsprep show --tokens --ids -n 1 -t "$TOKENIZER" t.dsr
    [ "${lines[2]}" = '  user        |the| |c|a|t|\n|  257 220 66 64 83 198' ]
    [ "${#lines[@]}" -eq 4 ]
}

@test "show: --json" {
    command -v jq >/dev/null || skip "no jq"
    tokens
    dsprep show --json -t "$TOKENIZER" t.dsr >got
    [ "$(jq -c '[.tokens, .targets, (.spans|length)]' got | tr '\n' ' ')" = '[16,9,3] [0,0,0] ' ]
    [ "$(jq -c 'select(.tokens > 0) | .spans[2] | [.role, .target, .from, .to]' got)" = '["assistant",true,7,16]' ]
    [ "$(jq -r 'select(.tokens > 0) | [.spans[].text] | join("")' got)" = "$(printf '<|bos|>the cat\nand \033[31mthe<|end|>')" ]
}

@test "show: plain tokens, another tokenizer, no tokens" {
    stream 30
    dsprep tokenize -q -t "$TOKENIZER" s.dsr >t.dsr
    exits 0 dsprep show -t "$TOKENIZER" t.dsr
    [ "${lines[1]}" = "  none      * |<|bos|>$(head -n 1 lines.txt)|" ]
    [ "$(dsprep show -n 12 -t "$TOKENIZER" t.dsr | grep -c '^record')" -eq 12 ]
    fails dsprep show -t "$DS_ROOT/tests/golden/tok/small.json" t.dsr
    has 'another tokenizer'
    fails dsprep show -t "$TOKENIZER" s.dsr
    has "no column 'tokens'"
    exits 2 dsprep show t.dsr
}
