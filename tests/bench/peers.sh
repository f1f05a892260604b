#!/bin/bash
# peers.sh - dsver beside restic, borg, casync, git and git-lfs, as far as they are installed: files, in one run.
#
#   peers.sh FOLDER COPY [PEER...]     (default: all peers)
#
# FOLDER is committed, committed again unchanged, then COPY (the same files, some changed) on top of it; at last
# FOLDER's version is restored. Peers encrypt nothing where that can be said. A table of seconds, bytes added to the store, and
# what dsver is better by. $DS_BIN_DIR: where dsprep and dsver are. $TMPDIR: where stores and restored files go, and go again.
set -eu -o pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
bin=${DS_BIN_DIR:-$here/../../build/release/bin}
PATH=$(cd "$bin" && pwd):$PATH
[ $# -ge 2 ] || { sed -n '2,9p' "$0" >&2; exit 2; }
one=$(cd "$1" && pwd) two=$(cd "$2" && pwd)
shift 2
peers=${*:-casync restic borg git git-lfs}
work=$(mktemp -d)
trap 'chmod -R u+rwx "$work"; rm -rf "$work"' EXIT
cd "$work"
export RESTIC_PASSWORD=x RESTIC_CACHE_DIR=$work/cache BORG_BASE_DIR=$work/borgbase HOME=$work
export BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes

declare -A secs bytes
size() { du -sb --apparent-size "$1" | cut -f1; }
# timed WHO WHAT COMMAND...: seconds of the command; bytes that WHO's store grew by.
timed() {
    local who=$1 what=$2 before t0 t1
    shift 2
    before=$(size "$who")
    t0=$(date +%s.%N)
    "$@" >"$work/said" 2>"$work/err" || { echo "peers: $who $what: $(tail -n 1 "$work/err")" >&2; return 1; }
    t1=$(date +%s.%N)
    secs[$who,$what]=$(awk -v a="$t0" -v b="$t1" 'BEGIN { printf "%.2f", b - a }')
    bytes[$who,$what]=$(($(size "$who") - before))
}

dsver_commit() { dsprep files -q --store dsver "$1" | dsver commit --store dsver raw; }
dsver_init() { mkdir dsver && dsver init dsver >/dev/null; }
dsver_restore() { dsver checkout --store dsver "raw$1" out; }

restic_init() { restic -q init -r restic >/dev/null; }
restic_commit() { (cd "$1" && restic -q backup -r "$work/restic" .); }
restic_restore() { restic -q restore -r restic "$(restic -r restic snapshots --json | jq -r '.[0].id')" --target out; }

borg_init() { borg init -e none borg; }
borg_commit() { n=$((${n:-0} + 1)); (cd "$1" && borg create "$work/borg::v$n" .); }
borg_restore() { mkdir out && (cd out && borg extract "$work/borg::v1"); }

casync_init() { mkdir casync; }
casync_commit() { n=$((${n:-0} + 1)); casync make --without=all --store=casync/v.castr "casync/v$n.caidx" "$1"; }
casync_restore() { casync extract --without=all --store=casync/v.castr casync/v1.caidx out; }

# Of a working copy, as git wants it.
git_begin() {
    mkdir "$1" && git init -q --bare "$1/r.git"
    git --git-dir="$1/r.git" config user.name x
    git --git-dir="$1/r.git" config user.email x@x
    git --git-dir="$1/r.git" config gc.auto 0
}
git_init() { git_begin git; }
git_commit() {
    git --git-dir=git/r.git --work-tree="$1" add -A &&
        git --git-dir=git/r.git --work-tree="$1" commit -q --allow-empty -m x && git --git-dir=git/r.git tag -f "v$((++n))"
}
git_restore() { mkdir out && git --git-dir=git/r.git --work-tree=out checkout -q -f v1 -- .; }
lfs() { (cd "$1" && git --git-dir="$work/git-lfs/r.git" --work-tree=. "${@:2}"); }
git_lfs_init() {
    git_begin git-lfs
    git --git-dir=git-lfs/r.git config filter.lfs.clean 'git-lfs clean -- %f'
    git --git-dir=git-lfs/r.git config filter.lfs.smudge 'git-lfs smudge -- %f'
    git --git-dir=git-lfs/r.git config filter.lfs.process 'git-lfs filter-process'
    git --git-dir=git-lfs/r.git config filter.lfs.required true
    echo '* filter=lfs -text' >git-lfs/r.git/info/attributes
}
git_lfs_commit() { lfs "$1" add -A && lfs "$1" commit -q --allow-empty -m x && lfs "$1" tag -f "v$((++n))"; }
git_lfs_restore() { mkdir out && lfs out checkout -q -f v1 -- .; }

run() { # WHO
    local f=${1//-/_} first='' n=0
    [ "$1" != dsver ] || first='~1'
    rm -rf out
    "${f}_init" || return 1
    timed "$1" first "${f}_commit" "$one" || return 1
    timed "$1" again "${f}_commit" "$one" || return 1
    timed "$1" copy "${f}_commit" "$two" || return 1
    timed "$1" restore "${f}_restore" "$first" || return 1
    diff -rq --no-dereference "$one" out >/dev/null || echo "peers: $1: what it restored differs" >&2
    chmod -R u+rwx out
    rm -rf out
}

printf '%-9s %8s %8s %8s %8s %12s %12s\n' '' first again copy restore 'bytes first' 'bytes copy'
for who in dsver $peers; do
    if [ "$who" != dsver ] && ! command -v "$who" >"$work/said"; then
        echo "$who: not installed"
        continue
    fi
    run "$who" || continue
    printf '%-9s %8s %8s %8s %8s %12s %12s\n' "$who" "${secs[$who,first]}" "${secs[$who,again]}" "${secs[$who,copy]}" \
        "${secs[$who,restore]}" "${bytes[$who,first]}" "${bytes[$who,copy]}"
    [ "$who" = dsver ] || awk -v a="${secs[$who,first]} ${secs[$who,again]} ${secs[$who,copy]} ${secs[$who,restore]} ${bytes[$who,first]} ${bytes[$who,copy]}" \
        -v b="${secs[dsver,first]} ${secs[dsver,again]} ${secs[dsver,copy]} ${secs[dsver,restore]} ${bytes[dsver,first]} ${bytes[dsver,copy]}" \
        'BEGIN { n = split(a, x); split(b, y); printf "%-9s", "  ours is"; for (i = 1; i <= n; i++) printf i < 5 ? " %7.2fx" : " %11.2fx", x[i] / y[i]; print "" }'
    rm -rf "$work/$who" 2>/dev/null || true
done
t0=$(date +%s.%N)
find "$one" -printf '%s %T@ %C@ %i %p\n' >"$work/said"
awk -v a="$t0" -v b="$(date +%s.%N)" -v c="${secs[dsver,again]}" \
    'BEGIN { printf "find -printf %.2f s; dsver again takes %.2f x that\n", b - a, c / (b - a) }'
