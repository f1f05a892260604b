#!/usr/bin/env bats
# dstrain --device cuda: the emulated device, unless DS_TEST_DEVICE=cuda says that there is a real one.
load dstrain_common

on_device() {
    train "$@" --device cuda --batch 1 --accumulate 2 --seq-len 24 --steps 3
}

@test "a device gives the same bits again, and a stretch replays on it" {
    setup_device
    DS_EMU_SEED=11 on_device one --checkpoint-every 1 --dropout 0.1 --train-token e
    DS_EMU_SEED=12 on_device two --checkpoint-every 1 --dropout 0.1 --train-token e
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
    sed 's/"detail":"[^";]*/"detail":"NVIDIA Abacus, sm_99/' whole/step-000003/lineage.json >lineage.json
    mv lineage.json whole/step-000003/lineage.json
    run dstrain replay whole/step-000003 --store "$F" --model "$F/base" --device cuda
    [ "$status" -eq 1 ]
    [[ "$output" == *"the run was computed by NVIDIA Abacus, sm_99, and this is "* ]]
}

@test "f16: an overflow on a device is none of its own, resumed and replayed to the same bits" {
    setup_device
    f16() { train "$@" --device cuda --batch 1 --accumulate 2 --seq-len 24 --steps 6 --checkpoint-every 2 --dtype f16 \
        --loss-scale 2097152 --scale-window 1 --dropout 0.1; }
    f16 whole
    n=$(grep -c '"overflow":true' whole/metrics.jsonl)
    echo "$n"
    [ "$n" -ge 2 ]
    [ "$n" -le 5 ]
    grep -q '"step":1,.*"overflow":true' whole/metrics.jsonl
    cp -r whole part && rm -r part/step-000004 part/step-000006 part/ledger/ledger-000003-* part/ledger/ledger-000005-*
    f16 part --resume part/step-000002
    [ "$(weights whole/step-000006)" = "$(weights part/step-000006)" ]
    dstrain replay whole/step-000006 --from 2 --store "$F" --model "$F/base" --device cuda
    f16 again
    [ "$(sum_of whole)" = "$(sum_of again)" ]
}

