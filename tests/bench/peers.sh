#!/bin/bash
# peers.sh - dsver beside restic, borg, casync, git and git-lfs, as far as they are installed, in one run.
#
#   peers.sh [--jsonl FIELD] V1 V2 [V3] [-- PEER...]     (default: all peers)
#
# Folder V1 is committed, and once more unchanged, then V2 and V3 on top of it (the same files, some changed); at last V1 is
# restored, and everything verified. With --jsonl the folders hold JSON lines with FIELD as their key, which dsver versions as
# records; without it, it versions files. Peers encrypt nothing where that can be said. A table of seconds and of bytes added to
# the store (below the seconds: processor seconds, which a busy machine hardly changes), and how many times as much each peer takes. $DS_BIN_DIR: where dsprep and dsver are. $TMPDIR: where stores and
# restored files go, and go again.
set -eu -o pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
bin=${DS_BIN_DIR:-$here/../../build/release/bin}
PATH=$(cd "$bin" && pwd):$PATH
field=
[ "${1:-}" != --jsonl ] || { field=$2 && shift 2; }
[ $# -ge 2 ] || { sed -n '2,12p' "$0" >&2; exit 2; }
versions=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    versions+=("$(cd "$1" && pwd)")
    shift
done
[ $# -eq 0 ] || shift
peers=${*:-casync restic borg git git-lfs}
one=${versions[0]}
work=$(mktemp -d)
trap 'chmod -R u+rwx "$work"; rm -rf "$work"' EXIT
cd "$work"
# Who comes first is to find no colder files than who comes last.
find "${versions[@]}" -type f -exec cat {} + >/dev/null
export RESTIC_PASSWORD=x RESTIC_CACHE_DIR=$work/cache BORG_BASE_DIR=$work/borgbase HOME=$work
export BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes

columns=(first again v2)
[ ${#versions[@]} -lt 3 ] || columns+=(v3)
columns+=(restore verify)
# shellcheck disable=SC2034 # by name, in line and ratios
declare -A secs cpu bytes
size() { du -sb --apparent-size "$1" | cut -f1; }
# timed WHO WHAT COMMAND...: seconds of the command; bytes that WHO's store grew by.
timed() {
    local who=$1 what=$2 before
    shift 2
    before=$(size "$who")
    local TIMEFORMAT='%R %U %S'
    { time "$@" >"$work/said" 2>"$work/err"; } 2>"$work/time" ||
        { echo "peers: $who $what: $(tail -n 1 "$work/err")" >&2; return 1; }
    read -r secs["$who,$what"] cpu["$who,$what"] < <(awk '{ print $1, $2 + $3 }' "$work/time")
    bytes[$who,$what]=$(($(size "$who") - before))
}

dsver_init() { mkdir dsver && dsver init dsver >/dev/null; }
dsver_commit() {
    if [ -n "$field" ]; then
        dsprep text -q --format jsonl --key-field "$field" "$1" | dsver commit --store dsver raw
    else
        dsprep files -q --store dsver "$1" | dsver commit --store dsver raw
    fi
}
# The newest version is ~0; that of the unchanged commit is V1 itself.
dsver_restore() { dsver checkout --store dsver ${field:+--format jsonl} "raw~$((${#versions[@]} - 1))" out; }
dsver_verify() { dsver fsck --store dsver --read-data; }

restic_init() { restic -q init -r restic >/dev/null; }
restic_commit() { (cd "$1" && restic -q backup -r "$work/restic" .); }
restic_restore() { restic -q restore -r restic "$(restic -r restic snapshots --json | jq -r '.[0].id')" --target out; }
restic_verify() { restic -q check -r restic --read-data; }

borg_init() { borg init -e none borg; }
borg_commit() { n=$((n + 1)); (cd "$1" && borg create "$work/borg::v$n" .); }
borg_restore() { mkdir out && (cd out && borg extract "$work/borg::v1"); }
borg_verify() { borg check --verify-data borg; }

casync_init() { mkdir casync; }
casync_commit() { n=$((n + 1)); casync make --without=all --store=casync/v.castr "casync/v$n.caidx" "$1"; }
casync_restore() { casync extract --without=all --store=casync/v.castr casync/v1.caidx out; }

# Of a working copy, as git wants it.
git_begin() {
    mkdir "$1" && git init -q --bare "$1/r.git"
    git --git-dir="$1/r.git" config core.bare false
    git --git-dir="$1/r.git" config user.name x
    git --git-dir="$1/r.git" config user.email x@x
    git --git-dir="$1/r.git" config gc.auto 0
}
on_git() { git --git-dir="$work/$1/r.git" --work-tree="$2" "${@:3}"; }
git_save() { # WHO FOLDER
    n=$((n + 1))
    (cd "$2" && on_git "$1" . add -A && on_git "$1" . commit -q --allow-empty -m x && on_git "$1" . tag -f "v$n")
}
git_load() { mkdir out && (cd out && on_git "$1" . checkout -q -f v1 -- .); }
git_init() { git_begin git; }
git_commit() { git_save git "$1"; }
git_restore() { git_load git; }
git_verify() { on_git git . fsck --full; }
git_lfs_init() {
    git_begin git-lfs
    git --git-dir=git-lfs/r.git config filter.lfs.clean 'git-lfs clean -- %f'
    git --git-dir=git-lfs/r.git config filter.lfs.smudge 'git-lfs smudge -- %f'
    git --git-dir=git-lfs/r.git config filter.lfs.process 'git-lfs filter-process'
    git --git-dir=git-lfs/r.git config filter.lfs.required true
    mkdir -p git-lfs/r.git/info && echo '* filter=lfs -text' >git-lfs/r.git/info/attributes
}
git_lfs_commit() { git_save git-lfs "$1"; }
git_lfs_restore() { git_load git-lfs; }
git_lfs_verify() { on_git git-lfs . lfs fsck --objects; }

run() { # WHO
    local f=${1//-/_} n=0 i
    rm -rf out
    "${f}_init" || return 1
    timed "$1" first "${f}_commit" "$one" || return 1
    timed "$1" again "${f}_commit" "$one" || return 1
    for ((i = 1; i < ${#versions[@]}; i++)); do
        timed "$1" "v$((i + 1))" "${f}_commit" "${versions[i]}" || return 1
    done
    timed "$1" restore "${f}_restore" || return 1
    if [ -z "$field" ] || [ "$1" != dsver ]; then
        diff -rq --no-dereference "$one" out >/dev/null || echo "peers: $1: what it restored differs" >&2
    fi
    chmod -R u+rwx out
    rm -rf out
    if [ "$(type -t "${f}_verify")" = function ]; then
        timed "$1" verify "${f}_verify" || return 1
    fi
}

# line NAME ARRAY: one of seconds.
line() {
    local c
    local -n of=$2
    printf '%-9s' "$1"
    for c in "${columns[@]}"; do printf ' %8s' "${of[$who,$c]:--}"; done
}
ratios() { # NAME ARRAY: how many times as much as dsver
    local c
    local -n of=$2
    printf '%-9s' "$1"
    for c in "${columns[@]}"; do
        awk -v a="${of[$who,$c]:-0}" -v b="${of[dsver,$c]:-0}" 'BEGIN { if (a && b) printf " %7.2fx", a / b; else printf " %8s", "-" }'
    done
}
report() {
    local c
    line "$who" secs
    for c in "${columns[@]}"; do
        case $c in first | v2 | v3) awk -v b="${bytes[$who,$c]}" 'BEGIN { printf " %9.2f", b / 1e6 }' ;; esac
    done
    awk -v b="$(size "$who")" 'BEGIN { printf " %9.2f\n", b / 1e6 }'
    line '  cpu' cpu
    echo
    [ "$who" != dsver ] || return 0
    ratios '  / ours' secs
    for c in "${columns[@]}"; do
        case $c in first | v2 | v3) awk -v a="${bytes[$who,$c]}" -v b="${bytes[dsver,$c]}" 'BEGIN { printf " %8.2fx", a / b }' ;; esac
    done
    awk -v a="$(size "$who")" -v b="$(size dsver)" 'BEGIN { printf " %8.2fx\n", a / b }'
    ratios '  cpu/our' cpu
    echo
}

printf '%-9s' ''
for c in "${columns[@]}"; do printf ' %8s' "$c"; done
for c in "${columns[@]}"; do case $c in first | v2 | v3) printf ' %9s' "MB $c" ;; esac; done
printf ' %9s\n' 'MB all'
for who in dsver $peers; do
    if [ "$who" != dsver ] && ! command -v "$who" >"$work/said"; then
        echo "$who: not installed"
        continue
    fi
    if run "$who"; then report; fi
    if [ "$who" != dsver ]; then
        chmod -R u+rwx "$who"
        rm -rf "${work:?}/$who" "$work/cache" "$work/borgbase"
    fi
done
t0=$(date +%s.%N)
if [ -n "$field" ]; then
    find "$one" -type f -print0 | sort -z | xargs -0 cat | zstd -q -3 -T2 >"$work/said"
    what='zstd -3 -T2' mine=first
else
    find "$one" -printf '%s %T@ %C@ %i %p\n' >"$work/said"
    what='find -printf' mine=again
fi
awk -v a="$t0" -v b="$(date +%s.%N)" -v c="${secs[dsver,$mine]}" -v w="$what" -v m="$mine" \
    'BEGIN { printf "%s %.2f s; dsver, %s, takes %.2f x that\n", w, b - a, m, c / (b - a) }'
