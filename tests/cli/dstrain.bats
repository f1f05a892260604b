#!/usr/bin/env bats
# dstrain: training on versioned tokens, checkpoints, and that the same run gives the same bits.
load dstrain_common

@test "init: the same seed gives the same bytes" {
    for arch in llama qwen2 deepseek_v2; do
        dstrain init --arch $arch --tokenizer "$F/tok.json" --seed 5 -o a-$arch >/dev/null
        dstrain init --arch $arch --tokenizer "$F/tok.json" --seed 5 -o b-$arch >/dev/null
        diff -r a-$arch b-$arch
    done
    dstrain init --tokenizer "$F/tok.json" --seed 6 -o c >/dev/null
    fails cmp -s a-llama/model.safetensors c/model.safetensors
    cmp a-llama/tokenizer.json "$F/tok.json"
    # the end of a text: by a usual name of it, by what lies beside the tokenizer, or by none
    grep -qx '  "eos_token_id": 0,' a-llama/config.json
    mkdir t && cp "$F/tok.json" t && echo '{"eos_token": "c"}' >t/tokenizer_config.json
    dstrain init --tokenizer t/tok.json -o d >/dev/null
    [ "$(printf c | dstok encode -t t/tok.json --no-special -)" = "$(sed -n 's/  "eos_token_id": \(.*\),/\1/p' d/config.json)" ]
    echo '{"eos_token": "no such token"}' >t/tokenizer_config.json
    dstrain init --tokenizer t/tok.json -o e >/dev/null
    grep -qx '  "eos_token_id": null,' e/config.json
    fails dstrain init --tokenizer "$F/tok.json" -o a-llama
    has "there is a model already"
}

@test "every method learns, and writes its checkpoint" {
    for m in full lora prompt; do
        train $m --method $m --prompt-tokens 4 --steps 10 --lr 5e-3 --schedule constant
        below "$(loss_at $m 10)" "$(loss_at $m 1)"
        [ "$(grep -c '"type":"step"' $m/metrics.jsonl)" -eq 10 ]
        [ -s $m/step-000010/lineage.json ]
        [ -s $m/step-000010/ledger/ledger-000001-000010.dsr ]
    done
    [ -s full/step-000010/config.json ]
    [ -s lora/step-000010/adapter_config.json ]
    grep -q PROMPT_TUNING prompt/step-000010/adapter_config.json
    # what full fine-tuning wrote is a model, LoRA and prompt leave the base alone
    dstrain eval --model full/step-000010 --store "$F" --data docs --stretches 5 >/dev/null
    for a in "" "--adapter prompt/step-000010" "--adapter lora/step-000010"; do
        # shellcheck disable=SC2086
        dstrain eval --json --model "$F/base" $a --data "$F/test.dsr" | sed 's/.*"loss":\([0-9.]*\).*/\1/' >>losses
    done
    below "$(sed -n 2p losses)" "$(sed -n 1p losses)"
    below "$(sed -n 3p losses)" "$(sed -n 2p losses)"
    fails dstrain eval --model "$F/base" --adapter prompt/step-000010 --data "$F/test.dsr" --seq-len 5
    has "virtual tokens"
    # what is no model, and no checkpoint, is said to be none
    exits 1 dstrain eval --model lora/step-000010 --data "$F/test.dsr"
    has "lora/step-000010 is an adapter"
    for c in "dstrain replay" "dsver audit --store $F"; do
        # shellcheck disable=SC2086
        exits 13 $c lora
        has "lora is no checkpoint"
    done
    has "lora is the folder of a run, a checkpoint is lora/step-000010"
    mkdir -p long/step-{999999,1000000,notes} # the last by its number
    exits 13 dsver audit --store "$F" long
    has "a checkpoint is long/step-1000000"
    meant="lora is the folder of a run, a checkpoint is lora/step-000010: "
    for c in "eval --data $F/test.dsr --model $F/base --adapter lora/" "eval --data $F/test.dsr --model lora" "replay lora"; do
        # shellcheck disable=SC2086
        exits 13 dstrain $c
        has "$meant"
    done
    exits 13 train x --resume lora
    has "$meant"
}

@test "other architectures learn too" {
    for arch in qwen2 deepseek_v2; do
        dstrain init --arch $arch --tokenizer "$F/tok.json" -o $arch >/dev/null
        train run-$arch --model $arch --steps 4 --lr 5e-3 --schedule constant
        below "$(loss_at run-$arch 4)" "$(loss_at run-$arch 1)"
    done
}

