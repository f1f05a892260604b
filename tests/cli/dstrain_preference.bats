#!/usr/bin/env bats
# dstrain finetune --preference: pairs of answers, one preferred; what is learned, and that it is the same wherever it is computed.
load dstrain_common

# answers N SEED: pairs of which the chosen one has every second word of the rejected
answers() {
    sentences "$1" "$2" | awk '{
        short = ""
        for (i = 3; i <= NF && i < 7; i += 2) short = short " " $i
        rest = ""
        for (i = 3; i <= NF && i < 7; i++) rest = rest " " $i
        printf "{\"id\":\"p%02d\",\"prompt\":\"%s %s\",\"chosen\":\"%s.\",\"rejected\":\"%s\"}\n", NR - 1, $1, $2, short, rest
    }'
}

make_pairs() { # NAME N SEED: NAME.dsr, once
    [ -e "$F/$1.dsr" ] || answers "$2" "$3" | dsprep import -q --key-field id --format jsonl - |
        dsprep tokenize -q -t "$F/tok.json" --prompt prompt --chosen chosen --rejected rejected -o "$F/$1.dsr"
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    export LC_ALL=C
    make_pairs pairs 24 5
    make_pairs held 6 9
}

prefer() { # RUN OPTION...
    local run=$1
    shift
    dstrain finetune --model "$F/base" --data "$F/pairs.dsr" --seq-len 48 --batch 2 --accumulate 2 --steps 4 --lr 1e-3 --rank 4 \
        --preference dpo -q -j 2 "$@" -o "$run" >"$run.out"
}

# of NAME RUN STEP: a number of its log
of() {
    python3 -c '
import json, sys
name, run, step = sys.argv[1:]
print([l[name] for l in map(json.loads, open(run + "/metrics.jsonl")) if l["type"] == "step" and l["step"] == int(step)][-1])' "$@"
}

@test "preferences: begins at ln 2, and learns which answer is meant" {
    prefer r --steps 12 --lr 1e-2 --schedule constant --eval-data "$F/held.dsr" --eval-every 12
    [ "$(of loss r 1)" = 0.693147181 ]
    [ "$(of rewards/chosen r 1) $(of rewards/margins r 1)" = "0 0" ] || [ "$(of rewards/chosen r 1) $(of rewards/margins r 1)" = "0 -0.0" ]
    below "$(of loss r 12)" 0.6
    [ "$(of rewards/accuracies r 12)" = 1 ]
    below "$(of logps/rejected r 12)" "$(of logps/chosen r 12)"
    # every pair is in some row, both its sides in one
    python3 -c '
import json
s = [l for l in map(json.loads, open("r/metrics.jsonl")) if l["type"] == "step"]
assert all(l["pairs"] >= 4 for l in s), s
assert all(abs(l["rewards/chosen"] - l["rewards/rejected"] - l["rewards/margins"]) < 1e-6 for l in s)'
    grep -q '"preference":{"loss":"dpo","beta":0.1,"label_smoothing":0.0}' r/step-000012/lineage.json
    # what the run evaluated is what eval says
    exits 0 dstrain eval --json --model "$F/base" --adapter r/step-000012 --data "$F/held.dsr" --seq-len 48 --preference dpo
    python3 -c '
import json, sys
e = json.loads(sys.argv[1])
m = [l for l in map(json.loads, open("r/metrics.jsonl")) if l["type"] == "eval"][-1]
assert m["pairs"] == e["pairs"] == 6 and "perplexity" not in m and "perplexity" not in e
for k in e:
    assert k in ("type", "seconds", "peak_bytes") or abs(m[k] - e[k]) < 1e-6, (k, m[k], e[k])
assert e["loss"] < 0.6 and e["rewards/accuracies"] > 0.8, e' "${lines[0]}"
    exits 0 dstrain eval --model "$F/base" --adapter r/step-000012 --data "$F/held.dsr" --seq-len 48 --preference dpo
    has "accuracy " "margin " "6 pairs"
    # and its page has no perplexity, for the loss is none of tokens
    exits 0 dstrain report r -o r.html
    grep -q "1 evaluations; lowest loss [0-9.]* after step 12" r.html
}

