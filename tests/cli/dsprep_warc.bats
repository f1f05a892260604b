#!/usr/bin/env bats
# dsprep text: archives of the web (WARC) into records of text.

load dsprep_common

# record TYPE FIELDS BLOCK: a record of a WARC; FIELDS end with \r\n each, both are formats of printf.
record() {
    local block
    printf "$3" >block
    block=$(wc -c <block)
    printf 'WARC/1.0\r\nWARC-Type: %s\r\n' "$1"
    printf "$2"
    printf 'Content-Length: %d\r\n\r\n' "$block"
    cat block
    printf '\r\n\r\n'
}

# page N TEXT: a response with a page.
page() {
    record response "WARC-Record-ID: <urn:x:$1>\r\nWARC-Target-URI: http://h/$1\r\n" \
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<title>T$1</title><p>$2"
}

crawl() {
    {
        record warcinfo '' 'software: x\r\n'
        page 1 'one'
        record request '' 'GET / HTTP/1.1\r\n\r\n'
        record response 'WARC-Record-ID: <urn:x:2>\r\nWARC-Date: 2024-03-01T00:00:00Z\r\nWARC-Identified-Payload-Type: text/plain\r\n' \
            'HTTP/1.1 404 No\r\nContent-Type: text/html; charset=ISO-8859-1\r\nContent-Language: fr\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ncaf\351\r\n0\r\n\r\n'
        record response 'WARC-Record-ID: <urn:x:3>\r\n' 'HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n\211PNG'
        record response 'WARC-Record-ID: <urn:x:4>\r\n' 'HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n\211PNG'
        record response 'WARC-Record-ID: <urn:x:5>\r\n' 'HTTP/1.1 301 Moved\r\nContent-Type: text/html\r\n\r\n'
        record conversion 'WARC-Record-ID: <urn:x:6>\r\nContent-Type: text/plain\r\n' 'w e t'
    } >c.warc
}

# members FILE.gz [PART...]: parts, a gzip member each.
members() {
    local to=$1
    shift
    for m in "$@"; do gzip -nc "$m"; done >"$to"
}

@test "warc: documents with their ids as keys; images are held by type, requests left out" {
    crawl
    dsprep text c.warc >out.dsr 2>err && exit 1 || [ $? -eq 3 ]
    grep -qx 'dsprep text: 6 input = 3 output + 3 held + 0 failed; no text in 3 held: 2 image/png, 1 no content; no documents, left out: 1 request, 1 warcinfo' err
    dsprep cat out.dsr >got
    cat >want <<'END'
{"key":"urn:x:1","text":"one","meta":{"url":"http://h/1","title":"T1","mime":"text/html","status":200}}
{"key":"urn:x:2","text":"café","meta":{"date":"2024-03-01T00:00:00Z","mime":"text/plain","status":404,"language":"fr"}}
{"key":"urn:x:6","text":"w e t","meta":{"mime":"text/plain"}}
END
    cmp got want
    dsprep text --json c.warc 2>&1 >/dev/null |
        grep -qF '"held":{"image/png: no text":2,"no content: no text":1},"failed":{},"left_out":{"links":0,"special":0,"stores":0,"of_another_kind":0,"records":{"request":1,"warcinfo":1}}'
    # Nothing is wrong with an image: it is told of in the quarantine without its bytes.
    dsprep text -q --on-error quarantine --quarantine q c.warc >again.dsr && exit 1 || [ $? -eq 3 ]
    dsprep cat again.dsr | cmp - want
    [ "$(grep -c '"image/png: no text"' q)" -eq 2 ]
    [ "$(grep -c '"bytes"' q)" -eq 0 ]
}

@test "warc: the same records from gz, zst, a pipe, small blocks and any number of threads" {
    crawl
    for i in $(seq 300); do page "9$i" "page $i $(head -c "$((i * 7))" /dev/zero | tr '\0' x)"; done >>c.warc
    gzip -kn c.warc
    zstd -q c.warc
    dsprep text -q c.warc | dsprep cat >want || true
    [ "$(wc -l <want)" -eq 303 ]
    for f in c.warc.gz c.warc.zst; do
        dsprep text -q -j3 "$f" >out.dsr || true
        dsprep cat out.dsr | cmp - want
    done
    dsprep text -q -j1 --format warc - <c.warc >out.dsr || true
    dsprep cat out.dsr | cmp - want
    tar cf t.tar c.warc
    dsprep text -q t.tar >out.dsr || true
    dsprep cat out.dsr | cmp - want
}