@test "a checkpoint has the algorithms of its products: who goes on from it or replays it computes by them" {
    setup_device
    [ -z "${DS_TEST_DEVICE:-}" ] || skip "of the emulated device, which prefers what it is told to"
    again() { dstrain replay whole/step-000003 --store "$F" --model "$F/base" --device cuda; }
    on_device whole --checkpoint-every 2
    grep -q '"algorithm": "' whole/step-000002/algorithms.json
    on_device looked --checkpoint-every 2 --eval-data "$F/test.dsr" --eval-every 1
    [ "$(sum_of whole)" = "$(sum_of looked)" ]
    export DS_EMU_RANKING=1
    on_device other --checkpoint-every 2
    [ "$(sum_of whole)" != "$(sum_of other)" ]
    cp -r whole part && rm -r part/step-000003 part/ledger/ledger-000003-*
    on_device part --checkpoint-every 2 --resume part/step-000002
    [ "$(sum_of whole)" = "$(sum_of part)" ]
    again
    sed -i 's/"algorithm": "\(..\)\(..\)/"algorithm": "\2\1/' whole/step-000003/algorithms.json
    run again
    [ "$status" -eq 1 ]
    [[ "$output" == *"the algorithm that the checkpoint has for a product of "*" cannot be used here"* ]]
    sed -i 's/"m": [0-9]*/"m": 0/' whole/step-000003/algorithms.json
    run again
    [ "$status" -eq 12 ]
    [[ "$output" == *"step-000003/algorithms.json: product 1 is none"* ]]
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

# of_device RUN NAME: a number of the run's line about the device.
of_device() {
    sed -n "s/.*\"type\":\"device\".*\"$2\":\([0-9]*\).*/\1/p" "$1/metrics.jsonl"
}

@test "what is planned for a device is asked for once, and is all that a run takes of it" {
    setup_device
    local hows=("lora --rank 4 --dtype bf16 --dropout 0.1 --recompute layer --train-token e --train-token a" "full --dtype bf16 --optim adamw8bit" "full --dtype f16")
    [ "${DS_LONG:-0}" = 0 ] || hows+=("lora --dora --recompute none" "full --dtype bf16 --rounding stochastic")
    for how in "${hows[@]}"; do
        dstrain plan --json --model "$F/base" --batch 1 --seq-len 24 --device cuda --rank 4 ${how#* } >plans
        on_device run --method $how
        planned=$(sed -n "s/.*\"method\":\"${how%% *}\".*\"bytes\":\([0-9]*\).*/\1/p" plans | head -n 1)
        echo "$how: $planned"
        grep '"type":"device"' run/metrics.jsonl
        [ "$(of_device run planned_bytes)" = "$planned" ]
        [ "$(of_device run peak_bytes)" = "$planned" ]
        [ "$(of_device run asked_in_steps)" = 0 ]
        rm -r run
    done
}

@test "prompt tuning, whose rows are as long as their records make them, asks a device once too" {
    [ "${DS_LONG:-0}" = 1 ] || [ -n "${DS_TEST_DEVICE:-}" ] || skip "DS_LONG=1 runs it without a device"
    setup_device
    local shape=(--model "$F/base" --batch 1 --seq-len 64 --prompt-tokens 4 --device cuda --recompute mlp)
    dstrain finetune "${shape[@]}" --store "$F" --data docs --method prompt --epochs 1 -q -o run >run.out
    grep '"type":"device"' run/metrics.jsonl
    [ "$(of_device run planned_bytes)" = "$(of_device run peak_bytes)" ]
    [ "$(of_device run asked_in_steps)" = 0 ]
    bytes() { dstrain plan --json "$@" | sed -n 's/.*"method":"prompt".*"bytes":\([0-9]*\).*/\1/p'; }
    [ "$(bytes "${shape[@]}" --store "$F" --data docs)" = "$(of_device run planned_bytes)" ]
    [ "$(bytes "${shape[@]}")" -lt "$(of_device run planned_bytes)" ] # of rows that hold one record each
}

@test "a run has the same bits with graphs and without, and tells how often steps were captured and launched" {
    setup_device
    for how in "lora --dropout 0.1 --recompute mlp --train-token e" "full --dtype bf16 --optim adamw8bit" "prompt --prompt-tokens 4 --dtype bf16"; do
        on_device one --method $how --graphs on --eval-data "$F/test.dsr" --eval-every 2 --eval-batches 1
        on_device two --method $how --graphs off --eval-data "$F/test.dsr" --eval-every 2 --eval-batches 1
        [ "$(sum_of one)" = "$(sum_of two)" ]
        grep '"type":"device"' one/metrics.jsonl two/metrics.jsonl
        [ "$(of_device one graphs)" -ge 1 ]
        [ "$(of_device one graph_launches)" -ge 4 ]
        # a driver may have taken room for them before
        [ "$(of_device one graph_bytes)" -ge "$([ -n "${DS_TEST_DEVICE:-}" ] && echo 0 || echo 5120)" ]
        [ "$(of_device two graphs) $(of_device two graph_launches) $(of_device two graph_bytes)" = "0 0 0" ]
        grep -q '"graphs":true' one/step-000003/lineage.json
        grep -q '"graphs":false' two/step-000003/lineage.json
        dstrain replay one/step-000003 --store "$F" --model "$F/base" --device cuda --graphs off
        rm -r one two
    done
    a=$(dstrain eval --json --model "$F/base" --data "$F/test.dsr" --stretches 3 --seq-len 24 --device cuda | sed 's/,"seconds.*//')
    b=$(dstrain eval --json --model "$F/base" --data "$F/test.dsr" --stretches 3 --seq-len 24 --device cuda --graphs off | sed 's/,"seconds.*//')
    [ "$a" = "$b" ]
}

@test "a device without room is refused before anything is there, with the plan's numbers" {
    setup_device
    [ -z "${DS_TEST_DEVICE:-}" ] || skip "of the emulated device"
    DS_EMU_MEMORY=130000000 run dstrain finetune --model "$F/base" --store "$F" --data docs --seq-len 128 --batch 8 --steps 1 \
        --recompute none --device cuda -o run
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"the run takes 0."*" GB and 0.130 are there: weights "*"--recompute layer takes 0.1"* ]]
    [ ! -e run/step-000001 ]
}

@test "a device that fails in the middle ends the run with its words, and leaves nothing behind on it" {
    setup_device
    [ -z "${DS_TEST_DEVICE:-}" ] || skip "of the emulated device"
    for call in 3 40 900 1800; do
        DS_EMU_FAIL=$call run on_device run --dtype bf16
        echo "$call: $output"
        [ "$status" -eq 1 ]
        [[ "$output" == *"cuda: "*"told to fail"* ]]
        rm -rf run
    done
}
