# What the tests of remotes share: stores, versions to send, and servers on loopback.
load ../cli/dsver_common

remote_setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    export LC_ALL=C HOME=$BATS_TEST_TMPDIR DS_REMOTE_TRIES=3
    unset DSVER_STORE GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL AWS_PROFILE AWS_REGION AWS_DEFAULT_REGION AWS_SESSION_TOKEN
    unset AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_SHARED_CREDENTIALS_FILE GIT_DIR
    export AWS_ACCESS_KEY_ID=AK AWS_SECRET_ACCESS_KEY=SK no_proxy=127.0.0.1 NO_PROXY=127.0.0.1
    command -v git >/dev/null || skip "git is not installed"
    mkdir a
    dsver init a >/dev/null
    versions 2000
    (cd a && dsver commit -m one docs ../v1.dsr >/dev/null)
}

remote_teardown() {
    touch "$BATS_TEST_TMPDIR"/*/stop 2>/dev/null || true
}

in_a() { (cd a && dsver "$@"); }
in_b() { (cd b && dsver "$@"); }
two() { (cd a && dsver commit -m two docs ../v2.dsr >/dev/null); }

await() { # FILE: until it is there
    local i
    for i in $(seq 400); do
        [ -s "$1" ] && return 0
        sleep 0.05
    done
    echo "$1 did not appear"
    return 1
}

# s3_start: an S3 server with its files in s3/; $s3 is the URL of a remote in it.
s3_start() {
    command -v python3 >/dev/null || skip "python3 is not installed"
    mkdir -p s3/data/bucket
    python3 "$DS_ROOT/tests/remote/fakes3.py" s3 3>&- >s3.out 2>&1 &
    await s3/port
    s3="s3://bucket/some/where?endpoint=http://127.0.0.1:$(cat s3/port)"
    git init -q --bare cat.git
    (cd a && dsver remote add origin "$s3" --catalog ../cat.git)
}

faults() { printf '%s\n' "$@" >s3/faults; } # METHOD REGEX WHAT TIMES
clone_s3() { dsver clone "$s3" --catalog "$PWD/cat.git" "$@"; }
same() { # DIR...: all have the same docs, and are sound
    local d want
    want=$(cd a && dsver cat docs | sha256sum)
    for d in "$@"; do
        [ "$(cd "$d" && dsver cat docs | sha256sum)" = "$want" ] || return 1
        (cd "$d" && dsver fsck --read-data) || return 1
    done
}
count() { grep -cE "$1" s3/log || true; }