@test "preferences: micro-batches, threads, recomputation and a resume change no bit; replayed, audited, seen" {
    dsver init >/dev/null
    dsver commit -q -m pairs pairs "$F/pairs.dsr"
    local data=(--store . --data pairs --dropout 0.1)
    go() {
        dstrain finetune --model "$F/base" "${data[@]}" --seq-len 48 --steps 4 --lr 1e-3 --rank 4 --preference dpo -q "${@:2}" -o "$1" >"$1.out"
    }
    go one --batch 4 -j 1 --checkpoint-every 2
    for other in "--batch 1 --accumulate 4 -j 2 --recompute layer" "--batch 2 --accumulate 2 -j 3 --data-threads 2"; do
        # shellcheck disable=SC2086 # options
        go two $other --checkpoint-every 2
        [ "$(sum_of one)" = "$(sum_of two)" ]
        rm -r two
    done
    cp -r one part && rm -r part/step-000004 part/ledger/ledger-000003-*
    go part --batch 4 -j 1 --checkpoint-every 2 --resume auto
    diff -r one/step-000004 part/step-000004
    exits 0 dstrain replay one/step-000004 --from 2 --store . --model "$F/base"
    exits 0 dsver audit --store . --model "$F/base" one/step-000004
    has "ok targets" "ok order"
    exits 0 env PYTHONDONTWRITEBYTECODE=1 python3 "$DS_ROOT/tests/compat/dslineage.py" check .dsver one/step-000004
    exits 0 dsver seen --store . pairs p03
    has step
    # a pair that was erased since is no pair any more, and all else of the row is
    mkdir gone && cp -r .dsver one part gone
    (
        cd gone
        rm -r part/step-000004 part/ledger/ledger-000003-*
        dsver forget --store . --reason asked "$(dsver batch --store . one 3 | sed -n 's/.* key \([^ ]*\) tokens.*/\1/p' | head -n 1)" >/dev/null
        go part --batch 4 --checkpoint-every 2 --resume auto
        [ "$(of pairs part 3)" = "$(($(of pairs one 3) - 1))" ]
        [ "$(of targets part 3)" = "$(of targets one 3)" ]
        exits 0 dsver audit --store . --model "$F/base" part/step-000004
    )
    # another loss is another run
    fails go part --batch 4 --checkpoint-every 2 --beta 0.2 --resume part/step-000002
    has "another run: training.preference.beta was 0.1 and is 0.2"
    sum_of one >was
    for how in "--preference hinge" "--label-smoothing 0.1" "--beta 0.5" "--preference ipo" "--rpo-alpha 1" "--preference simpo" \
        "--preference simpo --simpo-gamma 1" "--preference orpo"; do
        # shellcheck disable=SC2086 # options
        go x --steps 2 --batch 4 $how
        fails grep -q "$(sum_of x)" was
        sum_of x >>was
        rm -rf y && mv x y
    done
    exits 0 dstrain replay y/step-000002 --store . --model "$F/base"
    exits 0 dsver audit --store . --model "$F/base" y/step-000002
    grep -q '"preference":{"loss":"orpo","beta":0.1},' y/step-000002/lineage.json
}

