#!/usr/bin/env bats
# dsprep text: files, folders, archives and pipes into records of text.

load dsprep_common

# records INPUT...: as JSON lines.
records() { dsprep text -q "$@" >r.dsr && dsprep check r.dsr >/dev/null && dsprep cat r.dsr; }

# root FILE: the dataset root of a stream.
root() { dsprep check "$1" | grep -o 'sha256:[0-9a-f]*'; }

# says WORD...: words on standard error of the last run_text.
run_text() {
    status=0
    dsprep text "$@" >out.dsr 2>err || status=$?
    output=$(cat err)
}

# aborted: out.dsr tells its reader that the producer failed.
aborted() {
    run dsprep check out.dsr
    [ "$status" -ne 0 ]
}

tree() {
    mkdir -p t/sub/.dot t/empty
    printf 'hello\n' >t/b.txt
    printf '# title\n' >t/a.md
    printf 'hidden' >t/.h
    printf 'x' >t/sub/.dot/y
    printf 'z' >t/sub-1
    : >t/nothing.txt
    ln -s . t/loop
    ln -s b.txt t/link
}

@test "text: a folder gives a record a file, keyed by path, in byte order, links left out" {
    tree
    run_text t
    [ "$status" -eq 0 ]
    has '6 input = 6 output + 0 held + 0 failed' '2 symbolic or hard links left out'
    dsprep cat out.dsr >got
    cat >want <<'END'
{"key":".h","text":"hidden"}
{"key":"a.md","text":"# title\n"}
{"key":"b.txt","text":"hello\n"}
{"key":"nothing.txt","text":""}
{"key":"sub-1","text":"z"}
{"key":"sub/.dot/y","text":"x"}
END
    cmp got want
}

@test "text: an empty folder is a valid stream of no records" {
    mkdir e
    dsprep text e >e.dsr
    exits 0 dsprep check e.dsr
    [ -z "$(dsprep cat e.dsr)" ]
}

@test "text: the working directory, the locale and threads change no byte" {
    tree
    for i in 1 2 3; do lines 3000 >"t/lines$i.txt"; done
    dsprep text -q -j1 t >one
    for j in 2 8; do dsprep text -q -j$j t | cmp - one; done
    (cd t && dsprep text -q .) | cmp - one
    (cd t/sub && dsprep text -q ../../t/) | cmp - one
    LC_ALL=C.UTF-8 TZ=Asia/Tokyo dsprep text -q "$PWD/t" | cmp - one
    cp -r t t2 && mv t2/b.txt t2/c && mv t2/c t2/b.txt
    dsprep text -q t2 | cmp - one
}

@test "text: JSON lines keep members, order and number text" {
    printf '{"text":"a\\nb","id":7, "x": [ 1, 2.50 ],"e":1E5}\r\n\n  \n {"id":"k","text":"\\u4e2d\\ud83d\\ude00"}' >x.jsonl
    records x.jsonl --key-field id >got
    printf '%s\n' '{"key":"7","text":"a\nb","meta":{"x":[1,2.50],"e":1E5}}' '{"key":"k","text":"中😀","meta":null}' >want
    cmp got want
    records x.jsonl --no-meta | grep -v '"meta"' | grep -c '"key":"[0-9a-f]*","text"' | grep -x 2
}

@test "text: JSON lines give the same with any threads, through a pipe, and compressed" {
    lines 30000 | awk '{ printf "{\"id\":%d,\"text\":\"%s \\\"q\\\" \\n\",\"n\":[%d]}\n", NR, $0, NR }' >x.jsonl
    dsprep text -q -j1 x.jsonl >one
    for j in 2 8; do dsprep text -q -j$j x.jsonl | cmp - one; done
    want=$(root one)
    cat x.jsonl | dsprep text -q -f jsonl - >two
    [ "$(root two)" = "$want" ]
    gzip -k x.jsonl
    dsprep text -q x.jsonl.gz >three
    [ "$(root three)" = "$want" ]
    dsprep cat --no-key -c text one | head -n 1 | grep -q 'q\\" \\n'
}

@test "text: tables" {
    printf 'id,text,lang\r\n1,"a ""q"", b\nc",en\r\n\r\n2,plain,\r\n' >x.csv
    records x.csv --key-field id >got
    printf '%s\n' '{"key":"1","text":"a \"q\", b\nc","meta":{"lang":"en"}}' '{"key":"2","text":"plain","meta":{"lang":""}}' >want
    cmp got want
    printf 'body\tn\nsays "hi"\t1\n' >x.tsv
    records x.tsv --field body --no-meta | grep -q '"text":"says \\"hi\\""'
    run_text x.tsv
    [ "$status" -eq 1 ]
    has 'x.tsv: the header has no column "text"'
}

