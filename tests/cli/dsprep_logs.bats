#!/usr/bin/env bats
# dsprep logs: log files into records with typed columns.

load dsprep_common

# logs ARG...: the stream in out.dsr, words in err.
logs() {
    status=0
    dsprep logs "$@" >out.dsr 2>err || status=$?
    output=$(cat err)
}

syslog() {
    cat <<'END'
Dec 31 23:59:58 web1 sshd[811]: Failed password
Jan  1 00:00:01 web1 CRON[99]: (root) CMD (true)
Dec 31 23:59:59 web1 late: straggler
Jan  2 00:00:00 web1 app: boom
java.lang.NullPointerException: x
	at com.foo.Bar.baz(Bar.java:10)
END
}

access() {
    awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++)
        printf "10.0.%d.%d - - [10/Oct/2000:13:%02d:%02d -0700] \"GET /p/%d HTTP/1.1\" 200 %d \"-\" \"curl/7\"\n",
            i % 256, i % 251, int(i / 60) % 60, i % 60, i % 1000, i }'
}

@test "logs: years follow the file's name or --year, and never a clock" {
    syslog >messages-20240131
    syslog >messages.1
    logs messages-20240131
    [ "$status" -eq 0 ]
    has 'messages-20240131: syslog: 4 of 4 records' '4 input = 4 output' 'earlier than the one before'
    dsprep cat -c time out.dsr | grep -o '"20[^"]*"' >got
    printf '"%s.000000000Z"\n' 2023-12-31T23:59:58 2024-01-01T00:00:01 2023-12-31T23:59:59 \
        2024-01-02T00:00:00 >want
    diff want got
    logs messages.1
    [ "$status" -eq 1 ]
    has 'messages.1: offset 0' '--year'
    logs --year 2019 --timezone +01:00 messages.1
    [ "$status" -eq 0 ]
    dsprep cat -c time out.dsr | grep -q '2020-01-01T23:00:00.000000000Z'
}

@test "logs: a trace is part of its record, and origins are the bytes" {
    syslog >m
    dsprep logs -q --year 2024 m | dsprep cat --origin | tail -n 1 >got
    grep -q '"text":"boom\\njava.lang.NullPointerException: x\\n\\tat com.foo.Bar.baz(Bar.java:10)"' got
    read -r offset len < <(sed 's/.*"origin":\[\[0,\([0-9]*\),\([0-9]*\)\]\].*/\1 \2/' got)
    dd if=m bs=1 skip="$offset" count="$len" status=none >piece
    [ "$(head -n 1 piece)" = 'Jan  2 00:00:00 web1 app: boom' ]
    [ "$(wc -l <piece)" -eq 2 ]
}

@test "logs: a folder of several formats, decided for each; what none reads is lines, what is no text is named" {
    mkdir d
    syslog >d/messages-20240131
    access 50 | gzip -n >d/access.log.gz
    printf '{"ts":1705312800,"level":"error","msg":"x","k":[1, 2]}\n' >d/app.json
    printf 'Dear all,\nnothing here is a log.\n' >d/letter
    printf 'tty\0\0\0\1root\0' >d/wtmp
    logs --report r.json d
    [ "$status" -eq 0 ]
    has 'access.log.gz: combined: 50 of 50' 'app.json: json: 1 of 1' 'letter: lines: no format reads' \
        'wtmp: left out: it is no text: a NUL byte at offset 3' \
        '57 input = 57 output + 0 held + 0 failed; 1 files of another kind left out'
    dsprep check out.dsr
    [ "$(dsprep cat -c format out.dsr | sort | uniq -c | awk '{ print $1 }' | sort -n | tr '\n' ' ')" != '' ]
    [ "$(dsprep cat -c format out.dsr | grep -c combined)" -eq 50 ]
    dsprep cat out.dsr | grep '"format":"json"' >got
    grep -q '"severity":3,"level":"error"' got
    grep -q '"fields":{"k":\[1,2\]}' got
    grep -q '"text":"Dear all,".*"format":"lines"' <(dsprep cat out.dsr)
    jq -e '.records == 57 and .failed == 0 and (.sources | length) == 4' r.json
    logs d/letter
    [ "$status" -eq 0 ]
    logs -f lines d/letter
    [ "$status" -eq 0 ]
    logs d/wtmp # that was asked for
    [ "$status" -eq 1 ]
    logs - <d/wtmp
    [ "$status" -eq 1 ]
    has 'a NUL byte at offset 3'
    # The folder's is not the one that was asked for, though it is called so.
    mkdir other
    syslog >other/wtmp
    logs --year 2024 d other/wtmp
    [ "$status" -eq 0 ]
    has 'wtmp: left out'
    gzip -k d/wtmp
    mv d/wtmp.gz x.gz
    logs x.gz
    [ "$status" -eq 1 ]
}

