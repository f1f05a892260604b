#!/usr/bin/env bats
# dsprep templates: templates of log lines, mined and put beside each record.

load dsprep_common

app() {
    awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) {
        print "2024-01-15 10:00:00 INFO request " i " of user u" i % 97 " took " i % 13 " ms"
        if (i % 3 == 0) print "2024-01-15 10:00:00 WARN cache " (i % 2 ? "cold" : "warm") " for " i % 7 " entries"
        if (i % 50 == 0) print "2024-01-15 10:00:00 ERROR worker lost"
    } }'
}

@test "templates: ids, variables and a catalog that adds up" {
    app 2000 >a.log
    dsprep logs -q a.log >a.dsr
    dsprep templates --catalog c.jsonl a.dsr >t.dsr 2>err
    grep -q '2707 records, 3 templates from 4 shapes' err
    dsprep check t.dsr
    [ "$(jq -s 'map(.records) | add' c.jsonl)" -eq 2707 ]
    [ "$(jq -r .template c.jsonl | head -n 1)" = 'request <*> of user <*> took <*> ms' ]
    dsprep cat t.dsr | head -n 1 | jq -e '.variables == ["0", "u0", "0"]'
    jq -r '.id + " " + (.records | tostring)' c.jsonl | sort >want
    dsprep cat t.dsr | jq -r .template_id | sort | uniq -c | awk '{ print $2, $1 }' | sort >got
    diff want got
    exits 0 dsprep templates --json a.dsr -o j.dsr
    [ "$output" = '{"type":"summary","command":"dsprep templates","input":2707,"output":2707,"held":{},"templates":3,"shapes":4,"without":0}' ]
    exits 2 dsprep templates --json --column nothing -o k.dsr a.dsr
    echo "$output" | jq -e '.type == "exit" and .code == 2 and (.error | contains("nothing"))'
}

@test "templates: the other columns, blocks and origins pass; the same for any number of threads, file or pipe" {
    app 30000 >a.log
    dsprep logs -q a.log >a.dsr
    dsprep templates -q -j1 a.dsr >one.dsr
    dsprep templates -q -j4 <a.dsr >many.dsr
    cmp one.dsr many.dsr
    cmp <(dsprep cat -c text,time,level,fields a.dsr) <(dsprep cat -c text,time,level,fields one.dsr)
    [ "$(dsprep info a.dsr | grep -c '^blocks')" = "$(dsprep info one.dsr | grep -c '^blocks')" ]
    [ "$(dsprep info a.dsr | awk '/^blocks/ { print $2 }')" = "$(dsprep info one.dsr | awk '/^blocks/ { print $2 }')" ]
}

@test "templates: too many shapes, no such column, a cut stream, usage" {
    app 100 >a.log
    dsprep logs -q a.log >a.dsr
    dsprep templates --max-shapes 1 a.dsr >t.dsr 2>err
    grep -q 'records have no template' err
    dsprep cat t.dsr | jq -s -e 'map(select(.template == null)) | length > 0'
    exits 2 dsprep templates -c nothing a.dsr
    head -c 3000 a.dsr >cut.dsr
    fails dsprep templates cut.dsr
    exits 2 dsprep templates --similarity 2 a.dsr
}