@test "threads, micro-batches, recomputation and the working directory change no bit" {
    train one -j 1 --dropout 0.1
    train three -j 3 --dropout 0.1
    train split --dropout 0.1 --batch 1 --accumulate 4
    for level in none attention mlp layer; do train $level --dropout 0.1 --recompute $level; done
    mkdir elsewhere && (cd elsewhere && train five --dropout 0.1)
    want=$(sum_of one)
    [ ${#want} -eq 64 ]
    for r in three split none attention mlp layer elsewhere/five; do
        [ "$(sum_of $r)" = "$want" ]
        weights $r/step-000006 >w && weights one/step-000006 | cmp - w
    done
    train other --dropout 0.1 --seed 2
    [ "$(sum_of other)" != "$want" ]
}

@test "full fine-tuning: the same bits for other threads and micro-batches" {
    train one --method full -j 1 --steps 3
    train two --method full -j 3 --steps 3 --batch 2 --accumulate 2 --recompute mlp
    [ "$(sum_of one)" = "$(sum_of two)" ]
    # top layers alone: those below keep nothing, and their inputs are not gone back through
    train top --method full --only 'model.layers.3.*' --steps 3
    train top2 --method full --only 'model.layers.3.*' --steps 3 --recompute layer --batch 1 --accumulate 4
    [ "$(sum_of top)" = "$(sum_of top2)" ]
}

@test "bf16: the same bits for other threads, and it learns" {
    train one --dtype bf16 -j 1 --lr 5e-3 --schedule constant
    train two --dtype bf16 -j 3 --batch 2 --accumulate 2 --lr 5e-3 --schedule constant
    [ "$(sum_of one)" = "$(sum_of two)" ]
    below "$(loss_at one 6)" "$(loss_at one 1)"
}

@test "a file of the same records gives the same weights as the store" {
    train store
    dstrain finetune --model "$F/base" --data "$F/text.dsr" --seq-len 32 --batch 4 --steps 6 --lr 1e-3 --rank 4 \
        -q -o file >file.out
    weights store/step-000006 >w
    weights file/step-000006 | cmp - w
}

@test "two datasets, an older version by its name" {
    cp "$F/test.dsr" t.dsr
    train both --data t.dsr --steps 2
    grep -q '"name":"t.dsr"' both/step-000002/lineage.json
    grep -q '"name":"dsver:docs"' both/step-000002/lineage.json
    commit=$(git -C "$F/.dsver/catalog.git" rev-parse docs/main)
    dstrain finetune --model "$F/base" --store "$F" --data "docs@$commit" --seq-len 32 --batch 4 --steps 2 -q -o old \
        >/dev/null
    train new --steps 2 --rank 16 --lr 1e-4
    weights old/step-000002 >w
    weights new/step-000002 | cmp - w
}

@test "folders by whatever name one has for them: the same bytes, and a run by its own" {
    train plain --steps 2
    want=$(sum_of plain)
    mkdir within
    cd within
    for m in "$F/base/" "$F//base/."; do
        rm -rf ./run
        dstrain finetune --model "$m" --store "$F" --data docs --seq-len 32 --batch 4 --steps 2 --lr 1e-3 --rank 4 -q -o run/ >out
        grep -qx run/step-000002 out
        grep -q "sha256:$want" out
        diff -r ../plain/step-000002 run/step-000002
        dsver sql --store "$F" "select run from runs where steps = 2" | grep -qx run
    done
    mkdir named && cd named
    train . --steps 2 --seed 3
    dsver sql --store "$F" "select run from runs where seed = 3" | grep -qx named
    cd ..
    fails train '' --steps 2
    has "-o RUN is missing"
    fails train $'a\nb' --steps 2
    has "cannot be a run's name"
    [ ! -e $'a\nb/ledger' ]
}

@test "resumed is uninterrupted" {
    train whole --checkpoint-every 2
    want=$(sum_of whole)
    cp -r whole part && rm -r part/step-000004 part/step-000006 part/ledger/ledger-000003-* part/ledger/ledger-000005-*
    printf '{"type":"step","st' >>part/metrics.jsonl # the disk was full, or the machine went out
    train part --checkpoint-every 2 --resume auto
    [ "$(sum_of part)" = "$want" ]
    dstrain report part >/dev/null
    diff -r whole/step-000006 part/step-000006
    # a checkpoint of another run is refused
    fails train other --checkpoint-every 2 --lr 2e-3 --resume part/step-000002
    has "another run: training.optimizer.lr was 0.001 and is 0.002"
    fails train other --checkpoint-every 2 --data docs --resume part/step-000002
    has "another run: datasets[1] was nothing and is {\"name\":\"docs\""
    fails train other --resume part/step-000006
    has "over already"
    train early --steps 1 --resume auto # there is none yet
    cp early/metrics.jsonl told
    train early --steps 1 --resume auto # a job that is queued again finds nothing to do
    grep -q early/step-000001 early.out
    cmp told early/metrics.jsonl
    fails train early --steps 1 --resume early/step-000001
    has "over already"
    # and so is one whose documents do not tell the same
    cp -r part/step-000002 bent && sed -i 's/"step": *2/"step": 1/' bent/state.json
    exits 12 train other --checkpoint-every 2 --resume bent
    has "bent: its files are not those that its lineage.json was written for"
    resum bent
    fails train other --checkpoint-every 2 --resume bent
    has "bent: state.json tells of step 1" "lineage.json, which is of step 2"
    # a process that ended between writing the last checkpoint and registering it
    id=$(dsver audit --json --store "$F" whole/step-000006 | sed -n 's/.*"run":"sha256:\([0-9a-f]\{16\}\).*/\1/p')
    git -C "$F/.dsver/catalog.git" update-ref -d "refs/dsver/runs/docs/$id"
    fails dsver batch --store "$F" "$id" 1
    fails train other --checkpoint-every 2 --resume part/step-000006
    has "over already"
    exits 0 dsver batch --store "$F" "$id" 1
    # into another folder: the checkpoint is whole there too
    train moved --checkpoint-every 2 --resume part/step-000004
    diff -r whole/step-000006 moved/step-000006
    # what is there is not run over
    fails train whole
    has "whole holds step-000006 already" "--resume whole/step-000006"
    [ "$(sum_of part)" = "$want" ]
}

@test "SIGUSR1 and SIGTERM write a checkpoint and stop; resumed, the bits are the same" {
    command -v python3 >/dev/null || skip "python3 is not installed"
    train whole --steps 48 --batch 2 --seq-len 16
    for s in SIGUSR1 SIGTERM; do
        rc=0
        interrupt $s dstrain finetune --model "$F/base" --store "$F" --data docs --seq-len 16 --batch 2 --steps 48 \
            --lr 1e-3 --rank 4 -j 2 -q --json -o $s 2>$s.err || rc=$?
        cat $s.err
        [ $rc -eq 3 ]
        last=$(basename "$(echo $s/step-0000*)")
        [ -s $s/$last/lineage.json ]
        [ "$last" != step-000048 ]
        grep -q -- "--resume $s/$last" $s.err
        train $s --steps 48 --batch 2 --seq-len 16 --resume $s/$last
        weights whole/step-000048 >w
        weights $s/step-000048 | cmp - w
    done
}

@test "replay: the same bits, from the beginning and from a checkpoint" {
    train r --checkpoint-every 3 --dropout 0.1
    exits 0 dstrain replay r/step-000006 --model "$F/base" --store "$F"
    has "the same bits" "steps 1 to 6"
    exits 0 dstrain replay --json r/step-000006 --from 3 --model "$F/base" --store "$F" -j 1
    has '"same":true' '"first":4' '"last":6'
    # the run left a link to its model
    exits 0 dstrain replay r/step-000006/ --from 3 --store "$F"
    (cd r && exits 0 dstrain replay step-000006 --from 3 --store "$F")
    # segments go by their numbers, which have more digits from some step on
    cp -r r many
    mv many/step-000006/ledger/ledger-000001-000003.dsr many/step-000006/ledger/ledger-999998-1000000.dsr
    mv many/step-000006/ledger/ledger-000004-000006.dsr many/step-000006/ledger/ledger-1000001-1000003.dsr
    exits 0 dstrain replay many/step-000006 --model "$F/base" --store "$F"
    # no checkpoint of that step: the last before it, or the beginning
    exits 0 dstrain replay r/step-000006 --from 5 --store "$F"
    has "no checkpoint of step 5 is there: from step 3" "steps 4 to 6"
    exits 0 dstrain replay r/step-000006 --from 2 --store "$F"
    has "no checkpoint of step 2 is there: from step 0" "steps 1 to 6"
    ln -sfn "$PWD/nowhere" r/base
    exits 2 dstrain replay r/step-000006 --store "$F"
    has "r/base leads to no model" "--model"
    train p --method prompt --prompt-tokens 4 --steps 2
    exits 0 dstrain replay p/step-000002 --model "$F/base" --store "$F"
    train f --method full --only 'model.layers.3.*' --steps 2
    exits 0 dstrain replay f/step-000002 --model "$F/base" --store "$F"
}

@test "checkpoints every 500 steps unless told otherwise" {
    train r --steps 502 --batch 1 --seq-len 8 --method full --only model.norm.weight
    [ "$(cd r && echo step-*)" = "step-000500 step-000502" ]
}

@test "replay: another model, another dataset, an altered checkpoint" {
    cp "$F/text.dsr" d.dsr
    train r --steps 3
    dstrain finetune --model "$F/base" --data d.dsr --seq-len 32 --batch 4 --steps 3 -q -o file >/dev/null
    exits 0 dstrain replay file/step-000003 --model "$F/base" --data d.dsr
    fails dstrain replay file/step-000003 --model "$F/base"
    has "d.dsr" "--data"
    cp "$F/test.dsr" d.dsr
    fails dstrain replay file/step-000003 --model "$F/base" --data d.dsr
    has "dataset 'd.dsr'" "root differs"
    dstrain init --tokenizer "$F/tok.json" --seed 9 -o other >/dev/null
    fails dstrain replay r/step-000003 --model other --store "$F"
    has "other" "is not the model"
    ln -sfn "$PWD/other" r/base
    fails dstrain replay r/step-000003 --store "$F"
    has "r/base is not the model"
    size=$(stat -c %s r/step-000003/adapter_model.safetensors)
    flip r/step-000003/adapter_model.safetensors $((size - 100))
    fails dstrain replay r/step-000003 --model "$F/base" --store "$F"
    has "not the same" "adapter_model.safetensors"
}

@test "merge: the merged model has the adapter's loss" {
    train r --steps 8 --lr 1e-2
    for m in "$F/base --adapter r/step-000008" "$F/base"; do
        # shellcheck disable=SC2086
        dstrain eval --json --model $m --data "$F/test.dsr" | sed 's/.*"loss":\([0-9.]*\).*/\1/' >>losses
    done
    dstrain merge --model "$F/base" --adapter r/step-000008 -o merged
    dstrain eval --json --model merged --data "$F/test.dsr" | sed 's/.*"loss":\([0-9.]*\).*/\1/' >>losses
    # with the adapter and merged: the same to rounding; the base alone is worse
    awk 'NR == 1 { a = $1 } NR == 2 { b = $1 } NR == 3 { m = $1 }
        END { d = a - m; if (d < 0) d = -d; if (NR != 3 || d > 1e-4 || b - a < 0.01) { print a, b, m; exit 1 } }' losses
    dstrain generate --model "$F/base" --adapter r/step-000008 -n 8 --ids "40 41 42" >g1
    dstrain generate --model merged -n 8 --ids "40 41 42" | cmp - g1
    # into another model of the same shapes
    exits 0 dstrain merge --model "$F/base" --adapter r/step-000008 -o again
    ! has "is not the model" || return 1
    cmp merged/model.safetensors again/model.safetensors
    dstrain init --tokenizer "$F/tok.json" --seed 2 -o other >/dev/null
    exits 0 dstrain merge --model other --adapter r/step-000008 -o wrong
    has "other is not the model that r/step-000008 was trained on, 'base': their digests differ"
    exits 2 dstrain merge --model other --adapter r/step-000008 -o ''
    has "-o DIR is missing"
    exits 2 dstrain init --tokenizer "$F/tok.json" -o ''
    has "-o DIR is missing"
    train p --method prompt --prompt-tokens 4 --steps 1
    fails dstrain merge --model "$F/base" --adapter p/step-000001 -o no
    has "cannot be folded"
}

@test "an adapter's files: modules by name for peft, and nothing in them that is left out here" {
    train plain --steps 1 --target q_proj --target down_proj
    grep -q '"q_proj",' plain/step-000001/adapter_config.json
    # a list of peft's has no patterns: each module is named, and read again by these names
    train p --steps 1 --target '*.[02].mlp.down_proj' --target q_proj
    fails grep -q '\*' p/step-000001/adapter_config.json
    [ "$(grep -c '"model.layers.[0-3].self_attn.q_proj"' p/step-000001/adapter_config.json)" -eq 4 ]
    [ "$(grep -c '"model.layers.[02].mlp.down_proj"' p/step-000001/adapter_config.json)" -eq 2 ]
    dstrain eval --model "$F/base" --adapter p/step-000001 --data "$F/test.dsr" >/dev/null
    train short --steps 1 --target '[qk]_*' # of the last part of a name
    [ "$(jq -c '[.target_modules[] | split(".")[-1]] | unique' short/step-000001/adapter_config.json)" = '["k_proj","q_proj"]' ]
    exits 0 dstrain replay p/step-000001 --model "$F/base" --store "$F"
    # an adapter that does what is not done here
    cp -r plain/step-000001 x
    sed -i 's/"q_proj",//; s/"q_proj"//' x/adapter_config.json
    fails dstrain eval --model "$F/base" --adapter x --data "$F/test.dsr"
    has "q_proj.lora_A.weight" "has no place in the adapter"
    jq '.init_lora_weights = "pissa"' plain/step-000001/adapter_config.json >x/adapter_config.json
    fails dstrain eval --model "$F/base" --adapter x --data "$F/test.dsr"
    has "init_lora_weights 'pissa'"
    # no memory is taken for ranks and tokens that the tensors do not have
    for r in 2147483647 4294967312 0 null; do
        jq ".r = $r" plain/step-000001/adapter_config.json >x/adapter_config.json
        fails dstrain eval --model "$F/base" --adapter x --data "$F/test.dsr"
        has "lora_A.weight' does not have the" "rows of adapter_config.json's r"
    done
    jq '{peft_type: "PROMPT_TUNING", num_virtual_tokens: 2147483647}' plain/step-000001/adapter_config.json >x/adapter_config.json
    fails dstrain eval --model "$F/base" --adapter x --data "$F/test.dsr"
    has "no tensor of its adapter (*prompt_embeddings)"
    # peft's other ways to say which modules: those that have tensors
    dstrain eval --json --model "$F/base" --adapter plain/step-000001 --data "$F/test.dsr" | loss_of >listed
    jq '.target_modules = ".*\\.(q|down)_proj"' plain/step-000001/adapter_config.json >x/adapter_config.json
    dstrain eval --json --model "$F/base" --adapter x --data "$F/test.dsr" | loss_of | cmp - listed
}

# wide FROM TO: adapter FROM, but layer 0's q_proj has 8 rows where there were 4, the new ones 0, and every other q_proj twice its B
wide() {
    mkdir "$2"
    python3 - "$@" <<'EOF'
import array, json, struct, sys

b = open(sys.argv[1] + "/adapter_model.safetensors", "rb").read()
n = struct.unpack("<Q", b[:8])[0]
head, out, data = json.loads(b[8:8 + n]), {}, b""
for name, t in head.items():
    if name == "__metadata__":
        continue
    x, (rows, cols) = array.array("f", b[8 + n:][slice(*t["data_offsets"])]), t["shape"]
    if ".layers.0.self_attn.q_proj.lora_A" in name:
        x, rows = x + array.array("f", [0] * (rows * cols)), 2 * rows
    elif ".layers.0.self_attn.q_proj.lora_B" in name:
        x, cols = array.array("f", [v for i in range(rows) for v in list(x[i * cols:][:cols]) + [0] * cols]), 2 * cols
    elif "q_proj.lora_B" in name:
        x = array.array("f", [2 * v for v in x])
    out[name] = {"dtype": "F32", "shape": [rows, cols], "data_offsets": [len(data), len(data) + 4 * len(x)]}
    data += x.tobytes()
h = json.dumps(out).encode()
open(sys.argv[2] + "/adapter_model.safetensors", "wb").write(struct.pack("<Q", len(h)) + h + data)
EOF
}

@test "an adapter's files: ranks and alphas of their own that modules have" {
    local from=r/step-000006
    evaluated() { dstrain eval --json --model "$F/base" --adapter "$1" --data "$F/test.dsr" | loss_of; }
    told() { jq "$1" $from/adapter_config.json >w/adapter_config.json; }
    train r --steps 6 --lr 1e-2 --target q_proj --target down_proj
    wide $from w
    evaluated $from >want
    # alpha over rank is as it was of the first layer, 32 / 4, and half of it where B is twice; the first expression counts
    told '.rank_pattern = {"layers.0.self_attn.q_proj": 8} |
        .alpha_pattern = {"model\\.layers\\.[1-9]\\.self_attn\\.(q|k)_proj": 16, "q_proj": 64}'
    evaluated w | cmp - want
    dstrain merge --model "$F/base" --adapter w -o merged
    dstrain merge --model "$F/base" --adapter $from -o was
    cmp was/model.safetensors merged/model.safetensors
    told '.rank_pattern = {"^model.layers.0.self_attn.q_proj": 8} | .alpha_pattern = {"q_proj": 64}'
    evaluated w >other
    fails cmp -s want other
    while read -r bad why; do
        told ".rank_pattern = $bad"
        fails dstrain eval --model "$F/base" --adapter w --data "$F/test.dsr"
        has "$why"
    done <<'EOF'
{"q_pro":8} layers.0.self_attn.q_proj.lora_A.weight' does not have the 4 rows of adapter_config.json's rank_pattern
{"q_proj":2147483648} does not have the 2147483648 rows
{"(q_proj":8} rank_pattern: the expression '(q_proj'
{"q_proj":"8"} rank_pattern: of 'q_proj' it has no number above 0
{"q_proj":0} no number above 0
{"(.*.*.*.*.*.*.*.*)*[A-Z]":8} rank_pattern: the expression
EOF
}

loss_of() { sed 's/.*"loss":\([0-9.]*\).*/\1/'; }

@test "end tokens and what stands beside a tokenizer go where the weights go" {
    cp -r "$F/base" chat
    jq '.eos_token_id = [5, 300]' "$F/base/config.json" >chat/config.json
    echo '{"chat_template": "x"}' >chat/tokenizer_config.json
    echo '{"do_sample": true}' >chat/generation_config.json
    train r --model chat --method full --steps 1
    jq -e '.eos_token_id == [5, 300]' r/step-000001/config.json
    cmp chat/tokenizer_config.json r/step-000001/tokenizer_config.json
    cmp chat/generation_config.json r/step-000001/generation_config.json
    train a --model chat --steps 1
    dstrain merge --model chat --adapter a/step-000001 -o merged
    jq -e '.eos_token_id == [5, 300]' merged/config.json
    cmp chat/tokenizer_config.json merged/tokenizer_config.json
    # a text ends at any of them
    first=$(dstrain generate -q --model "$F/base" --ids -n 1 '40 41' | awk '{ print $NF }')
    jq ".eos_token_id = [5, $first]" "$F/base/config.json" >chat/config.json
    dstrain generate -q --model chat --ids --json -n 4 '40 41' | jq -e '.ended and .new_tokens == 0'
}

@test "generate: greedy is one text, a seed another" {
    train r --method full --steps 12 --lr 1e-2
    m=r/step-000012
    dstrain generate --model $m -n 12 'the red cat' >a
    dstrain generate --model $m -n 12 -j 1 'the red cat' | cmp - a
    grep -q '^the red cat' a
    dstrain generate --model $m -n 12 --temperature 1 --seed 3 'the red' >s3
    dstrain generate --model $m -n 12 --temperature 1 --seed 3 'the red' | cmp - s3
    dstrain generate --model $m -n 12 --temperature 1 --seed 4 'the red' >s4
    fails cmp -s s3 s4
    dstrain generate --model $m -n 12 --no-cache 'the red cat' | cmp - a
    dstrain generate --model $m -n 12 --dtype bf16 'the red cat' > h
    dstrain generate --model $m -n 12 --dtype bf16 --no-cache 'the red cat' | cmp - h
    dstrain generate --model $m -n 12 --temperature 1 --seed 3 --no-cache 'the red' | cmp - s3
    dstrain generate --model $m -n 12 --temperature 2 --top-k 1 'the red cat' | cmp - a
    dstrain generate --model $m -n 12 --temperature 2 --top-p 0.001 'the red cat' | cmp - a
    printf 'the red cat\nthe red cat\n' | dstrain generate --model $m -n 12 - | cmp - <(cat a a)
    printf 'the red cat\nthe\n' | dstrain generate --model $m -n 12 --json -q - >lines
    jq -r 'select(.new_tokens <= 12) | .text' lines | head -n 1 | cmp - a
    [ "$(jq -s length lines)" = 2 ]
    : | dstrain generate --model $m - >none
    [ ! -s none ]
    exits 2 dstrain generate --model $m --top-k 5 x
    has "--top-k and --top-p are for sampling (--temperature)"
    fails dstrain generate --model $m --top-p 0 x
    [ "$(dstrain generate --model $m -n 5 --ids '1 2 3' | wc -w)" -le 8 ]
    fails dstrain generate --model $m --ids '1 x'
    has "no token id"
    fails dstrain generate --model $m --ids '1 300'
    has "a prompt with token 300: the model's vocabulary has 300"
    [ "${#lines[@]}" -eq 1 ] # nothing of it is shown before
    fails dstrain generate --model $m ''
    has "empty prompt"
}

@test "generate --chat: an answer is asked for where training learned to give it" {
    need_jq
    dstok train -q --vocab-size 300 --special '<|bos|>' --special '<|end|>' -o tok.json "$F/text.txt"
    dstrain init --tokenizer tok.json -o chat >/dev/null
    echo '{"bos_token": "<|bos|>", "eos_token": "<|end|>"}' >chat/tokenizer_config.json
    cat >chat/chat_template.jinja <<'E'
{{- bos_token }}
{%- for m in messages %}
    {{- m.role[:1] ~ ':' + m.content + ('<|end|>' if m.role == 'assistant' else '') + '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- 'a:' }}
{%- endif %}
E
    cat >chats.jsonl <<'E'
{"m":[{"role":"user","content":"the cat"},{"role":"assistant","content":"red house"}]}
{"m":[{"role":"user","content":"the <|end|>"},{"role":"assistant","content":"no"},{"role":"user","content":"old"},{"role":"assistant","content":"blue"}]}
E
    dsprep text -q --field m --json-text chats.jsonl | dsprep tokenize -q -t chat/tokenizer.json --chat any -o chats.dsr
    dstrain finetune --model chat --data chats.dsr --method full --seq-len 64 --batch 2 --steps 60 --lr 3e-3 -q -o r >/dev/null
    ask() { dstrain generate -q --model r/step-000060 --chat any "$@"; }
    [ "$(ask 'the cat')" = 'red house' ]
    [ "$(ask 'the <|end|>')" = no ]
    [ "$(ask --messages "$(jq -c '.m[:3]' chats.jsonl | tail -n 1)")" = blue ]
    printf 'the cat\nthe <|end|>\n' | ask - | cmp - <(printf 'red house\nno\n')
    # the ids are those before the first target, and the end is that of tokenizer_config.json: config.json names none
    ask --json 'the cat' | jq -e '.text == "red house" and .ended'
    dsprep cat chats.dsr | head -n 1 | jq -c '.tokens[:.loss[0][0]]' >want
    ask --json 'the cat' | jq -c '.ids[:.prompt_tokens]' | cmp - want
    # a template of one's own
    echo '{{ "the" }}' >t.jinja
    dstrain generate -q --model r/step-000060 --chat-template t.jinja --json -n 0 x | jq -c '.ids' >a
    dstrain generate -q --model r/step-000060 --json -n 0 the | jq -c '.ids' | cmp - a
    fails ask --messages 'not JSON'
    has "conversation: "
    fails ask --messages '[{"role":"nobody","content":"x"}]'
    has "nobody"
    exits 2 ask --ids '1 2'
    has "--chat and --ids"
    exits 2 dstrain generate --model chat --messages '[]'
    has "--messages goes with --chat"
    fails dstrain generate --model "$F/base" --chat auto x
    has "there is no chat template" "--chat-template"
}

@test "eval: numbers that fit each other" {
    need_jq
    dstrain eval --json --model "$F/base" --data "$F/test.dsr" --seq-len 16 >a
    jq -e '.type == "eval" and (.perplexity / (.loss | exp) - 1 | fabs) < 1e-6 and .targets > 50' a
    # random weights know nothing: the loss is about that of a uniform guess
    jq -e '(.loss - (300 | log) | fabs) < 0.3' a
    dstrain eval --json --model "$F/base" --data "$F/test.dsr" --seq-len 16 -j 1 | jq .loss >b
    jq .loss a | cmp - b
    dstrain eval --model "$F/base" --data "$F/test.dsr" --stretches 2 | grep -q perplexity
}

@test "8-bit moments: resumed is uninterrupted, and replayed the same" {
    eight() { train "$@" --method full --optim adamw8bit --checkpoint-every 2; }
    eight whole
    cp -r whole part && rm -r part/step-000004 part/step-000006 part/ledger/ledger-000003-* part/ledger/ledger-000005-*
    eight part --resume part/step-000002
    diff -r whole/step-000006 part/step-000006
    grep -aq 'm8.scale' whole/step-000006/optimizer.safetensors
    grep -q '"optimizer":{"name":"adamw8bit"' whole/step-000006/lineage.json
    exits 0 dstrain replay whole/step-000006 --from 2 --model "$F/base" --store "$F"
    has "the same bits: steps 3 to 6, weights and optimizer state"
    exits 0 dstrain replay whole/step-000004 --model "$F/base" --store "$F"
    # other moments are other weights
    train plain --method full
    fails cmp -s plain/step-000006/model.safetensors whole/step-000006/model.safetensors
}

@test "bf16 weights without copies, rounded by chance: any threads, resumed, replayed, and planned" {
    need_jq
    drawn() { train "$@" --method full --dtype bf16 --rounding stochastic --checkpoint-every 2; }
    drawn whole
    drawn other -j 1 --batch 1 --accumulate 4
    [ "$(sum_of whole)" = "$(sum_of other)" ]
    cp -r whole part && rm -r part/step-000004 part/step-000006 part/ledger/ledger-000003-* part/ledger/ledger-000005-*
    drawn part --resume part/step-000002
    diff -r whole/step-000006 part/step-000006
    fails grep -aq '\.master' whole/step-000006/optimizer.safetensors
    grep -q '"clip":1.0,"rounding":"stochastic"}' whole/step-000006/lineage.json
    exits 0 dstrain replay whole/step-000006 --from 2 --model "$F/base" --store "$F"
    train nearest --method full --dtype bf16
    grep -aq '\.master' nearest/step-000006/optimizer.safetensors
    fails cmp -s nearest/step-000006/model.safetensors whole/step-000006/model.safetensors
    below "$(loss_at whole 6)" "$(loss_at whole 1)"
    for how in nearest stochastic; do
        dstrain plan --json --model "$F/base" --dtype bf16 --rounding $how --recompute none >$how.plan
    done
    jq -se '.[0].masters == 776832 * 4 and .[3].masters == 0 and .[1] == .[4]' nearest.plan stochastic.plan
}

@test "what is computed again: chosen by memory, in the lineage, never in the weights" {
    need_jq
    auto() { train "$@" --seq-len 128 --batch 8 --steps 2; }
    auto free
    grep -q '"recompute":"none"' free/step-000002/lineage.json
    for level in attention mlp layer; do
        bytes=$(dstrain plan --json --model "$F/base" --batch 8 --seq-len 128 --rank 4 --recompute $level |
            jq -s '.[1].bytes')
        auto $level --memory $((bytes * 10 / 9 + 64))
        grep -q "\"recompute\":\"$level\"" $level/step-000002/lineage.json
        [ "$(sum_of $level)" = "$(sum_of free)" ]
    done
    exits 0 dstrain replay layer/step-000002 --model "$F/base" --store "$F"
    exits 2 train x --recompute some
    has "--recompute" "attention"
}

@test "the peak of the whole process is what plan counts, and little more" {
    need_jq
    ! grep -aq __asan_init "$(command -v dstrain)" || skip "a sanitizer is in it"
    peak() { sed -n 's/.*"peak_bytes":\([0-9]*\).*/\1/p' "$1/metrics.jsonl"; }
    for level in none layer; do
        train $level --recompute $level --seq-len 256 --batch 32 --steps 1 -j 1 --data-threads 1
        dstrain plan --json --model "$F/base" --rank 4 --seq-len 256 --batch 32 --recompute $level | jq -s '.[1].bytes' >p$level
        # Counted is the network. Beside it are the program with its libraries, rows that wait, and what the
        # backend packs of the operands of a batch, here of 8192 rows.
        below "$(cat p$level)" "$(peak $level)"
        below "$(peak $level)" "$(($(cat p$level) + 100000000))"
    done
    # and what a level saves is what plan says that it saves, within a tenth
    awk -v a="$(peak none)" -v b="$(peak layer)" -v p="$(cat pnone)" -v q="$(cat player)" \
        'BEGIN { x = (a - b) / (p - q); print x; exit !(x > 0.9 && x < 1.1) }'
}

@test "the peak is the program's own, whatever started it" {
    ! grep -aq __asan_init "$(command -v dstrain)" || skip "a sanitizer is in it"
    python3 -c '
import json, subprocess, sys
held = bytearray(b"x") * (600 << 20)
out = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=True).stdout
assert json.loads(out)["peak_bytes"] < 300 << 20, out
' dstrain eval --json --model "$F/base" --data "$F/test.dsr"
}

@test "plan: bytes for every method" {
    need_jq
    dstrain plan --json --model "$F/base" --batch 4 --seq-len 32 >all
    [ "$(jq -r .recompute all | head -n 4 | paste -sd ' ')" = "none attention mlp layer" ]
    [ "$(jq -s length all)" -eq 12 ]
    # Slices: all gradients once more, and a stretch of them, here all, on its way to them
    dstrain plan --json --model "$F/base" --batch 4 --seq-len 32 --slices 5 >sliced
    jq -se --slurpfile one all '[.[] | select(.method == "lora")][0] as $s | [$one[] | select(.method == "lora")][0] as $o |
        $s.gradients - $o.gradients >= 8 * $o.trained and $s.gradients - $o.gradients < 9 * $o.trained' sliced
    dstrain plan --json --model "$F/base" --batch 4 --seq-len 32 --recompute none >p
    jq -c 'select(.recompute == "none")' all | cmp - p
    [ "$(jq -r .method p | paste -sd ' ')" = "full lora prompt" ]
    jq -se '.[0].trained == 776832 and .[0].weights > 776832 * 4 and .[0].weights < 776832 * 4 + 65536 and .[0].moments == 776832 * 8' p
    jq -se 'all(.[]; .bytes == .weights + .gradients + .moments + .masters + .activations)' p
    jq -se '.[0].bytes > .[1].bytes and .[1].bytes > .[2].bytes' p
    exits 0 dstrain plan --model "$F/base" --memory 1G
    has "fits: full" "activations" "attention"
    exits 0 dstrain plan --model "$F/base" --memory 40M --batch 4 --seq-len 256
    has "fits: full, with --recompute"
    exits 2 dstrain plan --model "$F/base" --seq-len 1000000
    has "context is"
    fails dstrain plan --model "$F/base" --memory 1K
    has "nothing fits"
}

@test "data that cannot be trained on" {
    dsprep text -q --split line "$F/text.txt" >plain.dsr
    fails train r --data plain.dsr
    has "plain.dsr" "not tokenized"
    dstok train --vocab-size 290 -o other.json "$F/text.txt" 2>/dev/null
    dsprep tokenize -q -t other.json -o other.dsr plain.dsr
    fails train r --data other.dsr
    has "other.dsr" "was tokenized with" "tokenizer.json is"
    fails dstrain eval --model "$F/base" --data other.dsr
    has "other.dsr" "was tokenized with" "tokenizer.json is"
    fails train r --data none@main
    has "none"
    fails train r --data none.dsr
    has "none.dsr"
    fails train r --column text
    has "'text'" "not tokens"
    exits 2 dstrain finetune --model "$F/base" -o r
    has "--data"
    fails train r --long error --seq-len 8
    has "a row holds 8"
    head -c 2000 "$F/text.dsr" >cut.dsr
    fails train r --data cut.dsr
    has "cut.dsr"
    printf '%s\n' a . | dsprep text -q --split line - | dsprep tokenize -q -t "$F/tok.json" -o letters.dsr
    : | dsprep text -q --split line - | dsprep tokenize -q -t "$F/tok.json" -o empty.dsr
    fails dstrain finetune --model "$F/base" --data letters.dsr -o r
    has "letters.dsr" "no record has two tokens"
    fails train r --eval-data letters.dsr --eval-every 1
    has "letters.dsr" "no record has two tokens"
    fails train r --eval-data empty.dsr --eval-every 1
    has "empty.dsr" "no token to evaluate on"
    fails dstrain finetune --model "$F/base" --data empty.dsr -o r
    has "there are no records"
    fails dstrain eval --model "$F/base" --data empty.dsr
    has "empty.dsr" "no token to predict"
    [ ! -e r/step-000006 ]
}

@test "learning rates: shares of the steps, a rate that stays and then falls, one that never falls" {
    local rates='s/.*"type":"step".*"lr":\([0-9.e-]*\),.*/\1/p'
    train r --steps 8 --schedule wsd --warmup-share 0.25 --decay-share 0.5
    [ "$(sed -n "$rates" r/metrics.jsonl | tr '\n' ' ')" = \
        "0.0005 0.001 0.001 0.001 0.0005 0.000292893219 0.000133974596 0 " ]
    grep -q '"schedule":"wsd","warmup":2,"decay_steps":4,' r/step-000008/lineage.json
    exits 0 dstrain replay r/step-000008 --store "$F"
    # of a schedule that otherwise falls all the time, by steps that are known when the data has been read
    dstrain finetune --model "$F/base" --data "$F/test.dsr" --seq-len 32 --batch 1 --epochs 1 --schedule linear --lr 1e-3 \
        --min-lr 5e-4 --decay-share 0.1 -q -o s >/dev/null
    [ "$(sed -n "$rates" s/metrics.jsonl | uniq -c | xargs)" = "10 0.001 1 0.0005" ]
    exits 2 train t --schedule constant --decay-share 0.5
    has "--decay-share: --schedule constant does not fall"
    exits 2 train t --warmup 1 --warmup-share 0.5
    has "--warmup and --warmup-share"
    for o in '--decay-share 0' '--warmup-share 1'; do
        exits 2 train t $o
        has "${o%% *}"
    done
    exits 0 dstrain finetune --model "$F/base" --data "$F/test.dsr" --seq-len 32 --steps 2 --warmup 2 -o never
    has "a warm-up of 2 of 2 steps: the learning rate does nothing but rise"
    exits 0 dstrain finetune --model "$F/base" --data "$F/test.dsr" --seq-len 32 --steps 2 --warmup 1 -o once
    ! has "warm-up" || return 1
    # one step, at the end of its schedule
    exits 0 dstrain finetune --model "$F/base" --data "$F/test.dsr" --seq-len 32 --epochs 1 --batch 64 -o one
    has "the only step of the run has a learning rate of 0"
    exits 0 dstrain finetune --model "$F/base" --data "$F/test.dsr" --seq-len 32 --steps 1 --schedule constant -o const
    ! has "learning rate of 0" || return 1
}

@test "settings that cannot be" {
    exits 2 train r --steps 0
    has "--steps: '0'"
    exits 2 dstrain finetune --model "$F/base" --data "$F/test.dsr" --epochs 0 -o r
    has "--epochs: '0'"
    exits 2 train r --seq-len 4096
    has "--seq-len 4096" "2048"
    exits 2 train r --seq-len 30
    has "multiple of 4"
    exits 2 train r --method prompt --prompt-tokens 30
    has "--prompt-tokens 30"
    fails train r --target nothing_proj
    has "nothing_proj"
    exits 2 train r --target q_proj --target v_prj # beside one that is there
    has "'v_prj'"
    exits 2 train r --method full --only '*norm*' --only 'no.such.*'
    has "'no.such.*'"
    exits 2 train r --method magic
    has "magic"
    # what chooses for another method would change nothing; sizes may stand beside any
    exits 2 train r --only '*norm*'
    has "--only is for --method full"
    exits 2 train r --method prompt --dora
    has "--dora is for --method lora"
    for o in '--alpha 16' '--dropout 0.1' '--lora-plus 16'; do
        # shellcheck disable=SC2086 # an option and its value
        exits 2 train r --method full $o
        has "${o% *} is for --method lora, this is full"
    done
    exits 2 train r --dtype bf16 --rounding stochastic
    has "--rounding is for --method full"
    exits 2 train r --method full --rounding stochastic
    has "--rounding stochastic is of bf16 weights"
    exits 2 train r --method full --prompt-init random
    has "--prompt-init is for --method prompt"
    exits 2 train r --epochs 1
    has "--steps and --epochs"
    for o in '--lr -1' '--beta2 1' '--eps 0' '--clip -1' '--dropout 1' '--alpha 0' '--lora-plus 0' '--spike-factor 0'; do
        # shellcheck disable=SC2086 # an option and its value
        exits 2 train r $o
        has "$o: "
    done
    [ ! -e r ]
}

# broken NAME PYTHON: a copy of the base model whose safetensors header h and data d PYTHON changes.
broken() {
    cp -r "$F/base" "$1"
    python3 -c '
import json, struct, sys
path = sys.argv[1] + "/model.safetensors"
b = open(path, "rb").read()
n = struct.unpack("<Q", b[:8])[0]
h, d = json.loads(b[8 : 8 + n]), bytearray(b[8 + n :])
name = "model.layers.0.self_attn.q_proj.weight"
t = h[name]
exec(sys.argv[2])
j = json.dumps(h).encode()
j += b" " * (-len(j) % 8)
open(path, "wb").write(struct.pack("<Q", len(j)) + j + d)' "$1" "$2"
}

@test "models that are not what they say" {
    command -v python3 >/dev/null || skip "python3 is not installed"
    cp -r "$F/base" cut
    truncate -s 100000 cut/model.safetensors
    fails train r --model cut
    has "cut/model.safetensors"
    cp -r "$F/base" text
    printf '{,' | dd of=text/model.safetensors bs=1 seek=8 conv=notrunc status=none
    exits 12 train r --model text
    has "text/model.safetensors" "line 1"
    broken nan 'a = t["data_offsets"][0]; d[a : a + 4] = struct.pack("<f", float("nan"))'
    fails train r --model nan
    has "nan/model.safetensors" "q_proj"
    broken shape 't["shape"] = t["shape"][::-1] if t["shape"][0] != t["shape"][1] else [t["shape"][0] // 2, t["shape"][1] * 2]'
    fails train r --model shape
    has "q_proj" "shape"
    broken gone 'e = t["data_offsets"]; t["dtype"] = "F32"; h["other"] = h.pop(name)'
    fails train r --model gone
    has "q_proj"
    broken more 'h["model.layers.0.self_attn.q_proj.bias"] = {"dtype": "F32", "shape": [128], "data_offsets": [len(d), len(d) + 512]}; d += bytes(512)'
    fails train r --model more
    has "q_proj.bias" "has no place in the model"
    broken overlap 't["data_offsets"] = [0, t["data_offsets"][1] - t["data_offsets"][0]]'
    fails train r --model overlap
    has "overlap/model.safetensors"
    broken range 't["data_offsets"] = [x + (1 << 40) for x in t["data_offsets"]]'
    fails train r --model range
    has "range/model.safetensors"
    broken dtype 't["dtype"] = "F8_E4M3"'
    fails train r --model dtype
    has "F8_E4M3"
}

@test "configurations that are not supported are refused by name" {
    conf() { # NAME SED
        rm -rf m && cp -r "$F/base" m
        sed -i "$1" m/config.json
    }
    conf 's/"model_type": "llama"/"model_type": "mamba"/; s/LlamaForCausalLM/MambaForCausalLM/'
    fails train r --model m
    has mamba || has Mamba
    conf 's/"rope_theta"/"rope_scaling": {"rope_type": "longrope", "factor": 2.0}, "rope_theta"/'
    fails train r --model m
    has longrope
    yarn='"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 1024'
    for o in '"attention_factor": 1.2' '"truncate": false'; do
        conf "s/\"rope_theta\"/\"rope_scaling\": {$yarn, $o}, \"rope_theta\"/"
        fails train r --model m
        has "$(echo "$o" | cut -d '"' -f 2)"
    done
    conf 's/"hidden_act": "silu"/"hidden_act": "gelu"/'
    fails train r --model m
    has gelu
    conf 's/"hidden_size": 128/"hidden_size": 127/'
    fails train r --model m
    conf 's/"vocab_size": 300/"vocab_size": 290/'
    fails train r --model m
    has "embed_tokens"
    conf 's/"vocab_size": 300/"vocab_size": -1/'
    fails train r --model m
    has "vocab_size"
    echo '{' >m/config.json
    fails train r --model m
    has "config.json"
    fails train r --model nowhere
    has "nowhere"
}

@test "a vocabulary smaller than the data's ids" {
    dstok train --vocab-size 270 -o small.json "$F/text.txt" 2>/dev/null
    dstrain init --tokenizer small.json -o small >/dev/null
    rm small/tokenizer.json # nothing says which tokenizer it was
    for m in lora prompt; do
        fails train r --model small --method $m --prompt-tokens 8
        has "vocabulary of 270"
    done
}

# rows_of MODEL BEFORE MEAN_OF OUT NEW...: OUT is MODEL but for rows of its embedding and head: those of
# NEW, and from BEFORE on, are the mean of the rows of the ids below MEAN_OF, summed in f64.
rows_of() {
    python3 - "$@" <<'EOF'
import array, json, struct, sys

def read(folder):
    b = open(folder + "/model.safetensors", "rb").read()
    n = struct.unpack("<Q", b[:8])[0]
    h = json.loads(b[8:8 + n])
    about = h.pop("__metadata__")
    return about, {k: (v["dtype"], v["shape"], b[8 + n:][slice(*v["data_offsets"])]) for k, v in h.items()}

model, before, mean_of, out, new = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], set(map(int, sys.argv[5:]))
(_, was), (about, now) = read(model), read(out)
assert was.keys() == now.keys() and about["resized_init"] == "mean", about
for name, (dtype, shape, data) in was.items():
    if name not in ("model.embed_tokens.weight", "lm_head.weight"):
        assert now[name] == (dtype, shape, data), name
        continue
    d, rows = shape[1], now[name][1][0]
    size = len(data) // shape[0]
    def numbers(row): # of f32, or bf16
        return array.array("f", row if dtype == "F32" else b"".join(b"\0\0" + row[i:i + 2] for i in range(0, size, 2)))
    sums = [0.0] * d
    for i in range(mean_of):
        for j, x in enumerate(numbers(data[i * size:(i + 1) * size])):
            sums[j] += x
    def written(x):
        f = struct.unpack("<I", struct.pack("<f", x))[0]
        return struct.pack("<I", f) if dtype == "F32" else struct.pack("<H", (f + 0x7fff + (f >> 16 & 1)) >> 16)
    mean = b"".join(written(s / mean_of) for s in sums)
    assert now[name][0] == dtype and now[name][1] == [rows, d]
    for i in range(rows):
        row = now[name][2][i * size:(i + 1) * size]
        assert row == (mean if i in new or i >= before else data[i * size:(i + 1) * size]), (name, i)
EOF
}

# untie MODEL: it gets a head of its own, the embedding's rows from the last on.
untie() {
    sed -i 's/"tie_word_embeddings": true/"tie_word_embeddings": false/' "$1/config.json"
    python3 - "$1/model.safetensors" <<'EOF'
import json, struct, sys
b = open(sys.argv[1], "rb").read()
n = struct.unpack("<Q", b[:8])[0]
h, data = json.loads(b[8:8 + n]), b[8 + n:]
e = h["model.embed_tokens.weight"]
table, size = data[slice(*e["data_offsets"])], (e["data_offsets"][1] - e["data_offsets"][0]) // e["shape"][0]
h["lm_head.weight"] = dict(e, data_offsets=[len(data), len(data) + len(table)])
head = b"".join(table[i:i + size] for i in range(len(table) - size, -1, -size))
h = json.dumps(h).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(h)) + h + data + head)
EOF
}

