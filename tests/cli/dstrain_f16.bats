#!/usr/bin/env bats
# Training in f16: what the loss is multiplied with, steps that overflow, and weights that stay what they were.
load dstrain_common

setup() { but_long; }

# f16 RUN OPTION...: its first steps overflow, and every second update doubles the scale, until one overflows again.
f16() {
    local run=$1
    shift
    train "$run" --dtype f16 --steps 18 --checkpoint-every 6 --loss-scale 67108864 --scale-window 2 --schedule constant "$@" \
        2>"$run.err"
}

overflows() {
    grep -c '"overflow":true' "$1/metrics.jsonl"
}

# numbers CHECKPOINT FORMAT: the format and the bytes of each of the model's tensors, by name.
numbers() {
    python3 -c '
import hashlib, json, struct, sys
b = open(sys.argv[1] + "/model.safetensors", "rb").read()
n = struct.unpack("<Q", b[:8])[0]
h = json.loads(b[8 : 8 + n])
for k in sorted(h):
    if k != "__metadata__":
        x, y = h[k]["data_offsets"]
        print(k, h[k]["dtype"], hashlib.sha256(b[8 + n + x : 8 + n + y]).hexdigest())' "$1"
}

@test "adapters and whole models: the same bits for other threads and batches, resumed across an overflow, replayed, audited" {
    for how in "lora --dropout 0.1" full; do
        name=${how%% *}
        # shellcheck disable=SC2086 # options
        f16 "$name" -j 1 --method $how
        n=$(overflows "$name")
        echo "$name: $n"
        [ "$n" -ge 3 ]
        [ "$n" -le 12 ]
        grep '"overflow":true' "$name/metrics.jsonl" | grep -q '"norm":null'
        grep -q '"step":1,.*"loss_scale":67108864,"overflow":true' "$name/metrics.jsonl"
        grep -q '"step":2,.*"loss_scale":33554432' "$name/metrics.jsonl"
        [ "$(grep -c "no update, and half of it from here on" "$name.err")" -eq 0 ] # told in the log alone with -q
        grep -q '"loss_scale":{"first":67108864,"window":2}' "$name/step-000018/lineage.json"
        # shellcheck disable=SC2086
        f16 other -j 3 --batch 2 --accumulate 2 --method $how
        [ "$(sum_of other)" = "$(sum_of "$name")" ]
        for step in 06 12; do # between two halvings, and among updates
            rm -rf part
            cp -r "$name" part
            for s in 12 18; do
                [ "$s" = "$step" ] || rm -rf "part/step-0000$s"
            done
            # shellcheck disable=SC2086
            f16 part --abandon --resume "part/step-0000$step" --method $how
            [ "$(weights part/step-000018)" = "$(weights "$name/step-000018")" ]
            cmp part/step-000018/state.json "$name/step-000018/state.json"
        done
        exits 0 dstrain replay "$name/step-000018" --model "$F/base" --store "$F"
        exits 0 dstrain replay "$name/step-000018" --from 6 --model "$F/base" --store "$F"
        exits 0 dsver audit --store "$F" --model "$F/base" "$name/step-000018"
        has "ok skipped: 0 of 18 steps, as their losses say; $n without an update, as the loss scale allows"
        PYTHONDONTWRITEBYTECODE=1 python3 "$DS_ROOT/tests/compat/dslineage.py" check "$F/.dsver" "$name/step-000018"
        dstrain report "$name" | grep -q "$n without an update: gradients too large for f16"
        rm -rf other part
    done
}

@test "an overflow changes no weight and no moment" {
    # two steps, both of which overflow: the base, and moments of nothing
    train none --dtype f16 --method full --steps 2 --loss-scale 1073741824
    [ "$(overflows none)" -eq 2 ]
    train lazy --dtype f16 --method full --steps 1 --lr 0
    [ "$(numbers none/step-000002)" = "$(numbers lazy/step-000001)" ]
    python3 - none/step-000002/optimizer.safetensors <<'P'
import json, struct, sys
b = open(sys.argv[1], "rb").read()
n = struct.unpack("<Q", b[:8])[0]
for k, t in json.loads(b[8 : 8 + n]).items():
    if k.endswith((".m", ".v")):
        x, y = t["data_offsets"]
        assert not any(b[8 + n + x : 8 + n + y]), k
P
}

@test "a loss scale that gets to 1 ends the run, and the last checkpoint stands" {
    # a forward pass within the range, and no way back
    dstrain init --arch deepseek_v2 --tokenizer "$F/tok.json" -o wild
    python3 - wild/model.safetensors <<'P'
import json, struct, sys
path = sys.argv[1]
b = bytearray(open(path, "rb").read())
n = struct.unpack("<Q", b[:8])[0]
h = json.loads(b[8 : 8 + n])
for name, by in ("lm_head.weight", 1000), ("model.norm.weight", 10000):
    x, y = h[name]["data_offsets"]
    for i in range(8 + n + x, 8 + n + y, 4):
        struct.pack_into("<f", b, i, struct.unpack_from("<f", b, i)[0] * by)
open(path, "wb").write(b)
P
    exits 1 dstrain finetune --model wild --data "$F/text.dsr" --seq-len 32 --batch 4 --steps 9 --lr 0 --dtype f16 --method full \
        --checkpoint-every 1 --loss-scale 4 -q -o end
    has "step 3: the gradient is not a finite number; the last checkpoint stands"
    [ "$(overflows end)" -eq 2 ]
    [ -d end/step-000002 ]
    dstrain finetune --model wild --data "$F/text.dsr" --seq-len 32 --batch 4 --steps 2 --lr 0 --dtype bf16 --method full -q -o wide
}