@test "text: pages" {
    printf '<html><title>T &amp; x</title><script>no</script><p>Hi <b>there</b><p>caf&eacute;' >p.html
    records p.html | grep -qxF '{"key":"p.html","text":"Hi there\n\ncafé","meta":{"title":"T & x"}}'
}

@test "text: --split cuts, and the same text has the same key" {
    printf 'one\n\n\ntwo\nlines\r\n\r\none\n' >s.txt
    records --split paragraph s.txt >got
    [ "$(wc -l <got)" -eq 3 ]
    [ "$(sed -n 1p got)" = "$(sed -n 3p got)" ]
    sed -n 2p got | grep -qF '"text":"two\nlines"'
    [ "$(records --split line s.txt | wc -l)" -eq 4 ]
    records --split bytes=5 s.txt | sed 's/.*"text":"\(.*\)","meta.*/\1/' | tr -d '\n' >joined
    [ "$(cat joined)" = 'one\n\n\ntwo\nlines\r\n\r\none\n' ]
    lines 40000 >big.txt
    for how in line paragraph bytes=1000; do
        dsprep text -q -j1 --split $how big.txt >one
        dsprep text -q -j8 --split $how big.txt | cmp - one
        cat big.txt | dsprep text -q --split $how - >two
        [ "$(root one)" = "$(root two)" ]
    done
    dsprep text -q --split line big.txt | dsprep cat --no-key -c text | sed 's/{"text":"\(.*\)"}/\1/' | cmp - big.txt
}

@test "text: archives" {
    tree
    rm t/loop t/link
    dsprep text -q t >folder.dsr
    (cd t && tar cf ../a.tar . && tar czf ../a.tgz .)
    dsprep text -q a.tar | dsprep cat | sed 's/"key":"a.tar\//"key":"/' | sort >got
    dsprep cat folder.dsr | sort | cmp - got
    dsprep text -q - <a.tgz | dsprep cat | sed 's/"key":"stdin\//"key":"/' | sort | cmp - got
    if command -v zip >/dev/null; then
        (cd t && zip -qr ../a.zip .)
        dsprep text -q a.zip | dsprep cat | sed 's/"key":"a.zip\//"key":"/' | sort | cmp - got
    fi
    if command -v 7z >/dev/null; then
        (cd t && 7z a -bd ../a.7z . >/dev/null)
        dsprep text -q a.7z | dsprep cat | sed 's/"key":"a.7z\//"key":"/' | sort | cmp - got
    fi
    printf '{"text":"in"}\n' >r.jsonl
    tar cf r.tar r.jsonl
    dsprep text -q r.tar | dsprep cat | grep -q '"text":"in"'
}

@test "text: a member that climbs out, a nested archive and a cut archive are named" {
    mkdir d && echo in >d/f && echo out >up
    (cd d && tar cPf ../climb.tar ../up f)
    run_text climb.tar
    [ "$status" -eq 1 ]
    has 'climb.tar/../up' 'climbs out'
    aborted
    run_text --on-error=skip climb.tar
    [ "$status" -eq 3 ]
    has '2 input = 1 output + 0 held + 1 failed'
    [ ! -e ../up ]
    tar cPf abs.tar "$PWD/up"
    run_text abs.tar
    [ "$status" -eq 1 ]
    has 'absolute'
    tar cf inner.tar up && tar cf outer.tar inner.tar d/f
    run_text --on-error=skip outer.tar
    [ "$status" -eq 3 ]
    has 'outer.tar/inner.tar' 'not looked into' '1 output'
    lines 20000 >l.txt && gzip l.txt && head -c 20000 l.txt.gz >cut.gz
    run_text cut.gz
    [ "$status" -eq 12 ]
    has 'cut.gz' 'ends too early'
    run_text --on-error=skip --split line cut.gz
    [ "$status" -eq 3 ]
    has '1 failed'
    exits 0 dsprep check out.dsr
}

