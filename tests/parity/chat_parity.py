#!/usr/bin/env python3
"""Conversations to ids by `dsprep tokenize --chat auto`, against the templates as transformers renders them (python modules
jinja2 and tokenizers; exit 77 without them): made conversations, the templates of the tokenizer_config.json beside each file.

    chat_parity.py [--bin FOLDER] [--rounds N] [--seed N] TOKENIZER.json...
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

try:
    import jinja2.ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from tokenizers import Tokenizer
except ImportError:
    print("chat_parity: skipped: no python modules jinja2 and tokenizers")
    sys.exit(77)

WORDS = ["hello", " world", "\u4e16\u754c", "\n", "\n\n", "  ", "don't", " 123456", "caf\u00e9", "e\u0301", "```json\n{}\n```", "A",
         "\u3002", "\t", "'s", "<tag>", "\U0001f642", "\ud55c\uae00", "x" * 20, "</b>", " "]


def environment():
    """As transformers sets it up."""
    def fails(message):
        raise jinja2.exceptions.TemplateError(message)
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
    env.filters["tojson"] = lambda x, ensure_ascii=False, indent=None, separators=None, sort_keys=False: json.dumps(
        x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    env.globals["raise_exception"] = fails
    return env


def text(rng):
    return "".join(rng.choice(WORDS) for _ in range(rng.randint(0, 12)))


def conversation(rng):
    out = [dict(role="system", content=text(rng))] if rng.random() < 0.5 else []
    for _ in range(rng.randint(1, 4)):
        out += [dict(role="user", content=text(rng)), dict(role="assistant", content=text(rng))]
    return out


def name_of(token):
    return token["content"] if isinstance(token, dict) else token or ""


def check(folder, path, rng, rounds):
    with open(os.path.join(os.path.dirname(path), "tokenizer_config.json"), encoding="utf-8") as f:
        config = json.load(f)
    if not isinstance(config.get("chat_template"), str):
        print("%s: no template" % path)
        return False
    template, tok = environment().from_string(config["chat_template"]), Tokenizer.from_file(path)
    made = [conversation(rng) for _ in range(rounds)]
    run = lambda args, data: subprocess.run([os.path.join(folder, "dsprep") if folder else "dsprep", *args], input=data,
                                            stdout=subprocess.PIPE, check=True).stdout
    lines = "".join(json.dumps(dict(messages=c), ensure_ascii=False) + "\n" for c in made).encode()
    with tempfile.TemporaryDirectory() as w:
        source = os.path.join(w, "in.jsonl")
        with open(source, "wb") as f:
            f.write(lines)
        records = run(["text", "-q", "--field", "messages", "--json-text", source], None)
    tokens = run(["tokenize", "-q", "-t", path, "--chat", "auto"], records)
    got = [json.loads(line)["tokens"] for line in run(["cat", "--no-key", "-c", "tokens"], tokens).splitlines()]
    assert len(got) == len(made)
    bad = 0
    for c, ids in zip(made, got):
        want = tok.encode(template.render(messages=c, tools=None, documents=None, add_generation_prompt=False,
                                          bos_token=name_of(config.get("bos_token")), eos_token=name_of(config.get("eos_token"))),
                          add_special_tokens=False).ids
        if ids != want:
            bad += 1
            print("%s: differs for %s\n want %s\n got  %s" % (path, json.dumps(c, ensure_ascii=False), want[:40], ids[:40]))
    print("%s: %d conversations, %d differ" % (path, len(made), bad))
    return bad > 0


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--bin", default="", help="where dsprep is")
    ap.add_argument("--rounds", type=int, default=100)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("files", nargs="*")
    a = ap.parse_args()
    shared = os.environ.get("DS_SHARED", os.path.join(os.path.dirname(__file__), "../../../shared"))
    files = a.files or [os.path.join(shared, "data/tokenizers", n, "tokenizer.json") for n in ("deepseek-v3", "qwen2.5", "llama-3")]
    files = [f for f in files if os.path.exists(f)]
    if not files:
        print("chat_parity: skipped: no tokenizer.json to compare")
        return 77
    rng = random.Random(a.seed)
    return 1 if any([check(a.bin, f, rng, a.rounds) for f in files]) else 0


if __name__ == "__main__":
    sys.exit(main())