@test "resize: new tokens have rows of the mean, all else stays to the byte" {
    dstrain init --arch llama --tokenizer "$F/tok.json" --dtype bf16 -o half >/dev/null
    untie half
    for m in "$F/base" half; do
        [ "$(dstrain resize --model "$m" --add-token '<|patient|>' --add-token '<|report|>' -o wide)" = \
            "wide: 2 new tokens, ids 300 to 301; a vocabulary of 302, it was 300" ]
        rows_of "$m" 300 300 wide 300 301
        dstrain resize --model "$m" --add-token '<|patient|>' --add-token '<|report|>' -o again >/dev/null
        diff -r wide again
        [ "$m" = half ] || mv wide base-2
        rm -rf wide again
    done
    [ "$(jq .vocab_size base-2/config.json)" -eq 302 ]
    [ "$(printf 'the<|report|>' | dstok encode -t base-2/tokenizer.json --no-special - | awk '{ print $NF }')" -eq 301 ]
    jq -e '.added_tokens[-1] | .id == 301 and .content == "<|report|>" and .special' base-2/tokenizer.json
    [ "$(jq -c '.added_tokens |= .[:-2]' base-2/tokenizer.json)" = "$(jq -c . "$F/tok.json")" ]
    # the model before has no rows for them, and the one that has learns
    sed 's/^/<|patient|>/' "$F/test.txt" | dsprep text -q --split line - | dsprep tokenize -q -t base-2/tokenizer.json -o new.dsr
    mkdir bare && cp "$F"/base/{config.json,model.safetensors} bare # nothing says which tokenizer it was
    exits 1 train r --model bare --data "$PWD/new.dsr"
    has "token 300 is not in the model's vocabulary of 300 (dstrain resize gives new tokens rows)"
    dstrain finetune --model base-2 --data new.dsr --seq-len 32 --batch 4 --steps 4 --lr 5e-3 --schedule constant --method full -q -o r >r.out
    below "$(loss_at r 4)" "$(loss_at r 1)"
    # rows to spare are taken first; a tokenizer may have the tokens; where they stood in reserve they are named anew
    dstrain resize --json --model base-2 --add-token c3 --multiple 64 -o wide |
        jq -e 'keys_unsorted[0] == "type" and .type == "resize" and .rows_before == 302 and .rows == 320 and .new_tokens == 1 and .first_id == 302 and .last_id == 302'
    rows_of base-2 302 302 wide 302
    [ "$(dstrain resize --json --model base-2 --tokenizer base-2/tokenizer.json --multiple 64 -o spare)" = \
        '{"type":"resize","rows_before":302,"rows":320,"new_tokens":0}' ]
    # shards that hold the same tensors are one model, as it is loaded
    cp -r base-2 twice && mv twice/model.safetensors twice/a.safetensors && cp twice/{a,b}.safetensors
    echo '{"weight_map":{"model.embed_tokens.weight":"a.safetensors","model.norm.weight":"b.safetensors"}}' >twice/model.safetensors.index.json
    dstrain resize --model twice --add-token c3 --multiple 64 -o once >/dev/null
    rows_of base-2 302 302 once 302
    [ "$(grep -ao '"model.[a-z0-9_.]*"' once/model.safetensors)" = "$(grep -ao '"model.[a-z0-9_.]*"' wide/model.safetensors)" ]
    # and where they do not hold the same, the index says whose it is, whatever else lies first
    mkdir mixed && cp base-2/{config,tokenizer}.json mixed
    cp base-2/model.safetensors mixed/a.safetensors
    cp r/step-000004/model.safetensors mixed/b.safetensors
    echo '{"weight_map":{"model.norm.weight":"a.safetensors","model.embed_tokens.weight":"b.safetensors"}}' >mixed/model.safetensors.index.json
    dstrain resize --model mixed --add-token c3 --multiple 64 -o meant >/dev/null
    python3 -c '
import json, struct
def of(path):
    b = open(path, "rb").read()
    n = struct.unpack("<Q", b[:8])[0]
    at = json.loads(b[8:8 + n])["model.embed_tokens.weight"]["data_offsets"]
    return b[8 + n:][slice(*at)]
a, b, got = of("mixed/a.safetensors"), of("mixed/b.safetensors"), of("meant/model.safetensors")
assert a != b and got.startswith(b)'
    jq '.added_tokens[-1].content = "<|dose|>" | .added_tokens += [.added_tokens[-1] | .id = 303]| .added_tokens[-1].content = "<|end|>"' \
        wide/tokenizer.json >named.json
    [ "$(dstrain resize --model wide --tokenizer named.json -o wider)" = "wider: 2 new tokens, ids 302 to 303; a vocabulary of 320, it was 320" ]
    rows_of wide 320 302 wider 302 303
    cmp named.json wider/tokenizer.json
}

