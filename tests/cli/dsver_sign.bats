#!/usr/bin/env bats
# Signed versions, tags and erasures: git's keys, git's verdict.
load dsver_common

put() { # TEXT DATASET [OPTIONS]
    printf '%s\n' "$1" | dsprep text -q --split line - | dsver commit "${@:3}" "$2" >/dev/null
}

ssh_key() {
    command -v ssh-keygen >/dev/null || skip "ssh-keygen (openssh-client) is not installed"
    ssh-keygen -q -t ed25519 -N "" -C "" -f key </dev/null
    printf 'ada@ward %s\n' "$(cat key.pub)" >allowed
    dsver config gpg.format ssh
    dsver config user.signingkey "$PWD/key"
    dsver config gpg.ssh.allowedSignersFile "$PWD/allowed"
}

git_says() { # VERB OBJECT: git's own verdict, without dsver
    git --git-dir=.dsver/catalog.git -c gpg.ssh.allowedSignersFile="$PWD/allowed" "$@"
}

@test "ssh: a signed version and a signed tag; git agrees; log and verify tell" {
    ssh_key
    put one d
    put two d -S -m signed
    git_says verify-commit refs/heads/d/main
    run git_says verify-commit refs/heads/d/main~1
    [ "$status" -ne 0 ]
    exits 0 dsver verify d
    has "good"
    has "ada@ward"
    exits 1 dsver verify d~1
    has "unsigned"
    dsver log --show-signature d >out
    [ "$(grep -c '^signed  good: .*ada@ward' out)" -eq 1 ]
    [ "$(grep -c '^signed  none' out)" -eq 1 ]
    dsver log --json --show-signature d | head -n 1 | grep -q '"signature":"good"'
    dsver tag -s -m "as delivered" d v1 >/dev/null
    git_says verify-tag refs/tags/d/v1
    dsver verify --json d@v1 | grep -q '"kind":"tag".*"signed":true,"good":true'
    # The signature is in no one's way.
    dsver cat d | dsprep cat | grep -q two
    dsver fsck --read-data
    git -C .dsver/catalog.git fsck --strict
    exits 2 dsver tag -s d v2
}

@test "ssh: commit.gpgsign holds for commit, merge, revert and forget; --no-sign wins" {
    ssh_key
    dsver config commit.gpgsign true
    printf '{"id":"a","text":"x"}\n{"id":"b","text":"y"}\n' >r.jsonl
    dsprep text -q --field text --key-field id r.jsonl | dsver commit d >/dev/null
    dsver verify d
    sed 's/"y"/"z"/' r.jsonl >r2.jsonl
    dsprep text -q --field text --key-field id r2.jsonl | dsver commit d >/dev/null
    dsver revert d main >/dev/null
    dsver verify d
    dsver forget --reason r b >/dev/null
    exits 0 dsver verify --erasures
    has "erasure"
    has "good"
    put three other --no-sign
    exits 1 dsver verify other
    dsver fsck --read-data
}

@test "verify: a signature counts for the name it was made for, and no name is a branch and a tag" {
    ssh_key
    put one d -S
    dsver tag -s -m "first delivery" d v1 >/dev/null
    put two d
    exits 1 dsver verify d@main
    exits 0 dsver verify d@v1
    has "tag "
    # another tag, another dataset in the place of what was signed
    g="git --git-dir=.dsver/catalog.git"
    $g update-ref refs/tags/d/v2 refs/tags/d/v1
    exits 12 dsver verify d@v2
    has "signed as 'd/v1'"
    $g update-ref refs/heads/e/main refs/heads/d/main~1
    exits 12 dsver verify e
    has "one of 'd', not of 'e'"
    # an annotated tag that is not signed: the version is
    dsver tag -m note d~1 v3 >/dev/null
    exits 0 dsver verify d@v3
    has "version "
    exits 1 dsver tag d~1 main
    has "d@main is to name one of the two only"
    exits 1 dsver branch d v1
    printf 'x\n' | dsprep text -q --split line - >x.dsr
    exits 1 dsver commit -b v1 d x.dsr
    has "'d' has a tag 'v1'"
    # as two stores may bring them together
    $g update-ref refs/tags/d/main refs/tags/d/v1
    for c in verify cat show; do exits 1 dsver $c d@main; done
    dsver cat d | dsprep cat | grep -q two
    dsver commit d x.dsr >/dev/null
    dsver tag -d d main >/dev/null
    dsver show d@main >/dev/null
}

