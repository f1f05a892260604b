#!/usr/bin/env bats
# dsprep logs --follow --resume-from: what a version holds of logs is where the next run begins. Any
# process of the pipe may be killed at any time: no line is lost, none is there twice.
load dsver_common

line() { # line FROM TO: lines of a log, all different
    awk -v a="$1" -v b="$2" 'BEGIN { for (i = a; i <= b; i++)
        printf "2024-03-01T10:%02d:%02dZ INFO message %d of a log that is followed\n", i / 60 % 60, i % 60, i }'
}

# started N PROGRAM...: its number is in pid.N from the first moment on.
started() {
    exec bash -c 'echo $$ >"pid.$0.new" && mv "pid.$0.new" "pid.$0" && exec "$@"' "$@"
}

# begin LOG...: the pipe, with the numbers of its processes in pids.
begin() {
    rm -f pid.*
    {
        (started 0 dsprep logs --follow --every 0 "${options[@]:---format=app}" --resume-from ops "$@") |
            (started 1 dsprep redact -q) |
            (started 2 dsver commit --append --gapless --every-records 1 ops >>versions)
    } 2>>err 3>&- &
    job=$!
    until [ -e pid.0 ] && [ -e pid.1 ] && [ -e pid.2 ]; do read -r -t 0.02 <>p3 || true; done
    pids=("$(cat pid.0)" "$(cat pid.1)" "$(cat pid.2)")
}

# killed WHICH: one of them, by SIGKILL; the others end as they must.
killed() {
    kill -KILL "${pids[$1]}" 2>/dev/null || true
    [ "$1" -eq 0 ] || kill -TERM "${pids[0]}" 2>/dev/null || true
    wait "$job" || true
}

records() {
    dsver ls --json ops 2>/dev/null | jq -r .records
}

# all N: waits for N records, then ends the pipe in order.
all() {
    local i
    for ((i = 0; i < 1200; i++)); do
        [ "$(records)" = "$1" ] && break
        read -r -t 0.1 <>p3 || true
    done
    kill -TERM "${pids[0]}"
    wait "$job"
    dsver cat ops | dsprep cat --data -c text | sed 's/.*message \([0-9]*\) of.*/\1/' >got
    [ "$(sort -n got | uniq -d | wc -l)" -eq 0 ]
    [ "$(sort -n got | sed -n '1p;$p' | tr '\n' ' ')" = "1 $1 " ]
    [ "$(wc -l <got)" -eq "$1" ]
}

@test "resume: killed at any place, through rotation of each kind: nothing lost, nothing twice" {
    local n=3 round rounds=9 more
    [ -z "${DS_LONG:-}" ] || rounds=90
    RANDOM=11
    mkfifo p3
    line 1 3 >app.log
    begin app.log
    all 3 # a first version: without one only the log itself is read
    for ((round = 1; round <= rounds; round++)); do
        begin app.log
        more=$((RANDOM % 40 + 1))
        line $((n + 1)) $((n + more)) >>app.log
        n=$((n + more))
        read -r -t "0.$((RANDOM % 30 + 10))" <>p3 || true # whatever was done by then
        killed $((RANDOM % 3))
        more=$((RANDOM % 20 + 1))
        line $((n + 1)) $((n + more)) >>app.log # while nobody reads
        n=$((n + more))
        case $((round % 3)) in
        1) mv app.log "app.log.$round" && gzip "app.log.$round" ;;
        2) mv app.log "app.log.$round" ;;
        esac
        line $((n + 1)) $((n + 1)) >>app.log
        n=$((n + 1))
    done
    begin app.log
    all $n
    dsver fsck
}

@test "resume: a first run, several logs, a short log that was rotated away, a branch" {
    mkfifo p3
    line 1 1 >a.log
    line 2 4 >b.log
    begin a.log b.log
    all 4
    grep -q 'no version yet' err
    mv a.log a.log.1
    line 5 5 >>a.log.1
    line 1 1 >a.log # as the other begins
    line 6 6 >>a.log
    begin a.log b.log
    local i
    for ((i = 0; i < 1200; i++)); do
        [ "$(records)" = 7 ] && break
        read -r -t 0.1 <>p3 || true
    done
    kill -TERM "${pids[0]}"
    wait "$job"
    [ "$(dsver cat ops | dsprep cat --data -c text | grep -c 'message [1-6] of')" -eq 7 ]
    [ "$(dsver cat ops | dsprep cat --data -c text | grep -c 'message 1 of')" -eq 2 ]
}

@test "resume: a stream that does not go on where the version ends is refused" {
    line 1 3 >app.log
    dsprep logs -q --format app app.log | dsver commit ops
    line 4 6 >>app.log
    dsprep logs -q --follow --every 0 --format app - <app.log >twice.dsr
    dsprep logs -q --format app app.log >whole.dsr
    exits 1 dsver commit --append --gapless ops whole.dsr
    has 'app.log: the stream does not go on where the newest version ends' 'the version has '
    dsprep logs -q --format app app.log | dsver commit ops
    exits 1 dsver commit --append --gapless ops whole.dsr # nothing is new: all of it would be there twice
    has 'app.log: the stream has records of its first' 'begins anew'
    exits 0 dsver commit --append --gapless ops twice.dsr # of a name that it does not have
    exits 2 dsver commit --gapless ops whole.dsr
    has '--gapless wants --append'
}

@test "resume: usage; years go on with the latest time of the version" {
    exits 2 dsprep logs --resume-from ops app.log
    exits 2 dsprep logs --follow --resume-from ops --state s app.log
    exits 2 dsprep logs --follow --resume-from ops -
    has 'a pipe cannot be gone on with'
    mkfifo p3
    printf 'Dec 31 23:59:5%d host app: message %d of\n' 1 1 2 2 3 3 >m.log
    dsprep logs -q --format syslog --year 2023 m.log | dsver commit ops
    printf 'Jan  1 00:00:0%d host app: message %d of\n' 1 4 2 5 >>m.log
    options=(--format syslog --year 2023)
    begin m.log
    all 5
    [ "$(dsver cat ops | dsprep cat --data -c time | jq -r .time | cut -c1-10 | sort | uniq -c | tr -s ' ' | tr '\n' ';')" = \
        " 3 2023-12-31; 2 2024-01-01;" ]
}