@test "weights of f16 files stay what they are, to the bit, and go out as f16" {
    dstrain init --tokenizer "$F/tok.json" --dtype f16 -o half
    numbers half >was
    [ "$(grep -c ' F16 ' was)" -eq "$(wc -l <was)" ]
    for dtype in f16 f32; do
        dstrain finetune --model half --data "$F/text.dsr" --seq-len 32 --batch 4 --steps 1 --lr 0 --method full --dtype $dtype -q \
            -o $dtype >/dev/null
    done
    numbers f16/step-000001 | cmp - was
    python3 - f32/step-000001/model.safetensors half/model.safetensors <<'P'
import json, struct, sys
def tensors(path):
    b = open(path, "rb").read()
    n = struct.unpack("<Q", b[:8])[0]
    h = json.loads(b[8 : 8 + n])
    return {k: b[8 + n + t["data_offsets"][0] : 8 + n + t["data_offsets"][1]] for k, t in h.items() if k != "__metadata__"}
full, half = map(tensors, sys.argv[1:])
assert full.keys() == half.keys()
for k in half:
    n = len(half[k]) // 2
    assert struct.unpack("<%df" % n, full[k]) == struct.unpack("<%de" % n, half[k]), k
P
    dstrain generate --model half -n 12 --dtype f16 'the red cat' >a
    dstrain generate --model half -n 12 --dtype f16 --no-cache 'the red cat' | cmp - a
    dstrain eval --json --model half --data "$F/test.dsr" --seq-len 16 --dtype f16 >e
    dstrain eval --json --model half --data "$F/test.dsr" --seq-len 16 >f
    [ "$(sed 's/.*"loss":\([0-9]*\.[0-9]\).*/\1/' e)" = "$(sed 's/.*"loss":\([0-9]*\.[0-9]\).*/\1/' f)" ]
    train ad --dtype f16 --steps 2
    dstrain merge --model "$F/base" --adapter ad/step-000002 --dtype f16 -o merged
    [ "$(numbers merged | grep -c ' F16 ')" -eq "$(numbers merged | wc -l)" ]
}

@test "a weight that f16 has no number for is refused by its place" {
    cp -r "$F/base" large
    python3 - large/model.safetensors <<'P'
import json, struct, sys
path = sys.argv[1]
b = bytearray(open(path, "rb").read())
n = struct.unpack("<Q", b[:8])[0]
h = json.loads(b[8 : 8 + n])
at = 8 + n + h["model.layers.0.self_attn.q_proj.weight"]["data_offsets"][0]
struct.pack_into("<f", b, at + 4 * 7, -65520.0)
open(path, "wb").write(b)
P
    exits 1 dstrain eval --model large --data "$F/test.dsr" --seq-len 16 --dtype f16
    has "model.layers.0.self_attn.q_proj.weight" "element 7 is -65520, and f16 ends at 65504"
    exits 0 dstrain eval --model large --data "$F/test.dsr" --seq-len 16 --dtype bf16
}

@test "the memory of f16 is that of bf16, copies of what is trained included" {
    for dtype in bf16 f16; do
        dstrain plan --json --model "$F/base" --dtype $dtype --recompute none >$dtype.plan
    done
    cmp bf16.plan f16.plan
    grep -q '"method":"full".*"masters":3107328,' f16.plan
}

@test "settings of f16 that cannot be, and a state that is none" {
    exits 2 train r --loss-scale 1024
    has "want --dtype f16"
    exits 2 train r --dtype bf16 --scale-window 3
    has "want --dtype f16"
    exits 2 train r --dtype f16 --loss-scale 1000
    has "--loss-scale 1000: a power of two"
    exits 2 train r --dtype f16 --method full --rounding stochastic
    has "--rounding stochastic is of bf16 weights"
    [ ! -e r ]
    f16 run --steps 2 --checkpoint-every 1
    for state in '"scale": 3' '"scale": 0' '"scale": 2147483648' '"overflows": 9'; do
        rm -rf bad
        cp -r run bad
        rm -rf bad/step-000002
        sed -i "s/${state%:*}: [0-9]*/$state/" bad/step-000001/state.json
        resum bad/step-000001
        exits 12 f16 bad --steps 2 --checkpoint-every 1 --abandon --resume bad/step-000001
        grep -q "no loss scale that the run can have" bad.err
    done
}
