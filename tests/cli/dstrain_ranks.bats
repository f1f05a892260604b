#!/usr/bin/env bats
# One run by several processes, started by mpirun or as torchrun and Slurm start them.
load dstrain_common

mpi() { # N COMMAND...: sandboxes run as root, on fewer processors than processes
    local n=$1
    shift
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_plm_rsh_agent=/bin/false \
        OMPI_MCA_btl_vader_single_copy_mechanism=none mpirun -n "$n" "$@" </dev/null
}

setup_ranks() {
    command -v mpirun >/dev/null || skip "mpirun is not installed"
    [ -e "${DS_BUILD:-${DS_BIN_DIR:-build/release/bin}/..}/lib/libds-mpi.so" ] || skip "no MPI in this build"
}

free_port() { # below those that the system gives to connections
    local port=$((10000 + (BASHPID * 13 + RANDOM) % 20000))
    while grep -qsi ":$(printf %04X "$port") [0-9A-F]*:0000 0A" /proc/net/tcp /proc/net/tcp6; do port=$((port + 1)); done
    echo "$port"
}

tcp() { # N COMMAND...: as torchrun starts them, without it. The highest comes first. Status of the first that failed.
    local n=$1 i status=0 pids=()
    shift
    export WORLD_SIZE=$n MASTER_ADDR=127.0.0.1 MASTER_PORT DS_MPI_PLUGIN=/nonexistent.so
    MASTER_PORT=$(free_port)
    for ((i = n - 1; i >= 0; i--)); do
        RANK=$i LOCAL_RANK=$i "$@" </dev/null &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i" || status=$((status ? status : $?)); done
    unset WORLD_SIZE MASTER_ADDR MASTER_PORT DS_MPI_PLUGIN
    return "$status"
}

tuned() { # OUT OPTION...
    local out=$1 more=(--dropout 0.1)
    shift
    case " $* " in *' --method full '* | *' --method prompt '*) more=() ;; esac # it is LoRA's
    ${EXEC:-} dstrain finetune --model "$F/base" --store "$F" --data docs --seq-len 24 --batch 1 --lr 1e-3 --rank 4 -q -j 1 \
        "${more[@]}" -o "$out" "$@" >>"$out.out"
}
export -f tuned

@test "the same checkpoint from one, two and four processes" {
    setup_ranks
    export F
    tuned one --accumulate 4 --slices 4 --steps 3
    mpi 2 bash -c 'tuned two --accumulate 4 --slices 4 --steps 3'
    mpi 4 bash -c 'tuned four --accumulate 4 --steps 3'
    [ "$(sum_of one)" = "$(sum_of two)" ]
    [ "$(sum_of one)" = "$(sum_of four)" ]
    grep -q '"processes":4' four/step-000003/lineage.json
    dsver audit --store "$F" four/step-000003
    dstrain replay four/step-000003 --store "$F" --model "$F/base"
    tuned chain --accumulate 4 --steps 3
    [ "$(sum_of one)" != "$(sum_of chain)" ]
}

@test "what two processes began, one ends, and the other way round" {
    setup_ranks
    export F
    mpi 2 bash -c 'tuned whole --accumulate 2 --steps 4 --checkpoint-every 2 --method full'
    cp -r whole part && rm -r part/step-000004 part/ledger/ledger-000003-*
    tuned part --accumulate 2 --slices 2 --steps 4 --checkpoint-every 2 --method full --resume part/step-000002
    [ "$(sum_of whole)" = "$(sum_of part)" ]
    rm -r part/step-000004 part/ledger/ledger-000003-*
    mpi 2 bash -c 'tuned part --accumulate 2 --steps 4 --checkpoint-every 2 --method full --resume part/step-000002'
    [ "$(sum_of whole)" = "$(sum_of part)" ]
}