# same_rows A B NAME ID...: the rows of a tensor of two models that are these are the same, and it has no other that changed
# since MODEL. Called with MODEL first.
same_rows() {
    python3 - "$@" <<'EOF'
import json, struct, sys

def rows(folder, name):
    b = open(folder + "/model.safetensors", "rb").read()
    n = struct.unpack("<Q", b[:8])[0]
    v = json.loads(b[8:8 + n])[name]
    data = b[8 + n:][slice(*v["data_offsets"])]
    size = len(data) // v["shape"][0]
    return [data[i:i + size] for i in range(0, len(data), size)]

model, a, b, name, ids = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], set(map(int, sys.argv[5:]))
was, x, y = rows(model, name), rows(a, name), rows(b, name)
assert {i for i in range(len(was)) if was[i] != x[i]} == ids, name
assert all(x[i] == y[i] for i in ids), name
EOF
}

@test "adapters train rows of tokens: to the bits of a whole embedding's, and PEFT's way" {
    two="--train-token <|report|> --train-token <|patient|>"
    sed 's/^/<|patient|>/; s/red/<|report|>/' "$F/text.txt" >new.txt
    cp -r "$F/base" base
    for tied in true false; do
        [ $tied = true ] || untie base
        dstrain resize --model base --add-token '<|patient|>' --add-token '<|report|>' -o wide >/dev/null
        dsprep text -q --split line new.txt | dsprep tokenize -q -t wide/tokenizer.json -o new.dsr
        tune() { # RUN OPTION...
            dstrain finetune --model wide --data new.dsr --seq-len 32 --batch 4 --steps 4 --rank 4 -q "${@:2}" -o "$1" >"$1.out"
        }
        # AdamW's first step with a large eps is one along the gradient
        step="--steps 1 --lr 1 --eps 1 --clip 0 --schedule constant"
        dtype=$([ $tied = true ] && echo f32 || echo bf16)
        tune none --steps 1 --lr 0 --dtype $dtype --method full
        mv none/step-000001 wide.$dtype && rm -r none # as it is in that format
        tune rows $step $two --dtype $dtype
        # shellcheck disable=SC2046 # a pattern, and an option before it
        tune whole $step --dtype $dtype --method full --only 'model.embed*' $([ $tied = true ] || echo --only lm_head.weight)
        dstrain merge --model wide --adapter rows/step-000001 --dtype $dtype -o merged >/dev/null
        same_rows wide.$dtype merged whole/step-000001 model.embed_tokens.weight 300 301
        [ $tied = true ] || same_rows wide.$dtype merged whole/step-000001 lm_head.weight 300 301
        rm -r rows whole merged wide.$dtype
        # it learns; any threads and micro-batches; resumed, replayed, merged and planned
        tune run $two --lr 1e-2 --checkpoint-every 2 --dropout 0.1 -j 1
        below "$(loss_at run 4)" "$(loss_at run 1)"
        tune split $two --lr 1e-2 --checkpoint-every 2 --dropout 0.1 --batch 1 --accumulate 4 -j 3
        [ "$(sum_of run)" = "$(sum_of split)" ]
        rm -r split/step-000004 split/ledger/ledger-000003-*
        tune split $two --lr 1e-2 --checkpoint-every 2 --dropout 0.1 --resume auto
        [ "$(sum_of run)" = "$(sum_of split)" ]
        dstrain replay run/step-000004 --model wide --data new.dsr --from 2
        grep -q '"tokens":\["<|report|>","<|patient|>"\],"ids":\[301,300\]' run/step-000004/lineage.json
        indices=$(jq -c .trainable_token_indices run/step-000004/adapter_config.json)
        [ "$indices" = "$([ $tied = true ] && echo '[301,300]' || echo '{"embed_tokens":[301,300],"lm_head":[301,300]}')" ]
        dstrain merge --model wide --adapter run/step-000004 -o merged >/dev/null
        for m in "wide --adapter run/step-000004" merged; do
            # shellcheck disable=SC2086 # a model, and an adapter
            dstrain eval --json --model $m --data new.dsr --stretches 8 | loss_of
        done >losses
        awk 'NR == 1 { a = $1 } END { d = a - $1; if (NR != 2 || d > 1e-4 || d < -1e-4) exit 1 }' losses
        dstrain generate --model wide --adapter run/step-000004 -n 8 --ids "300 41 301" >g
        dstrain generate --model merged -n 8 --ids "300 41 301" | cmp - g
        n=$(dstrain plan --json --model wide --rank 4 $two | jq 'select(.method == "lora").trained' | head -n 1)
        [ "$n" -eq $(($(dstrain plan --json --model wide --rank 4 | jq 'select(.method == "lora").trained' | head -n 1) + \
            2 * $(jq .hidden_size wide/config.json) * ($([ $tied = true ] && echo 1 || echo 2)))) ]
        rm -rf wide merged run split
    done
    # PEFT's lists of one table alone, and what is none of ours
    tune() { dstrain finetune --model base --data "$F/text.dsr" --seq-len 32 --batch 4 --steps 1 --rank 4 -q "$@" -o run >run.out; }
    tune --train-token e
    cp -r run/step-000001 x
    for bad in '{"embed_tokens": [1], "lm_head": [2]}' '{"lm_head": [1]}' '{"embed_tokens": 1}' 1 '"e"' '[1.5]' '[-1]'; do
        jq --argjson i "$bad" '.trainable_token_indices = $i' run/step-000001/adapter_config.json >x/adapter_config.json
        exits 1 dstrain eval --model base --adapter x --data "$F/test.dsr"
        has "trainable_token_indices"
    done
    for bad in '[1, 1]' '[300]' '[1]'; do
        jq --argjson i "$bad" '.trainable_token_indices = $i' run/step-000001/adapter_config.json >x/adapter_config.json
        fails dstrain eval --model base --adapter x --data "$F/test.dsr"
    done
    fails tune --train-token '<|none|>'
    has "--train-token '<|none|>': no token of base/tokenizer.json (dstrain resize)"
    fails tune --train-token e --train-token e
    has "is there twice"
    exits 2 tune --train-token e --method full
    has "--train-token is for --method lora"
}

