#!/usr/bin/env bash
# check.sh BUILD - the CUDA backend on a real device, in some minutes. The last line is "N passed, N failed".
#
# Each function and the whole network beside the CPU's (the programs that run under emulation elsewhere); whole runs by dstrain;
# a larger one in bf16 on tensor cores, three times to the same bits, without graphs too, replayed, and with the memory that was
# planned; the same in f16, with overflows; two devices, where there are two, which give each other gradients by NCCL; and, where
# compute-sanitizer is there, memory and shared-memory races of the kernels. What each part printed stays in BUILD/check-gpu, with
# results.txt, whatever happens to the others: none waits for another, and each ends in time.
#
# DS_TEST_DEVICE   which device (cuda)
# DS_CUDA_PLUGIN   which plugin (BUILD/lib/libds-cuda.so)
# DS_CHECK_PRESET  size of the larger run's model (100m)
# DS_CHECK_ROWS    tokens of a row of it (1024)
# DS_CHECK_SANITIZE seconds for each run under a sanitizer (150)
# DS_CHECK_DEVICES how many devices there are (what nvidia-smi lists)
set -u
B=$(cd "$1" && pwd)
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export DS_TEST_DEVICE=${DS_TEST_DEVICE:-cuda} DS_CUDA_PLUGIN=${DS_CUDA_PLUGIN:-$B/lib/libds-cuda.so}
export DS_BIN_DIR=$B/bin DS_BUILD=$B DS_ROOT=$ROOT PATH=$B/bin:$PATH CMOCKA_MESSAGE_OUTPUT=TAP LC_ALL=C
preset=${DS_CHECK_PRESET:-100m} row=${DS_CHECK_ROWS:-1024}

# ---- parts of their own: check.sh BUILD PART, in the folder of the larger run ----

larger() { # RUN OPTION...
    local run=$1
    shift
    dstrain finetune --model base --data text.dsr --device "$DS_TEST_DEVICE" --dtype bf16 --method lora --rank 8 --batch 2 \
        --accumulate 2 --seq-len "$row" --steps 3 --checkpoint-every 1 --recompute mlp -q "$@" -o "$run" >"$run.out"
}

part_prepare() {
    cat "$ROOT"/docs/*.md "$ROOT"/README.md >text.txt
    dstok train -q --vocab-size 2000 -o tok.json text.txt &&
        dsprep text -q --split line text.txt | dsprep tokenize -q -t tok.json -o text.dsr &&
        dstrain init --arch qwen2 --preset "$preset" -t tok.json -o base
}

part_again() {
    local i sums
    for i in 1 2 3; do
        larger "run$i" --dropout 0.1 || return 1
    done
    sums=$(sed -n 's/.*sha256:\([0-9a-f]\{64\}\).*/\1/p' run?.out | sort | uniq -c)
    echo "$sums"
    [ "$(wc -l <<<"$sums")" -eq 1 ] && [ "$(awk '{ print $1 }' <<<"$sums")" -eq 3 ]
}

# Steps that overflow, and more that do not: twice the same bits, replayed, and the loss near bf16's.
part_f16() {
    local i loss
    for i in 1 2; do
        larger "half$i" --dtype f16 --dropout 0.1 --loss-scale 1073741824 --steps 20 --checkpoint-every 10 || return 1
    done
    grep -c '"overflow":true' half1/metrics.jsonl && ! grep '"step":20,' half1/metrics.jsonl | grep overflow &&
        [ "$(sed -n 's/.*sha256:\([0-9a-f]\{64\}\).*/\1/p' half?.out | sort -u | wc -l)" -eq 1 ] || return 1
    dstrain replay half1/step-000020 --from 10 --model base --data text.dsr --device "$DS_TEST_DEVICE" || return 1
    loss=$(sed -n 's/.*"step":1,"loss":\([0-9.]*\),.*/\1/p' half1/metrics.jsonl run1/metrics.jsonl)
    echo "$loss"
    awk '{ x[NR] = $1 } END { d = x[1] - x[2]; exit !(NR == 2 && d * d < 0.0004) }' <<<"$loss"
}

part_replay() {
    dstrain replay run1/step-000003 --from 1 --model base --data text.dsr --device "$DS_TEST_DEVICE"
}

