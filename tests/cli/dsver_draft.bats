#!/usr/bin/env bats
# dsver diff with a record stream: what a commit would change, while nothing is written.

load dsver_common

ids() { # FIRST LAST
    seq "$1" "$2" | sed 's/.*/{"id":"k&","text":"line & of a log","n":&}/'
}

stream() { # FILE
    dsprep text -q --key-field id "$1"
}

# Every file of a store with its bytes, and when each was last changed. Which files SQLite keeps
# beside a database it opens to read is its own affair.
snapshot() { # STORE
    find "$1" -type f ! -name '*-shm' ! -name '*-wal' -printf '%P %T@ ' -exec sha256sum {} \; | sort
}

setup_data() {
    ids 1 3000 >a.jsonl
    sed -e 17d -e '2000s/log/LOG/' -e '2500a {"id":"new","text":"hi","n":0}' a.jsonl >b.jsonl
    stream a.jsonl | dsver commit d >/dev/null
    mkdir tmp
    export TMPDIR=$PWD/tmp
}

@test "a stream is compared as the version that it would become; nothing is written, and nothing left" {
    setup_data
    snapshot .dsver >before
    stream b.jsonl >b.dsr
    dsver diff d b.dsr >file
    stream b.jsonl | dsver diff d - >pipe
    stream b.jsonl | dsver diff - >default
    dsver diff d /dev/fd/3 3<b.dsr >fd
    snapshot .dsver >after
    cmp before after
    [ -z "$(ls tmp)" ]
    dsver commit d b.dsr >/dev/null
    dsver diff d >want
    for f in file pipe default fd; do
        cmp want "$f"
    done
    [ "$(sed -n 1,3p want)" = $'- "k17"\n~ "k2000": text\n+ "new"' ]
    dsver diff --json d~1 d | sed 's/"after":"[0-9a-f]*"/"after":null/' >want
    dsver diff --json d~1 b.dsr >json
    cmp want json
    exits 0 dsver diff --exit-code d b.dsr
    [ "$output" = "0 removed, 0 changed, 0 added: 3000 records before, 3000 after" ]
    exits 1 dsver diff --stat --exit-code d~1 b.dsr
}

@test "a folder of shards is compared as the stream that was cut" {
    setup_data
    awk 'BEGIN { for (i = 1; i <= 1500; i++) { t = ""; for (k = 0; k < 100; k++) t = t " " (i * 7919 + k * 104729) % 99991
        printf "{\"id\":\"s%d\",\"text\":\"%s\"}\n", i, t } }' >l.jsonl
    dsprep text -q --key-field id -z 0 --shard-size 300K -o shards l.jsonl
    [ "$(find shards -name '*.dsr' | wc -l)" -gt 2 ]
    sed 1d l.jsonl >less.jsonl
    stream less.jsonl | dsver commit d >/dev/null
    exits 1 dsver diff --exit-code d shards/
    [ "$output" = $'+ "s1"\n0 removed, 0 changed, 1 added: 1499 records before, 1500 after' ]
    stream l.jsonl | dsver commit d >/dev/null
    exits 0 dsver diff --exit-code d ./shards
    [ -z "$(ls tmp)" ]
    rm "$(find shards -name '*1.dsr' | head -n 1)"
    exits 12 dsver diff d shards/
    has "shards/: shard 1 is missing"
}

@test "--stats of a stream: what they are of its version, and --threshold stops a pipe before the commit" {
    setup_data
    sed 's/line/other words/' a.jsonl >c.jsonl
    stream c.jsonl >c.dsr
    exits 1 dsver diff --stats --threshold psi=0.2 d c.dsr
    stats=$output
    dsver commit d c.dsr >/dev/null
    exits 1 dsver diff --stats --threshold psi=0.2 d~1 d
    [ "$output" = "$stats" ]
    rm .dsver/stats.db*
    exits 0 dsver diff --stats --threshold psi=0.2 d c.dsr
    exits 1 dsver diff --stats --threshold psi=0.2 d~1 c.dsr
    [ "$output" = "$stats" ]
    [ ! -e .dsver/stats.db ]
}

@test "a stream that no commit takes is no draft either" {
    setup_data
    stream b.jsonl >b.dsr
    head -c 4000 b.dsr >cut.dsr
    exits 12 dsver diff d cut.dsr
    { cat a.jsonl && head -n 1 a.jsonl; } >twice.jsonl
    stream twice.jsonl >twice.dsr
    exits 1 dsver diff d twice.dsr
    [[ $output == *'k1'* ]]
    exits 2 dsver diff b.dsr d
    exits 13 dsver diff d none.dsr
    [ -z "$(ls tmp)" ]
}

@test "records that were erased stay so in a draft" {
    setup_data
    stream a.jsonl >a.dsr
    dsver forget --reason asked k5 >/dev/null
    dsver commit d a.dsr >/dev/null
    exits 0 dsver diff --exit-code d a.dsr
    [ "${lines[0]}" = "0 removed, 0 changed, 0 added: 3000 records before, 3000 after" ]
}

@test "references of dsprep files into the store are followed from a draft" {
    mkdir in tmp
    awk 'BEGIN {
        for (i = 1; i <= 600; i++) {
            for (n = i * 1000; n <= i * 1000 + 500; n++) print n >"in/" i
            close("in/" i)
        }
    }'
    until [ -z "$(find in -newermt '-2.2 seconds' -o -newerct '-2.2 seconds')" ]; do
        sleep 0.1 # what is younger is read again
    done
    dsprep files -q --store . in | dsver commit raw >/dev/null
    export TMPDIR=$PWD/tmp
    echo more >>in/7
    snapshot .dsver/packs >before
    dsprep files -q --store . in >refs.dsr
    [ "$(stat -c %s refs.dsr)" -lt 1300000 ] # of 2.1 MB: the block of the file, and references
    exits 0 dsver diff raw refs.dsr
    [ "${lines[0]}" = '~ "7": content' ]
    [ "${lines[1]}" = "0 removed, 1 changed, 0 added: 600 records before, 600 after" ]
    snapshot .dsver/packs >after
    cmp before after
}

@test "a draft over a lazy clone, and over a store that is only to be read; what gc and forget would do there" {
    setup_data
    stream b.jsonl >b.dsr
    dsver diff d b.dsr >want
    mkdir far
    dsver remote add origin far >/dev/null
    dsver push -q origin
    dsver clone -q --lazy far lazy
    [ -z "$(ls lazy/.dsver/packs)" ]
    dsver diff --store lazy d b.dsr >got
    cmp want got
    chmod -R a-w .dsver
    local as=()
    [ "$(id -u)" != 0 ] || as=(setpriv --inh-caps=-all --bounding-set=-dac_override,-dac_read_search,-fowner)
    run "${as[@]}" dsver diff d b.dsr
    local drafted=$status said=$output
    run "${as[@]}" dsver gc -n --no-wait
    local collected=$status$output
    run "${as[@]}" dsver forget -n --dataset d k2
    chmod -R u+w .dsver
    [ "$status" = 0 ]
    has "would erase 1 record"
    [[ $collected == "0"*"would remove 0 dead"* ]]
    [ "$drafted" = 0 ]
    [ "$said" = "$(cat want)" ]
}