@test "resize: what it cannot do is said" {
    resize() { dstrain resize --model "$F/base" "$@"; }
    exits 2 resize -o x
    has "either --add-token or --tokenizer"
    exits 2 resize --add-token x1 --tokenizer "$F/tok.json" -o x
    exits 2 resize --add-token x1
    has "-o DIR is missing"
    exits 2 resize --add-token e -o x
    has "--add-token 'e': a token already"
    exits 2 resize --add-token '' -o x
    has "a token has a text"
    exits 2 resize --add-token x1 --add-token x1 -o x
    has "--add-token 'x1'" "twice"
    exits 2 resize --add-token "$(printf '\377')" -o x
    has "not UTF-8"
    exits 1 resize --add-token x1 -o "$F/base"
    has "there is a model already"
    exits 1 resize --tokenizer "$F/tok.json" -o x
    has "the model has a row for every token of it already"
    dstok train --vocab-size 310 -o other.json "$F/test.txt" 2>/dev/null
    exits 1 resize --tokenizer other.json -o x
    has "other.json" "model's token"
    cp -r "$F/base" headless
    sed -i 's/"tie_word_embeddings": true/"tie_word_embeddings": false/' headless/config.json
    exits 1 dstrain resize --model headless --add-token x1 -o x
    has "headless: tensor 'lm_head.weight' is missing"
    [ ! -e x ]
}