part_graphs() {
    larger off --dropout 0.1 --graphs off || return 1
    grep -h '"type":"device"' run1/metrics.jsonl off/metrics.jsonl
    [ "$(grep -h -o 'sha256:[0-9a-f]*' run1.out off.out | sort -u | wc -l)" -eq 1 ] &&
        grep -q '"graphs":[1-9]' run1/metrics.jsonl && grep -q '"graphs":0,' off/metrics.jsonl
}

part_memory() {
    local plan line
    plan=$(dstrain plan --json --model base --device cuda --dtype bf16 --rank 8 --batch 2 --seq-len "$row" --recompute mlp \
        --dropout 0.1 | sed -n 's/.*"method":"lora".*"bytes":\([0-9]*\).*/\1/p')
    line=$(grep '"type":"device"' run1/metrics.jsonl)
    echo "planned $plan; $line"
    [[ "$line" == *"\"peak_bytes\":$plan,\"planned_bytes\":$plan,\"asked_in_steps\":0,"* ]]
}

part_close() {
    local a b
    a=$(dstrain eval --json --model base --data text.dsr --seq-len 256 --stretches 4 --device "$DS_TEST_DEVICE") &&
        b=$(dstrain eval --json --model base --data text.dsr --seq-len 256 --stretches 4) || return 1
    printf '%s\n%s\n' "$a" "$b"
    awk -v a="$(sed 's/.*"loss":\([0-9.]*\).*/\1/' <<<"$a")" -v b="$(sed 's/.*"loss":\([0-9.]*\).*/\1/' <<<"$b")" \
        'BEGIN { d = a - b; exit !(a > 0 && d * d < 1e-8) }'
}

# Two processes that meet over TCP, a device each, beside one that computes all slices: by NCCL the same bits.
part_two() {
    local r=0 rank pids=() port=$((10000 + ($$ * 13 + RANDOM) % 20000))
    larger one --accumulate 4 --slices 4 --dropout 0.1 || return 1
    for rank in 1 0; do
        RANK=$rank LOCAL_RANK=$rank WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$port DS_RANKS_TIMEOUT=60 \
            larger two --accumulate 4 --slices 4 --dropout 0.1 &
        pids+=($!)
    done
    for rank in "${pids[@]}"; do wait "$rank" || r=1; done
    grep '"type":"device"' two/metrics.jsonl && grep -h -o 'sha256:.*' one.out two.out
    [ "$r" -eq 0 ] && grep -q '"joined":true' two/metrics.jsonl &&
        [ "$(grep -h -o 'sha256:[0-9a-f]*' one.out two.out | sort -u | wc -l)" -eq 1 ]
}

if [ $# -gt 1 ]; then
    set -o pipefail
    "part_$2"
    exit
fi

# ---- all of them ----

out=$B/check-gpu
rm -rf "$out"
mkdir -p "$out/work" || exit 1
passed=0 failed=0 skipped=0

say() { printf '%s\n' "$*" | tee -a "$out/results.txt"; }

end() {
    rm -rf "$out/work"
    say "what each part printed: $out"
    [ "$skipped" -eq 0 ] || say "$skipped skipped: named above"
    say "$passed passed, $failed failed"
}
trap end EXIT
trap 'exit 1' INT TERM

# perform LOG SECONDS COMMAND...: what it prints goes to LOG, its exit status and how long it took to LOG.end.
perform() {
    local log=$1 limit=$2 begun=$SECONDS
    shift 2
    (cd "$out/work" && exec timeout -k 10 "$limit" "$@") >"$log" 2>&1 </dev/null
    echo "$? $((SECONDS - begun))" >"$log.end"
}

# tally NAME LOG: adds up its TAP lines; a command without any counts by its exit status. What is skipped is named and neither of
# them; nor is what a sanitizer, which is slow, has not come to in its time.
tally() {
    local name=$1 log=$2 rc seconds ok bad not
    read -r rc seconds <"$log.end"
    not=$(grep -c '^ok .*# skip' "$log")
    ok=$(($(grep -c '^ok ' "$log") - not))
    bad=$(grep -c '^not ok ' "$log")
    if [[ "$name" == *under* && "$bad" -eq 0 && ("$rc" = 124 || "$rc" = 137) ]]; then
        not=$((not + 1))
        echo "ok $((ok + not)) what is left # skip the time was over" >>"$log"
    elif [ $((ok + bad + not)) -eq 0 ]; then
        [ "$rc" -eq 0 ] && ok=1 || bad=1
    elif [ "$rc" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
    fi
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + not))
    say "$(printf '%-42s %3d passed, %d failed, %d s%s' "$name" "$ok" "$bad" "$seconds" \
        "$([[ "$rc" != 124 && "$rc" != 137 ]] || echo ', out of time')")"
    sed -n 's/^ok .*# skip/    skipped:/p' "$log" | tee -a "$out/results.txt"
    [ "$bad" -eq 0 ] || grep -v '^ok ' "$log" | tail -n 15 | sed 's/^/    /' | tee -a "$out/results.txt"
}