@test "warc: a zst with a dictionary in front" {
    python3 - <<'END'
import struct
def rec(i, n):
    b = b'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n' + b'record %d' % i + b' abcdefgh' * n
    return b'WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:x:%d>\r\nContent-Length: %d\r\n\r\n' % (i, len(b)) + b + b'\r\n\r\n'
for i in range(40):
    open('r%02d' % i, 'wb').write(rec(i, i))
open('c.warc', 'wb').write(b''.join(rec(i, i) for i in range(40)))
END
    zstd -q --train -B200 --maxdict=1024 c.warc -o dict 2>/dev/null || skip 'no dictionary can be trained here'
    for f in r*; do zstd -qc -D dict "$f"; done >frames
    { printf '\x5d\x2a\x4d\x18'; python3 -c 'import os,struct,sys; sys.stdout.buffer.write(struct.pack("<I", os.path.getsize("dict")))'; cat dict frames; } >d.warc.zst
    zstd -qf dict -o dict.zst
    { printf '\x5d\x2a\x4d\x18'; python3 -c 'import os,struct,sys; sys.stdout.buffer.write(struct.pack("<I", os.path.getsize("dict.zst")))'; cat dict.zst frames; } >z.warc.zst
    dsprep text -q c.warc | dsprep cat >want
    [ "$(wc -l <want)" -eq 40 ]
    dsprep text -q d.warc.zst | dsprep cat | cmp - want
    dsprep text -q z.warc.zst | dsprep cat | cmp - want
    # A dictionary that is cut short.
    head -c 200 d.warc.zst >e.warc.zst
    exits 12 dsprep text -q -o out e.warc.zst
    has 'the file ends too early'
}

@test "warc: a damaged record costs that record, and is named" {
    for i in 1 2 3 4 5; do page $i "text $i"; done >c.warc
    dsprep text -q c.warc | dsprep cat >all
    grep -v '"urn:x:3"' all >without
    at=$(grep -abo 'WARC/1.0' c.warc | sed -n '3s/:.*//p')
    # Its header, its length, its block.
    sed '/urn:x:3/{s/WARC/XXXX/}' c.warc >len.warc
    python3 - "$at" <<'END'
import sys
at = int(sys.argv[1])
p = open('c.warc', 'rb').read()
open('head.warc', 'wb').write(p[:at] + b'XXXX' + p[at + 4:])
k = p.index(b'Length: ', at) + 8
open('len.warc', 'wb').write(p[:k] + b'9' + p[k:])
open('cut.warc', 'wb').write(p[:at + 120] + p[at + 140:])
END
    for f in head len cut; do
        dsprep text --on-error skip $f.warc >out.dsr 2>err && exit 1 || [ $? -eq 3 ]
        grep -q "^dsprep: $f.warc: offset $at: " err
        grep -q '5 input = 4 output + 1 held + 0 failed$' err
        dsprep cat out.dsr | cmp - without
    done
    exits 1 dsprep text -q -o out cut.warc
    has "offset $at: its block is not as long as its Content-Length says"
    # What is behind the last whole record.
    head -c -20 c.warc >end.warc
    dsprep text --on-error skip end.warc 2>err | dsprep cat | cmp - <(head -4 all)
    grep -q '5 input = 4 output + 1 held + 0 failed$' err
    # It begins as none.
    exits 1 dsprep text -q -o out --format warc without
    has 'it does not begin as a WARC does'
}