# zone TZ FILE: a folder with one zone's file, of version 2, with no transitions but its rule.
zone() {
    mkdir -p "$(dirname "zones/$1")"
    {
        for _ in 1 2; do
            printf TZif2
            head -c 31 /dev/zero
            printf '\0\0\0\1\0\0\0\4\0\0\0\0\0\0LMT\0'
        done
        printf '\n%s\n' "$2"
    } >"zones/$1"
    export TZDIR=$PWD/zones
}

@test "logs: a named zone, with its summer times, hours that are there twice, and abbreviations" {
    zone Europe/Berlin CET-1CEST,M3.5.0,M10.5.0/3
    printf '%s\n' '2024-01-15 12:00:00 INFO winter' '2024-03-31 02:30:00 INFO skipped' '2024-07-15 12:00:00 INFO summer' \
        '2024-07-15 12:00:01Z INFO said' '2024-07-15 14:00:02 CEST INFO said, too' '2024-10-27 02:59:59 INFO the first time' \
        '2024-10-27 02:00:00 INFO the second' '2024-10-27 02:59:59 INFO the second, too' '2024-10-27 03:00:00 INFO once' >a.log
    logs -f app --timezone Europe/Berlin --report r.json a.log
    [ "$status" -eq 0 ]
    [ "$(dsprep cat -c time out.dsr | jq -r .time | tr '\n' ' ')" = '2024-01-15T11:00:00.000000000Z 2024-03-31T01:30:00.000000000Z 2024-07-15T10:00:00.000000000Z 2024-07-15T12:00:01.000000000Z 2024-07-15T12:00:02.000000000Z 2024-10-27T00:59:59.000000000Z 2024-10-27T01:00:00.000000000Z 2024-10-27T01:59:59.000000000Z 2024-10-27T02:00:00.000000000Z ' ]
    has '3 records are of hours that the clock showed twice'
    jq -e '.shown_twice == 3' r.json
    dsprep info --json out.dsr | jq -e '.provenance[0].options.timezone_data | startswith("sha256:")'
    # The process's own zone is nobody's business; neither are threads.
    TZ=Asia/Tokyo dsprep logs -q -j 3 -f app --timezone Europe/Berlin a.log | cmp - out.dsr
    # Without a year, as syslog has it.
    printf '%s\n' 'Jul 15 12:00:00 h a: summer' 'Dec  1 12:00:00 h a: winter' >s.log
    logs -f syslog --year 2024 --timezone Europe/Berlin s.log
    [ "$(dsprep cat -c time out.dsr | jq -r .time | tr '\n' ' ')" = '2024-07-15T10:00:00.000000000Z 2024-12-01T11:00:00.000000000Z ' ]
    # What is not known is named.
    logs -f app --timezone Europe/Berlyn a.log
    [ "$status" -eq 2 ]
    has 'Europe/Berlyn: no zone of that name in' 'zones'
    # Abbreviations that mean one offset count; those that do not stay in the text.
    printf '%s\n' '2024-01-15 12:00:00 EST late' '2024-01-15 12:00:00 CST which' 'Mon Jan 15 12:00:00 CET 2024 date' >z.log
    logs -f app z.log
    [ "$(dsprep cat -c time,text out.dsr | jq -r '.time[11:16] + .text' | tr '\n' ' ')" = '17:00late 12:00CST which 11:00date ' ]
}

@test "logs: bad lines are held with their bytes, and everything adds up" {
    access 20 >a.log
    printf 'nonsense\n\377\376 bad\nx\0y\n' >>a.log
    access 1 >>a.log
    logs -f nginx --on-error quarantine --quarantine q.jsonl a.log
    [ "$status" -eq 3 ]
    has '24 input = 21 output + 3 held + 0 failed'
    [ "$(jq -r .reason q.jsonl | tr '\n' '|')" = 'malformed|invalid UTF-8|NUL byte|' ]
    [ "$(jq -r .bytes q.jsonl | head -n 1 | base64 -d)" = nonsense ]
    logs -f nginx a.log
    [ "$status" -eq 1 ]
    run dsprep check out.dsr
    [ "$status" -ne 0 ]
}