log_of() { printf '%s/%s.log' "$out" "${1//[^a-z0-9]/-}"; }

# count SECONDS NAME COMMAND...
count() {
    local limit=$1 name=$2
    shift 2
    perform "$(log_of "$name")" "$limit" "$@"
    tally "$name" "$(log_of "$name")"
}

own() { count "$1" "$2" bash "$ROOT/tests/gpu/check.sh" "$B" "$3"; }

[ -e "$DS_CUDA_PLUGIN" ] || { echo "check-gpu: no plugin was built: is nvcc there?" >&2; failed=1; exit 1; }
say "commit $(cat "$ROOT/COMMIT" 2>/dev/null || git -C "$ROOT" describe --always --dirty 2>/dev/null)"
! command -v nvidia-smi >/dev/null ||
    say "$(timeout 30 nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>&1)"
# Sanitizers are slow: they run beside the rest.
sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
watched=()
for tool in ${sanitizer:+memcheck racecheck}; do
    for part in "" _choices _optim; do
        watched+=("functions$part under $tool")
        # calls that fail are part of the tests: only what kernels do is reported
        options=(--tool "$tool" --target-processes all --error-exitcode 9)
        [ "$tool" = racecheck ] || options+=(--report-api-errors no)
        perform "$(log_of "${watched[-1]}")" "${DS_CHECK_SANITIZE:-150}" "$sanitizer" "${options[@]}" "$B/tests/test_cuda$part" &
    done
done
count 120 "functions" "$B/tests/test_cuda"
count 120 "functions of experts" "$B/tests/test_cuda_choices"
count 60 "functions of the optimizer" "$B/tests/test_cuda_optim"
count 120 "network" "$B/tests/test_cuda_net"
count 90 "steps as graphs" "$B/tests/test_cuda_graph"
if command -v bats >/dev/null; then
    count 150 "runs" bats --tap "$ROOT/tests/cli/dstrain_cuda.bats"
    count 60 "preferences" bats --tap -f 'a device' "$ROOT/tests/cli/dstrain_preference.bats"
    count 90 "images" bats --tap "$ROOT/tests/cli/dsprep_dicom_device.bats"
else
    skipped=$((skipped + 3))
    say "runs, preferences, images: skipped, bats is not installed"
fi
own 60 "a model and its data" prepare
own 120 "three runs, the same bits" again
own 60 "graphs, the bits of their launches" graphs
own 60 "a replay" replay
own 150 "f16: overflow, the same bits, a replay" f16
own 30 "the memory that was planned" memory
own 90 "the loss is the CPU's" close
devices=${DS_CHECK_DEVICES:-$(nvidia-smi -L 2>/dev/null | grep -c '^GPU ')}
if [ "$devices" -ge 2 ]; then
    own 150 "two devices by NCCL, the bits of one" two
else
    skipped=$((skipped + 1))
    say "two devices by NCCL: skipped, there is $devices"
fi
if [ ${#watched[@]} -gt 0 ]; then
    wait
    for name in "${watched[@]}"; do tally "$name" "$(log_of "$name")"; done
else
    skipped=$((skipped + 4))
    say "compute-sanitizer: skipped, it is not installed"
fi
[ "$failed" -eq 0 ]