@test "warc: behind a damaged member of a gz or zst the rest is read" {
    for i in 1 2 3 4 5; do page $i "text $i $(seq 200 | tr '\n' ' ')" >r$i; done
    cat r[1-5] >c.warc
    dsprep text -q c.warc | dsprep cat | grep -v '"urn:x:3"' >without
    members a.gz r1 r2
    members b.gz r3
    members c.gz r4 r5
    for f in r1 r2; do zstd -qc $f; done >a.zst
    zstd -qc r3 >b.zst
    for f in r4 r5; do zstd -qc $f; done >c.zst
    for z in gz zst; do
        n=$(wc -c <b.$z)
        # A bit in the middle; the sum at its end; its first bytes; what is left of one cut off.
        python3 - $z "$n" <<'END'
import sys
z, n = sys.argv[1], int(sys.argv[2])
a, b, c = (open(x + '.' + z, 'rb').read() for x in 'abc')
flip = lambda i: b[:i] + bytes([b[i] ^ 0x55]) + b[i + 1:]
for name, m in ('mid', flip(n // 2)), ('sum', flip(n - 3)), ('head', flip(1)), ('cut', b[:n // 2]):
    open(name + '.warc.' + z, 'wb').write(a + m + c)
END
        for f in mid sum head cut; do
            dsprep text --on-error skip $f.warc.$z >out.dsr 2>err && exit 1 || [ $? -eq 3 ]
            grep -q "^dsprep: $f.warc.$z: damaged .* data near byte .*; read on behind it$" err
            dsprep cat out.dsr | cmp - without
        done
    done
    # One that is no record a member is read as far as it goes, as ever.
    gzip -nc c.warc | head -c -400 >one.warc.gz
    exits 12 dsprep text -q -o out one.warc.gz
}

@test "warc: digests are checked; bodies that cannot be read are named" {
    record response 'WARC-Record-ID: <urn:x:1>\r\nWARC-Block-Digest: sha1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n' 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nx' >b.warc
    exits 1 dsprep text -q -o out b.warc
    has 'its block is not what its WARC-Block-Digest says'
    sed 's/Block-Digest/Payload-Digest/' b.warc >p.warc
    exits 1 dsprep text -q -o out p.warc
    has 'its body is not what its WARC-Payload-Digest says'
    # Where the block's digest is right it says so in meta.
    sum=$(printf 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nx' | sha1sum | cut -d' ' -f1)
    sed "s/^Content-Length/WARC-Block-Digest: sha1:$sum\r\n&/" p.warc >ok.warc
    [ "$(dsprep text -q ok.warc | dsprep cat)" = '{"key":"urn:x:1","text":"x","meta":{"mime":"text/plain","status":200,"digest":"sha1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","digest_ok":false}}' ]
    local head='HTTP/1.1 200 OK\r\nContent-Type: text/plain'
    for body in 'Content-Encoding: sdch\r\n\r\nx|content encoding "sdch" is not known' \
        'Transfer-Encoding: chunked\r\n\r\n9\r\nx|chunks end too early' \
        'Content-Encoding: gzip\r\n\r\n\037\213\010\000\000|gzip encoding is damaged: it ends too early'; do
        record response 'WARC-Record-ID: <urn:x:1>\r\n' "$head\r\n${body%|*}" >w.warc
        exits 1 dsprep text -q -o out w.warc
        has "${body##*|}"
    done
    record response 'WARC-Record-ID: <urn:x:1>\r\n' "$head; charset=no-such\r\n\r\nx" >w.warc
    exits 1 dsprep text -q -o out w.warc
    has '"no-such", which is no known encoding'
    printf '' >e.warc
    [ -z "$(dsprep text -q e.warc | dsprep cat)" ]
}

@test "warc: keys, pieces, encodings and long records are as options say" {
    { page 1 'a<p>b'; page 2 'caf\351'; } >c.warc
    dsprep text -q --encoding windows-1252 --key-field url c.warc | dsprep cat >got
    cat >want <<'END'
{"key":"http://h/1","text":"a\n\nb","meta":{"id":"urn:x:1","title":"T1","mime":"text/html","status":200}}
{"key":"http://h/2","text":"café","meta":{"id":"urn:x:2","title":"T2","mime":"text/html","status":200}}
END
    cmp got want
    exits 1 dsprep text -q -o out c.warc
    has 'not valid UTF-8'
    exits 1 dsprep text -q -o out --key-field nothing c.warc
    has 'nothing that it can be keyed by'
    dsprep text -q --encoding windows-1252 --split paragraph --no-meta c.warc | dsprep cat |
        sed 's/"key":"[^"]*",//' >got
    printf '{"text":"a"}\n{"text":"b"}\n{"text":"café"}\n' | cmp - got
    # A long video is a video; a long page is too long; what is in them is no record.
    {
        page 1 'a'
        record response 'WARC-Record-ID: <urn:x:2>\r\n' "HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n$(page 7 x; seq 400000)"
        page 3 'c'
        record response 'WARC-Record-ID: <urn:x:4>\r\n' "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n$(page 8 x; seq 400000)"
        page 5 'e'
    } >c.warc
    for j in 1 3; do
        dsprep text -j$j --max-record 100k --no-meta --on-error skip c.warc >out.dsr 2>err && exit 1 || [ $? -eq 3 ]
        grep -q '5 input = 3 output + 2 held + 0 failed; no text in 1 held: 1 video/mp4' err
        dsprep cat out.dsr >got
        printf '{"key":"urn:x:%d","text":"%s"}\n' 1 a 3 c 5 e | cmp - got
    done
}

@test "warc: a length that hides the records behind it is told of; heads in heads take no time" {
    for i in 1 2 3 4 5 6 7 8; do page $i "text $i $(seq 70000 | tr '\n' ' ')"; done >c.warc
    at=$(grep -abo 'WARC/1.0' c.warc | sed -n '2s/:.*//p') next=$(grep -abo 'WARC/1.0' c.warc | sed -n '3s/:.*//p')
    for n in 9 2; do # beyond the end, and into another record
        sed "/urn:x:2>/,/^Content/s/^Content-Length: /&$n/" c.warc >l.warc
        for j in 1 3; do
            dsprep text -j$j --max-record 500k --on-error skip l.warc >out.dsr 2>err && exit 1 || [ $? -eq 3 ]
            grep -q "offset $at: it is not as long as it says, and hides what follows from offset $((next + 1)) on" err
            grep -q ' 1 failed' err
        done
        # Where there is memory for it nothing is lost.
        dsprep text --max-record 9M --on-error skip l.warc 2>err >out.dsr || true
        grep -q '8 input = 7 output + 1 held + 0 failed' err
    done
    # Of an image, too: its file was cut off.
    { page 1 a; record response '' "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n$(seq 600000)"; } | head -c 3500000 >i.warc
    dsprep text --max-record 100k --on-error skip i.warc 2>&1 >/dev/null | grep -q 'it is not as long as it says$'
    { page 1 a; yes "$(printf 'WARC/1.0\nA:')" | head -n 300000; } >f.warc
    timeout 20 dsprep text -q --on-error skip f.warc | dsprep cat | cut -c-16 | grep -qx '{"key":"urn:x:1"'
}

@test "warc: types without end are counted as others; a segment says that it is one" {
    python3 - >t.warc <<'END'
for i in range(20000):
    b = 'HTTP/1.1 200 OK\r\nContent-Type: a/%d%s\r\n\r\nx' % (i % 15000, 'b' * 60)
    print('WARC/1.0\r\nWARC-Type: response\r\nContent-Length: %d\r\n\r\n%s\r\n\r' % (len(b), b))
END
    dsprep text t.warc 2>err >out.dsr && exit 1 || [ $? -eq 3 ]
    grep -q '20000 held: 18000 other types, 2 a/' err
    record response 'WARC-Record-ID: <urn:x:1>\r\nWARC-Segment-Number: 1\r\n' 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nx' >s.warc
    dsprep text -q s.warc | dsprep cat | grep -qF '"truncated":"segment"'
}

@test "warc: a version of a crawl is made again" {
    mkdir src
    crawl
    mv c.warc src/
    dsver init >/dev/null
    (cd src && dsprep text -q c.warc --on-error skip) | dsver commit web >/dev/null || true
    exits 0 dsver rebuild web --source src
}
