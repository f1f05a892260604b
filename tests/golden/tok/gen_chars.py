#!/usr/bin/env python3
"""Makes the golden files of tokenizers that go by characters, and of the behaviors of Split: python module `tokenizers`.

    tests/golden/tok/gen_chars.py

Trained on mixed.txt: llama2 (Prepend and Replace, byte fallback), mistral (Metaspace before the first piece only, not split),
metaspace (before all pieces, split), gemma (spaces go with what stands before), unk (unknown characters, fused). merged and
contiguous are small.json with another Split. NAME.ids as gen.py has them; NAME.txt: what the reference decodes the first line
of them to, special tokens left out.
"""
import json
import os

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
S = "\u2581"
BYTES = ["<0x%02X>" % b for b in range(256)]


def trained(model, pre, vocab, special, lines):
    t = Tokenizer(model)
    t.pre_tokenizer = pre
    t.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=vocab, special_tokens=special, show_progress=False,
                                                     limit_alphabet=150))
    return json.loads(t.to_str())


def replace(a, b):
    return dict(type="Replace", pattern=dict(String=a), content=b)


def metaspace(scheme, split):
    return dict(type="Metaspace", replacement=S, prepend_scheme=scheme, split=split)


def split(behavior, rx, invert):
    return dict(type="Sequence", pretokenizers=[
        dict(type="Split", pattern=dict(Regex=rx), behavior=behavior, invert=invert),
        dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=False)])


def made(lines):
    base = trained(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True), pre_tokenizers.Metaspace(), 1100,
                   ["<unk>", "<s>", "</s>"] + BYTES, lines)
    base["added_tokens"] = [a for a in base["added_tokens"] if not a["content"].startswith("<0x")]
    vocab = base["model"]["vocab"]
    new = iter(range(len(vocab), len(vocab) + 3))
    for content, more in (("<think>", {}), ("<sep>", dict(lstrip=True, rstrip=True)), ("fox", dict(normalized=True))):
        base["added_tokens"].append(dict(dict(id=vocab[content] if content in vocab else next(new), content=content,
                                              single_word=False, lstrip=False, rstrip=False, normalized=False, special=False),
                                         **more))
    base["post_processor"] = dict(
        type="TemplateProcessing", special_tokens={"<s>": dict(id="<s>", ids=[1], tokens=["<s>"])},
        single=[dict(SpecialToken=dict(id="<s>", type_id=0)), dict(Sequence=dict(id="A", type_id=0))],
        pair=[dict(Sequence=dict(id="A", type_id=0)), dict(Sequence=dict(id="B", type_id=1))])
    steps = [replace(S, " "), dict(type="ByteFallback"), dict(type="Fuse")]
    plain = dict(type="Sequence", decoders=steps)
    strip = dict(type="Sequence", decoders=steps + [dict(type="Strip", content=" ", start=1, stop=0)])
    yield "llama2", dict(base, pre_tokenizer=None, decoder=strip, normalizer=dict(
        type="Sequence", normalizers=[dict(type="Prepend", prepend=S), replace(" ", S)]))
    yield "mistral", dict(base, normalizer=None, pre_tokenizer=metaspace("first", False), decoder=strip)
    yield "metaspace", dict(base, normalizer=None, pre_tokenizer=metaspace("always", True), decoder=metaspace("always", True))
    yield "gemma", dict(base, normalizer=replace(" ", S), decoder=plain, pre_tokenizer=dict(
        type="Split", pattern=dict(String=" "), behavior="MergedWithPrevious", invert=False))
    unk = trained(models.BPE(unk_token="[UNK]", fuse_unk=True), pre_tokenizers.Whitespace(), 400, ["[UNK]"], lines)
    yield "unk", dict(unk, decoder=plain)
    with open(os.path.join(HERE, "small.json"), encoding="utf-8") as f:
        small = json.load(f)
    yield "merged", dict(small, pre_tokenizer=split("MergedWithNext", r"\s+", False))
    yield "contiguous", dict(small, pre_tokenizer=split("Contiguous", r"\p{N}", True))


def main():
    with open(os.path.join(HERE, "mixed.txt"), encoding="utf-8", newline="") as f:
        whole = f.read()
    lines = whole.split("\n")
    for name, spec in made(lines):
        path = os.path.join(HERE, name)
        with open(path + ".json", "w", encoding="utf-8") as f:
            json.dump(spec, f, ensure_ascii=False, separators=(",", ":"))
            f.write("\n")
        tok = Tokenizer.from_file(path + ".json")
        ids = [e.ids for e in tok.encode_batch([whole] + lines)]
        with open(path + ".ids", "w") as f:
            f.write("".join(" ".join(map(str, v)) + "\n" for v in ids))
        with open(path + ".txt", "w", encoding="utf-8", newline="") as f:
            f.write(tok.decode(ids[0], skip_special_tokens=True))


if __name__ == "__main__":
    main()
