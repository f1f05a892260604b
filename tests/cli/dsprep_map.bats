#!/usr/bin/env bats
# dsprep map: columns renamed, dropped, converted and made; what cannot be converted is accounted for.

load dsprep_common

records() {
    cat >q.jsonl <<'EOF'
{"id":"a","text":"one?","age":41,"who":{"n":1.0},"at":"2026-03-01T10:00:00Z","s":"12"}
{"id":"b","text":"two?","age":null,"who":[1,2],"at":"2026-03-01","s":"-7"}
{"id":"c","text":"three \"?\"","age":3.5,"who":"x","at":"soon","s":"9 "}
EOF
    dsprep text -q --key-field id q.jsonl >q.dsr
}

@test "map: names, members and texts" {
    records
    exits 0 dsprep map --rename text=q --set 'meta.first=text' --drop meta.who,meta.at,meta.s \
        --text 'text=Q: {text}\nA: \{{coalesce(meta.age, "none")}\} {meta.who}' -o o.dsr q.dsr
    has '3 input = 3 output + 0 held'
    dsprep check o.dsr
    [ "$(dsprep cat o.dsr)" = '{"key":"a","q":"one?","meta":{"age":41,"first":"one?"},"text":"Q: one?\nA: {41} {\"n\":1.0}"}
{"key":"b","q":"two?","meta":{"age":null,"first":"two?"},"text":"Q: two?\nA: {none} [1,2]"}
{"key":"c","q":"three \"?\"","meta":{"age":3.5,"first":"three \"?\""},"text":"Q: three \"?\"\nA: {3.5} x"}' ]
    # Into a column and back again.
    dsprep map -q --set w:json=meta.who --drop meta q.dsr | dsprep map -q --set m.who=w --keep text >b.dsr
    [ "$(dsprep cat b.dsr | jq -c .m.who)" = "$(jq -c .who q.jsonl)" ]
    dsprep info o.dsr | grep -q 'dsprep map'
}

@test "map: texts are cleaned: normal forms, white space, what patterns find" {
    printf '%s\n' '{"id":"a","text":"  cafe\u0301\u00a0\n"}' '{"id":"b","text":"\u200bone\u200b two\u00ad\r\n\r\n\r\nthree\u3000"}' \
        '{"id":"c","text":""}' '{"id":"d","text":"\ufb01ne \uff21"}' '{"id":"e","text":"1999-12-31"}' >c.jsonl
    dsprep text -q --key-field id c.jsonl >c.dsr
    dsprep map -q --set 'text=trim(replace(replace(nfc(text), "[\x{200b}\x{ad}]", ""), "(\r?\n){2,}", "\n\n"))' \
        --set 'k=nfkc(text)' --set 'd=replace(text, "(\d+)-(\d+)-(\d+)", "$3.$2.${1} $$")' c.dsr | dsprep cat >got
    [ "$(jq -ac '[.text, .k, .d]' got)" = '["caf\u00e9","  caf\u00e9 \n","  cafe\u0301\u00a0\n"]
["one two\n\nthree","\u200bone\u200b two\u00ad\r\n\r\n\r\nthree ","\u200bone\u200b two\u00ad\r\n\r\n\r\nthree\u3000"]
["","",""]
["\ufb01ne \uff21","fine A","\ufb01ne \uff21"]
["1999-12-31","1999-12-31","31.12.1999 $"]' ]
    # A pattern that is too slow ends the run: its text would be gone.
    awk 'BEGIN { printf "{\"text\":\""; for (i = 0; i < 3000; i++) printf "a"; print "\"}" }' >s.jsonl
    dsprep text -q s.jsonl >s.dsr
    exits 1 dsprep map --set 'text=replace(text, "(*LIMIT_MATCH=1000)(a+)+[bc]", "")' -o x.dsr s.dsr
    has 'replace: match limit'
    [ ! -e x.dsr ]
}

@test "map: conversions are checked: fail, skip, null" {
    records
    exits 1 dsprep map --set n:i64=meta.s -o n.dsr q.dsr
    has "record 2: column 'n': \"9 \" is no i64"
    [ ! -e n.dsr ]
    exits 3 dsprep map --set n:i64=meta.s --set t:timestamp=meta.at --on-error skip --rejects r.dsr -o n.dsr q.dsr
    has '3 input = 2 output + 1 held: 1 convert.n'
    # 3 is for what was wrong; what a rule was asked to drop is 0.
    exits 0 dsprep filter -q --where 'number(meta.s) is not null' -o f.dsr q.dsr
    [ "$(dsprep cat -c n,t n.dsr)" = '{"key":"a","n":12,"t":"2026-03-01T10:00:00.000000000Z"}
{"key":"b","n":-7,"t":"2026-03-01T00:00:00.000000000Z"}' ]
    [ "$(dsprep cat -c reason,note r.dsr)" = '{"key":"c","reason":"convert.n","note":"\"9 \" is no i64"}' ]
    dsprep info --json n.dsr | jq -e '.held["map: convert.n"] == 1 or (.held | tostring | test("map: convert.n"))'
    exits 3 dsprep map --set age:i64=meta.age --set w:f64=meta.who --on-error null -o n.dsr q.dsr
    has 'age: 1 values could not' 'w: 3 values could not'
    [ "$(dsprep cat -c age n.dsr | jq -c .age)" = '41
null
null' ]
    # There and back, of every type.
    dsprep map -q --set n:i64='number(meta.s)' --on-error null q.dsr >n.dsr || [ $? -eq 3 ]
    dsprep map -q --cast n=f64 n.dsr | dsprep map -q --cast n=utf8 | dsprep map -q --cast n=json |
        dsprep map -q --cast n=i64 | dsprep cat -c n | cmp - <(dsprep cat -c n n.dsr)
    dsprep map -q --cast text=bytes q.dsr | dsprep map -q --cast text=utf8 | dsprep cat | cmp - <(dsprep cat q.dsr)
}

@test "map: numbers at the edges of their types" {
    printf '{"text":"%s"}\n' 9223372036854775807 9223372036854775808 -9223372036854775808 1e3 1.5 true 1e400 0x10 '' >e.jsonl
    dsprep text -q e.jsonl >e.dsr
    exits 3 dsprep map -q --set i:i64=text --set f:f64=text --set b:bool=text --on-error null -o o.dsr e.dsr
    [ "$(dsprep cat o.dsr | jq -c '[.i != null, .f != null, .b]' | tr '\n' ' ')" = \
        '[true,true,null] [false,true,null] [true,true,null] [true,true,null] [false,true,null] [false,false,true] [false,false,null] [false,false,null] [false,false,null] ' ]
    # A whole number that no double holds.
    head -n 1 e.jsonl >f.jsonl
    dsprep text -q f.jsonl | dsprep map -q --set n:i64=text >n.dsr
    exits 1 dsprep map --cast n=f64 -o x.dsr n.dsr
    has '"9223372036854775807" is no f64'
}

@test "map: the same for any threads; keys follow content or stay" {
    lines 6000 >l.txt
    dsprep text -q --split line l.txt >s.dsr
    dsprep map -q -j 1 --text 'prompt=<{text}>' --set 'n=len(text)' --drop text s.dsr >one.dsr
    dsprep map -q -j 8 --text 'prompt=<{text}>' --set 'n=len(text)' --drop text <s.dsr >eight.dsr
    cmp one.dsr eight.dsr
    dsprep check one.dsr
    [ "$(dsprep cat one.dsr | jq -r .prompt | head -n 1)" = "<$(head -n 1 l.txt)>" ]
    dsprep cat --origin s.dsr | jq -c .origin | cmp - <(dsprep cat --origin one.dsr | jq -c .origin)
    exits 1 dsprep map --set n:i64=text -o bad.dsr -j 8 s.dsr
    has 'record 0:'
}

@test "map: what makes no sense is refused" {
    records
    local o
    for o in --drop=nosuch --keep=nosuch --drop=key --rename=key=k --rename=nosuch=x --cast=text=tensor \
        --cast=nosuch=i64 --set=n=meta.age --set=n:i64= --set=n:i65=1 '--text=t={text' '--text=t=a}' \
        '--text=t=\q' --text=t={nosuch} --set=text.x=1 --set=key=text --cast=text; do
        exits 2 dsprep map "$o" -o x.dsr q.dsr
    done
    exits 2 dsprep map --set n=1 --set n=2 -o x.dsr q.dsr
    has 'made twice'
    exits 2 dsprep map q.dsr
    exits 1 dsprep map --rename text=meta -o x.dsr q.dsr
    exits 2 dsprep map --set meta.who.x=1 -o x.dsr q.dsr
    [ ! -e x.dsr ]
}
