#!/usr/bin/env bash
# bench.sh BUILD [BASE DATA] - single kernels on a GPU beside torch's, then training beside transformers and peft, where a python has
# them (DS_BENCH_PYTHON, python3).
#
# BASE: a model's folder, DATA: a stream with its tokens. Without them a model of Qwen2-1.5B's shape with random weights is made, which
# needs that python too; where it is missing, the largest that dstrain init makes. Results stay in BUILD/bench-gpu.txt as they come, of
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

make_model() {
    "$python" - "$work/base" <<'EOF' 2>/dev/null && return
import sys
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM
torch.manual_seed(1)
torch.set_default_dtype(torch.bfloat16)
Qwen2ForCausalLM(Qwen2Config(vocab_size=151936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12,
    num_key_value_heads=2, max_position_embeddings=32768, rope_theta=10000.0, tie_word_embeddings=False)).save_pretrained(sys.argv[1])
EOF
    echo "bench-gpu: no transformers in $python: a small model, and no peer" >&2
    dstrain init --preset 100m --dtype bf16 -t "$work/tok.json" -o "$work/base"
}

bench_kernels() {
    timeout -k 10 120 "$B/bench/bench_kernels" cuda >"$B/bench-kernels.jsonl"
    timeout -k 10 240 "$python" "$ROOT/tests/gpu/kernelpeers.py" "$B/bench-kernels.jsonl" "$B/bench-peers.jsonl" ||
        cat "$B/bench-kernels.jsonl"
}

command -v "$python" >/dev/null || { echo "bench-gpu: $python is not there (DS_BENCH_PYTHON names another): it runs both sides" >&2; exit 1; }
[ -e "$DS_CUDA_PLUGIN" ] || { echo "bench-gpu: no plugin was built: is nvcc there?" >&2; exit 1; }
if [ -z "$base" ]; then
    make_data || { echo "bench-gpu: no data could be made" >&2; exit 1; }
    make_model || { echo "bench-gpu: no model could be made" >&2; exit 1; }
    base=$work/base data=$work/text.dsr
fi
context=$(sed -n 's/.*"max_position_embeddings": *\([0-9]*\).*/\1/p' "$base/config.json")
[ -n "$context" ] || { echo "bench-gpu: $base/config.json says no max_position_embeddings" >&2; exit 1; }
row=${DS_BENCH_ROW:-$((context < 4096 ? context : 4096))}
{
    echo "commit $(git -C "$ROOT" describe --always --dirty 2>/dev/null)"
    ! command -v nvidia-smi >/dev/null || timeout 30 nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
    bench_kernels
    timeout -k 10 540 "$python" "$ROOT/tests/bench/train.py" --device cuda --peer-time 120 --batch "${DS_BENCH_BATCH:-4}" \
        --seq-len "$row" "$base" "$data"
} 2>&1 | tee "$B/bench-gpu.txt"