@test "selftest: every promise holds here" {
    exits 0 dstrain selftest
    has "packed = unpacked" "accumulation 8 x 1 = 1 x 8" "resumed = not interrupted" "3 threads" "instructions: base"
    [ "$(echo "$output" | grep -c '^ok ')" -ge 9 ]
    fails grep -q FAILED <<<"$output"
    fails dstrain selftest --model nowhere
    has nowhere
}

@test "a model trained elsewhere tells its story" {
    model=${DS_SHARED:-$DS_ROOT/../shared}/data/models/stories260K
    [ -e "$model/model.safetensors" ] || skip "no $model"
    dstrain generate --model "$model" --ids -n 60 1 >ids
    # "Once upon a time, there was a little girl named Lily. She loved to play outside in the park.
    # One day, she saw a big, red ball. She wanted to"
    echo 1 403 407 261 378 432 383 286 261 376 298 315 421 395 317 426 338 401 396 267 337 410 408 419 292 411 322 265 \
        282 295 433 426 385 328 432 358 394 261 370 432 352 266 268 388 426 338 391 266 267 337 335 312 432 398 312 286 \
        267 414 270 333 415 | cmp - ids
    command -v python3 >/dev/null || return 0
    # The publisher's 1.2968 is the loss on validation stories that are not in that folder; what can be compared is the loss of this text,
    # which transformers gives as 0.37722656.
    DS_IDS=$(cat ids) python3 -c '
import os, sys
sys.path.insert(0, os.environ["DS_ROOT"] + "/tests/compat")
import dsr
from dsrcol import Column, Schema
schema = Schema([Column("key", "utf8"), Column("tokens", "tokens16")], ["key"])
sys.stdout.buffer.write(dsr.write(schema, [[b"lily", [int(x) for x in os.environ["DS_IDS"].split()]]]))' >lily.dsr
    dstrain eval --json --model "$model" --data lily.dsr >e
    grep -q '"targets":60,' e
    sed 's/.*"loss":\([0-9.]*\),.*/\1/' e | awk '{ d = $1 - 0.37722656; exit !(d < 2e-6 && d > -2e-6) }'
    command -v python3 >/dev/null || return 0
    python3 - "$model/tok512.bin" ids >text <<'END'
import struct, sys
b = open(sys.argv[1], "rb").read()
at, pieces = 4, []
while at < len(b):
    _, n = struct.unpack_from("<fi", b, at)
    pieces.append(b[at + 8 : at + 8 + n])
    at += 8 + n
ids = [int(x) for x in open(sys.argv[2]).read().split()]
sys.stdout.write(b"".join(pieces[i] for i in ids if i != 1).decode().strip() + "\n")
END
    grep -q "^Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day," text
}