@test "logs: the same bytes for any number of threads, from a file, a pipe and an archive member" {
    { access 16000; syslog; access 16000; } >a.log
    dsprep logs -q -j1 -f nginx --on-error skip a.log >one.dsr || [ $? -eq 3 ]
    dsprep logs -q -j3 -f nginx --on-error skip a.log >many.dsr || [ $? -eq 3 ]
    cmp one.dsr many.dsr
    mkdir d
    for i in 1 2 3 4 5 6 7 8 9; do syslog >d/m-2024010$i; done
    dsprep logs -q -j1 d >one.dsr
    dsprep logs -q -j4 d >many.dsr
    cmp one.dsr many.dsr
    awk 'BEGIN { for (i = 0; i < 20000; i++)
        printf "2024-01-15 10:00:00 INFO n %d of those with a trace behind them\n\tat x.y(%d)\n\n", i, i }' >t.log
    dsprep logs -q -j1 t.log | dsprep cat --data -c text,time,severity,level >one
    [ "$(wc -l <one)" -eq 20000 ]
    dsprep logs -q -j3 - <t.log | dsprep cat --data -c text,time,severity,level >many
    cut -d, -f2- one >a
    cut -d, -f2- many >b
    cmp a b
}

@test "logs: tables whose fields change within the file are read right, whatever the threads" {
    awk 'BEGIN {
        for (i = 0; i < 24000; i++) {
            if (i % 5000 == 0)
                printf "#Software: x\r\n#Date: 2024-01-%02d 00:00:00\r\n#Fields: %s\r\n", 1 + i / 5000,
                    i % 10000 ? "time sc-status cs-uri-stem cs(User-Agent)" : "cs-uri-stem date time c-ip sc-status"
            t = sprintf("%02d:%02d:%02d", i / 3600 % 24, i / 60 % 60, i % 60)
            if (int(i / 5000) % 2) printf "%s %d /p/%d Mozilla/5.0+(X11;+a+long+name+of+a+browser+that+fills+a+block)\r\n", t, 200 + i % 300, i
            else printf "/p/%d 2023-02-%02d %s 198.51.100.%d %d\r\n", i, 1 + i / 5000, t, i % 256, 200 + i % 300
            printf "{\"time\":\"%s-%02dT%s.000000000Z\",\"path\":\"/p/%d\",\"status\":%d}\n",
                int(i / 5000) % 2 ? "2024-01" : "2023-02", 1 + i / 5000, t, i, 200 + i % 300 >"want"
        }}' >iis.log
    logs -j1 iis.log
    has 'iis.log: w3c: 200 of 200 records' '24000 input = 24000 output'
    dsprep cat --data -c path,status,time out.dsr | sed 's/"key":"[^"]*",//' >got
    cmp want got
    cp out.dsr one.dsr
    logs -j3 iis.log
    cmp one.dsr out.dsr
    logs -f w3c - <<<'10:00:00 no head'
    [ "$status" -eq 1 ]
    has 'offset 0: w3c: no line before it names the fields'
}

@test "logs: a document's array is records, element by element, as lines of them would be" {
    awk 'BEGIN { for (i = 0; i < 12000; i++)
        printf "{\"eventTime\":\"2024-01-15T%02d:%02d:%02dZ\",\"n\":%d.50,\"key\":\"a \\\\\\\"] of %d\",\"deep\":[{\"x\":{}},\"and a text that makes it long enough\"]}\n",
            i / 3600, i / 60 % 60, i % 60, i, i }' >lines
    { printf '{"Records": ['; paste -s -d, lines | sed 's/},{"eventTime/}\n ,{"eventTime/g' | tr -d '\r'; printf '], "after": {"k": [1]}}\n'; } >ct.json
    dsprep logs -q -f json lines | dsprep cat --data >want
    gzip -k ct.json
    for f in "-j1 ct.json" "-j3 ct.json.gz" "--records-at Records -"; do
        dsprep logs -q $f <ct.json | dsprep cat --data -c text,time,severity,level,host,program,pid,fields >got
        cmp want got
    done
    head -c 1500000 ct.json >cut.json
    logs --on-error skip cut.json
    [ "$status" -eq 3 ]
    has 'cut.json: json-array: 200 of 200 records' 'cut.json: offset 149' 'the document does not end' '+ 1 held'
    logs --on-error skip --records-at Other ct.json
    [ "$status" -eq 3 ]
    has 'ct.json: offset 0: json-array: the document has no array where one was expected' '0 output + 1 held'
    for a in "--records-at a..b" "--records-at" "--records-at x -f json"; do exits 2 dsprep logs $a ct.json; done
}