@test "preferences: without a model before, and the chosen answer's own loss; as eval has them" {
    local eval=(--eval-data "$F/held.dsr" --eval-every 8)
    evals() { # RUN OPTION...: says of its last step what the run said
        exits 0 dstrain eval --json --model "$F/base" --adapter "$1/step-000008" --data "$F/held.dsr" --seq-len 48 "${@:2}"
        python3 -c '
import json, sys
e = json.loads(sys.argv[1])
m = [l for l in map(json.loads, open(sys.argv[2] + "/metrics.jsonl")) if l["type"] == "eval"][-1]
assert all(abs(m[k] - e[k]) < 1e-6 for k in e if k not in ("type", "seconds", "peak_bytes")), (m, e)' "${lines[0]}" "$1"
    }
    for how in simpo orpo "dpo --rpo-alpha 0.5"; do
        # shellcheck disable=SC2086 # options
        prefer r --steps 8 --lr 1e-2 "${eval[@]}" --preference $how
        # shellcheck disable=SC2086 # options
        evals r --preference $how
        python3 -c '
import json, sys
how = sys.argv[1].split()[0]
s = [l for l in map(json.loads, open("r/metrics.jsonl")) if l["type"] == "step"]
assert s[-1]["loss"] < s[0]["loss"], s
for l in s:
    assert ("log_odds_ratio" in l and "log_odds_chosen" in l) == (how == "orpo") and ("nll_loss" in l) == (how != "simpo"), l
    if how == "orpo":
        assert abs(l["loss"] - l["nll_loss"] + 0.1 * l["log_odds_ratio"]) < 1e-6 and abs(l["nll_loss"] + l["logps/chosen"]) < 1e-6, l
    if how == "simpo":
        assert abs(l["rewards/chosen"] - 2 * l["logps/chosen"]) < 1e-6, l' "$how"
        mv r "r.$((++i))"
    done
    grep -q '"preference":{"loss":"simpo","beta":2.0,"label_smoothing":0.0,"gamma":0.5}' r.1/step-000008/lineage.json
    grep -q '"preference":{"loss":"dpo","beta":0.1,"label_smoothing":0.0,"rpo_alpha":0.5}' r.3/step-000008/lineage.json
    exits 0 dstrain eval --model "$F/base" --data "$F/held.dsr" --seq-len 48 --preference orpo # of a model as it is
    has "6 pairs"
    exits 2 dstrain eval --model "$F/base" --reference "$F/base" --data "$F/held.dsr" --preference simpo
    has "--reference is for --preference, and there is none of simpo"
    # rows of tokens: the model before has them as they were
    prefer t --steps 8 --lr 1e-2 --train-token e "${eval[@]}" --checkpoint-every 4
    [ "$(of loss t 1)" = 0.693147181 ]
    below "$(of loss t 8)" 0.67
    evals t --preference dpo
    cp -r t u && rm -r u/step-000008 u/ledger/ledger-000005-*
    prefer u --steps 8 --lr 1e-2 --train-token e "${eval[@]}" --checkpoint-every 4 --resume auto --batch 1 --accumulate 4
    weights t/step-000008 >w
    weights u/step-000008 | cmp - w
    exits 0 dstrain replay t/step-000008 --from 4 --data "$F/pairs.dsr" --model "$F/base"
}

@test "preferences: what cannot be" {
    exits 1 dstrain finetune --model "$F/base" --data "$F/pairs.dsr" -q -o x
    has "'pairs.dsr' holds pairs of answers" "--preference dpo"
    exits 1 prefer x --data "$F/text.dsr"
    has "'text.dsr' holds no pairs of answers"
    exits 1 prefer x --eval-data "$F/test.dsr"
    has "'test.dsr' holds no pairs of answers"
    exits 1 prefer x --mask none
    has "'pairs.dsr' holds pairs of answers, and no loss mask"
    exits 1 prefer x --seq-len 16
    has "both sides of a pair lie in it"
    exits 2 prefer x --long split
    has "a pair is not cut"
    for m in prompt auto; do
        exits 2 prefer x --method $m
        has "--preference is for --method lora or full, this is $m"
    done
    exits 2 prefer x --beta 0
    has "--beta 0: more than 0"
    exits 2 prefer x --label-smoothing 0.5
    has "less than 0.5"
    exits 2 prefer x --preference ipo --label-smoothing 0.1
    has "--label-smoothing is for --preference dpo and simpo"
    exits 2 prefer x --simpo-gamma 1
    has "--simpo-gamma is for --preference simpo"
    exits 2 prefer x --preference simpo --simpo-gamma -1
    has "--simpo-gamma -1: 0 or more"
    exits 2 prefer x --preference orpo --rpo-alpha 1
    has "orpo has that loss already"
    exits 2 prefer x --rpo-alpha nan
    has "--rpo-alpha"
    exits 2 train x --rpo-alpha 1
    has "--rpo-alpha is for --preference"
    exits 2 train x --beta 1
    has "--beta is for --preference"
    [ ! -e x ]
    exits 1 dstrain eval --model "$F/base" --data "$F/pairs.dsr"
    has "--preference dpo"
    exits 2 dstrain eval --model "$F/base" --data "$F/pairs.dsr" --preference dpo
    has "without its --adapter, or --reference"
    # sides that are none: the second one's first token is a target
    DS_FILE=odd.dsr python3 -c '
import os, sys
sys.path.insert(0, os.environ["DS_ROOT"] + "/tests/compat")
import dsr
from dsrcol import Column, Schema
of = {"of": "tokens"}
schema = Schema([Column("key", "utf8"), Column("tokens", "tokens16"), Column("loss", "runs", attrs=of), Column("sides", "runs", attrs=of)], ["key"])
for name, loss, sides in (("first", [(1, 0), (3, 1)], [(2, 0), (2, 1)]), ("none", [(1, 0), (1, 1), (2, 0)], [(2, 0), (2, 1)]),
                          ("order", [(1, 0), (1, 1), (1, 0), (1, 1)], [(2, 1), (2, 0)]), ("three", [(1, 0), (1, 1), (1, 0), (1, 1)], [(1, 0), (2, 1), (1, 0)])):
    with open(name + ".dsr", "wb") as f:
        f.write(dsr.write(schema, [[b"a", [1, 2, 3, 4], [(1, 0), (1, 1), (1, 0), (1, 1)], [(2, 0), (2, 1)]], [b"b", [1, 2, 3, 4], loss, sides]]))'
    for odd in "first:the first token of its second side is a target" "none:a side has no target" "order:its sides are not one and then the other" \
        "three:its sides are not one and then the other"; do
        exits 1 dstrain finetune --model "$F/base" --data "${odd%%:*}.dsr" --preference dpo -q -o x
        has "'${odd%%:*}.dsr', record 1 is no pair: ${odd#*:}"
    done
}