@test "text: damage in an archive costs the member that has it, and of that what is behind the damage" {
    lines 3000 >a && lines 40000 | tail -n 9000 >b && echo last >c
    python3 - <<'EOF'
import zipfile
for name in "crc", "data":
    with zipfile.ZipFile(name + ".zip", "w", zipfile.ZIP_DEFLATED) as z:
        for f in "abc":
            z.writestr(f, open(f).read())
        b = z.getinfo("b")
    data = bytearray(open(name + ".zip", "rb").read())
    if name == "crc":
        crc = b.CRC.to_bytes(4, "little")
        data = data.replace(crc, bytes(c ^ 1 for c in crc))
    else:
        data[b.header_offset + 100000 : b.header_offset + 100020] = b"\xff" * 20
    open(name + ".zip", "wb").write(data)
EOF
    for z in crc data; do
        run_text --split line --on-error=skip $z.zip
        [ "$status" -eq 3 ]
        has "$z.zip/b: " 'damaged archive' ' 1 failed'
        [ "$(sed -n 's/.*near byte \([0-9]*\).*/\1/p' <<<"$output")" -le "$(stat -c %s $z.zip)" ]
        dsprep cat --no-key -c text out.dsr | grep -q '"text":"last"'
        [ "$(dsprep info --sources out.dsr | grep -c "$z.zip/[ac]")" -eq 2 ]
    done
    tar cf all.tar a b c && head -c 600000 all.tar >cut.tar
    run_text --split line --on-error=skip cut.tar
    [ "$status" -eq 3 ]
    has 'cut.tar/b: ' 'what follows in it is not read'
    [ "$(dsprep cat out.dsr | wc -l)" -gt 6000 ]
}

@test "text: zstd frames without data, and bytes behind the last one" {
    lines 5000 >a && zstd -q a -o z
    { printf '\120\052\115\030\010\0\0\0pzstd...'; cat z; } >front.zst
    { cat front.zst z; echo garbage; } >garbage.zst
    dsprep text -q --split line front.zst | dsprep cat --no-key -c text >got
    dsprep text -q --split line a | dsprep cat --no-key -c text | cmp - got
    run_text --split line --on-error=skip garbage.zst
    [ "$status" -eq 3 ]
    has 'damaged zstd data' '10000 output + 0 held + 1 failed'
    head -c 100000 z >cut.zst
    exits 12 dsprep text --split line cut.zst
}

@test "text: a bomb is not unpacked" {
    head -c 60000000 /dev/zero | tr '\0' 'a' | gzip >bomb.gz
    run_text bomb.gz
    [ "$status" -eq 1 ]
    has 'bomb.gz' 'more than 200 times its size'
    aborted
    run_text --max-ratio 0 --max-unpacked 1M bomb.gz
    [ "$status" -eq 1 ]
    has '1048576 bytes'
    run_text --max-ratio 0 bomb.gz
    [ "$status" -eq 0 ]
    # Holes come out of nothing, too.
    echo end >hole && truncate -s 64M hole && tar -S -cf hole.tar hole
    gzip -k hole.tar && zstd -q hole.tar
    for z in hole.tar hole.tar.gz hole.tar.zst; do
        exits 1 dsprep files $z
        has 'hole: ' 'more than 200 times its size'
    done
}

@test "text: what is not text stops the run and names file, offset and reason" {
    printf 'good\n' >a.txt
    printf 'b\xc3(d' >b.txt
    run_text a.txt b.txt
    [ "$status" -eq 1 ]
    has 'b.txt: offset 1: not valid UTF-8' '--on-error=skip'
    aborted
    printf 'nul\0' >c.txt
    run_text c.txt
    [ "$status" -eq 1 ]
    has 'c.txt: offset 3: a NUL byte'
    # The same for a file that is streamed.
    { head -c 3000000 /dev/zero | tr '\0' a; printf '\xff'; } >d.txt
    run_text d.txt
    [ "$status" -eq 1 ]
    has 'd.txt: offset 3000000: not valid UTF-8'
    printf 'caf\xe9' >e.txt
    printf '{"text":"x"}\n{"text":"\xff"}\n' >f.jsonl
    run_text f.jsonl
    [ "$status" -eq 1 ]
    has 'f.jsonl: offset 22: not valid UTF-8'
    records --encoding ISO-8859-1 e.txt | grep -qF '"text":"café"'
}

