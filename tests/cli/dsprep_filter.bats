#!/usr/bin/env bats
# dsprep filter: expressions, rules, what becomes of what is dropped.

load dsprep_common

events() {
    cat >e.jsonl <<'END'
{"id":"a","text":"GET / 200","status":200,"user":{"id":"u1"},"at":"2026-03-01T10:00:00Z","tags":["x","y"]}
{"id":"b","text":"GET /login failed with an error","status":503,"user":{"id":"u2"},"at":"2026-03-02T10:00:00Z","took":1.5}
{"id":"c","text":"轴承已更换","status":"500","user":null,"took":9007199254740993}
{"id":"d","text":"a.b","status":null,"n":-7}
END
    dsprep text -q --key-field id e.jsonl >e.dsr
}

# keeps EXPR KEYS: the expression lets exactly these records through.
keeps() {
    local got
    got=$(dsprep filter -q --where "$1" e.dsr | dsprep cat -c key | sed 's/.*"key":"\([^"]*\)".*/\1/' | tr -d '\n')
    [ "$got" = "$2" ] || {
        echo "$1: keeps '$got', not '$2'"
        return 1
    }
}

@test "filter: expressions over columns and members of JSON" {
    events
    keeps 'meta.status >= 500' b
    keeps 'meta.status = 200 or meta.took > 1' abc
    keeps 'number(meta.status) >= 500' bc
    keeps 'meta.user.id in ["u1", "u3"]' a
    keeps 'meta.user.id not in ["u1"]' b
    keeps 'len(text) == 5 and size(text) == 15' c
    keeps 'words(text) > 2' ab
    keeps 'len(meta.tags) == 2' a
    keeps 'text contains "GET" and not text endswith "200"' b
    keeps 'text startswith "a"' d
    keeps 'text matches "^a\.b$"' d
    keeps 'text matches "\bfail"' b
    keeps 'lower(text) startswith "get"' ab
    keeps 'replace(text, "(\w)\.(\w)", "${2}$$$1") == "b$a"' d
    keeps 'len(replace(text, "[a-z ]", "xyz")) > 60' b
    keeps 'replace(lower(trim(replace(text, "\d+|/", " "))), "^get *", "") == ""' a
    keeps 'time(meta.at) > "2026-03-01T11:00:00+01:30"' ab
    keeps 'time(meta.at) >= "2026-03-02"' b
    keeps '2 * meta.took - 1 == 2' b
    keeps 'meta.n % 4 == -3 and -meta.n == 7 and meta.n / 2 == -3.5' d
    keeps 'meta.took == 9007199254740993' c
    keeps 'meta.took > 9007199254740992.0' c
    keeps 'coalesce(meta.took, meta.n, 0) == 0' a
    keeps 'text(meta.status) == "503"' b
    keeps '`key` in ["a", "d"]' ad
    keeps 'true' abcd
}

@test "filter: null is neither true nor false" {
    events
    keeps 'meta.status == null' ''
    keeps 'meta.status is null' d
    keeps 'meta.status is not null' abc
    keeps 'not (meta.took > 1)' ''
    keeps 'meta.took > 1 or true' abcd
    keeps 'meta.nosuch.deeper is null' abcd
    keeps 'meta.status / 0 is null' abcd
    dsprep filter --where 'meta.took > 1' e.dsr 2>err >/dev/null
    [ "$(cat err)" = 'dsprep filter: 4 input = 2 output + 2 held: 2 where.null' ]
}

@test "filter: an expression that cannot be is refused with its place" {
    events
    local e
    while IFS='|' read -r e why; do
        exits 2 dsprep filter --where "$e" e.dsr
        has "$why"
    done <<'END'
meta.status >|at byte 13 (its end): a value is wanted
nosuch > 1|at byte 0 (nosuch > 1): no column 'nosuch'
text > 1|cannot be compared
text|neither true nor false
len(5) > 1|this has no length
text matches meta.x|a pattern in quotes is wanted
replace(text, meta.x, "a") == ""|a pattern in quotes is wanted
replace(text, "a") == ""|',' is wanted
replace(text, "(", "a") == ""|pattern, at byte 1
replace(text, "(a)", "$2") == ""|no such group
replace(text, "a", "$x") == ""|a group
replace(text, "a", "${0") == ""|without }
replace(text, "a", text) == ""|a text in quotes
trim(5) == ""|takes text
text matches "("|pattern, at byte 1
text.member == 1|only columns of JSON have members
(text == "a"|')' is wanted
text == "a" meta|ended before this
text == "a|a text is not closed
"a" + 1 > 2|only numbers
time("2026-01-01") < "yesterday"|the text must be one
true < false|no order
1 = 1 and 5|both sides must be true or false
END
    e=$(printf '(%.0s' $(seq 100))
    exits 2 dsprep filter --where "$e" e.dsr
    has 'nested too deep'
}