@test "logs: a pattern's groups are columns and fields" {
    printf '%s\n' '2024-01-15 10:00:00|WARN|disk|7|full' 'broken' >p.log
    logs -f pattern --pattern '^(?<time>[^|]+)\|(?<level>\w+)\|(?<unit>\w+)\|(?<pid>\d+)\|(?<message>.*)' \
        --on-error skip p.log
    [ "$status" -eq 3 ]
    [ "$(dsprep cat out.dsr | cut -d, -f2-)" = \
        '"text":"full","time":"2024-01-15T10:00:00.000000000Z","severity":4,"level":"WARN","pid":7,"fields":{"unit":"disk"}}' ]
    logs -f pattern p.log
    [ "$status" -eq 2 ]
    logs -f pattern --pattern '(?<time>' p.log
    [ "$status" -eq 2 ]
    logs -f pattern --pattern 'x' p.log
    [ "$status" -eq 2 ]
    has 'named groups'
}

@test "logs: a line too long is held, and what follows is found" {
    { access 3; head -c 3000000 /dev/zero | tr '\0' x; echo; access 4; } >a.log
    logs -f combined --max-record 100000 --on-error skip a.log
    [ "$status" -eq 3 ]
    has '8 input = 7 output + 1 held + 0 failed' 'longer than 100000 bytes'
}

@test "logs: a line that is longer than what is looked at does not decide the format, nor does a NUL" {
    { head -c 3000000 /dev/zero; access 300; } >hole.log
    logs --on-error skip hole.log
    [ "$status" -eq 3 ]
    has 'hole.log: combined: 200 of 200' '300 input = 299 output + 1 held + 0 failed'
    dsprep info out.dsr | grep -q agent
    mkdir d && { head -c 3000000 /dev/zero | tr '\0' x; echo; access 300; } >d/long.log
    head -c 3000000 d/long.log >d/one.log
    logs --on-error skip d
    has 'long.log: combined: 200 of 200' 'one.log: lines'
    logs --on-error skip --max-record 1M d/long.log
    has 'combined: 200 of 200' '301 input = 300 output + 1 held'
    printf '%s\n' '{"Records":[' >a.json
    for i in $(seq 3000); do printf '{"eventTime":"2024-01-01T00:00:00Z","eventName":"n%s","x":"0123456789"},' "$i"; done |
        sed 's/,$//' | tr -d '\n' >b
    { printf '{"Records":['; cat b; printf ']}'; } >a.json
    logs a.json
    [ "$status" -eq 0 ]
    has 'json-array' '3000 output'
    printf 'a few\nwords\0 here\nand\nthere\n' >mixed
    logs --on-error skip mixed
    [ "$status" -eq 3 ]
    has 'mixed: lines' '4 input = 3 output + 1 held'
    syslog | iconv -t UTF-16LE >wide
    logs wide
    [ "$status" -eq 1 ]
    has 'wide: it is no text: a NUL byte at offset 1; UTF-16 without a mark wants --encoding'
}

@test "logs: the golden stream" {
    { access 5; syslog; } | dsprep logs -q -f combined --on-error skip - >g.dsr || [ $? -eq 3 ]
    [ "$(dsprep check g.dsr | grep -o 'sha256:[0-9a-f]*')" = \
        sha256:43d395ea4c5c4d015746b37daf71fc9c4196dacce6a10e78d540da613b6e1103 ]
}

@test "logs: usage" {
    for a in '--timezone Mars' '--join any' '--year 1' '--pattern x' '--max-record 0'; do
        # shellcheck disable=SC2086 # an option and its value
        exits 2 dsprep logs $a x
    done
    exits 2 dsprep logs
}

@test "logs, text: --json gives decisions, accounts and errors as JSON lines" {
    access 50 >a.log
    printf 'x\377\n' >b.txt
    exits 3 dsprep logs --json --on-error skip -o out a.log b.txt
    [ "$(echo "$output" | jq -c 'select(.source == "a.log") | [.format, .evidence]')" = \
        '["combined","50 of 50 records; common 50 of 50"]' ]
    [ "$(echo "$output" | jq -c 'select(.command) | [.input, .output, .held]')" = \
        '[51,50,{"invalid UTF-8":1}]' ]
    exits 13 dsprep logs --json -o none nothere.log
    [ "$(echo "$output" | jq -r .type)" = exit ]
    echo "$output" | jq -e '.code == 13 and (.error | contains("nothere.log"))'
    exits 3 dsprep text --json --on-error skip --split line -o texts a.log b.txt
    [ "$(echo "$output" | jq -c '[.command, .output, .held, .left_out.links]')" = \
        '["dsprep text",50,{"invalid UTF-8":1},0]' ]
    cat a.log b.txt | dsprep logs --json --follow --every 0 -f lines --on-error skip - 2>err | dsprep check - || true
    [ "$(jq -c '[.output, .held]' err)" = '[50,{"invalid UTF-8":1}]' ]
}
