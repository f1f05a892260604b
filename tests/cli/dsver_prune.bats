# Branches and tags leave a remote (push --delete), and what was known of those that left is forgotten (--prune).
load ../remote/remote_common

setup() {
    remote_setup
    need_jq
    (cd a && dsver remote add origin ../far >/dev/null && dsver branch docs side && dsver tag docs v1 && dsver tag -m why docs v2) >/dev/null
}
teardown() { remote_teardown; }

there() { git -C "${1:-far/catalog.git}" for-each-ref --format='%(refname)' | xargs; }
is_there() { # REFS [REPOSITORY]: these and no others
    local is
    is=$(there "${@:2}")
    [ "$is" = "$1" ] || { echo "there is: $is"; git -C "${2:-far/catalog.git}" for-each-ref; return 1; }
}
here() { git -C "$1/.dsver/catalog.git" rev-parse -q --verify "$2"; }
all="refs/heads/docs/main refs/heads/docs/side refs/tags/docs/v1 refs/tags/docs/v2"
commit() { # STORE LINE [OPTIONS]
    echo "$2" | cat l1.txt - | dsprep text -q --split line - | (cd "$1" && dsver commit -m "$2" "${@:3}" docs >/dev/null)
}

# gone_at REPOSITORY REMOTE: a branch and both kinds of tags are deleted there, and nothing else is
gone_at() {
    side=$(here a refs/heads/docs/side)
    exits 0 in_a push -q "$2"
    is_there "$all" "$1"
    exits 0 in_a push --delete -n "$2" docs@side
    [ "$output" = "docs@side  deleted   ${side:0:10}" ]
    is_there "$all" "$1"
    [ "$(here a "refs/remotes/$2/docs/side")" = "$side" ]
    exits 0 in_a push --delete --json "$2" docs@v2 docs@side docs@side
    [ "$(jq -c '[.type, .ref // .refs, .did, .before, .after]' <<<"$output")" = "\
[\"ref\",\"refs/tags/docs/v2\",\"deleted\",\"$(here a refs/tags/docs/v2)\",null]
[\"ref\",\"refs/heads/docs/side\",\"deleted\",\"$side\",null]
[\"push\",2,null,null,null]" ]
    exits 0 in_a push -d "$2" docs@v1
    [[ $output == "docs: tag v1  deleted   "* ]]
    is_there "refs/heads/docs/main" "$1"
    # what is here is here, but for where the branch was last seen, which is kept
    for ref in heads/docs/side tags/docs/v1 tags/docs/v2 "remotes/$2/docs/main"; do here a "refs/$ref"; done
    fails here a "refs/remotes/$2/docs/side"
    [ "$(git -C a/.dsver/catalog.git for-each-ref --format='%(objectname)' "refs/dsver/kept/*/remotes/$2/docs/side")" = "$side" ]
    for ref in heads/docs/side tags/docs/v1 tags/docs/v2; do
        [ "$(in_a oplog --command push | grep -c "(deletes refs/$ref of $2, at $(here a "refs/$ref"))")" = 1 ]
    done
    in_a oplog --command push | grep -q "refs/remotes/$2/docs/side ${side:0:10} -> none"
    exits 0 in_a fsck --read-data
    for name in side v1; do
        exits 1 in_a push --delete "$2" docs@$name
        has "no branch or tag 'docs@$name' at '$2'"
    done
}

@test "push --delete: from a folder" {
    export GIT_CONFIG_GLOBAL=$PWD/gitconfig
    git config --global push.followTags true # v2 stays deleted none the less
    gone_at far/catalog.git origin
    dsver clone -q far b
    same b
    # the branch that is here comes back with the next push of all, unless it goes here too
    (cd a && dsver branch -d docs side >/dev/null)
    exits 0 in_a push -q
    is_there "refs/heads/docs/main refs/tags/docs/v1 refs/tags/docs/v2"
}

@test "push --delete: over file:// and http, with packs in an object store" {
    (cd a && dsver remote remove origin)
    s3_start
    (cd a && dsver remote add byfile "$s3" --catalog "file://$BATS_TEST_TMPDIR/cat.git")
    packs() { (cd s3/data && find . -type f -path '*packs*' | sort); }
    gone_at cat.git byfile
    before=$(packs)
    [ "$(grep -c '\.pack$' <<<"$before")" -gt 0 ]
    exits 0 clone_s3 b
    same b
    mkdir www www.state
    git init -q --bare www/cat.git
    git -C www/cat.git config http.receivepack true
    python3 "$DS_ROOT/tests/remote/githttp.py" www www.state 3>&- >www.out 2>&1 &
    await www.state/port
    url=http://127.0.0.1:$(cat www.state/port)/cat.git
    (cd a && dsver remote add web "$s3" --catalog "$url")
    exits 0 in_a push -q --all web
    gone_at www/cat.git web
    [ "$(packs)" = "$before" ] # packs stay until gc --remote
}

@test "push --delete: what a branch had alone stays at the remote until gc --remote" {
    commit a alone -b side
    in_a push -q
    n=$(ls far/packs/*.pack | wc -l)
    exits 0 in_a push -q --delete origin docs@side
    [ -z "$output" ]
    [ "$(ls far/packs/*.pack | wc -l)" = "$n" ]
    in_a gc --remote origin --grace 0 >/dev/null
    in_a gc --remote origin --grace 0 >/dev/null
    [ "$(ls far/packs/*.pack | wc -l)" -lt "$n" ]
    dsver clone -q far b
    same b
    exits 0 in_a push -q
    exits 0 in_b pull -q
    [ "$(cd b && dsver cat docs@side | sha256sum)" = "$(cd a && dsver cat docs@side | sha256sum)" ]
}

@test "push --delete: what was moved meanwhile, or is not known here, is refused; --force deletes it" {
    in_a push -q
    dsver clone -q far b
    commit b news -b side
    (cd b && dsver branch docs@side theirs && dsver tag docs@side t && dsver push -q) >/dev/null
    want=$(there)
    exits 1 in_a push --delete origin docs@v1 docs@side
    has "refs/heads/docs/side at 'origin' is not where it was last seen (nothing was deleted)" 'dsver fetch first'
    exits 1 in_a push --delete origin docs@theirs
    exits 1 in_a push -n --delete origin docs@t
    has "refs/tags/docs/t at 'origin' is at what is not known here"
    exits 1 in_a push --delete --json origin docs@theirs
    has '"code":1,"error":"refs/heads/docs/theirs at '"'origin'"' is at what is not known here (nothing was deleted)'
    is_there "$want"
    in_a fetch -q
    exits 0 in_a push -q --delete origin docs@theirs docs@t
    commit b more -b side
    in_b push -q origin docs@side
    exits 1 in_a push --delete origin docs@side
    exits 0 in_a push --delete --force origin docs@side
    is_there "refs/heads/docs/main refs/tags/docs/v1 refs/tags/docs/v2"
    # a tag that is another here
    (cd b && dsver tag -d docs v1 && dsver tag docs@side v1 && dsver push -q --force origin docs) >/dev/null
    exits 1 in_a push --delete origin docs@v1
    has "refs/tags/docs/v1 at 'origin' is another than here"
    exits 0 in_a push -f --delete origin docs@v1
    exits 0 in_a fsck --read-data
}

@test "push --delete: a branch that moves while it is deleted stays" {
    in_a push -q
    dsver clone -q far b
    commit b news -b side
    # another's push comes between the look and the deletion
    mkdir bin
    cat >bin/git <<EOF
#!/bin/sh
case " \$* " in *" push "*) PATH="$PATH"; (cd "$PWD/b" && dsver push -q origin docs@side) ;; esac
exec $(command -v git) "\$@"
EOF
    chmod +x bin/git
    exits 1 env PATH="$PWD/bin:$PATH" dsver push --store a --delete origin docs@side docs@v1
    has 'rejected: ' 'run dsver fetch and try again'
    is_there "$all"
    [ "$(git -C far/catalog.git rev-parse docs/side)" = "$(here b refs/heads/docs/side)" ]
    here a refs/remotes/origin/docs/side
}

@test "push --delete: the last branch of a dataset goes by --force only" {
    (cd a && dsver commit -m x other ../v1.dsr >/dev/null)
    in_a push -q
    exits 1 in_a push --delete origin docs@main docs@side
    has "docs@main: no branch of 'docs' would be left at 'origin' (nothing was deleted"
    is_there "${all/ refs\/tags/ refs/heads/other/main refs/tags}"
    exits 0 in_a push --delete origin docs@main
    exits 1 in_a push --delete origin docs@side
    exits 0 in_a push --delete --force origin docs@side
    is_there "refs/heads/other/main refs/tags/docs/v1 refs/tags/docs/v2"
}

@test "push --delete: what makes no sense, and what the remote does not allow" {
    in_a push -q
    exits 2 in_a push --delete
    has '--delete wants a remote and what is to be deleted there'
    exits 2 in_a push --delete origin
    exits 2 in_a push --delete origin docs
    has "--delete wants DATASET@BRANCH or DATASET@TAG, not 'docs'"
    exits 2 in_a push --delete origin docs@
    exits 2 in_a push --delete origin @side
    exits 2 in_a push --delete --all origin docs@side
    exits 2 in_a push --delete --read-data origin docs@side
    exits 2 in_a push --delete docs@side docs@v1
    has "'docs@side' is no remote but a dataset"
    exits 1 in_a push --delete origin docs@none
    exits 1 in_a push --delete origin none@main
    exits 1 in_a push --delete origin docs@side docs@none
    git -C far/catalog.git config receive.denyDeletes true
    exits 1 in_a push --delete origin docs@side
    has 'deletion prohibited'
    [[ $output != *meanwhile* ]]
    git -C far/catalog.git config --unset receive.denyDeletes
    is_there "$all"
    git -C far/catalog.git update-ref refs/tags/docs/side docs/main
    exits 1 in_a push --delete origin docs@side
    has "'docs@side' is a branch and a tag at 'origin'" ':refs/heads/docs/side' ':refs/tags/docs/side'
    rm -r far
    exits 13 in_a push --delete origin docs@side
    [ ! -e far ]
}

@test "--prune: branches that the remote has no more are forgotten, and what they were at is kept" {
    commit a alone -b side
    (cd a && dsver branch docs third && dsver commit -m x other ../v1.dsr && dsver push -q) >/dev/null
    dsver clone -q far b
    alone=$(here a refs/heads/docs/side)
    (cd b && dsver branch -d docs side && dsver branch -d docs third && dsver gc --grace 0) >/dev/null
    in_a push -q --delete origin docs@side docs@third docs@v1
    in_a push -q --delete --force origin other@main
    exits 0 in_b fetch
    [ "$output" = "nothing new" ]
    [ "$(here b refs/remotes/origin/docs/side)" = "$alone" ]
    # a pull does not make anew what was deleted here and there
    exits 0 in_b pull
    [ "$output" = "nothing new" ]
    fails here b refs/heads/docs/side
    # of one branch, of what is not there and was not, of a dataset that is gone
    exits 1 in_b fetch --prune origin docs@none
    has "no branch of 'docs@none' there"
    exits 0 in_b fetch -p origin docs@third
    [ "$output" = "docs@origin/third  deleted   $(here a refs/heads/docs/third | cut -c1-10)" ]
    exits 0 in_b fetch --prune --json origin other
    [ "$(jq -c '[.type, .ref // .refs, .did, .after]' <<<"$output")" = '["ref","refs/remotes/origin/other/main","deleted",null]
["fetch",1,null,null]' ]
    here b refs/remotes/origin/docs/side
    exits 1 in_b fetch origin other
    exits 0 in_b pull --prune --json
    [ "$(jq -r 'select(.did == "deleted") | .ref, .before' <<<"$output" | xargs)" = "refs/remotes/origin/docs/side $alone" ]
    fails here b refs/heads/docs/side
    fails here b refs/remotes/origin/docs/side
    # branches and tags of this store stay, what only the other one knew is kept for the grace
    for ref in heads/docs/main heads/other/main tags/docs/v1 tags/docs/v2 remotes/origin/docs/main; do here b "refs/$ref"; done
    in_b oplog --command pull | grep -q "refs/remotes/origin/docs/side ${alone:0:10} -> none"
    (cd b && dsver gc >/dev/null)
    exits 0 in_b cat docs@$alone -o out.dsr
    (cd b && dsver gc --grace 0 >/dev/null)
    exits 1 in_b cat docs@$alone -o out.dsr
    exits 0 in_b fetch --prune
    [ "$output" = "nothing new" ]
    exits 0 in_b fsck --read-data
}

@test "--prune: a branch that is gone does not stand in the way of one below its name" {
    (cd a && dsver branch docs at && dsver push -q) >/dev/null
    dsver clone -q far b
    in_a push -q --delete origin docs@at
    (cd a && dsver branch -d docs at && dsver branch docs at/night && dsver push -q) >/dev/null
    fails in_b fetch
    exits 0 in_b fetch --prune
    here b refs/remotes/origin/docs/at/night
    # another remote's are none of its business
    (cd b && dsver remote add second ../second && dsver push -q second && dsver fetch -q second)
    rm -r second && mkdir second && git init -q --bare second/catalog.git
    exits 0 in_b fetch --prune origin
    here b refs/remotes/second/docs/main
    exits 0 in_b fetch -q --prune second
    fails here b refs/remotes/second/docs/main
    here b refs/remotes/origin/docs/main
}
