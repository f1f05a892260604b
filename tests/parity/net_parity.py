"""dstrain against transformers and peft on the CPU in f32: logits, 50 steps of every method, adapters.

  net_parity.py [--write] [--no-strong] [CASE...]     --write: records tests/golden/net/CASE.json
"""
import json
import math
import os
import sys
import tempfile
import warnings

warnings.filterwarnings("ignore")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
import peft
import transformers
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "net"))
import net_case as nc

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(1)
count, failed = 0, 0


def result(what, worst, limit):
    global count, failed
    count += 1
    ok = math.isfinite(worst) and worst < limit
    failed += not ok
    print("%s %d - %s within %.2g" % ("ok" if ok else "not ok", count, what, worst), flush=True)


def load(path):
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()


def differ(model, ours, ids):
    with torch.no_grad():
        z = model(input_ids=torch.tensor([ids])).logits[0][-len(ids):]
    return (z - torch.tensor([list(r) for r in ours])).abs().max().item(), z


def batch(data):
    """All records as one padded batch; the first token of a record is no target, nor is one whose loss mask is 0."""
    records = [json.loads(line) for line in nc.call(nc.DSPREP, "cat", data).splitlines()]
    ids = [r["tokens"] for r in records]
    loss = [[v for n, v in r["loss"] for _ in range(n)] if r.get("loss") else [1] * len(r["tokens"]) for r in records]
    assert max(map(len, ids)) <= nc.SEQ_LEN - nc.PROMPT, "a record is cut"
    most = max(map(len, ids))
    pad = [r + [0] * (most - len(r)) for r in ids]
    mask = [[1] * len(r) + [0] * (most - len(r)) for r in ids]
    labels = [[-100] + [t if m else -100 for t, m in zip(r[1:], k[1:])] + [-100] * (most - len(r)) for r, k in zip(ids, loss)]
    return {"input_ids": torch.tensor(pad), "attention_mask": torch.tensor(mask), "labels": torch.tensor(labels)}


def trajectory(model, b, lines):
    """Losses of AdamW with the learning rates that our run logged."""
    params = [p for p in model.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(params, lr=nc.LR, betas=(0.9, 0.999), eps=nc.EPS, weight_decay=0.0)
    losses, norms = [], []
    for line in lines:
        for g in opt.param_groups:
            g["lr"] = line["lr"]
        opt.zero_grad()
        loss = model(**b).loss
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(params, 1.0).item())
        opt.step()
        losses.append(loss.item())
    return losses, norms


def start_adapter(base, start, method):
    if method in ("lora", "dora"):
        return peft.PeftModel.from_pretrained(base, start, is_trainable=True)
    conf = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=nc.PROMPT)
    model = peft.get_peft_model(base, conf)  # peft trains no prompt that it loaded
    table = load_file(os.path.join(start, "adapter_model.safetensors"))["prompt_embeddings"]
    with torch.no_grad():
        model.prompt_encoder["default"].embedding.weight.copy_(table)
    return model


def one_method(folder, name, model, data, method, b):
    extra = ["--schedule", "constant"]
    last, lines = nc.train(folder, model, data, method, "%s-%s" % (name, method), extra=extra)
    if method == "full":
        ref = load(model).train()
    else:
        start, _ = nc.train(folder, model, data, method, "%s-%s-start" % (name, method), steps=1, lr=0, extra=extra)
        ref = start_adapter(load(model), start, method).train()
    losses, norms = trajectory(ref, b, lines)
    result("%s, %s: losses of %d steps" % (name, method, len(losses)), max(abs(x["loss"] - y) / y for x, y in zip(lines, losses)), 1e-3)
    result("%s, %s: first gradient norm" % (name, method), abs(lines[0]["norm"] / norms[0] - 1), 1e-3)
    if method == "full":
        ours, theirs = nc.logits(folder, last, nc.IDS), load(last)
    else:
        ours, theirs = nc.logits(folder, model, nc.IDS, last), peft.PeftModel.from_pretrained(load(model), last).eval()
    result("%s, %s: our checkpoint in %s" % (name, method, "transformers" if method == "full" else "peft"), differ(theirs, ours, nc.IDS)[0], 1e-4)
    return losses


def one_case(folder, name, data, sft, write):
    model = nc.make_model(folder, name)
    off, z = differ(load(model), nc.logits(folder, model, nc.IDS), nc.IDS)
    result("%s: logits" % name, off, 1e-4)
    b = batch(data)
    losses = {m: one_method(folder, name, model, data, m, b) for m in ("full", "lora", "dora", "prompt")}
    masked = {m: one_method(folder, name + " with a loss mask", model, sft, m, batch(sft)) for m in losses} if name == "llama" else {}
    if write:
        rows = {str(i): [round(x, 7) for x in z[i][:256].tolist()] for i in (0, len(nc.IDS) // 2, len(nc.IDS) - 1)}
        keep, sfts = ({m: [round(x, 6) for x in v] for m, v in kind.items()} for kind in (losses, masked))
        with open(os.path.join(nc.HERE, name + ".json"), "w") as f:
            json.dump({"case": name,
                       "made_by": "transformers %s, peft %s, torch %s" % (transformers.__version__, peft.__version__, torch.__version__.split("+")[0]),
                       "logits": rows, "losses": keep, **({"sft": sfts} if sfts else {})}, f, indent=0)
            f.write("\n")


def strong(folder):
    """Models that transformers makes, with weights large enough for saturated attention."""
    from transformers import DeepseekV2Config, LlamaConfig, Qwen2Config
    base = dict(vocab_size=97, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
                max_position_embeddings=128)
    deep = dict(base, num_key_value_heads=4, kv_lora_rank=12, qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=10, n_routed_experts=6,
                n_shared_experts=1, num_experts_per_tok=2, moe_intermediate_size=20, first_k_dense_replace=1, topk_method="greedy",
                norm_topk_prob=False, routed_scaling_factor=1.0)
    models = {
        "llama": LlamaConfig(**base, tie_word_embeddings=False),
        "llama3": LlamaConfig(**base, tie_word_embeddings=True, rope_theta=500000.0, rope_scaling=nc.LLAMA3),
        "qwen2": Qwen2Config(**base, tie_word_embeddings=True),
        "deepseek_v2": DeepseekV2Config(**deep, q_lora_rank=None),
        "deepseek_v2 q_lora": DeepseekV2Config(**deep, q_lora_rank=14),
        "deepseek_v2 yarn": DeepseekV2Config(**deep, q_lora_rank=None, rope_scaling=nc.YARN),
    }
    torch.manual_seed(0)
    ids = torch.randint(0, 97, (40,)).tolist()
    for name, conf in models.items():
        m = AutoModelForCausalLM.from_config(conf, attn_implementation="eager").float().eval()
        for p in m.parameters():
            if p.ndim >= 2:
                torch.nn.init.normal_(p, 0, 0.15)
        path = os.path.join(folder, "strong-" + name.replace(" ", "-"))
        m.save_pretrained(path)
        result("%s, large weights: logits" % name, differ(m, nc.logits(folder, path, ids), ids)[0], 1e-4)


def main():
    args = sys.argv[1:]
    write = "--write" in args
    names = [a for a in args if not a.startswith("-")] or list(nc.CASES)
    with tempfile.TemporaryDirectory() as folder:
        data, sft = nc.make_data(folder), nc.make_sft(folder)
        if "--no-strong" not in args:
            strong(folder)
        for name in names:
            one_case(folder, name, data, sft, write)
    print("1..%d" % count)
    sys.exit(1 if failed else 0)


main()
