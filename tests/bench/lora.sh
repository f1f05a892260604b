#!/bin/bash
# lora.sh - LoRA beside full fine-tuning on real text: trained parameters, memory, tokens a second, and how far the loss falls.
#
# A small model is trained here on one kind of this machine's documentation (copyright files and READMEs under /usr/share/doc), then
# fine-tuned on another (C headers under /usr/include), once in full and once with adapters of each rank. Quality is the fall of the loss on
# headers that were held back, as a share of full fine-tuning's. Each method has the learning rate that did best for it among those tried here.
#
# DS_BIN_DIR         where the programs are
# DS_BENCH_STEPS     steps of pre-training (default 2000): adapters can only steer what a model knows
# DS_BENCH_TUNE      steps of fine-tuning (default 200)
# DS_BENCH_RANKS     ranks (default "8 16")
set -eu -o pipefail
export LC_ALL=C
bin=${DS_BIN_DIR:-$(cd "$(dirname "$0")/../.." && pwd)/build/release/bin}
PATH=$(cd "$bin" && pwd):$PATH
steps=${DS_BENCH_STEPS:-2000}
tune=${DS_BENCH_TUNE:-200}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# Text of some folder's files, the first 20 KB of each, at most $3 bytes.
some() { # OUT FOLDER BYTES PATTERN...
    local out=$1 dir=$2 bytes=$3
    shift 3
    find "$dir" -type f \( "$@" \) -size -60k -print0 | sort -z | xargs -0 head -q -c 20000 2>/dev/null | tr -cd '\11\12\40-\176' |
        head -c "$bytes" > "$out" || true
    [ -s "$out" ] || { echo "lora.sh: no text in $dir" >&2; exit 77; }
}
some docs.txt /usr/share/doc 1500000 -name copyright -o -iname 'README*'
some heads.txt /usr/include 800000 -name '*.h'
cut=$(($(wc -l < heads.txt) * 9 / 10))
head -n "$cut" heads.txt > learn.txt
tail -n +"$((cut + 1))" heads.txt > rest.txt
head -c 60000 rest.txt > test.txt
cat docs.txt heads.txt > all.txt
dstok train --vocab-size 2048 -o tok.json all.txt 2> log || { cat log >&2; exit 1; }
for n in docs learn test; do
    split -C 4000 --additional-suffix=.txt "$n.txt" "$n-" # records of some 1,500 tokens
    dsprep text -q "$n"-*.txt | dsprep tokenize -q -t tok.json -o "$n.dsr"
done
dstrain init --arch llama --preset tiny --tokenizer tok.json -o empty > log
common=(--seq-len 128 --batch 8 -q)
dstrain finetune --model empty --data docs.dsr --method full --lr 2e-3 --steps "$steps" "${common[@]}" -o pre > log
base=pre/$(cd pre && echo step-*)

loss() { sed -n 's/.*"type":"eval".*"loss":\([0-9.]*\),.*/\1/p' "$1/metrics.jsonl" | tail -n 1; }
# try NAME LR OPTION...: fine-tunes; keeps what did best of this name.
try() {
    local name=$1 lr=$2
    shift 2
    rm -rf now
    /usr/bin/env time -f %M -o now.mem dstrain finetune --model "$base" --data learn.dsr --eval-data test.dsr --steps "$tune" \
        --lr "$lr" "${common[@]}" "$@" -o now > log 2>&1 || { cat log >&2; exit 1; }
    if [ ! -e "$name" ] || awk -v a="$(loss now)" -v b="$(loss "$name")" 'BEGIN { exit !(a < b) }'; then
        rm -rf "$name"
        mv now "$name"
        mv now.mem "$name/mem"
        echo "$lr" > "$name/lr"
    fi
}
before=$(dstrain eval --json --model "$base" --data test.dsr --seq-len 128 | sed 's/.*"loss":\([0-9.]*\),.*/\1/')
for lr in 1e-3 2e-3 4e-3; do try full "$lr" --method full; done
for r in ${DS_BENCH_RANKS:-8 16}; do
    for lr in 5e-3 1e-2 2e-2; do try "r$r" "$lr" --method lora --rank "$r" --alpha $((2 * r)); done
done
printf '%-10s %9s %12s %10s %12s %10s %12s\n' method lr 'trained %' 'memory MB' 'tokens/s' 'test loss' 'fall, share'
printf '%-10s %9s %12s %10s %12s %10.4f\n' before '' '' '' '' "$before"
for n in full $(for r in ${DS_BENCH_RANKS:-8 16}; do echo "r$r"; done); do
    trained=$(dstrain plan --json --model "$base" --rank "$(case $n in r*) echo "${n#r}" ;; *) echo 1 ;; esac)" |
        awk -v m="$(case $n in r*) echo lora ;; *) echo full ;; esac)" -F '[:,]' '
            { gsub(/"/, "") } $4 == "full" { all = $6 } $4 == m { t = $6 } END { printf "%.2f", 100 * t / all }')
    speed=$(grep '"type":"step"' "$n/metrics.jsonl" | sed 's/.*"tokens":\([0-9]*\),"seconds":\([0-9.]*\),.*/\1 \2/' |
        awk 'NR > 1 { t += $1; s += $2 } END { printf "%.0f", t / s }')
    printf '%-10s %9s %12s %10.0f %12s %10.4f %12s\n' "$n" "$(cat "$n/lr")" "$trained" "$(($(tail -n 1 "$n/mem") / 1024))" "$speed" "$(loss "$n")" \
        "$(awk -v b="$before" -v f="$(loss full)" -v l="$(loss "$n")" 'BEGIN { printf "%.1f %%", 100 * (b - l) / (b - f) }')"
done
# What it costs to know what was consumed: chained hashes, counts and segments, against the whole of the steps.
for n in full r[0-9]*; do
    sed -n 's/.*"type":"step".*"seconds":\([0-9.]*\),.*"ledger":\([0-9.]*\)}/\1 \2/p' "$n/metrics.jsonl" |
        awk -v n="$n" 'NR > 1 { t += $1; l += $2 } END { printf "ledger, %% of the steps of %-20s %10.3f   goal <= 1\n", n, 100 * l / t }'
done
