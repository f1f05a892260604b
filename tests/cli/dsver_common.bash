# What the tests of dsver share: a store in the test's folder, and streams to commit.
load dsprep_common

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    export LC_ALL=C
    unset NO_COLOR DS_FAKE_TTY DSVER_STORE GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL
    export HOME=$BATS_TEST_TMPDIR # no configuration of the user's
    dsver init >/dev/null
}

# versions N: v1.dsr and v2.dsr of N lines; v2 lacks a line in the middle and has another near the end.
versions() {
    lines "$1" >l1.txt
    awk -v n="$1" 'NR == int(n / 2) { next } { print } NR == n - 3 { print "a line that is new" }' l1.txt >l2.txt
    dsprep text -q --split line - <l1.txt >v1.dsr
    dsprep text -q --split line - <l2.txt >v2.dsr
}

# state: all of the store that a version could depend on.
state() {
    git -C .dsver/catalog.git for-each-ref
    dsver log --json "$@" 2>/dev/null
}

# records FILE: a stream's records as JSON lines.
records() {
    dsprep cat "$1"
}

need_jq() {
    command -v jq >/dev/null || skip "jq is not installed"
}