@test "text: skip and quarantine account for everything" {
    printf '%s\n' '{"text":"ok","id":1}' '{"text":' '{"no":1}' '{"text":5}' '[]' '{"text":"ok2","id":2}' \
        '{"text":"k","id":""}' '{"text":"twice","text":"x","id":4}' >x.jsonl
    run_text --on-error=skip --key-field id x.jsonl
    [ "$status" -eq 3 ]
    has '8 input = 2 output + 6 held + 0 failed' 'x.jsonl: offset 29: ' 'no member "text"' 'is there twice'
    exits 0 dsprep check out.dsr
    dsprep info --json out.dsr | grep -q '"invalid JSON":2'
    run_text --on-error=quarantine --quarantine q.jsonl --key-field id x.jsonl
    [ "$status" -eq 3 ]
    [ "$(wc -l <q.jsonl)" -eq 6 ]
    [ "$(stat -c %a q.jsonl)" = 600 ]
    head -n 1 q.jsonl | grep -qF '"source":"x.jsonl","reason":"invalid JSON"'
    [ "$(sed -n 's/.*"bytes":"\([^"]*\)".*/\1/p' q.jsonl | head -n 1 | base64 -d)" = '{"text":' ]
    run_text --key-field id x.jsonl
    [ "$status" -eq 1 ]
    aborted
    exits 2 dsprep text --on-error=quarantine x.jsonl
    exits 2 dsprep text --quarantine q x.jsonl
}

@test "text: only the first 20 problems are printed" {
    for i in $(seq 50); do echo '{bad'; done >x.jsonl
    run_text --on-error=skip x.jsonl
    [ "$status" -eq 3 ]
    [ "$(grep -c 'x.jsonl: offset' err)" -eq 20 ]
    has 'counted, not printed' '50 input = 0 output + 50 held + 0 failed'
}

@test "text: a record too long for memory is refused, and what follows is found" {
    { echo '{"text":"first"}'; head -c 40000000 /dev/zero | tr '\0' a; echo; echo '{"text":"last"}'; } >x.jsonl
    run_text --max-record 1M x.jsonl
    [ "$status" -eq 1 ]
    has 'x.jsonl: offset 17: longer than 1048576 bytes'
    run_text --max-record 1M --on-error=quarantine --quarantine q x.jsonl
    [ "$status" -eq 3 ]
    has '3 input = 2 output + 1 held'
    dsprep cat --no-key -c text out.dsr >got
    printf '%s\n' '{"text":"first"}' '{"text":"last"}' | cmp - got
    grep -q '"offset":17,"length":40000001' q
    grep -q '"truncated":true' q
    # 100 MB without a line end, in little memory.
    (
        case ${DS_BUILD:-} in *san*) ;; *) ulimit -v 200000 ;; esac
        head -c 100000000 /dev/zero | tr '\0' a | dsprep text -f jsonl --max-record 1M --on-error=skip -j1 - >out.dsr 2>err || echo "$?" >st
    )
    [ "$(cat st)" -eq 3 ]
    grep -q '1 input = 0 output + 1 held' err
    # As a document it is one record.
    head -c 50000000 /dev/zero | tr '\0' a | dsprep text -q - | dsprep check - | grep -q '1 record '
}

# A reader that waits holds the writer up: what is cut off then has not been read.
@test "text, logs, import: a file that is cut while it is read is counted as failed, and what is gone is told" {
    for cmd in 'text -j1 --split line' 'logs -j1 -f lines --join none' 'import -f jsonl'; do
        yes "$(printf '{"text":"%0988d"}' 7)" | head -c 41985025 >f || true
        # shellcheck disable=SC2086 # a command and its options
        { dsprep $cmd --on-error skip f 2>err || echo "$?" >st; } |
            { head -c 2000000 && truncate -s 20000000 f && cat; } >out.dsr
        grep -q 'f: it shrank while it was read: of 41985025 bytes the last 21985025 are gone' err
        case $cmd in
        import*) [ "$(cat st)" -eq 13 ] ;;
        *)
            grep -q '20001 input = 20000 output + 0 held + 1 failed' err
            [ "$(cat st)" -eq 3 ]
            dsprep check out.dsr
            ;;
        esac
    done
}

@test "text: deep JSON is refused" {
    { printf '{"text":"x","a":'; head -c 100000 /dev/zero | tr '\0' '['; head -c 100000 /dev/zero | tr '\0' ']'; echo '}'; } >x.jsonl
    run_text x.jsonl
    [ "$status" -eq 1 ]
    has 'x.jsonl: offset 115: nested deeper'
}

