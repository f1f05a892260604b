#!/usr/bin/env bats
# dstrain --device cuda. The plugin is the emulated device's, unless DS_TEST_DEVICE=cuda says that there is a real one.
load dstrain_common

setup_device() {
    [ -n "${DS_TEST_DEVICE:-}" ] && return
    export DS_CUDA_PLUGIN=${DS_BUILD:-${DS_BIN_DIR:-build/release/bin}/..}/lib/libds-cuda-emu.so
    [ -e "$DS_CUDA_PLUGIN" ] || skip "no emulated device in this build"
}

on_device() {
    train "$@" --device cuda --batch 1 --accumulate 2 --seq-len 24 --steps 3
}

@test "a device gives the same bits again, and a stretch replays on it" {
    setup_device
    DS_EMU_SEED=11 on_device one --checkpoint-every 1 --dropout 0.1
    DS_EMU_SEED=12 on_device two --checkpoint-every 1 --dropout 0.1
    [ "$(sum_of one)" = "$(sum_of two)" ]
    grep -q '"backend":"cuda"' one/step-000003/lineage.json
    dstrain replay one/step-000003 --from 1 --store "$F" --model "$F/base" --device cuda
}

@test "what a device began it ends: resumed there to the same bits, and nowhere else" {
    setup_device
    on_device whole --checkpoint-every 2 --dtype bf16
    cp -r whole part && rm -r part/step-000003 part/ledger/ledger-000003-*
    on_device part --checkpoint-every 2 --dtype bf16 --resume part/step-000002
    [ "$(sum_of whole)" = "$(sum_of part)" ]
    rm -r part/step-000003 part/ledger/ledger-000003-*
    run dstrain finetune --model "$F/base" --store "$F" --data docs --seq-len 24 --batch 1 --accumulate 2 --steps 3 --lr 1e-3 \
        --rank 4 -q --checkpoint-every 2 --dtype bf16 --resume part/step-000002 -o part
    [ "$status" -eq 1 ]
    [[ "$output" == *"the run is of --device cuda, and this is cpu"* ]]
    run dstrain replay whole/step-000003 --store "$F" --model "$F/base"
    [ "$status" -eq 1 ]
    [[ "$output" == *"the run is of --device cuda, and this is cpu"* ]]
}

@test "a device's evaluation is the CPU's but for rounding" {
    setup_device
    a=$(dstrain eval --json --model "$F/base" --data "$F/test.dsr" --seq-len 24 | sed 's/.*"loss":\([0-9.]*\).*/\1/')
    b=$(dstrain eval --json --model "$F/base" --data "$F/test.dsr" --seq-len 24 --device cuda | sed 's/.*"loss":\([0-9.]*\).*/\1/')
    awk -v a="$a" -v b="$b" 'BEGIN { d = a - b; exit !(a > 0 && d * d < 1e-8) }'
}

@test "without a plugin the message says what to do" {
    DS_CUDA_PLUGIN=/nonexistent.so run dstrain eval --model "$F/base" --data "$F/test.dsr" --device cuda
    [ "$status" -eq 1 ]
    [[ "$output" == *"no CUDA here: /nonexistent.so"*"--device cpu"* ]]
    run dstrain eval --model "$F/base" --data "$F/test.dsr" --device gpu
    [ "$status" -eq 2 ]
}
