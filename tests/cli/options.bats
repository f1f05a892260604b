#!/usr/bin/env bats
# What every command of every program owes its user: help, manual, completion, exit codes. The programs
# are those in DS_BIN_DIR, the commands those that a program lists.

# A program without commands is a part of another, and met as a command of that one.
programs() {
    for p in "$DS_BIN_DIR"/*; do
        [ -f "$p" ] && [ -x "$p" ] && [ -n "$("$p" --list-commands)" ] && basename "$p"
    done
    true
}

# What each command says of itself is asked for once: its help and its options lie in $BATS_FILE_TMPDIR for all tests.
setup_file() {
    local p c
    cd "$BATS_FILE_TMPDIR"
    for p in $(programs); do
        for c in $("$DS_BIN_DIR/$p" --list-commands); do
            echo "$p $c" >>commands
            "$p" "$c" -h >"$p.$c.help" 2>"$p.$c.err" </dev/null || echo "exit $?" >>"$p.$c.err"
            "$p" "$c" --completion-words >"$p.$c.words" || echo "exit $?" >>"$p.$c.words"
        done
    done
}
help_of() { echo "$BATS_FILE_TMPDIR/$1.$2.help"; }
words_of() { echo "$BATS_FILE_TMPDIR/$1.$2.words"; }

# Calls "$1" PROGRAM COMMAND for every command; says which one it was that failed.
each_command() {
    local p c
    while read -r p c <&3; do
        "$1" "$p" "$c" 3<&- || { echo "failed for: $p $c" && return 1; }
    done 3<"$BATS_FILE_TMPDIR/commands"
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    [ -n "$(programs)" ] || skip "no program is built"
}

narrow() { awk 'length($0) > 80 { print FILENAME ": " length($0) " columns: " $0; bad = 1 } END { exit bad }' "$1"; }

help_is_good() {
    local help
    help=$(help_of "$1" "$2")
    [ ! -s "${help%.help}.err" ] || return 1
    LC_ALL=C.UTF-8 narrow "$help" || return 1
    grep -q "^$1 $2 - " "$help" && grep -q "^Usage: $1 $2" "$help" && grep -q '^Options:' "$help" || return 1
    # an example comes first, before the usage and the options
    [ "$(grep -m 1 -oE '^(Example|Usage|Options):' "$help")" = Example: ] || return 1
    "$1" "$2" --help >out 2>&1 </dev/null && cmp "$help" out
}
@test "-h of every command: on stdout, 80 columns, an example first" {
    each_command help_is_good
}

no_operands_is_refused() {
    # a first operand that is not in brackets is needed
    grep -A1 "^Usage:" "$(help_of "$1" "$2")" | grep -qE "\[OPTION\.\.\.\]$|\[OPTION\.\.\.\] (\[|$)" && return 0
    rc=0
    "$1" "$2" >out 2>err </dev/null || rc=$?
    [ "$rc" -eq 2 ] && [ ! -s out ] && grep -q "^Usage: $1 $2" err && narrow err
}
@test "a command that needs operands and gets none: usage on stderr, exit 2" {
    each_command no_operands_is_refused
}

unknown_option_is_refused() {
    rc=0
    "$1" "$2" --no-such-option-anywhere >out 2>err </dev/null || rc=$?
    [ "$rc" -eq 2 ] && [ ! -s out ] && grep -q "^$1: $2: unknown option --no-such-option-anywhere" err
}
@test "an unknown option: exit 2, one line that names it" {
    each_command unknown_option_is_refused
}

# The options of "$1" "$2" that help calls needed: "-t --tokenizer", a line each.
needed() {
    awk '/^                    / && o { o = o $0; next } { if (o ~ /\(needed\)/) print o; o = "" } /^ *-/ { o = $0 }
        END { if (o ~ /\(needed\)/) print o }' "$(help_of "$1" "$2")" | grep -oE '(-[a-zA-Z], )?--[a-z-]+' | tr , ' '
}
examples_give_what_is_needed() {
    local p c rest letter name
    awk '/^Usage:/ { exit } /^  / { sub(/^ +/, ""); if (sub(/\\$/, "")) printf "%s", $0; else print }' "$(help_of "$1" "$2")" |
        sed 's/ *[|] */\n/g; s/ && */\n/g' | grep -E '^(dsprep|dstok|dsver|dstrain) ' >stages || return 1
    while read -r p c rest; do
        while read -r letter name; do
            case " $rest " in *" $letter "* | *" ${name:-$letter} "* | *" ${name:-$letter}="*) continue ;; esac
            echo "$p $c $rest: no $letter $name"
            return 1
        done < <(needed "$p" "$c")
    done <stages
}
@test "examples give the options that help calls needed" {
    [ "$(needed dsprep export | tr -s ' ')" = "-f --format" ]
    [ "$(needed dstok encode | tr -s ' ')" = "-t --tokenizer" ]
    each_command examples_give_what_is_needed
}

manual_is_good() {
    "$1" "$2" --man >out 2>err </dev/null && [ ! -s err ] || return 1
    head -n 1 out | grep -q '^\.TH ' || return 1
    for section in NAME SYNOPSIS EXAMPLE DESCRIPTION OPTIONS ENVIRONMENT "EXIT STATUS"; do
        grep -qx ".SH $section" out || return 1
    done
    # every option of the help is in the manual
    local manual
    manual=$(sed 's/\\-/-/g; s/\[no-\]//g' out)
    while read -r w; do
        case $w in --no-*) continue ;; esac
        [[ $manual == *"$w"* ]] || { echo "no $w" && return 1; }
    done <"$(words_of "$1" "$2")"
}
@test "every command has a manual page with all its options" {
    each_command manual_is_good
}