@test "text: what cannot be read is named" {
    run_text missing.txt
    [ "$status" -eq 13 ]
    has 'missing.txt: cannot open: No such file'
    aborted
    echo x >ok.txt
    run_text --on-error=skip missing.txt ok.txt
    [ "$status" -eq 3 ]
    has '2 input = 1 output + 0 held + 1 failed'
    mkdir d && echo x >"d/bad"$'\xff' && echo y >d/ok
    run_text d
    [ "$status" -eq 1 ]
    has $'bad\xef\xbf\xbdff: its name is not UTF-8'
    if [ -r /proc/self/mem ]; then
        run_text --on-error=skip /proc/self/mem ok.txt
        [ "$status" -eq 3 ]
        has '1 output' '1 failed'
    fi
    printf 'PK\3\4 not really' >report.docx
    run_text report.docx
    [ "$status" -eq 1 ]
    has 'an office document'
}

@test "text: byte order marks and encodings" {
    printf '\xef\xbb\xbfmark' >a.txt
    printf '\xff\xfeh\0i\0' >b.txt
    printf '\xfe\xff\0h\0i' >c.txt
    records a.txt b.txt c.txt >got
    printf '%s\n' '{"key":"a.txt","text":"mark"}' '{"key":"b.txt","text":"hi"}' '{"key":"c.txt","text":"hi"}' | cmp - got
    printf '\xef\xbb\xbf{"text":"x"}\n' >m.jsonl
    records m.jsonl | grep -q '"text":"x"'
    dsprep text -q m.jsonl | dsprep cat --origin | grep -q '"origin":\[\[0,3,12\]\]'
    printf '\xd6\xd0\xce\xc4' >g.txt
    records --encoding GB18030 g.txt | grep -q '"text":"中文"'
    run_text g.txt
    [ "$status" -eq 1 ]
    printf 'a\x80\xff\xff' >h.txt
    run_text --encoding GB18030 h.txt
    [ "$status" -eq 1 ]
    has 'h.txt: offset 1: not valid GB18030'
    exits 2 dsprep text --encoding nope a.txt
    has 'no such encoding: nope'
}

@test "text: one run has one kind of key" {
    echo doc >a.txt
    printf '{"id":"r","text":"row","n":1}\n' >b.jsonl
    run_text a.txt b.jsonl
    [ "$status" -eq 1 ]
    has 'b.jsonl: its records have no key'
    records --key-field id a.txt b.jsonl >got
    printf '%s\n' '{"key":"a.txt","text":"doc\n","meta":null}' '{"key":"r","text":"row","meta":{"n":1}}' | cmp - got
    [ "$(records --keys derived a.txt b.jsonl | wc -l)" -eq 2 ]
    exits 2 dsprep text --keys derived --key-field id b.jsonl
    exits 2 dsprep text --split line --keys explicit a.txt
}

@test "text: sources carry size and digest" {
    tree
    dsprep text -q t >t.dsr
    dsprep info --json --sources t.dsr >info
    grep -q "$(sha256sum t/b.txt | cut -d' ' -f1)" info
    grep -q 'sub/.dot/y' info
    ! grep -q "$PWD" info || return 1
}

