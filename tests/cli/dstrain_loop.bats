#!/usr/bin/env bats
# dstrain finetune: what happens around the steps: evaluation, early stop, losses that stand out, which checkpoints stay, prompts that
# begin as a text, a method that is chosen.
load dstrain_common

setup() { but_long; }

evals() {
    sed -n 's/.*"type":"eval","step":\([0-9]*\),"loss":\([0-9.]*\),.*/\1 \2/p' "$1/metrics.jsonl"
}

# flat RUN OPTION...: evaluations that cannot improve: a learning rate of 0.
flat() {
    train "$@" --lr 0 --steps 12 --eval-data "$F/test.dsr" --eval-every 2 --patience 3
}

@test "evaluation changes no bit, and says what dstrain eval says" {
    train plain --checkpoint-every 2 --dropout 0.1
    train watched --checkpoint-every 2 --dropout 0.1 --eval-data "$F/test.dsr" --eval-every 1
    [ "$(sum_of plain)" = "$(sum_of watched)" ]
    diff -r plain/step-000006 watched/step-000006
    [ "$(evals watched | wc -l)" -eq 6 ]
    [ "$(readlink watched/best)" = step-000006 ]
    grep -q '^best: watched/step-000006, evaluation loss' watched.out
    # the same whatever is computed together, and as the command says
    train split --dropout 0.1 --eval-data "$F/test.dsr" --eval-every 1 --batch 1 --accumulate 4 -j 3
    evals watched >w && evals split | cmp - w
    dstrain eval --json --model "$F/base" --adapter watched/best --data "$F/test.dsr" --seq-len 32 |
        sed 's/.*"loss":\([0-9.]\{9\}\).*/\1/' >e
    tail -n 1 w | cut -c 3-11 | cmp - e
    train few --eval-data "$F/test.dsr" --eval-batches 1
    [ "$(evals few | wc -l)" -eq 1 ]
    fails grep -q "$(tail -n 1 w)" few/metrics.jsonl
    dstrain report watched -o r.html
    grep -q '6 evaluations; lowest loss' r.html
    [ "$(grep -o '<polyline' r.html | wc -l)" -eq 5 ]
    # a loss that no perplexity can be told of, and one that is no number
    for by in 1e5 1e38; do
        cp -r "$F/base" "by-$by"
        python3 -c '
import array, json, sys
with open(sys.argv[1] + "/model.safetensors", "r+b") as f:
    n = int.from_bytes(f.read(8), "little")
    a, e = json.loads(f.read(n))["model.norm.weight"]["data_offsets"]
    f.seek(8 + n + a)
    f.write(array.array("f", [float(sys.argv[2])]) * ((e - a) // 4))' "by-$by" "$by"
    done
    exits 0 dstrain eval --json --model by-1e5 --data "$F/test.dsr"
    has '"perplexity":null,"targets":'
    exits 1 dstrain eval --json --model by-1e38 --data "$F/test.dsr"
    has "test.dsr': the loss is not a finite number"
}

@test "evaluation on several datasets: the loss of each, and of all their tokens, which decides" {
    need_jq
    both() { train "$@" --eval-every 3 --checkpoint-every 3 --patience 9; }
    both r --eval-data "$F/test.dsr" --eval-data "$F/text.dsr"
    jq -c 'select(.type == "eval") | .loss, (.sets | (map(.loss * .targets) | add) / (map(.targets) | add)), .sets[].data' \
        r/metrics.jsonl >told
    awk -v f="$F" 'NR % 4 == 1 { all = $0 } NR % 4 == 2 && ($0 - all) ^ 2 > 1e-18 || NR % 4 == 3 && $0 != "\"" f "/test.dsr\"" { bad = 1 }
        END { exit bad || NR != 8 }' told
    # the command says the same, of each and of all
    dstrain eval --json --model "$F/base" --adapter r/step-000006 --seq-len 32 --data "$F/test.dsr" --data "$F/text.dsr" >e
    [ "$(jq -r .type e | xargs)" = "eval eval total" ]
    jq -s -e --argjson told "$(jq -c 'select(.type == "eval" and .step == 6)' r/metrics.jsonl)" \
        '[.[].loss] as $is | [$told.sets[].loss, $told.loss] | [., $is] | transpose | all(.[0] / .[1] - 1 | fabs < 1e-8)' e
    dstrain eval --model "$F/base" --data "$F/test.dsr" --data "$F/text.dsr" --stretches 2 | grep -c perplexity | grep -qx 3
    fails dstrain eval --model "$F/base" --data "$F/test.dsr" --data none.dsr
    has none.dsr
    # what a stop would depend on is described, so another evaluation is another run
    grep -q '"early_stop":{"datasets":\[{"dataset":"test.dsr","root":"sha256:[0-9a-f]*","mask":""},{"dataset":"text.dsr"' \
        r/step-000006/lineage.json
    exits 0 dstrain replay r/step-000006 --store "$F"
    fails both r --resume r/step-000003 --abandon --eval-data "$F/text.dsr" --eval-data "$F/test.dsr"
    has "training.early_stop.datasets[0].dataset was \"test.dsr\""
    dstrain report r | grep -c '<polyline' | grep -qx 7
}

@test "early stop: ends by its rule, resumes to the same bits, replays" {
    flat whole
    grep -q "^stopped after step 8 of 12: no better for 3 evaluations" whole.out
    [ "$(readlink whole/best)" = step-000002 ]
    grep -q '"early_stop":{"dataset":"test.dsr","root":"sha256:' whole/step-000008/lineage.json
    cp -r whole part && rm -r part/step-000008 part/step-000006 part/ledger/ledger-000005-* part/ledger/ledger-000007-*
    flat part --resume part/step-000004
    diff -r whole/step-000008 part/step-000008
    [ "$(readlink part/best)" = step-000002 ]
    fails flat whole --resume whole/step-000008
    has "over already" "step 2"
    exits 0 dstrain replay whole/step-000008 --from 2 --model "$F/base" --store "$F"
    exits 0 dsver audit --store "$F" --model "$F/base" whole/best
    # the rule is part of what the run is; the weights are those of the same steps without it
    train plain --lr 0 --steps 12 --checkpoint-every 8
    weights plain/step-000008 >w
    weights whole/step-000008 | cmp - w
    fails cmp -s plain/step-000008/lineage.json whole/step-000008/lineage.json
    # a step that is not better by --min-delta is no better; the best is the lowest all the same
    train d --steps 12 --eval-data "$F/test.dsr" --eval-every 2 --patience 2 --min-delta 10
    [ -d d/step-000006 ]
    [ ! -e d/step-000008 ]
    [ "$(readlink d/best)" = step-000006 ]
}

@test "settings of evaluation and checkpoints that cannot be" {
    exits 2 train r --patience 2
    has "--eval-data"
    exits 2 train r --patience 2 --eval-data "$F/test.dsr"
    has "--eval-every"
    exits 2 train r --patience 2 --eval-data "$F/test.dsr" --eval-every 3 --checkpoint-every 2
    has "multiple of --checkpoint-every"
    exits 2 train r --keep-every 2
    has "--keep"
    exits 2 train r --on-spike skip --spike-factor 0
    has "--spike-factor"
    fails train r --eval-data none.dsr
    has none.dsr
    dsprep text -q --split line "$F/text.txt" >plain.dsr
    fails train r --eval-data plain.dsr
    has plain.dsr "not tokenized"
    [ ! -e r/step-000006 ]
}

@test "spikes: skipped by the rule, the same for replay and resume" {
    # a window of 4 and a factor near 0: about every other loss is one
    spiky() { train "$@" --steps 16 --checkpoint-every 4 --on-spike skip --spike-window 4 --spike-factor 0.05; }
    spiky whole
    n=$(grep -c '"skipped":true' whole/metrics.jsonl)
    [ "$n" -ge 2 ]
    [ "$n" -le 11 ]
    grep -q '"skip_spikes":{"window":4,"factor":0.05}' whole/step-000016/lineage.json
    grep '"skipped":true' whole/metrics.jsonl | grep -q '"norm":null'
    fails grep -Eq '"step":[1-4],.*"skipped"' whole/metrics.jsonl # the window fills
    spiky threads -j 3 --batch 1 --accumulate 4
    [ "$(sum_of threads)" = "$(sum_of whole)" ]
    exits 0 dstrain replay whole/step-000016 --model "$F/base" --store "$F"
    exits 0 dstrain replay whole/step-000016 --from 8 --model "$F/base" --store "$F"
    exits 0 dsver audit --store "$F" --model "$F/base" whole/step-000016
    has "ok skipped: $n of 16 steps, as their losses say"
    cp -r whole part && rm -r part/step-000012 part/step-000016 part/ledger/ledger-000009-* part/ledger/ledger-000013-*
    spiky part --resume part/step-000008
    diff -r whole/step-000016 part/step-000016
    # a skipped step changes nothing: as many steps fewer change the weights; without the rule they are others
    train off --steps 16
    weights off/step-000016 >w
    fails cmp -s w <(weights whole/step-000016)
    dstrain report whole | grep -q "$n spikes skipped"
    # steps that were gone back from count once, and the newest checkpoint is that of the most steps
    dstrain report part | grep -q "$n spikes skipped"
    mv part/step-000016 part/step-1000000 && mv part/step-000012 part/step-999999
    [ "$(dstrain report part | grep -o '<td>step-[0-9]*' | head -n 1)" = "<td>step-000016" ]
}

@test "spikes: the run stops before one, and what it did is kept" {
    exits 1 train r --steps 16 --on-spike stop --spike-window 4 --spike-factor 0.05
    has "is a spike" "stopped before it, after r/step-0000"
    last=$(basename "$(echo r/step-0000*)")
    exits 0 dsver audit --store "$F" --model "$F/base" "r/$last"
    # nothing in the description says so: it goes on with another policy, to the bits of the run without a guard
    train r --steps 16 --resume "r/$last"
    train plain --steps 16
    weights plain/step-000016 >w
    weights r/step-000016 | cmp - w
}

@test "a loss that is no number: the run ends, the last checkpoint stands" {
    wild() { train "$1" --steps 8 --checkpoint-every "$2" --lr 1e30 --clip 0 --schedule constant --method full --eps 1e-30; }
    fails wild r 2
    has "step 2: the " "is not a finite number; there is no checkpoint yet (most often --lr is too high"
    fails wild s 1
    has "step 2: the " "is not a finite number; the last checkpoint stands"
    exits 0 dsver audit --store "$F" --model "$F/base" s/step-000001
}

@test "--keep: the last, the best and every M-th stay; nothing that explains is lost" {
    train all --checkpoint-every 1 --eval-data "$F/test.dsr" --eval-every 1
    train k --checkpoint-every 1 --keep 2 --keep-every 2 --eval-data "$F/test.dsr" --eval-every 1
    [ "$(cd k && echo step-*)" = "step-000002 step-000004 step-000005 step-000006" ]
    diff -r all/step-000006 k/step-000006
    [ "$(grep -c '"type":"removed"' k/metrics.jsonl)" -eq 2 ]
    flat b --keep 1
    [ "$(cd b && echo step-*)" = "step-000002 step-000008" ] # the best, and the last
    exits 0 dstrain replay k/step-000006 --from 4 --model "$F/base" --store "$F"
    exits 0 dstrain replay k/step-000006 --model "$F/base" --store "$F"
    exits 0 dsver audit --store "$F" --model "$F/base" k/step-000004
    exits 0 dsver batch --store "$F" k 3 # of a removed one
    # a folder of another run is left alone; what a killed run left behind goes
    train o --steps 4 --checkpoint-every 2
    rm -r o/step-000004 o/ledger/ledger-000003-*
    mkdir -p o/.step-000003.tmp o/.step-000002.old/ledger && cp -r all/step-000001 o/
    train o --steps 4 --checkpoint-every 2 --keep 1 --resume o/step-000002
    [ "$(cd o && echo step-*)" = "step-000001 step-000004" ]
    [ "$(find o -name '.step*' | wc -l)" -eq 0 ]
}

@test "a prompt begins as a text, the vocabulary or at random; all of it in the lineage" {
    prompt() { train "$@" --method prompt --steps 2; }
    prompt v --prompt-tokens 4
    prompt v2 --prompt-tokens 4 --prompt-init vocab
    diff -r v/step-000002 v2/step-000002
    prompt r --prompt-tokens 4 --prompt-init random
    prompt t --prompt-init 'text:the red cat'
    prompt t4 --prompt-init 'text:the red cat' --prompt-tokens 9
    grep -q '"init":"vocab"' v/step-000002/lineage.json
    grep -q '"init":"random"' r/step-000002/lineage.json
    grep -q '"init":"text","text":"the red cat","ids":\[' t/step-000002/lineage.json
    n=$(sed -n 's/.*"tokens":\([0-9]*\),"init":"text".*/\1/p' t/step-000002/lineage.json)
    [ "$n" -eq "$(sed 's/.*"ids":\[\([0-9,]*\)\].*/\1/' t/step-000002/lineage.json | tr ',' '\n' | grep -c .)" ]
    grep -q '"num_virtual_tokens": 9' t4/step-000002/adapter_config.json
    for p in v r t t4; do
        exits 0 dstrain replay $p/step-000002 --model "$F/base" --store "$F"
    done
    fails cmp -s v/step-000002/adapter_model.safetensors r/step-000002/adapter_model.safetensors
    exits 2 prompt x --prompt-init text:
    has "--prompt-init"
    exits 2 prompt x --prompt-init fuzzy
    has "fuzzy"
    cp -r "$F/base" bare && rm bare/tokenizer.json
    fails prompt x --model bare --prompt-init text:red
    has "bare/tokenizer.json"
}

@test "prompt tuning: what fits is decided, and planned, by rows as long as their records make them" {
    need_jq
    local shape=(--model "$F/base" --store "$F" --data docs --batch 4 --seq-len 64 --prompt-tokens 8)
    dstrain plan --json "${shape[@]}" >long
    dstrain plan --json --model "$F/base" --batch 4 --seq-len 64 --prompt-tokens 8 >full
    of() { jq -s "map(select(.method == \"prompt\" and .recompute == \"none\")) | .[0].bytes" "$1"; }
    [ "$(of full)" -lt "$(of long)" ]
    lora() { jq -s 'map(select(.type == "plan" and .method == "lora"))' "$1"; }
    [ "$(lora long)" = "$(lora full)" ]
    for more in 1 -1; do # a tenth is left free
        rm -rf r
        dstrain finetune "${shape[@]}" --method prompt --epochs 1 -o r --memory $((($(of long) + more * 16) * 10 / 9)) 2>err >out
        if [ $more = 1 ]; then ! grep -- --recompute err; else grep -q -- '--recompute attention' err; fi
    done
}

@test "--method auto does what plan advises, and records what it chose" {
    exits 0 dstrain plan --model "$F/base" --batch 4 --seq-len 32 --store "$F" --data docs
    has "advised: lora of rank 8" "tokens of data"
    dstrain finetune --model "$F/base" --store "$F" --data docs --seq-len 32 --batch 4 --steps 2 --method auto \
        -o a 2>err >/dev/null
    grep -q 'method auto: lora of rank 8: ' err
    grep -q '"method":"lora","settings":{"r":8,"alpha":16.0' a/step-000002/lineage.json
    dstrain finetune --model "$F/base" --store "$F" --data docs --seq-len 32 --batch 4 --steps 2 -q --rank 8 --alpha 16 \
        -o l >/dev/null
    diff -r a/step-000002 l/step-000002
    # more data than adapters have room for: all weights, if they fit; else what fits
    exits 0 dstrain plan --model "$F/base" --tokens 100000000 --memory 1G --batch 4 --seq-len 32
    has "advised: full"
    exits 0 dstrain plan --model "$F/base" --tokens 100000000 --memory 14M --batch 4 --seq-len 32
    has "advised: lora of rank"
    fails dstrain finetune --model "$F/base" --store "$F" --data docs --method auto --memory 1M -q -o x
    has "nothing fits"
    fails dstrain finetune --model "$F/base" --store "$F" --data docs --method auto --memory 3750K --seq-len 16 --batch 1 \
        --prompt-tokens 4 --steps 1 --train-token e -q -o x
    has "--train-token: a prompt, which trains no tokens, is all that fits"
    # nor is what was named to be trained left aside
    fails dstrain finetune --model "$F/base" --store "$F" --data docs --method auto --memory 3750K --seq-len 16 --batch 1 \
        --prompt-tokens 4 --steps 1 --target q_proj -q -o x
    has "--target: --method auto chose prompt, which has no adapters (--method lora): "
    fails dstrain finetune --model "$F/base" --store "$F" --data docs --method auto --steps 1 --only '*norm*' -q -o x
    has "--only: --method auto chose lora, which trains nothing of the model itself (--method full): "
    [ ! -e x/step-000006 ]
}

@test "a folder is one run's at a time" {
    local line='dstrain finetune --model "$F/base" --store "$F" --data docs --seq-len 32 --batch 1 --steps 60 --rank 4 --json -o r'
    held 'for o in "--lr 1e-2" "--resume auto"; do
            rc=0; '"$line"' $o >said 2>&1 || rc=$?
            [ $rc = 11 ]
            grep -q "r: another dstrain finetune writes into it" said
        done' bash -c "exec $line" >out
    [ "$(tail -n 1 r/metrics.jsonl | jq -r .type)" = time ]
    [ "$(grep -c '"type":"step"' r/metrics.jsonl)" -eq 60 ]
    exits 0 dsver audit --store "$F" r/step-000060
}
