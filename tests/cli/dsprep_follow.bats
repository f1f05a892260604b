#!/usr/bin/env bats
# dsprep logs --follow: growing files, rotation, pipes, restarts. Nothing waits by the clock: what was
# read is waited for in the output.
load dsver_common

line() { # line N...: lines of a log, each longer than a name could repeat by accident
    local n
    for n in "$@"; do
        printf '2024-03-01T10:00:%02dZ INFO message %d of a log that is followed through its rotation, whatever becomes of it\n' $((n % 60)) "$n"
    done
}


follow() {
    rm -f out && mkfifo out
    { dsprep logs -q --follow --every 0 --format app --state state "$@" 2>err & echo $! >pid; rc=0; wait $! || rc=$?; echo $rc >status; } 3>&- |
        dsprep cat --data -c "${column:-text}" 2>>err >out 3>&- &
    exec 4<out
}

want() { # want N...: the next records
    local n got
    for n in "$@"; do
        read -r -t 60 got <&4
        [[ $got == *"message $n of"* ]] || { echo "wanted $n, got $got"; cat err; return 1; }
    done
}

ends() { # ends N...: a signal ends it in order, and these come last
    kill -TERM "$(cat pid)"
    want "$@"
    ! read -r -t 60 rest <&4 || return 1
    exec 4<&-
    wait
    [ "$(cat status)" -eq 0 ]
}

@test "a file that grows, a line that is written in parts" {
    line 1 2 >app.log
    follow app.log
    want 1 2
    line 3 >>app.log
    want 3
    printf '2024-03-01T10:00:05Z INFO mess' >>app.log
    line 9 >other.log
    printf 'age 4 of it\n' >>app.log
    want 4
    line 5 >>app.log
    want 5
    ends
}

@test "the fields that a log has named hold after a restart" {
    column=path
    { printf '#Fields: date time cs-uri-stem\n2024-03-01 10:00:00 "message 1 of"\n'
        printf '#Fields: cs-uri-stem sc-status date time\n"message 2 of" 200 2024-03-01 10:00:01\n'; } >app.log
    follow --format w3c app.log
    want 1 2
    echo '"message 3 of" 200 2024-03-01 10:00:02' >>app.log
    want 3
    ends
    echo '"message 4 of" 200 2024-03-01 10:00:03' >>app.log
    follow --format w3c app.log
    want 4
    ends
}

@test "renamed and begun anew: what was written late is read, nothing twice" {
    line 1 2 3 4 >app.log
    exec 5>>app.log
    follow app.log app.log.1
    want 1 2 3 4
    mv app.log app.log.1
    line 5 >&5
    want 5
    : >app.log
    line 6 >&5
    want 6
    exec 5>&-
    line 7 >>app.log
    want 7
    gzip app.log.1
    mv app.log app.log.1
    line 8 >app.log
    want 8
    ends
}

@test "copied and cut" {
    line 1 2 3 4 >app.log
    follow app.log
    want 1 2 3 4
    cp app.log app.log.1
    line 5 >app.log
    want 5
    line 6 >>app.log
    want 6
    ends
}

@test "a restart loses nothing and doubles nothing, through rotation and gzip" {
    line 1 2 3 4 >app.log
    follow app.log
    want 1 2 3 4
    ends
    line 5 >>app.log
    follow app.log
    want 5
    ends
    line 6 7 >>app.log
    mv app.log app.log.1
    gzip app.log.1
    line 8 >app.log
    follow app.log
    want 6 7 8
    line 9 >>app.log
    want 9
    ends
    follow app.log
    line 10 >>app.log
    want 10
    ends
}

@test "from a pipe, with accounts; a version has the root of the whole" {
    line $(seq 1 400) >all.log
    { cat all.log; printf 'x\377\n'; } >bad.log
    dsprep logs -q --follow --format app --on-error=skip - <bad.log >f.dsr || [ $? -eq 3 ]
    dsprep info f.dsr --json | grep -q '"held":{"invalid UTF-8":1}'
    dsprep logs -q --format app all.log | dsver commit one
    dsprep logs -q --follow --format app - <all.log | dsver commit --every 60s ops
    [ "$(dsver show ops | grep ^root)" = "$(dsver show one | grep ^root)" ]
}