@test "text: shards" {
    lines 20000 | awk '{ printf "{\"id\":%d,\"text\":\"%s\"}\n", NR, $0 }' >x.jsonl
    cp x.jsonl y.jsonl
    dsprep text -q -o out --shard-size 500K -z 0 x.jsonl y.jsonl
    [ "$(ls out | wc -l)" -gt 3 ]
    [ -z "$(ls -A out | grep -v '^shard-[0-9]*\.dsr$')" ]
    for f in out/*; do exits 0 dsprep check "$f"; done
    dsprep cat out/*.dsr >got
    dsprep text -q x.jsonl y.jsonl | dsprep cat | cmp - got
    fails dsprep text -q -o out x.jsonl
    has 'holds shards already'
    echo '{' >>y.jsonl
    fails dsprep text -q -o bad --shard-size 500K x.jsonl y.jsonl
    [ -z "$(ls -A bad)" ]
    mkdir none
    dsprep text -q -o empty none
    exits 0 dsprep check empty/shard-00000.dsr
}

@test "text: what the system refuses to read ends with 13, as for every other command" {
    mkdir d && ln -s nowhere l
    for c in text logs files; do
        exits 13 dsprep $c no-such-file
        exits 13 dsprep $c l
    done
}

@test "text, logs, import, export: options that can have no effect are errors" {
    echo '{"text":"x"}' >j.jsonl
    local c
    for c in 'text' 'logs -f json' 'import' 'files'; do
        exits 2 dsprep $c --shard-size 1M j.jsonl
        has '--shard-size needs -o'
    done
    exits 2 dsprep text -f text --json-text j.jsonl
    exits 2 dsprep text -f jsonl --delimiter ';' j.jsonl
    exits 2 dsprep logs -f json --delimiter ';' j.jsonl
    exits 2 dsprep logs --every 3s j.jsonl
    exits 2 dsprep import --infer --schema s j.jsonl
    exits 2 dsprep import --separator 3 j.jsonl
    dsprep import -q j.jsonl >j.dsr
    exits 2 dsprep export -f jsonl --hash sha256 j.dsr
    exits 2 dsprep export -f jsonl --separator 3 j.dsr
    exits 2 dsprep export -f jsonl --bare j.dsr
}

@test "text: a signal leaves no folder behind that was not there before" {
    mkfifo pipe
    dsprep text -o out pipe 2>err &
    pid=$!
    exec 7>pipe
    kill -TERM "$pid"
    exec 7>&-
    wait "$pid" || true
    [ ! -e out ]
    mkdir kept
    fails dsprep text -o kept no-such-file
    [ -d kept ]
    fails dsprep text -o new no-such-file
    [ ! -e new ]
}

@test "text: a signal ends the run, and the reader is told" {
    mkfifo pipe
    dsprep text --on-error=skip pipe >out.dsr 2>err &
    pid=$!
    exec 7>pipe # returns when it has been opened at the other end
    echo begun >&7
    kill -TERM "$pid"
    exec 7>&- # the signal may have come just before the read that would wait for more
    status=0
    wait "$pid" || status=$?
    [ "$status" -eq 143 ]
    aborted
}

@test "text: usage" {
    exits 2 dsprep text
    exits 0 dsprep text --help
    exits 2 dsprep text --format nope x
    exits 2 dsprep text --split bytes=0 x
    exits 2 dsprep text --split word x
    exits 2 dsprep text - -
    for o in --key-field --field; do
        exits 2 bash -c "echo '{\"a\":\"b\"}' | dsprep text $o a -"
        has "standard input has no name that tells its format, and $o is of those with fields: --format jsonl, csv or tsv"
    done
    exits 0 bash -c "printf '{\"text\":\"b\"}\r\n{\"text\":\"c\"}\r\n' | dsprep text - >one.dsr"
    has 'it is read as one text, and looks like JSON lines (--format jsonl)'
    exits 0 bash -c "printf '{x}, said she.\n' | dsprep text - >one.dsr"
    [[ "$output" != *'looks like'* ]]
    [ "$(echo '{"a":"b"}' | dsprep text -q --field a --format jsonl - | dsprep cat --no-key -c text)" = '{"text":"b"}' ]
}

@test "what a damaged compressed file has before the damage is read, and the file counted as failed" {
    lines 60000 >full.txt
    gzip -c full.txt >full.gz && xz -c full.txt >full.xz && bzip2 -c full.txt >full.bz2
    zstd -qc full.txt >full.zst
    size=$(wc -c <full.gz)
    head -c $((size * 2 / 3)) full.gz >cut.gz
    { cat full.gz && echo junk; } >more.gz
    for f in xz bz2 zst; do head -c $(($(wc -c <full.$f) * 2 / 3)) full.$f >cut.$f; done
    for f in cut.gz more.gz cut.xz cut.bz2 cut.zst; do
        exits 3 bash -c "dsprep text --split line --on-error skip $f >o.dsr"
        has "$f: damaged" '+ 1 failed'
        dsprep cat -c text o.dsr | jq -r .text >got
        n=$(wc -l <got)
        head -n "$n" full.txt | cmp - got
        case $f in
        cut.gz) [ "$n" -eq "$(gzip -dc cut.gz 2>/dev/null | wc -l)" ] ;;
        more.gz) [ "$n" -eq 60000 ] ;;
        *) [ "$n" -gt 10000 ] ;;
        esac
        exits 12 bash -c "dsprep text --split line $f >o.dsr"
    done
}

@test "a member that is encrypted is told to be, and the others are read" {
    command -v zip >/dev/null || skip "no zip"
    echo secret >a.txt && echo plain >b.txt
    zip -q -P key x.zip a.txt && zip -q x.zip b.txt
    exits 3 bash -c 'dsprep text --on-error skip x.zip >o.dsr'
    has 'x.zip/a.txt: it is encrypted'
    dsprep cat o.dsr | grep -F '{"key":"x.zip/b.txt","text":"plain\n"}'
    exits 1 bash -c 'dsprep files x.zip >o.dsr'
    has 'a.txt: it is encrypted'
}
