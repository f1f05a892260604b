#!/bin/bash
# peers.sh - dsver beside restic, borg, casync, git and git-lfs, as far as they are installed, in one run.
#
#   peers.sh [--goals NAME] [--jsonl FIELD] V1 V2 [V3] [-- PEER...]     (default: all peers)
#
# Folder V1 is committed, and once more unchanged, then V2 and V3 on top of it (the same files, some changed); at last V1 is
# restored, and everything verified. With --jsonl the folders hold JSON lines with FIELD as their key, which dsver versions as
# records; without it, it versions files. Peers encrypt nothing where that can be said. A table of seconds and of bytes added to
# the store (below the seconds: processor seconds, which a busy machine hardly changes), and how many times as much each peer takes.
# Each in turn, $DS_BENCH_RUNS times over (default 2): of a thing timed several times the least counts.
# --goals lines, scans or small: then what is to be reached with such data, a line each.
# $DS_BIN_DIR: where dsprep and dsver are. $TMPDIR: where stores and restored files go, and go again.
set -eu -o pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
bin=${DS_BIN_DIR:-$here/../../build/release/bin}
PATH=$(cd "$bin" && pwd):$PATH
field='' goals=none
[ "${1:-}" != --goals ] || { goals=$2 && shift 2; }
[ "${1:-}" != --jsonl ] || { field=$2 && shift 2; }
[ $# -ge 2 ] || { sed -n '2,14p' "$0" >&2; exit 2; }
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
declare -A secs cpu bytes all limit
# least A B: the lesser of two numbers, of which B may be missing.
least() { awk -v a="$1" -v b="${2:-1e9}" 'BEGIN { print a < b ? a : b }'; }
size() { du -sb --apparent-size "$1" | cut -f1; }
# timed WHO WHAT COMMAND...: least seconds of the command; bytes that WHO's store grew by.
timed() {
    local who=$1 what=$2 before real busy
    shift 2
    before=$(size "$who")
    sync # who syncs at its end is not to write what others left in memory
    local TIMEFORMAT='%R %U %S'
    { time "$@" >"$work/said" 2>"$work/err"; } 2>"$work/time" ||
        { echo "peers: $who $what: $(tail -n 1 "$work/err")" >&2; return 1; }
    read -r real busy < <(awk '{ print $1, $2 + $3 }' "$work/time")
    secs[$who,$what]=$(least "$real" "${secs[$who,$what]:-}")
    cpu[$who,$what]=$(least "$busy" "${cpu[$who,$what]:-}")
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
# The newest version is ~0; that of the unchanged commit is V1 itself. No peer waits for the disk when it restores.
dsver_restore() { dsver checkout --no-sync --store dsver ${field:+--format jsonl} "raw~$((${#versions[@]} - 1))" out; }
dsver_synced() { dsver checkout --store dsver ${field:+--format jsonl} "raw~$((${#versions[@]} - 1))" out; }
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

# drop PATH...: what a peer leaves. Of many files only at the end: ext4 passes over inodes that were deleted in the last
# minutes one by one, and who restores files next would take several times as long.
many=$(find "$one" | awk 'END { if (NR > 20000) print "yes" }')
drops=0
drop() {
    local p
    for p; do
        [ -e "$p" ] || continue
        if [ -n "$many" ]; then
            drops=$((drops + 1))
            mkdir -p gone && mv "$p" "gone/$drops"
        else
            chmod -R u+rwx "$p"
            rm -rf "${p:?}"
        fi
    done
}

run() { # WHO
    local f=${1//-/_} n=0 i
    drop out "$1"
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
    drop out
    if [ "$(type -t "${f}_synced")" = function ]; then
        timed "$1" synced "${f}_synced" || return 1
        drop out
    fi
    if [ "$(type -t "${f}_verify")" = function ]; then
        timed "$1" verify "${f}_verify" || return 1
    fi
    all[$1]=$(size "$1")
    drop "$1" cache borgbase
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
    awk -v b="${all[$who]}" 'BEGIN { printf " %9.2f\n", b / 1e6 }'
    line '  cpu' cpu
    echo
    [ "$who" != dsver ] || return 0
    ratios '  / ours' secs
    for c in "${columns[@]}"; do
        case $c in first | v2 | v3) awk -v a="${bytes[$who,$c]}" -v b="${bytes[dsver,$c]}" 'BEGIN { printf " %8.2fx", a / b }' ;; esac
    done
    awk -v a="${all[$who]}" -v b="${all[dsver]}" 'BEGIN { printf " %8.2fx\n", a / b }'
    ratios '  cpu/our' cpu
    echo
}

# ---- limits of the same run ----

# since NAME: seconds from then on, the least.
began() { t0=$(date +%s.%N); }
since() { limit[$1]=$(least "$(awk -v a="$t0" -v b="$(date +%s.%N)" 'BEGIN { print b - a }')" "${limit[$1]:-}"); }
all_files() { find "$one" -type f -print0 | sort -z | xargs -0 cat; }
# What nobody can do without, on two processors: decode, and SHA-256 of what comes out.
decode_and_sum() {
    all_files >whole && split -n 2 whole half. && zstd -q -3 -T2 --rm half.aa half.ab
    rm whole
    began
    (zstd -q -dc half.aa.zst | openssl dgst -sha256 >"$work/said") &
    zstd -q -dc half.ab.zst | openssl dgst -sha256 >"$work/err"
    wait
    since decode
    rm -f half.*
}
limits() {
    began
    if [ -n "$field" ]; then
        all_files | zstd -q -3 -T2 >"$work/said"
        since zstd
        decode_and_sum
    else
        find "$one" -printf '%s %T@ %C@ %i %p\n' >"$work/said"
        since find
    fi
}

# ---- all of them, in turn ----

absent() { [ "$1" != dsver ] && ! command -v "$1" >"$work/said"; }
for ((round = 0; round < ${DS_BENCH_RUNS:-2}; round++)); do
    for who in dsver $peers; do
        absent "$who" || run "$who" || all[$who]=''
        [ -n "${all[dsver]}" ] || exit 1
    done
    limits
done

printf '%-9s' ''
for c in "${columns[@]}"; do printf ' %8s' "$c"; done
for c in "${columns[@]}"; do case $c in first | v2 | v3) printf ' %9s' "MB $c" ;; esac; done
printf ' %9s\n' 'MB all'
for who in dsver $peers; do
    if absent "$who"; then
        echo "$who: not installed"
    elif [ -n "${all[$who]}" ]; then
        report
    fi
done

# ---- goals ----

say() { printf '%-58s %10s   goal %s\n' "$1" "$2" "$3"; }
over() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
# fastest WHAT PEER...: the least seconds of those that ran.
fastest() {
    local what=$1 who best=
    shift
    for who; do
        [ -z "${secs[$who,$what]:-}" ] || best=$(least "${secs[$who,$what]}" "$best")
    done
    echo "${best:-0}"
}
# faster NAME WHAT GOAL PEER...: how many times as long the fastest of them takes.
faster() {
    local name=$1 what=$2 goal=$3 best
    shift 3
    best=$(fastest "$what" "$@")
    [ "$best" = 0 ] || say "$name" "$(over "$best" "${secs[dsver,$what]}")" "$goal"
}
all_bytes() { # WHO
    local c n=0
    for c in "${columns[@]}"; do n=$((n + ${bytes[$1,$c]:-0})); done
    echo "$n"
}
smaller() { [ -z "${secs[$1,first]:-}" ] || say "all versions stored / $1's" "$(over "$(all_bytes dsver)" "$(all_bytes "$1")")" "$2"; }

restored() {
    faster 'restore, fastest peer / ours' restore '>= 2' casync restic borg git git-lfs
    say '  seconds until the disk has it / until it is there' "$(over "${secs[dsver,synced]}" "${secs[dsver,restore]}")" '-'
}

goals_none() { :; }
goals_lines() {
    say 'first commit / zstd -3 -T2 alone' "$(over "${secs[dsver,first]}" "${limit[zstd]}")" '<= 1.3'
    faster 'first commit, fastest compressing peer / ours' first '>= 1.3' casync restic borg git
    faster 'version 2, fastest compressing peer / ours' v2 '>= 3' casync restic borg git
    restored
    faster 'verify, faster of restic and borg / ours' verify '>= 3' restic borg
    say '  verify / decode and SHA-256 of version 1 alone' "$(over "${secs[dsver,verify]}" "${limit[decode]}")" '<= 1.3'
    smaller casync '<= 0.8'
    smaller restic '<= 0.55'
}
goals_scans() {
    say 'version 2 adds, % of version 1' "$(awk -v a="${bytes[dsver,v2]}" -v b="${bytes[dsver,first]}" 'BEGIN { printf "%.2f", 100 * a / b }')" '<= 3'
}
goals_small() {
    faster 'first commit, fastest peer / ours' first '>= 2' casync restic borg git git-lfs
    restored
    say 'unchanged commit / find -printf' "$(over "${secs[dsver,again]}" "${limit[find]}")" '<= 3'
}
"goals_$goals"