@test "several processes share the optimizer state of full fine-tuning, in any format" {
    setup_ranks
    export F
    for o in "--dtype bf16 --rounding stochastic" "--optim adamw8bit --dtype bf16" "--weight-decay 0.1" \
        "--dtype f16 --loss-scale 67108864 --scale-window 1"; do
        rm -rf alone* both*
        export o
        # shellcheck disable=SC2086 # options
        tuned alone --accumulate 4 --slices 4 --steps 4 --checkpoint-every 2 --method full $o
        mpi 4 bash -c 'tuned both --accumulate 4 --steps 4 --checkpoint-every 2 --method full $o'
        [ "$(sum_of alone)" = "$(sum_of both)" ]
        rm -r both/step-000004 both/ledger/ledger-000003-*
        mpi 2 bash -c 'tuned both --accumulate 4 --slices 4 --steps 4 --checkpoint-every 2 --method full $o --resume both/step-000002'
        [ "$(sum_of alone)" = "$(sum_of both)" ]
    done
}

setup_devices() {
    setup_ranks
    setup_emulated
}

setup_emulated() { # processes that have one each; emulated, but for DS_TEST_DEVICE
    [ -z "${DS_TEST_DEVICE:-}" ] || skip "of emulated devices"
    export DS_CUDA_PLUGIN=${DS_BUILD:-${DS_BIN_DIR:-build/release/bin}/..}/lib/libds-cuda-emu.so
    export DS_NCCL=${DS_CUDA_PLUGIN%/*}/libds-nccl-emu.so
    [ -e "$DS_CUDA_PLUGIN" ] || skip "no emulated device in this build"
    export F
}

joined() { # RUN: have its devices joined?
    sed -n 's/.*"type":"device".*"joined":\([a-z]*\).*/\1/p' "$1/metrics.jsonl"
}

@test "devices that join give each other gradients, and the checkpoint is that of one, and of those that do not" {
    setup_devices
    tuned one --device cuda --accumulate 4 --slices 4 --steps 1
    mpi 2 bash -c 'tuned two --device cuda --accumulate 4 --slices 4 --steps 1'
    DS_NCCL=/nonexistent/libnccl.so mpi 2 bash -c 'tuned apart --device cuda --accumulate 4 --slices 4 --steps 1'
    [ "$(joined one) $(joined two) $(joined apart)" = "false true false" ]
    for run in two apart; do [ "$(sum_of one)" = "$(sum_of $run)" ]; done
    grep -q '"backend":"cuda","detail":"emulated, sm_90, [^;]*; driver 13.0; NCCL 2.28.3"' two/step-000001/lineage.json
    sed -n 's/.*"peak_bytes":\([0-9]*\),"planned_bytes":\([0-9]*\),"asked_in_steps":0,.*/\1 \2/p' two/metrics.jsonl |
        { read -r peak planned && [ "$peak" = "$planned" ]; }
}

@test "devices that join share the optimizer state of full fine-tuning" {
    setup_devices
    tuned alone --device cuda --accumulate 2 --slices 2 --steps 2 --method full --dtype bf16 --optim adamw8bit
    mpi 2 bash -c 'tuned both --device cuda --accumulate 2 --steps 2 --method full --dtype bf16 --optim adamw8bit'
    [ "$(joined both)" = true ]
    [ "$(sum_of alone)" = "$(sum_of both)" ]
}

@test "without MPI: devices join" {
    setup_emulated
    tuned one --device cuda --accumulate 6 --slices 6 --steps 1 --dtype f16
    tcp 3 tuned three --device cuda --accumulate 6 --slices 6 --steps 1 --dtype f16
    [ "$(joined one) $(joined three)" = "false true" ]
    [ "$(sum_of one)" = "$(sum_of three)" ]
}

@test "a checkpoint of several processes has the products of all, and bytes that do not depend on who computed which" {
    setup_devices
    virtual() { tuned "$@" --device cuda --seq-len 48 --method prompt --prompt-tokens 4 --accumulate 4 --slices 4 --steps 2 --checkpoint-every 1; }
    export -f virtual
    virtual one
    mpi 2 bash -c 'virtual two'
    local runs=(two)
    if [ "${DS_LONG:-0}" = 1 ]; then
        tcp 4 virtual four
        runs+=(four)
    fi
    [ "$(grep -c '"m": ' one/step-000001/algorithms.json)" -lt "$(grep -c '"m": ' one/step-000002/algorithms.json)" ]
    for run in "${runs[@]}"; do
        cmp one/step-000001/algorithms.json $run/step-000001/algorithms.json
        cmp one/step-000002/algorithms.json $run/step-000002/algorithms.json
        [ "$(sum_of one)" = "$(sum_of $run)" ]
    done
    DS_EMU_RANKING=1 dstrain replay two/step-000002 --store "$F" --model "$F/base" --device cuda
    run mpi 2 bash -c 'DS_EMU_RANKING=$OMPI_COMM_WORLD_RANK virtual unlike'
    [ "$status" -ne 0 ]
    [[ "$output" == *" has other products than this one: cuda: a product of "*" is computed by another algorithm already"* ]]
}

@test "several processes compute by devices of one kind" {
    setup_devices
    run mpi 2 bash -c 'd=cuda; [ "$OMPI_COMM_WORLD_RANK" = 0 ] || d=cpu; tuned mixed --device $d --accumulate 2 --steps 1'
    [ "$status" -ne 0 ]
    [[ "$output" == *"process 1 of 2: this computes by cpu, and process 0 by cuda, emulated, sm_90, "*": each has bits of its own"* ]]
}

@test "a device that fails among others ends all processes by name" {
    setup_devices
    DS_EMU_PEERS=3 run mpi 2 bash -c 'tuned failed --device cuda --accumulate 2 --steps 2'
    [ "$status" -ne 0 ]
    [[ "$output" == *"process 1 of 2: NCCL: "*": the emulated device was told to fail"* ]]
}

@test "without MPI: a device that fails among others ends all, and so does a process whose device others wait for" {
    setup_emulated
    DS_EMU_PEERS=3 run tcp 2 tuned failed --device cuda --accumulate 2 --steps 2
    [ "$status" -eq 1 ]
    [[ "$output" == *"process 0 of 2: process 1 ends all: NCCL: "*": the emulated device was told to fail"* ]]
    dies() {
        [ "$RANK" = 1 ] || { tuned killed --device cuda --accumulate 2 --steps 100000 --checkpoint-every 50000; return; }
        EXEC=exec tuned killed --device cuda --accumulate 2 --steps 100000 --checkpoint-every 50000 & local pid=$!
        until [ -s killed/metrics.jsonl ]; do :; done
        kill -KILL $pid
        wait $pid
    }
    run tcp 2 dies
    [ "$status" -eq 137 ]
    [[ "$output" == *"dstrain: process 0 of 2: process 1 is gone"* ]]
}

@test "without MPI: devices that wait for one that does not join, or gives nothing, end in time" {
    setup_emulated
    DS_EMU_PEERS_HANG=0 DS_RANKS_TIMEOUT=4 run tcp 2 tuned stuck --device cuda --accumulate 2 --steps 2
    [ "$status" -eq 1 ]
    [[ "$output" == *"the other processes' devices did not come within 4 s (DS_RANKS_TIMEOUT)"* ]]
    DS_EMU_PEERS_HANG=3 DS_RANKS_WAIT=4 run tcp 2 tuned stuck --device cuda --accumulate 2 --steps 2
    [ "$status" -eq 1 ]
    [[ "$output" == *"what other processes' devices give did not come within 4 s (DS_RANKS_WAIT)"* ]]
}

@test "a process that stands still ends all by MPI" {
    setup_ranks
    export F
    DS_RANKS_WAIT=5 run mpi 2 bash -c 'EXEC=exec tuned still --accumulate 2 --steps 100000 --checkpoint-every 50000 & pid=$!
        trap "kill -KILL $pid" TERM EXIT
        [ "$OMPI_COMM_WORLD_RANK" = 0 ] || { until [ -s still/metrics.jsonl ]; do :; done; kill -STOP $pid; }
        wait $pid'
    [ "$status" -ne 0 ]
    [[ "$output" == *"process 0 of 2: what other processes give did not come within 5 s (DS_RANKS_WAIT)"* ]]
}

@test "a process that MPI waits for and that is none ends all in time" {
    setup_ranks
    export F
    DS_RANKS_TIMEOUT=2 run mpi 1 bash -c 'tuned alone --accumulate 2 --steps 1' : -n 1 sleep 30
    [ "$status" -ne 0 ]
    [[ "$output" == *"process 0 of 2: the other processes of mpirun did not come within 2 s (DS_RANKS_TIMEOUT)"* ]]
}

@test "processes of a machine share its processors and its memory" {
    export F DS_RANKS_TIMEOUT=60
    shares() { # OUT: memory that --method auto was told to fill, and threads
        local out=$1
        dstrain finetune --model "$F/base" --store "$F" --data docs --seq-len 24 --batch 1 --method auto --steps 1 --accumulate 2 \
            --slices 2 -o "$out" 2>"$out.err" >"$out.out"
    }
    threads() { sed -n 's/.*"detail":"[^"]* \([0-9]*\) thread.*/\1/p' "$1/step-000001/lineage.json"; }
    megabytes() { sed -n 's/.* MB of \([0-9]*\)\.[0-9]* MB.*/\1/p' "$1"; }
    shares one
    each() { if [ "$RANK" = 0 ]; then shares two; else shares two-1; fi; }
    tcp 2 each
    [ "$(threads two)" -eq $(($(threads one) > 1 ? $(threads one) / 2 : 1)) ]
    [ "$(megabytes two.err)" -eq $(($(megabytes one.err) / 2)) ]
    [ "$(sum_of one)" = "$(sum_of two)" ]
}

@test "an error of one process is told once and ends all" {
    setup_ranks
    export F
    run mpi 2 bash -c 'tuned three --accumulate 3 --steps 2'
    [ "$status" -eq 2 ]
    echo "$output"
    [ "$(grep -c 'accumulate 3: a multiple of the 2 slices' <<<"$output")" -eq 1 ]
    run mpi 2 bash -c '[ "$OMPI_COMM_WORLD_RANK" = 0 ] || F=/nonexistent; tuned away --accumulate 2 --steps 2'
    [ "$status" -eq 1 ] || [ "$status" -eq 13 ]
    [ "$(grep -c 'process 1 of 2: /nonexistent/base' <<<"$output")" -eq 1 ]
}

@test "a signal to one process makes all of them write a checkpoint and stop" {
    setup_ranks
    export F
    run mpi 2 bash -c 'EXEC=exec tuned stopped --accumulate 2 --steps 100000 --checkpoint-every 50000 & pid=$!
        [ "$OMPI_COMM_WORLD_RANK" = 0 ] || { until [ -s stopped/metrics.jsonl ]; do :; done; kill -USR1 $pid; }
        wait $pid'
    echo "$output; $status"
    [ "$status" -eq 3 ]
    [[ "$output" == *"stopped after step"* ]]
    dsver audit --store "$F" stopped/step-*
}

@test "evaluation, patience and a best checkpoint with several processes" {
    setup_ranks
    export F
    tuned alone --accumulate 2 --slices 2 --steps 6 --eval-data "$F/test.dsr" --eval-every 1 --patience 2 --checkpoint-every 1
    mpi 2 bash -c 'tuned both --accumulate 2 --steps 6 --eval-data "$F/test.dsr" --eval-every 1 --patience 2 --checkpoint-every 1'
    [ "$(ls alone)" = "$(ls both)" ]
    [ "$(readlink alone/best)" = "$(readlink both/best)" ]
    [ "$(grep -c '"eval"' both/metrics.jsonl)" = "$(grep -c '"eval"' alone/metrics.jsonl)" ]
}

@test "without MPI: the same checkpoint from one, two and four processes" {
    export F
    tuned one --accumulate 4 --slices 4 --steps 3
    tcp 2 tuned two --accumulate 4 --slices 4 --steps 3
    tcp 4 tuned four --accumulate 4 --steps 3
    [ "$(sum_of one)" = "$(sum_of two)" ]
    [ "$(sum_of one)" = "$(sum_of four)" ]
    grep -q '"processes":4' four/step-000003/lineage.json
    dsver audit --store "$F" four/step-000003
    dstrain replay four/step-000003 --store "$F" --model "$F/base"
}

@test "without MPI: optimizer state is shared, and what three processes began, one ends" {
    export F
    local o="--accumulate 3 --slices 3 --steps 4 --checkpoint-every 2 --method full --dtype bf16 --optim adamw8bit"
    # shellcheck disable=SC2086 # options
    tuned alone $o
    # shellcheck disable=SC2086
    tcp 3 tuned both $o
    [ "$(sum_of alone)" = "$(sum_of both)" ]
    rm -r both/step-000004 both/ledger/ledger-000003-*
    # shellcheck disable=SC2086
    tuned both $o --resume both/step-000002
    [ "$(sum_of alone)" = "$(sum_of both)" ]
}

@test "as Slurm starts them, without its MPI: they meet on the node, and the port is the job's" {
    export F
    tuned one --accumulate 2 --slices 2 --steps 2
    slurm() { SLURM_PROCID=$RANK RANK='' SLURM_LOCALID=$RANK SLURM_STEP_NUM_TASKS=2 SLURM_STEP_NUM_NODES=1 SLURM_STEP_NODELIST=here \
        SLURM_JOB_ID=4711 SLURM_STEP_ID=0 DS_RANKS_PORT=$MASTER_PORT MASTER_ADDR='' MASTER_PORT='' tuned two --accumulate 2 --steps 2; }
    tcp 2 slurm
    [ "$(sum_of one)" = "$(sum_of two)" ]
}

@test "without MPI: an error of one is told once, and one that is killed ends all by its number" {
    export F
    elsewhere() { [ "$RANK" = 0 ] || F=/nonexistent; tuned away --accumulate 2 --steps 2; }
    run tcp 2 elsewhere
    [ "$status" -ne 0 ]
    [ "$(grep -c 'process 1 of 2: /nonexistent/base' <<<"$output")" -eq 1 ]
    dies() {
        [ "$RANK" = 1 ] || { tuned killed --accumulate 2 --steps 100000 --checkpoint-every 50000; return; }
        EXEC=exec tuned killed --accumulate 2 --steps 100000 --checkpoint-every 50000 & local pid=$!
        until [ -s killed/metrics.jsonl ]; do :; done
        kill -KILL $pid
        wait $pid
    }
    run tcp 2 dies
    echo "$output"
    [ "$status" -eq 137 ]
    [[ "$output" == *"dstrain: process 0 of 2: process 1 is gone"* ]]
}

@test "all processes have the same data, model, program and options, or none begins" {
    export F
    export DS_RANKS_TIMEOUT=60
    local unlike='this has another %s than process 0: all compute one run' what
    unlike_option() { # WHAT OPTION OF_0 OF_1: the run is refused, and nothing is there
        other() { local v=("$2" "$3"); tuned unlike --accumulate 2 --steps 2 "$1" "${v[$RANK]}"; }
        run tcp 2 other "$2" "$3" "$4"
        echo "$output"
        [ "$status" -eq 1 ]
        # shellcheck disable=SC2059
        what=$(printf "$unlike" "$1")
        [ "$(grep -cF "process 1 of 2: $what" <<<"$output")" -eq 1 ]
        [ -z "$(find unlike -name 'step-*' 2>/dev/null)" ]
    }
    unlike_option 'seed or setting of the training' --seed 1 2
    unlike_option 'seed or setting of the training' --steps 2 3
    unlike_option 'seed or setting of the training' --lr 1e-3 2e-3
    unlike_option --checkpoint-every --checkpoint-every 1 2
    unlike_option 'version of the data' --data "$F/text.dsr" "$F/test.dsr"
    cp -r "$F/base" model && cp -r "$F/base" longer
    sed -i 's/"rms_norm_eps": *[0-9.e-]*/"rms_norm_eps": 1e-4/' longer/config.json
    ! cmp -s model/config.json longer/config.json || return 1
    unlike_option 'base model' --model model longer
    tuned from --accumulate 2 --slices 2 --steps 4 --checkpoint-every 1
    for i in 0 1; do cp -r from "from$i" && rm -r "from$i"/step-00000[34]; done
    resumes() { tuned "from$RANK" --accumulate 2 --steps 4 --checkpoint-every 1 --resume "from$RANK/step-00000$((2 - RANK))" --abandon; }
    run tcp 2 resumes
    [ "$status" -eq 1 ]
    [[ "$output" == *"process 1 of 2: this has another step in the checkpoint that it resumes than process 0"* ]]
}

@test "without MPI: a process that does not come is named, and so is one that is not there to meet" {
    export F
    RANK=0 WORLD_SIZE=3 MASTER_ADDR=localhost MASTER_PORT=$(free_port) DS_RANKS_TIMEOUT=1 run tuned none --accumulate 3 --steps 1
    [ "$status" -eq 1 ]
    [[ "$output" == *"process 1, 2 of 3 did not come to process 0 at localhost:"*" within 1 s (DS_RANKS_TIMEOUT)"* ]]
    RANK=1 WORLD_SIZE=3 MASTER_ADDR=localhost MASTER_PORT=$(free_port) DS_RANKS_TIMEOUT=1 run tuned none --accumulate 3 --steps 1
    [ "$status" -eq 1 ]
    [[ "$output" == *"process 0 of 3 cannot be reached at "*" within 1 s (DS_RANKS_TIMEOUT): Connection refused"* ]]
    WORLD_SIZE=3 run tuned none --steps 1
    [ "$status" -eq 2 ]
    [[ "$output" == *"WORLD_SIZE=3: "*"RANK does not say which this is"* ]]
    RANK=0 WORLD_SIZE=3 MASTER_ADDR=localhost run tuned none --steps 1
    [ "$status" -eq 2 ]
    [[ "$output" == *"nothing says where they meet: MASTER_ADDR and MASTER_PORT"* ]]
}

@test "a launcher without MPI is told of" {
    DS_MPI_PLUGIN=/nonexistent.so OMPI_COMM_WORLD_SIZE=2 run tuned none --steps 1
    [ "$status" -eq 1 ]
    [[ "$output" == *"several processes were launched, and no MPI is here: /nonexistent.so"* ]]
    setup_ranks
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_COMM_WORLD_SIZE=3 run tuned none --steps 1
    [ "$status" -eq 1 ]
    [[ "$output" == *"3 processes were launched, and MPI sees 1"* ]]
}

@test "ranks with unlike memory choose the same method: what fits into the least" {
    setup_ranks
    export F least
    # The least in which only a prompt fits, less a tenth
    least=$(dstrain plan --json --model "$F/base" --rank 4 --batch 1 --seq-len 24 --prompt-tokens 4 | jq -s \
        '[.[] | select(.type == "plan" and .method == "prompt").bytes] | max * 10 / 9 | floor + 64')
    tuned one --slices 2 --accumulate 2 --steps 2 --method auto --prompt-tokens 4 --memory "$least"
    # shellcheck disable=SC2016 # each rank says its own
    mpi 2 bash -c 'm=1G; [ "$OMPI_COMM_WORLD_RANK" = 0 ] || m=$least; tuned two --accumulate 2 --steps 2 --method auto --prompt-tokens 4 --memory "$m"'
    grep -q '"method":"prompt"' one/step-000002/lineage.json
    [ "$(sum_of one)" = "$(sum_of two)" ]
}

@test "preferences: the same checkpoint and the same log from one and two processes, with MPI and without" {
    export F
    printf '{"id":"%s","prompt":"the %s","chosen":" cat runs.","rejected":" a dog sees"}\n' a red b blue c small d old >p.jsonl
    dsprep import -q --key-field id p.jsonl | dsprep tokenize -q -t "$F/tok.json" --prompt prompt --chosen chosen --rejected rejected -o p.dsr
    pref() { # OUT OPTION...
        dstrain finetune --model "$F/base" --data p.dsr --seq-len 48 --batch 1 --window 1 --accumulate 4 --slices 4 --steps 2 --lr 1e-2 \
            --rank 4 -q -j 1 --preference dpo "${@:2}" -o "$1" >>"$1.out"
    }
    export -f pref
    log() { sed -n '/"type":"step"/s/,"seconds".*//p' "$1/metrics.jsonl"; }
    same() { # A B
        [ "$(sum_of "$1")" = "$(sum_of "$2")" ]
        [ "$(log "$1")" = "$(log "$2")" ]
    }
    pref one --dropout 0.1
    tcp 2 pref two --dropout 0.1
    same one two
    [ "$(log one | wc -l)" -eq 2 ]
    grep -q '"pairs":4,"rewards/chosen":' two/metrics.jsonl
    pref full --method full
    tcp 2 pref both --method full
    same full both
    setup_ranks
    mpi 2 bash -c 'pref mpi --dropout 0.1'
    same one mpi
}