@test "filter: input is output and held; rejects hold the rest, with reasons and origins" {
    stream 3000
    dsprep filter -q -j 1 --min-chars 73 --where 'text matches "w1"' --rejects r1.dsr s.dsr >k1.dsr
    dsprep filter -q -j 8 --min-chars 73 --where 'text matches "w1"' --rejects r8.dsr <s.dsr >k8.dsr
    cmp k1.dsr k8.dsr
    cmp r1.dsr r8.dsr
    dsprep check k1.dsr
    dsprep check r1.dsr
    { dsprep cat --origin -c text k1.dsr && dsprep cat --origin -c text r1.dsr; } | sort >both
    dsprep cat --origin -c text s.dsr | sort | cmp - both
    [ "$(dsprep cat -c reason r1.dsr | grep -c '"where"')" -gt 10 ]
    [ "$(dsprep cat -c reason,note r1.dsr | grep -c '"length.chars_min","note":"[67][0-9], limit 73"')" -gt 10 ]
    exits 0 dsprep info --json k1.dsr
    has '"filter: where":' '"filter: length.chars_min":' '"tool":"dsprep filter"' '"rules":{"length.chars_min":73.0}'
}

@test "filter: shards are read as one stream, and what was held before stays counted" {
    mkdir d
    lines 9000 >lines.txt
    dsprep text -q --split line --shard-size 100K -o d lines.txt
    [ "$(find d -name 'shard-*' | wc -l)" -gt 2 ]
    dsprep filter -q --where 'len(text) % 2 == 0' d >two.dsr
    dsprep filter -q --where 'text contains "w4"' two.dsr >four.dsr
    dsprep check four.dsr
    dsprep text -q --split line lines.txt | dsprep filter -q --where 'len(text) % 2 == 0' |
        dsprep filter -q --where 'text contains "w4"' | dsprep cat -c text >one
    dsprep cat -c text four.dsr | cmp - one
    exits 0 dsprep info --json four.dsr
    has '"filter: where":'
    local held records
    held=$(dsprep info four.dsr | awk '$1 == "held" { print $2 }')
    records=$(wc -l <one)
    [ $((held + records)) -eq 9000 ]
}

@test "filter: a block of any size, texts that are too large" {
    head -c 9000000 /dev/zero | tr '\0' 'a' >big.txt
    dsprep text -q --format text big.txt >b.dsr
    dsprep filter -q --min-chars 9000000 b.dsr | dsprep check
    exits 0 dsprep filter --max-text 1M --min-chars 1 b.dsr -o k.dsr
    has '1 too_large'
}

