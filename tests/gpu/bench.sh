#!/usr/bin/env bash
# bench.sh BUILD [BASE DATA] - single kernels on a GPU beside torch's, then training beside transformers and peft, where a python has
# them (DS_BENCH_PYTHON, python3).
#
# BASE: a model's folder, DATA: a stream with its tokens. Without them models of DS_BENCH_SHAPES (qwen2-1.5b; qwen2-7b and llama-8b are
# the others) with random weights are made (randmodel.py). Results stay in BUILD/bench-gpu.txt as they come, of
# kernels in BUILD/bench-kernels.jsonl and BUILD/bench-peers.jsonl too.
# DS_BENCH_ROW: tokens of a row (4096); DS_BENCH_BATCH: rows (4).
set -u -o pipefail
B=$(cd "$1" && pwd) base=${2:-} data=${3:-}
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export DS_BIN_DIR=$B/bin DS_CUDA_PLUGIN=${DS_CUDA_PLUGIN:-$B/lib/libds-cuda.so} PATH=$B/bin:$PATH LC_ALL=C
python=${DS_BENCH_PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

make_data() {
    cat "$ROOT"/docs/*.md "$ROOT"/README.md >"$work/text.txt"
    dstok train -q --vocab-size 4000 -o "$work/tok.json" "$work/text.txt" &&
        dsprep text -q "$work/text.txt" | dsprep tokenize -q -t "$work/tok.json" -o "$work/text.dsr"
}

bench_kernels() {
    timeout -k 10 120 "$B/bench/bench_kernels" cuda >"$B/bench-kernels.jsonl"
    timeout -k 10 240 "$python" "$ROOT/tests/gpu/kernelpeers.py" "$B/bench-kernels.jsonl" "$B/bench-peers.jsonl" ||
        cat "$B/bench-kernels.jsonl"
}

command -v "$python" >/dev/null || { echo "bench-gpu: $python is not there (DS_BENCH_PYTHON names another): it runs both sides" >&2; exit 1; }
[ -e "$DS_CUDA_PLUGIN" ] || { echo "bench-gpu: no plugin was built: is nvcc there?" >&2; exit 1; }
[ -n "$base" ] || make_data || { echo "bench-gpu: no data could be made" >&2; exit 1; }

train() { # BASE DATA
    local context row
    context=$(sed -n 's/.*"max_position_embeddings": *\([0-9]*\).*/\1/p' "$1/config.json")
    [ -n "$context" ] || { echo "bench-gpu: $1/config.json says no max_position_embeddings" >&2; return 1; }
    row=${DS_BENCH_ROW:-$((context < 4096 ? context : 4096))}
    timeout -k 10 900 "$python" "$ROOT/tests/bench/train.py" --device cuda --peer-time 300 --batch "${DS_BENCH_BATCH:-4}" \
        --seq-len "$row" "$1" "$2"
}

{
    echo "commit $(cat "$ROOT/COMMIT" 2>/dev/null || git -C "$ROOT" describe --always --dirty 2>/dev/null)"
    ! command -v nvidia-smi >/dev/null || timeout 30 nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
    bench_kernels
    if [ -n "$base" ]; then
        train "$base" "$data"
    else
        for shape in ${DS_BENCH_SHAPES:-qwen2-1.5b}; do
            echo "$shape"
            "$python" "$ROOT/tests/gpu/randmodel.py" "$shape" "$work/base" && train "$work/base" "$work/text.dsr"
            rm -rf "$work/base"
        done
    fi
} 2>&1 | tee "$B/bench-gpu.txt"