@test "dsver audit, batch and seen: what the checkpoints say holds" {
    train r --checkpoint-every 3
    train p --method prompt --prompt-tokens 4 --steps 2 --batch 2 --accumulate 2
    for c in r/step-000003 r/step-000006 p/step-000002; do
        exits 0 dsver audit --store "$F" --model "$F/base" $c
        fails grep -Eq 'FAILED|unchecked' <<<"$output"
    done
    train r2 --checkpoint-every 3 --seed 2
    cp --remove-destination r2/step-000003/ledger/* r/step-000003/ledger/ # of another run
    exits 1 dsver audit --store "$F" r/step-000003
    has FAILED ledger
    exits 0 dsver batch --store "$F" r 5
    has "step 5 row 16" "docs record"
    key=$(sed -n 's/.* key \([0-9a-f]*\) .*/\1/p' <<<"$output" | head -n 1)
    exits 0 dsver seen --store "$F" docs "$key"
    has "step"
    exits 1 dsver seen --store "$F" docs 00000000000000000000000000000000
}

@test "report: one page that needs nothing from outside" {
    train 'a&b' --checkpoint-every 3
    dstrain report 'a&b/' -o r.html
    [ "$(grep -o '<polyline' r.html | wc -l)" -eq 4 ]
    grep -q '<h1>a&amp;b</h1>' r.html
    grep -q "$(sum_of 'a&b')" r.html
    grep -q 'step-000003' r.html
    grep -q '<td>docs</td>' r.html
    fails grep -Eq 'https?:|src=|href=|<script' r.html
    dstrain report 'a&b' | cmp - r.html
    fails dstrain report nowhere
    has "nowhere/metrics.jsonl"
}
