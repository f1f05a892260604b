"""What the comparison with transformers and the check of its recorded results share: models, data, and runs of dstrain.

A step trains on every record of the data (rows of the batch = rows of an epoch), so the mean loss does not depend on the order.
Standard library only.
"""
import array
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
DSTRAIN = os.path.join(os.environ.get("DS_BIN_DIR", os.path.join(ROOT, "build/release/bin")), "dstrain")
DSPREP = os.path.join(os.path.dirname(DSTRAIN), "dsprep")
TOKENIZER = os.path.join(ROOT, "tests/golden/tok/small.json")
SEQ_LEN = 48
STEPS = 50
LR = 3e-4
EPS = 1e-6  # of AdamW: a gradient that is zero but for rounding must not decide a step of full size
RANK, ALPHA, PROMPT = 8, 16, 5
IDS = [(i * i * 7 + 3 * i + 11) % 900 for i in range(40)]

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 16}
YARN = {"rope_type": "yarn", "type": "yarn", "factor": 40.0, "original_max_position_embeddings": 16, "beta_fast": 32, "beta_slow": 1,
        "mscale": 0.707, "mscale_all_dim": 0.707}
# name: architecture, changes of config.json that leave the weights' shapes
CASES = {
    "llama": ("llama", {}),
    "llama3": ("llama", {"rope_scaling": LLAMA3, "rope_theta": 500000.0}),
    "qwen2": ("qwen2", {}),
    "deepseek_v2": ("deepseek_v2", {}),
    "deepseek_v2_yarn": ("deepseek_v2", {"rope_scaling": YARN}),
}


# Experts are one tensor in transformers, which peft's LoRA does not reach by these names.
TARGETS = {"deepseek_v2": ["q_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"]}


def call(*args):
    p = subprocess.run([str(a) for a in args], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if p.returncode:
        sys.exit("%s: exit %d\n%s%s" % (" ".join(map(str, args)), p.returncode, p.stdout, p.stderr))
    return p.stdout


def sentences(n):
    words = "the a red blue small old cat dog house tree runs sleeps sees likes under over near with and then".split()
    s, out = 7, []
    for _ in range(n):
        s = s * 16807 % 2147483647
        line = []
        for _ in range(4 + s % 12):
            s = s * 16807 % 2147483647
            line.append(words[s % len(words)])
        out.append(" ".join(line) + ".")
    return out


def make_data(folder):
    """data.dsr in folder."""
    text, out = os.path.join(folder, "text.txt"), os.path.join(folder, "data.dsr")
    with open(text, "w") as f:
        f.write("\n".join(sentences(24)) + "\n")
    plain = subprocess.run([DSPREP, "text", "-q", "--split", "line", text], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    subprocess.run([DSPREP, "tokenize", "-q", "-t", TOKENIZER, "-o", out], input=plain.stdout, check=True)
    return out


def make_sft(folder):
    """sft.dsr in folder: prompts and answers, of which the answers are learnt."""
    text, out = os.path.join(folder, "sft.jsonl"), os.path.join(folder, "sft.dsr")
    lines = sentences(40)
    with open(text, "w") as f:
        for q, a in zip(lines[:20], lines[20:]):
            f.write(json.dumps({"q": " ".join(q.split()[:4]), "text": " ".join(a.split()[:4])}) + "\n")
    plain = subprocess.run([DSPREP, "text", "-q", text], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    subprocess.run([DSPREP, "tokenize", "-q", "-t", TOKENIZER, "--prompt", "meta.q", "--response", "text", "--separator", " : ", "-o", out],
                   input=plain.stdout, check=True)
    return out


def make_model(folder, name):
    arch, changes = CASES[name]
    model = os.path.join(folder, name)
    call(DSTRAIN, "init", "--arch", arch, "--seed", 3, "--tokenizer", TOKENIZER, "-o", model)
    path = os.path.join(model, "config.json")
    with open(path) as f:
        conf = json.load(f)
    conf.update(changes)
    with open(path, "w") as f:
        json.dump(conf, f)
    return model


def steps_of(run):
    with open(os.path.join(run, "metrics.jsonl")) as f:
        return [x for x in map(json.loads, f) if x["type"] == "step"]


def rows_of_epoch(folder, model, data, method):
    run = os.path.join(folder, "rows-%s-%s" % (os.path.basename(data), method))
    if not os.path.exists(run):
        call(DSTRAIN, "finetune", "--model", model, "--data", data, "--seq-len", SEQ_LEN, "--epochs", 1, "--batch", 1, "-q",
             "--method", method, "--prompt-tokens", PROMPT, "--lr", 0, "-o", run)
    return len(steps_of(run))


def train(folder, model, data, method, name, steps=STEPS, lr=LR, extra=()):
    """A run's folder and its loss at every step."""
    run = os.path.join(folder, name)
    if method == "dora":
        method, extra = "lora", [*extra, "--dora"]
    rows = rows_of_epoch(folder, model, data, method)
    targets = TARGETS.get(CASES[os.path.basename(model)][0], []) if method == "lora" else []
    call(DSTRAIN, "finetune", "--model", model, "--data", data, "--seq-len", SEQ_LEN, "--steps", steps, "--batch", rows, "-q",
         "--method", method, "--prompt-tokens", PROMPT, "--rank", RANK, "--lr", lr, "--warmup", 5, "--eps", EPS,
         *(["--alpha", ALPHA] if method == "lora" else []), *(x for t in targets for x in ("--target", t)), *extra, "-o", run)
    return os.path.join(run, "step-%06d" % steps), steps_of(run)


def logits(folder, model, ids, adapter=None):
    """Rows of the vocabulary's logits, one for each id."""
    path = os.path.join(folder, "logits.f32")
    args = ["--adapter", adapter] if adapter else []
    call(DSTRAIN, "generate", "--model", model, *args, "--ids", "-n", 0, "--logits", path, " ".join(map(str, ids)))
    a = array.array("f")
    with open(path, "rb") as f:
        a.frombytes(f.read())
    if sys.byteorder == "big":
        a.byteswap()
    v = len(a) // len(ids)
    return [a[i * v:(i + 1) * v] for i in range(len(ids))]