@test "filter: C4 drops lines, then documents" {
    {
        printf '{"id":"lines","text":"'
        printf '%s\\n' 'Home' 'The valve was replaced [1] on Monday. It runs again.' 'This site uses Cookies on every page.' \
            'Please enable JavaScript to go on.' 'no punctuation at the end of it' 'It goes on and on...' \
            '  The belt was tightened. The bearing is fine!  ' 'Is it \"done\" yet?'
        printf '"}\n'
        printf '{"id":"brace","text":"One two three. A b c. D e f. G h { i. J k l."}\n'
        printf '{"id":"lorem","text":"One two three. A b c. D e f. Lorem Ipsum dolor. J k l."}\n'
        printf '{"id":"few","text":"One two three. Four five six."}\n'
    } >c.jsonl
    dsprep text -q --key-field id c.jsonl >c.dsr
    dsprep filter -q --preset c4 --rejects r.dsr c.dsr | dsprep cat -c text >out
    [ "$(cat out)" = '{"key":"lines","text":"The valve was replaced  on Monday. It runs again.\nThe belt was tightened. The bearing is fine!\nIs it \"done\" yet?"}' ]
    [ "$(dsprep cat -c reason r.dsr | sed 's/.*"reason":"//; s/".*//' | tr '\n' ' ')" = 'c4.curly_bracket c4.lorem_ipsum c4.sentences_min ' ]
    [ "$(dsprep filter -q --preset c4 --set c4.sentences_min=2 c.dsr | dsprep cat | wc -l)" -eq 2 ]
    [ "$(dsprep filter -q --preset c4 --set c4.line_punctuation=off c.dsr | dsprep cat -c text | grep -c 'no punctuation')" -eq 1 ]
}

@test "filter: what ends a line: FineWeb's marks, not a semicolon, and those of other scripts" {
    printf '%s\n' '{"id":"code","text":"int first = 1;\nint second = 2;"}' '{"id":"quoted","text":"so he said it\nand \"so it was\""}' \
        '{"id":"hy","text":"Սա հայերեն է։\nԵվ սա էլ։"}' '{"id":"my","text":"မြန်မာ။\nစာ။"}' '{"id":"km","text":"ភាសាខ្មែរ។"}' \
        '{"id":"zh","text":"轴承已更换；\n机器运行"}' '{"id":"wide","text":"轴承已更换．"}' >l.jsonl
    dsprep text -q --key-field id l.jsonl | dsprep filter -q --set fineweb.ended_lines_min=0.5 --mark |
        dsprep cat | jq -r 'select(.filter).key' >got
    [ "$(tr '\n' ' ' <got)" = 'code zh ' ]
}

@test "filter: a derived key follows its text" {
    printf '{"text":"One two three [1]. A b c. D e f. G h i. J k l."}\n' >c.jsonl
    dsprep text -q c.jsonl | dsprep filter -q --preset c4 >k.dsr
    dsprep check k.dsr
    printf '{"text":"One two three . A b c. D e f. G h i. J k l."}\n' >d.jsonl
    dsprep text -q d.jsonl | dsprep cat -c text >want
    dsprep cat -c text k.dsr | cmp - want
}

@test "filter --list: values of a file's lines, or of a stream's records; what two streams have in common, and what not" {
    stream 40
    dsprep cat s.dsr | jq -r .key >keys
    [ "$(wc -l <keys)" -eq 40 ]
    { printf '\357\273\277'; sed -n '3p;9p' keys | sed 's/$/\r/'; echo; sed -n '20p' keys | tr -d '\n'; } >some
    exits 0 dsprep filter --list some=some -w 'key() in some' -o in.dsr s.dsr
    has '40 input = 3 output + 37 held: 37 where'
    sed -n '3p;9p;20p' keys | diff - <(dsprep cat in.dsr | jq -r .key)
    # The rest, by the stream of those; by a pipe, packed, and by what an expression gives.
    exits 0 dsprep filter -q --list seen=in.dsr -w 'key() not in seen' -o out.dsr s.dsr
    grep -vxFf <(tr -d '\r\357\273\277' <some | sed '/^$/d') keys | diff - <(dsprep cat out.dsr | jq -r .key)
    dsprep filter -q --list seen=<(cat in.dsr) -w 'key() not in seen' s.dsr | dsprep cat | diff - <(dsprep cat out.dsr)
    gzip -k some
    dsprep filter -q --list some=some.gz -w 'key() in some' s.dsr | dsprep cat | diff - <(dsprep cat in.dsr)
    dsprep filter -q --list 'same:lower(text)=in.dsr' -w 'lower(text) in same' s.dsr | dsprep cat | diff - <(dsprep cat in.dsr)
    # The provenance has a digest, and no path.
    dsprep info --json in.dsr | jq -e --arg sha "sha256:$(sha256sum <some | cut -c1-64)" \
        '.provenance[-1].digests == {"list some": $sha} and .provenance[-1].options.list == null'
    : >none
    exits 0 dsprep filter --list none=none -w 'key() in none' -o z.dsr s.dsr
    has 'there is nothing in none' '40 input = 0 output'
    printf 'ok\n\377\n' >bad
    exits 1 dsprep filter --list bad=bad -w 'key() in bad' s.dsr
    has '--list bad: bad: line 2: it is not valid UTF-8'
    exits 13 dsprep filter --list no=nosuch -w 'key() in no' s.dsr
    local o
    for o in some some= =some 1=some a/b=some some:=some some:text=some; do
        exits 2 dsprep filter --list "$o" -w 'key() in some' s.dsr
    done
    exits 2 dsprep filter --list a=some --list a=some -w 'key() in a' s.dsr
    exits 2 dsprep filter --list a=some -w 'key() in b' s.dsr
    exits 2 dsprep filter --list a=some --min-chars 1 s.dsr
    has '--list is asked by --where'
}

@test "filter --list: numbers, null, words of a text, and sites" {
    printf '%s\n' '{"n":1,"t":"Le CAFÉ-crème","u":"https://u:p@A.Example.ORG:80/x?q=//b.net"}' \
        '{"n":2.5,"t":"decaf\u00e9","u":"http://notexample.org/"}' '{"n":null,"t":null,"u":null}' \
        '{"n":"1","t":"creme cafe; 2 cafe cremes","u":"b.net."}' '{"n":10,"t":"我喜欢北京烤鸭","u":"//[::1]:8/"}' >r.jsonl
    dsprep import -q r.jsonl >r.dsr
    printf '1\n2.5\n' >n; printf 'Cafe creme\n京烤\n' >w; printf 'example.org\nb.net\n[::1]\n' >d
    exits 0 dsprep map -q --list n=n --list w=w --list d=d --set 'in=n in n' --set 'word=hasword(t, w)' \
        --set 'site=onsite(u, d)' -o m.dsr r.dsr
    [ "$(dsprep cat m.dsr | jq -c '[.in, .word, .site]' | tr '\n' ' ')" = \
        '[true,true,true] [true,false,false] [null,null,null] [true,false,true] [false,true,true] ' ]
    printf -- '--\n' >x
    exits 1 dsprep map --list x=x --set 'a=hasword(t, x)' r.dsr
    has "'--' has 0 words"
    exits 2 dsprep map --list n=n --drop t r.dsr
    # values that no host is are refused, as nothing would be on them
    for o in Example.org http://example.org/ .example.org example.org. example.org:80 '# sites' a@b.net; do
        printf 'b.net\n%s\n' "$o" >x
        exits 1 dsprep map --list x=x --set 'a=onsite(u, x)' r.dsr
        has "list x: '$o' is no host in small letters"
    done
    [ "$(dsprep map -q --list d=d --set 'b=onsite("http://", d)' r.dsr | dsprep cat | jq -c .b | sort -u)" = false ]
    # a long expression is not told of as memory
    exits 2 dsprep filter --list "n:replace(t, '$(printf '%01200d' 0)', '')=r.dsr" -w 't in n' r.dsr
    has 'NAME:EXPR is UTF-8, of 1000 bytes at most'
}

@test "filter: key() is the key, explicit or derived" {
    printf '{"id":"a","text":"x"}\n{"id":"b","text":"y"}\n' >k.jsonl
    dsprep text -q --key-field id k.jsonl >e.dsr
    dsprep text -q --field text --no-meta k.jsonl >d.dsr
    [ "$(dsprep filter -q -w "key() = 'b' and key = 'b'" e.dsr | dsprep cat -c key)" = '{"key":"b"}' ]
    dsprep map -q --set 'k=key()' d.dsr | dsprep cat | jq -se 'length == 2 and all(.[]; .k == .key)'
    [ "$(dsprep split -q --by 'key()' d.dsr | dsprep sort -q --by 'key()' | dsprep cat | wc -l)" -eq 2 ]
    exits 2 dsprep filter -w "key = 'b'" d.dsr
    has 'key() is that of a record'
    exits 2 dsprep filter -w "key(1) = 'b'" d.dsr
    # an empty part of a name ended it
    for o in 'meta.id.`` = "b"' 'meta.id.``.x = "b"' '`` = "b"'; do
        exits 2 dsprep filter -w "$o" e.dsr
        has 'a part of the name is empty'
    done
}

@test "filter: options that make no sense are refused" {
    stream 10
    exits 2 dsprep filter s.dsr
    has 'nothing to filter by'
    exits 2 dsprep filter --preset nosuch s.dsr
    has 'gopher-quality'
    exits 2 dsprep filter --set gopher.words=1 s.dsr
    exits 2 dsprep filter --set gopher.words_min=x s.dsr
    exits 2 dsprep filter --min-chars 1 -c nosuch s.dsr
    has "no column 'nosuch'"
    exits 2 dsprep filter --min-chars 1 --rejects - s.dsr
    exits 2 dsprep filter --min-chars 5 --max-chars 2 s.dsr
    has 'length.chars_min=5 is above length.chars_max=2'
    exits 2 dsprep filter --preset gopher --set gopher.words_max=20 s.dsr
    exits 0 dsprep filter -q --min-words 3 --max-words 3 -o three.dsr s.dsr
    exits 2 dsprep filter -w true -c text s.dsr
    exits 2 dsprep filter -w true --max-text 5 s.dsr
    local c
    for c in 'filter -w true' dedup 'decontaminate -a s.dsr'; do
        exits 2 dsprep $c --mark --rejects r.dsr s.dsr
        has 'with --mark nothing is'
    done
    [ ! -e r.dsr ]
    exits 2 dsprep redact --kinds email --all-ips s.dsr
    has '--all-ips is of ip, and --kinds email has none'
}

@test "filter: an output that is no file is written to, and stays what it is" {
    stream 100
    mkfifo p
    dsprep check p >got &
    dsprep filter -q --min-chars 1 -o p s.dsr
    wait $!
    grep -q '100 records' got
    [ -p p ]
}

@test "filter: a broken input leaves no output" {
    stream 3000
    head -c 100000 s.dsr >cut.dsr
    exits 12 dsprep filter --min-chars 1 --rejects r.dsr -o k.dsr cut.dsr
    [ ! -e k.dsr ]
    [ ! -e r.dsr ]
    dsprep filter -q --min-chars 1 cut.dsr >k.dsr || true
    fails dsprep check k.dsr
}
