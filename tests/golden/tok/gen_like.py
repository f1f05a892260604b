#!/usr/bin/env python3
"""What the reference learns with the pipelines of the other files here: python module `tokenizers`.

    tests/golden/tok/gen_like.py >tests/golden/tok/like.sums

Of each byte-level pipeline: its name, and the SHA-256 of the vocabulary, a token a line by id, and of the merges, one a line,
of 600 tokens from mixed.txt as one text. Every added token comes first, in the file's order.
"""
import hashlib
import json
import os

from tokenizers import AddedToken, Tokenizer, pre_tokenizers, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
NAMES = "small qwen2 deepseek gpt2 words lines llm coder folded forms merged contiguous".split()
KEPT = ("single_word", "lstrip", "rstrip", "normalized")


def digest(lines):
    return hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()


with open(os.path.join(HERE, "mixed.txt"), newline="", encoding="utf-8") as f:
    text = f.read()
for name in NAMES:
    with open(os.path.join(HERE, name + ".json"), encoding="utf-8") as f:
        j = json.load(f)
    first = [AddedToken(a["content"], special=True, **{k: a[k] for k in KEPT}) for a in j["added_tokens"]]
    j["added_tokens"] = []
    j["post_processor"] = None
    j["model"] = dict(type="BPE", vocab={}, merges=[])
    t = Tokenizer.from_str(json.dumps(j))
    t.train_from_iterator([text], trainers.BpeTrainer(vocab_size=600, min_frequency=2, special_tokens=first, show_progress=False,
                                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    model = json.loads(t.to_str())["model"]
    vocab = sorted(model["vocab"], key=model["vocab"].get)
    print(name, digest(vocab), digest(m if isinstance(m, str) else " ".join(m) for m in model["merges"]))
