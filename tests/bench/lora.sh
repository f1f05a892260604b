#!/bin/bash
# lora.sh - LoRA beside full fine-tuning on a task from real text: trained parameters, memory, tokens a second, and what each is worth.
#
# The base is a small model trained here on prose: manual pages of this machine and what apt knows of packages, a line each. The task is
# to say in which section of the archive a package is, from its line (loradata.py): ten labels, asked for by label likelihood. The base has
# never seen a section. Packages are dealt to learning, choosing and testing by their source. Each method, full fine-tuning too, has
# the learning rate and the number of steps whose accuracy was best on the ones for choosing; what is told is of the ones for testing, by which
# nothing was chosen. The effect is the gain in accuracy over the base, and the fall of the loss on the answers, each as a share of full
# fine-tuning's.
#
# DS_BIN_DIR         where the programs are
# DS_BENCH_BASE      a base made by an earlier run, instead of training one; DS_BENCH_KEEP: where to keep this one
# DS_BENCH_PRESET    of the base (default tiny)
# DS_BENCH_STEPS     steps of its training, 4096 tokens each (default 800)
# DS_BENCH_TUNE      steps of fine-tuning to choose from, 1024 tokens each (default "700 1400")
# DS_BENCH_RANKS     ranks (default "1 8 16")
# DS_BENCH_FULL_LR, DS_BENCH_LORA_LR  learning rates to choose from
# DS_BENCH_THREADS   threads (default one for each processor)
set -eu -o pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
bin=${DS_BIN_DIR:-$here/../../build/release/bin}
PATH=$(cd "$bin" && pwd):$PATH
ranks=${DS_BENCH_RANKS:-1 8 16}
keep=${DS_BENCH_KEEP:+$(realpath -m "$DS_BENCH_KEEP")}
base=${DS_BENCH_BASE:+$(realpath "$DS_BENCH_BASE")}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
quiet() { "$@" > log 2>&1 || { cat log >&2; exit 1; }; }
train=(finetune -q --checkpoint-every 0 ${DS_BENCH_THREADS:+-j "$DS_BENCH_THREADS"})

command -v apt-cache > /dev/null || { echo 'lora.sh: no apt-cache here' >&2; exit 77; }
apt-cache dumpavail | python3 "$here/loradata.py" .
if [ -z "$base" ]; then
    # Prose of manual pages: no macros, no code.
    find /usr/share/man/man[1-8] -name '*.gz' -print0 2> /dev/null | sort -z | xargs -0r zcat 2> /dev/null |
        tr -cd '\11\12\40-\176' | grep -E "^[A-Za-z ].*[a-z]+ [a-z]+ [a-z]+" | grep -v '[{}\\<>|=/_]' | head -c 30000000 > man.txt || true
    cat lines.txt man.txt > all.txt
    quiet dstok train --vocab-size 2048 -o tok.json all.txt
    dsprep text -q --split bytes=4000 all.txt | dsprep tokenize -q -t tok.json -o all.dsr
    quiet dstrain init --preset "${DS_BENCH_PRESET:-tiny}" --tokenizer tok.json -o empty
    quiet dstrain "${train[@]}" --model empty --data all.dsr --method full --lr 3e-3 --warmup 50 \
        --steps "${DS_BENCH_STEPS:-800}" --batch 16 --seq-len 256 -o pre
    base=$work/$(echo pre/step-*)
    [ -z "$keep" ] || cp -r "$base" "$keep"
fi
for n in learn choose test; do
    dsprep text -q "$n.jsonl" |
        dsprep tokenize -q -t "$base/tokenizer.json" --prompt text --separator ' Section:' --response meta.answer --eos none -o "$n.dsr"
done

