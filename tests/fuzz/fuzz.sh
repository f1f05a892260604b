#!/usr/bin/env bash
# fuzz.sh BUILD SECONDS [WORD]: libFuzzer on every target, starting from its corpus; what it finds stays in BUILD/found.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$1 seconds=$2 word=${3:-} rc=0
for t in "$build"/fuzz/fuzz_*; do
    [ -x "$t" ] || continue
    name=$(basename "$t")
    case $name in *"$word"*) ;; *) continue ;; esac
    work=$build/found/$name
    mkdir -p "$work/corpus" "$work/crash"
    echo "== $name"
    corpus=tests/fuzz/corpus/${name#fuzz_}
    [ -d "$corpus" ] || corpus=
    # shellcheck disable=SC2086 # corpus is absent or one word
    "$t" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$work/crash/" "$work/corpus" $corpus 2>&1 | tail -n 15
    [ "${PIPESTATUS[0]}" -eq 0 ] || rc=1
done
exit $rc