words_are_options() {
    grep -qx -- --help "$(words_of "$1" "$2")" && ! grep -qvE '^--[a-z0-9][a-z0-9-]*$' "$(words_of "$1" "$2")"
}
error_is_one_json_line() {
    grep -q '^      --json' "$(help_of "$1" "$2")" || return 0
    rc=0
    "$1" "$2" --json --no-such-option-anywhere >out 2>err </dev/null || rc=$?
    [ "$rc" -eq 2 ] || return 1
    # where standard output is for records, the error does not go among them
    [ -s out ] || mv err out
    [ "$(wc -l <out)" = 1 ] && cat out >>lines && echo "$1 $2" >>asked
}
@test "--json: an error on the command line is a line of JSON, and none in a stream of records" {
    each_command error_is_one_json_line
    jq -cR 'fromjson | select(.code == 2 and .type == "exit") | 1' lines >good || paste asked lines
    [ "$(wc -l <good)" = "$(wc -l <asked)" ]
    for c in text logs dicom files import filter map redact tokenize export mix sort; do
        run bash -c "dsprep $c --json --no-such-option-anywhere 2>/dev/null"
        [ "$status" -eq 2 ]
        [ -z "$output" ]
    done
}

@test "completion words of every command" {
    each_command words_are_options
}

full_disk_is_seen() {
    rc=0
    "$1" "$2" -h >/dev/full 2>err </dev/null || rc=$?
    [ "$rc" -eq 13 ] && grep -q 'standard output: No space left' err
}
@test "a full standard output: exit 13" {
    [ -c /dev/full ] || skip "no /dev/full"
    each_command full_disk_is_seen
}

@test "programs: -h, --version, --man, completion, unknown command" {
    for p in $(programs); do
        "$p" -h >out 2>err
        [ ! -s err ]
        narrow out
        for c in $("$p" --list-commands); do grep -q "^  $c " out; done
        "$p" --help | cmp - out
        "$p" --version >out
        grep -qE "^$p [0-9]+\.[0-9]+\.[0-9]+$" out
        grep -q '^libraries: ' out
        "$p" --man | head -n 1 | grep -q '^\.TH '
        "$p" --completion bash >comp.bash
        bash -n comp.bash
        "$p" --completion zsh | head -n 1 | grep -qx "#compdef $p"
        run "$p" --completion fish
        [ "$status" -eq 2 ]
        run "$p"
        [ "$status" -eq 2 ]
        run "$p" no-such-command
        [ "$status" -eq 2 ]
        [[ "$output" == *"unknown command 'no-such-command'"* ]]
        first=$("$p" --list-commands | head -n 1)
        run "$p" "${first}x"
        [ "$status" -eq 2 ]
        [[ "$output" == *"did you mean '$first'?"* ]]
        [ "$("$p" help "$first")" = "$("$p" "$first" -h)" ]
    done
}

@test "bash completion offers commands and options" {
    for p in $(programs); do
        first=$("$p" --list-commands | head -n 1)
        "$p" --completion bash >comp.bash
        run bash -c "source ./comp.bash; COMP_WORDS=($p ''); COMP_CWORD=1; _$p; echo \" \${COMPREPLY[*]} \""
        [ "$status" -eq 0 ]
        [[ "$output" == *" $first "* ]]
        run bash -c "source ./comp.bash; COMP_WORDS=($p $first --he); COMP_CWORD=2; _$p; echo \" \${COMPREPLY[*]} \""
        [[ "$output" == *" --help "* ]]
    done
}

@test "help works with every standard descriptor closed or absent" {
    p=$(programs | head -n 1)
    "$p" -h <&- >out 2>&-
    [ -s out ]
    rc=0
    "$p" -h >&- 2>err || rc=$?
    [ "$rc" -eq 13 ]
}

# A line each: a call that contradicts itself, or has an option that could do nothing.
@test "options that can have no effect are refused, with exit 2" {
    export DSVER_STORE=$PWD/s
    dsver init s >/dev/null
    printf 'a\nb\n' >t && dsprep text -q --split line t | dsver commit -q -m 1 d
    T=$DS_ROOT/tests/cli/data/bytelevel.json
    while read -r call; do
        rc=0
        eval "$call" >out 2>err </dev/null || rc=$?
        [ "$rc" -eq 2 ] || { echo "exit $rc: $call" && cat err && return 1; }
    done <<'END'
dstok diff --by-text "$T" "$T"
dstok diff -n 3 "$T" "$T"
dstok diff -c body "$T" "$T"
dsver log --oneline --json d
dsver diff --stat --data --json d d
dsver branch --reason x d
dsver tag --author 'A <a@b.c>' d
dsver reindex --dump --reason x
dsver reindex --dump --json
dsver seen --key-file t d a
dsver remote list --catalog x
dsver remote remove o --credentials x
dsver pin --list --reason x
dsver pin --author 'A <a@b.c>'
dsver prefetch --from-key b --to-key a d
dsprep text --keys derived t | dsprep map --keep text,meta --drop meta
END
}