@test "preferences: a device, its own bits again, asked once for what was planned; with graphs and without" {
    setup_device
    local how=(--device cuda --steps 2 --batch 1 --accumulate 1 --dropout 0.1 --dtype bf16)
    prefer one "${how[@]}" --graphs on
    prefer two "${how[@]}" --graphs off
    [ "$(sum_of one)" = "$(sum_of two)" ]
    prefer all --method full --device cuda --steps 2 --batch 1 --accumulate 1 --dtype bf16
    dstrain plan --json --model "$F/base" --data "$F/pairs.dsr" --seq-len 48 --batch 1 --rank 4 --dropout 0.1 --dtype bf16 --device cuda \
        --preference dpo --recompute none >plan
    python3 -c '
import json
plan = {l["method"]: l["bytes"] for l in map(json.loads, open("plan")) if l["type"] == "plan"}
assert sorted(plan) == ["full", "lora"], plan
for run, method in ("one", "lora"), ("all", "full"):
    d = [l for l in map(json.loads, open(run + "/metrics.jsonl")) if l["type"] == "device"][-1]
    assert d["planned_bytes"] == d["peak_bytes"] == plan[method] and d["asked_in_steps"] == 0 and d["graphs"] >= 1, (plan, d)'
    fails dstrain plan --model "$F/base" --data "$F/pairs.dsr"
    has "(--preference dpo)"
    exits 0 dstrain replay one/step-000002 --data "$F/pairs.dsr" --model "$F/base" --device cuda
    below "$(of loss one 1)" 0.7
    below 0.68 "$(of loss one 1)"
}

@test "preferences: full fine-tuning keeps the weights before; resumed, replayed, evaluated" {
    full() {
        prefer "$1" --method full --lr 3e-4 --checkpoint-every 2 "${@:2}"
    }
    full one --eval-data "$F/held.dsr" --eval-every 4
    [ "$(of loss one 1)" = 0.693147181 ]
    below "$(of loss one 4)" 0.69
    cp -r one part && rm -r part/step-000004 part/ledger/ledger-000003-*
    full part --eval-data "$F/held.dsr" --eval-every 4 --batch 1 --accumulate 4 --resume auto
    weights one/step-000004 >w
    weights part/step-000004 | cmp - w
    exits 0 dstrain replay one/step-000004 --from 2 --data "$F/pairs.dsr" --model "$F/base"
    exits 0 dstrain eval --json --model one/step-000004 --reference "$F/base" --data "$F/held.dsr" --seq-len 48 --preference dpo
    python3 -c '
import json, sys
e = json.loads(sys.argv[1])
m = [l for l in map(json.loads, open("one/metrics.jsonl")) if l["type"] == "eval"][-1]
assert all(abs(m[k] - e[k]) < 1e-6 for k in e if k not in ("type", "seconds", "peak_bytes")), (m, e)' "${lines[0]}"
    exits 2 dstrain eval --model "$F/base" --reference "$F/base" --data "$F/test.dsr"
    has "--reference is for --preference"
}