# A member of the last JSON line of standard input.
member() { sed -n "\$s/.*\"$1\":\([0-9.]*\).*/\1/p"; }
# model FOLDER NAME: what was fine-tuned there, of that name, as options.
model() { if [ "$2" = full ]; then echo --model "$1"/step-*; else echo --model "$base" --adapter "$1"/step-*; fi; }
# asked SPLIT MODEL...: accuracy and loss on its packages.
asked() {
    local split=$1
    shift
    dstrain classify --json "$@" --data "$split.dsr" --labels "$(cat labels)" --before ' Section: ' --after . | member accuracy
    dstrain eval --json "$@" --data "$split.dsr" --seq-len 128 | member loss
}
# try NAME STEPS LR OPTION...: fine-tunes; keeps what did best of this name.
try() {
    local name=$1 steps=$2 lr=$3 got
    shift 3
    rm -rf now
    quiet /usr/bin/env time -f %M -o now.mem dstrain "${train[@]}" --model "$base" --data learn.dsr \
        --steps "$steps" --warmup 20 --lr "$lr" --seq-len 128 --batch 8 "$@" -o now
    # shellcheck disable=SC2046 # options
    got=$(asked choose $(model now "$name") | xargs)
    echo "$name $steps steps $lr: $got" >&2
    if [ ! -e "$name" ] || awk -v a="${got% *}" -v b="$(cat "$name/accuracy")" 'BEGIN { exit !(a > b) }'; then
        rm -rf "$name"
        mv now "$name"
        mv now.mem "$name/mem"
        echo "$lr" > "$name/lr"
        echo "$steps" > "$name/steps"
        echo "${got% *}" > "$name/accuracy"
    fi
}
for steps in ${DS_BENCH_TUNE:-700 1400}; do
    for lr in ${DS_BENCH_FULL_LR:-1e-3 2e-3 4e-3}; do try full "$steps" "$lr" --method full; done
    for r in $ranks; do
        for lr in ${DS_BENCH_LORA_LR:-2e-3 4e-3 8e-3}; do try "r$r" "$steps" "$lr" --method lora --rank "$r" --alpha $((2 * r)); done
    done
done
b=$(asked test --model "$base" | xargs)
# shellcheck disable=SC2046 # options
f=$(asked test $(model full full) | xargs)
printf '%-6s %5s %6s %10s %10s %9s %9s %8s %8s %8s\n' method steps lr 'trained %' 'memory MB' tokens/s accuracy share loss share
printf '%-6s %5s %6s %10s %10s %9s %9.3f %8s %8.4f\n' base '' '' '' '' '' "${b% *}" '' "${b#* }"
for n in full $(for r in $ranks; do echo "r$r"; done); do
    t=$f rank=1
    [ "$n" = full ] || { rank=${n#r} t=$(asked test --model "$base" --adapter "$(echo "$n"/step-*)" | xargs); }
    trained=$(dstrain plan --json --model "$base" --rank "$rank" |
        awk -v m="$([ "$n" = full ] && echo full || echo lora)" -F '[:,]' '
            { gsub(/"/, "") } $4 == "full" { all = $6 } $4 == m { t = $6 } END { printf "%.2f", 100 * t / all }')
    speed=$(grep '"type":"step"' "$n/metrics.jsonl" | sed 's/.*"tokens":\([0-9]*\),"seconds":\([0-9.]*\),.*/\1 \2/' |
        awk 'NR > 1 { t += $1; s += $2 } END { printf "%.0f", t / s }')
    echo "$b $f $t" | awk -v n="$n" -v st="$(cat "$n/steps")" -v lr="$(cat "$n/lr")" -v p="$trained" -v m="$(tail -n 1 "$n/mem")" -v s="$speed" '
        { printf "%-6s %5s %6s %10s %10.0f %9s %9.3f %6.1f %% %8.4f %6.1f %%\n", n, st, lr, p, m / 1024, s, $5, 100 * ($5 - $1) / ($3 - $1), $6,
            100 * ($2 - $6) / ($2 - $4) }'
done
# What it costs to know what was consumed: chained hashes, counts and segments, against the whole of the steps.
for n in full r[0-9]*; do
    sed -n 's/.*"type":"step".*"seconds":\([0-9.]*\),.*"ledger":\([0-9.]*\)}/\1 \2/p' "$n/metrics.jsonl" |
        awk -v n="$n" 'NR > 1 { t += $1; l += $2 } END { printf "ledger, %% of the steps of %-20s %10.3f   goal <= 1\n", n, 100 * l / t }'
done