@test "verify --erasures: statements of two stores that were joined are all looked at" {
    ssh_key
    for i in a b c; do printf '{"id":"%s","text":"x"}\n' $i; done >r.jsonl
    dsprep text -q --key-field id r.jsonl | dsver commit d >/dev/null
    dsver remote add origin "$PWD/far"
    dsver push -q
    dsver clone -q far b
    dsver forget -S --reason one a >/dev/null
    dsver push -q
    dsver forget --store b --no-sign --reason two b >/dev/null
    dsver fetch --store b -q
    exits 1 dsver verify --store b --erasures
    [ "$(grep -c unsigned <<<"$output")" -eq 1 ]
    [ "$(grep -c '^erasure' <<<"$output")" -eq 2 ]
    dsver push --store b -q
    dsver fetch -q
    exits 1 dsver verify --json --erasures
    [ "$(grep -c '"good":true' <<<"$output")" -eq 1 ]
    [ "$(grep -c '"signed":false' <<<"$output")" -eq 1 ]
}

@test "verify --erasures: what is read in place of a block cannot be changed without a statement" {
    ssh_key
    for i in a b c; do printf '{"id":"%s","text":"x"}\n' $i; done >r.jsonl
    dsprep text -q --key-field id r.jsonl | dsver commit d >/dev/null
    dsver forget -S --reason one a >/dev/null
    exits 0 dsver verify --erasures
    g="git --git-dir=.dsver/catalog.git -c user.name=Eve -c user.email=eve@x"
    was=$($g rev-parse refs/dsver/erased)
    export GIT_INDEX_FILE=$PWD/ix
    for how in other none; do
        $g read-tree "$was"
        f=$($g ls-tree -r --name-only "$was" lines | head -n 1)
        $g show "$was:$f" >lines
        if [ $how = other ]; then sed -i '1{s/0$/1/;t;s/.$/0/}' lines; else : >lines; fi
        $g update-index --cacheinfo "100644,$($g hash-object -w lines),$f"
        $g update-ref refs/dsver/erased "$($g commit-tree -p "$was" -m "the packs hold no more of it" "$($g write-tree)")"
        exits 12 dsver verify --erasures
        has "states none of its own"
    done
    $g update-ref refs/dsver/erased "$was"
    exits 0 dsver verify --erasures
}

@test "a signature of a stranger, or over something else, is not good" {
    ssh_key
    put one d -S
    ssh-keygen -q -t ed25519 -N "" -C "" -f stranger </dev/null
    dsver config user.signingkey "$PWD/stranger"
    put two d -S
    exits 1 dsver verify d
    has "NOT TRUSTED"
    # The first one's signature under another message.
    git -C .dsver/catalog.git cat-file commit refs/heads/d/main~1 | sed 's/1 record/9 records/' >forged
    id=$(git -C .dsver/catalog.git hash-object -t commit -w "$PWD/forged")
    git -C .dsver/catalog.git update-ref refs/heads/d/forged "$id"
    exits 1 dsver verify d@forged
    has BAD
    exits 1 dsver verify --json d@forged
    has '"verdict":"bad"'
    exits 0 dsver log --show-signature --json d
    has '"signature":"untrusted"'
}

@test "no key, no program, a key that cannot be had: told, and nothing is committed" {
    command -v ssh-keygen >/dev/null || skip "ssh-keygen (openssh-client) is not installed"
    printf 'one\n' | dsprep text -q --split line - >v.dsr
    dsver config gpg.format ssh
    exits 1 dsver commit -S d v.dsr
    has "user.signingkey is not set"
    dsver config user.signingkey "$PWD/none"
    exits 1 dsver commit -S d v.dsr
    has "cannot sign with key"
    dsver config gpg.format openpgp
    dsver config gpg.program "$PWD/no-such-program"
    exits 1 dsver commit -S d v.dsr
    has "cannot be started"
    dsver config gpg.format pgp
    exits 2 dsver commit -S d v.dsr
    [ -z "$(git -C .dsver/catalog.git for-each-ref)" ]
}

@test "a public key of an agent, named itself" {
    ssh_key
    command -v ssh-agent >/dev/null || skip "ssh-agent (openssh-client) is not installed"
    eval "$(ssh-agent -s)" >/dev/null
    ssh-add -q key
    rm key
    dsver config user.signingkey "key::$(cat key.pub)"
    put one d -S && ok=yes
    kill "$SSH_AGENT_PID"
    [ "$ok" = yes ]
    dsver verify d
    [ -z "$(find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'dsver-key-*' -newer allowed)" ]
}

@test "gpg: a version and a tag" {
    command -v gpg >/dev/null || skip "gpg (gnupg) is not installed"
    export GNUPGHOME=$BATS_TEST_TMPDIR/g
    mkdir -m 700 "$GNUPGHOME"
    # The agent's socket has a short path only.
    gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-generate-key "Ada <ada@ward>" ed25519 sign never \
        2>gpg.err || skip "gpg cannot make a key here"
    put one d -S --author "Ada <ada@ward>"
    dsver tag -s -m "as delivered" --author "Ada <ada@ward>" d v1 >/dev/null
    git --git-dir=.dsver/catalog.git verify-commit refs/heads/d/main
    exits 0 dsver verify d
    has "Good signature"
    exits 0 dsver verify d@v1
    has "tag"
    gpgconf --kill all
}
