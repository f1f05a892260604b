#!/usr/bin/env python3
"""Writes corpora, by default all that it has: corpus_store.py [DIR [PART...]].

Packs, catalogs, logs and statistics are made by the programs in DS_BIN_DIR, so seeds follow the format; what the first byte of
each means stands in the targets."""
import gzip
import hashlib
import io
import json
import lzma
import os
import sqlite3
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.environ.get("DS_BIN_DIR", os.path.join(HERE, "../../build/release/bin"))
OUT = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "corpus"))
TYPES = ("utf8", "bytes", "json", "bool", "i64", "f64", "timestamp", "tensor", "tokens16", "tokens32", "runs", "list")


def seed(target, name, first, data):
    folder = os.path.join(OUT, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(bytes([first]) + data)


def read(path):
    with open(path, "rb") as f:
        return f.read()


# ---- a small store with a delta, and a remote with heads ----

def lines(n, word):
    return "".join(json.dumps({"id": "k%d" % i, "text": "line %d of a text that says %s" % (i * i, word if i == 7 else "little")}) + "\n"
                   for i in range(n))


def run_in(home, command):
    env = dict(os.environ, PATH=os.path.abspath(BIN) + os.pathsep + os.environ["PATH"], HOME=home)
    subprocess.run(["bash", "-ec", "set -o pipefail; " + command], cwd=home, env=env, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def store(home):
    run_in(home, "dsver init")
    for word in ("one", "two"):
        with open(os.path.join(home, "v.jsonl"), "w") as f:
            f.write(lines(60, word))
        run_in(home, "dsprep text -q --key-field id v.jsonl | dsver commit texts")
    run_in(home, "dsver diff --stats texts || true; mkdir r; dsver remote add origin r; dsver push origin")


def packs():
    with tempfile.TemporaryDirectory() as home:
        store(home)
        base = os.path.join(home, ".dsver", "packs")
        for i, name in enumerate(sorted(os.listdir(base), key=lambda n: os.path.getsize(os.path.join(base, n)))):
            seed("pack", "pack-%d" % i, 0, read(os.path.join(base, name)))
            seed("pack", "mended-%d" % i, 1, read(os.path.join(base, name)))
        n = 0
        for folder, _, names in os.walk(os.path.join(home, "r")):
            for name in sorted(names):
                if name.endswith(".heads"):
                    seed("pack", "heads-%d" % n, 2, read(os.path.join(folder, name)))
                    seed("pack", "heads-mended-%d" % n, 3, read(os.path.join(folder, name)))
                    n += 1
        assert n > 0
        statistics(os.path.join(home, ".dsver", "stats.db"))


def statistics(path):
    db = sqlite3.connect(path)
    rows = [bytes(v) for table, in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for row in db.execute('SELECT * FROM "%s"' % table) for v in row if isinstance(v, bytes) and len(v) > 16]
    assert rows
    for i, row in enumerate(sorted(rows, key=len)[:8]):
        for t in ("utf8", "json", "i64"):
            seed("colstat", "%s-%d" % (t, i), TYPES.index(t), row)
    # One row, whose value is empty; a length that was there no times.
    seed("colstat", "empty", TYPES.index("utf8"), bytes([2, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0]))
    seed("colstat", "no-times", TYPES.index("utf8"), bytes([2, 1, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]))


# ---- what servers say ----

def answers():
    listing = """<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
<Name>b</Name><IsTruncated>true</IsTruncated><NextContinuationToken>t&amp;1</NextContinuationToken><Contents><Key>packs/a.pack</Key>
<LastModified>2026-01-02T03:04:05.000Z</LastModified><Size>123</Size></Contents><Contents><Key>x</Key><Size>0</Size></Contents>
</ListBucketResult>"""
    error = "<Error><Code>NoSuchKey</Code><Message>none &lt;here&gt;</Message><Region>eu-1</Region></Error>"
    upload = "<InitiateMultipartUploadResult><UploadId>2~abc</UploadId></InitiateMultipartUploadResult>"
    bomb = '<!DOCTYPE a [<!ENTITY b "cc"><!ENTITY d "&b;&b;">]><a>&d;</a>'
    for name, text in (("listing", listing), ("error", error), ("upload", upload), ("entities", bomb), ("deep", "<a>" * 99)):
        seed("answers", name, 0, text.encode())
    for i, text in enumerate(("/a/b", "./x", "file:///a%20b", "s3://b", "s3://b/p/q?endpoint=http://h:1&region=r&style=path&profile=p",
                              "s3://u:s@b", "s3://b?style=virtual&endpoint=https://[::1]:9")):
        seed("answers", "url-%d" % i, 1, text.encode())
    seed("answers", "credentials", 2, b"# c\n[other]\naws_access_key_id=a\n[default]\r\naws_access_key_id = AK\n"
         b"aws_secret_access_key = s=k\naws_session_token=t\n")
    for i, text in enumerate(("docs@main~3", "a/b@2026-01-02T03:04:05Z", "2026-02-28", "@v1", "x~18446744073709551615",
                              "ssh://git@host/p.git", "https://u:p@host/x")):
        seed("answers", "name-%d" % i, 3, text.encode())


# ---- models ----

def safetensors(tensors, metadata=None):
    head, at, data = {}, 0, b""
    for name, dtype, shape, raw in tensors:
        head[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(raw)]}
        at, data = at + len(raw), data + raw
    if metadata:
        head["__metadata__"] = metadata
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + data


def models():
    files = {
        "one": safetensors([("w", "F32", [2, 2], struct.pack("<4f", 1, -2, 0.5, 3e38))]),
        "kinds": safetensors([("a", "BF16", [2], b"\x80\x3f\x00\xff"), ("b", "F16", [3], b"\x01\x00\x00\x7c\xff\xff"),
                              ("c", "I64", [], b"12345678"), ("d", "BOOL", [0, 7], b"")], {"format": "pt"}),
        "hole": safetensors([("w", "F32", [1], b"abcdefgh")]),
        "short": struct.pack("<Q", 1 << 40) + b"{}",
    }
    for name, data in files.items():
        seed("model", name, 0, data)
        seed("model", name + "-mended", 2, data)
    base = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "vocab_size": 300, "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu"}
    kinds = {
        "llama": dict(base, model_type="llama", architectures=["LlamaForCausalLM"], eos_token_id=[1, 2],
                      rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                    "original_max_position_embeddings": 128}),
        "qwen2": dict(base, model_type="qwen2", architectures=["Qwen2ForCausalLM"], tie_word_embeddings=True, use_sliding_window=False),
        "deepseek": dict(base, model_type="deepseek_v2", architectures=["DeepseekV2ForCausalLM"], num_key_value_heads=4, q_lora_rank=None,
                         kv_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=16, n_routed_experts=8, n_shared_experts=2,
                         num_experts_per_tok=2, moe_intermediate_size=32, first_k_dense_replace=1, moe_layer_freq=1,
                         scoring_func="softmax", topk_method="greedy", norm_topk_prob=False, routed_scaling_factor=1.0,
                         rope_scaling={"type": "yarn", "factor": 40, "beta_fast": 32, "beta_slow": 1, "mscale": 0.707,
                                       "mscale_all_dim": 0.707, "original_max_position_embeddings": 64}),
    }
    kinds["epsilon"] = dict(kinds["llama"], rms_norm_eps=1e105)
    kinds["context"] = dict(kinds["deepseek"], rope_scaling=dict(kinds["deepseek"]["rope_scaling"], original_max_position_embeddings=1e300))
    for name, c in kinds.items():
        seed("model", "config-" + name, 1, json.dumps(c).encode())


# ---- archives ----

def tar(members, form):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as t:
        for name, kind, data in members:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(data) if kind == tarfile.REGTYPE else 0
            info.linkname = "" if kind in (tarfile.REGTYPE, tarfile.DIRTYPE) else data.decode()
            t.addfile(info, io.BytesIO(data) if kind == tarfile.REGTYPE else None)
    return out.getvalue()


def archives():
    members = [("d", tarfile.DIRTYPE, b""), ("d/a.txt", tarfile.REGTYPE, b"text\n" * 9), ("l", tarfile.SYMTYPE, b"../../etc/passwd"),
               ("h", tarfile.LNKTYPE, b"d/a.txt"), ("../up", tarfile.REGTYPE, b"x"), ("/abs", tarfile.REGTYPE, b"y"),
               ("n" * 150 + "/\u00e4", tarfile.REGTYPE, b"z"), ("c", tarfile.CHRTYPE, b"")]
    forms = (("ustar", tarfile.USTAR_FORMAT), ("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT))
    for name, form in forms:
        some = [m for m in members if name != "ustar" or len(m[0]) < 90]
        data = tar(some, form)
        seed("unpack", "tar-" + name, 1, data)
        seed("unpack", "tgz-" + name, 2, gzip.compress(data, mtime=0))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in (("a.txt", b"hello " * 20), ("d/", b""), ("../up", b"x"), ("b.gz", gzip.compress(b"in it", mtime=0))):
            z.writestr(zipfile.ZipInfo(name), data)
    seed("unpack", "zip", 0, out.getvalue())
    seed("unpack", "zip-whole", 1, out.getvalue())
    seed("unpack", "zip-pipe", 2, out.getvalue())
    seed("unpack", "gz", 0, gzip.compress(b"one line\n", mtime=0))
    seed("unpack", "gz-bomb", 0, gzip.compress(b"\0" * (18 << 20), mtime=0))
    seed("unpack", "xz", 2, lzma.compress(b"one line\n"))


# ---- what a catalog says, and the log beside it ----

def catalog():
    with tempfile.TemporaryDirectory() as home:
        store(home)
        git = ["git", "-C", os.path.join(home, ".dsver", "catalog.git")]

        def show(what):
            return subprocess.run(git + ["cat-file", "blob", what], check=True, stdout=subprocess.PIPE).stdout

        head = "refs/heads/texts/main"
        blocks, pages, meta = (show("%s:%s" % (head, f)) for f in ("blocks/0000/0000", "sources/0000/0000", "meta.json"))
        run_in(home, "dsver forget --reason r --dataset texts k7")
        names = subprocess.run(git + ["ls-tree", "-r", "--name-only", "refs/dsver/erased"], check=True, stdout=subprocess.PIPE).stdout
        texts = [b"".join(show("refs/dsver/erased:" + n) for n in names.decode().split() if n.startswith(folder))
                 for folder in ("lines/", "gone/", "rows/")]
        assert all(texts)
        seed("catalog", "blocks", 0, blocks)
        seed("catalog", "sources", 1, pages)
        seed("catalog", "meta", 2, meta)
        seed("catalog", "erasure", 3, b"\0".join(texts[:2] + [blocks, texts[2]]))
        log = read(os.path.join(home, ".dsver", "oplog"))
        seed("oplog", "log", 0, log)
        seed("oplog", "mended", 1, log)
        seed("oplog", "cut", 0, log[:-9])
    seed("catalog", "reasons", 2, json.dumps(dict(json.loads(meta), held={"short": 7}, failed={"a \u00e4": 1, "b": 2**63 - 1})).encode())
    seed("catalog", "long-chunk", 0, b"9 2097153:%s,%s,%s 1:%s\n" % tuple(b"%02x" % i * 32 for i in range(4)))
    # Trees that lead to the file of one line that the target has.
    file = git_id("blob", b"1 1:" + b"0" * 64 + b"\n")
    inner = git_entry("100644", "0000", file)
    outer = git_entry("40000", "0000", git_id("tree", inner))
    blocks_at = git_id("tree", outer)
    seed("catalog", "tree", 4, git_entry("40000", "blocks", blocks_at) + git_entry("40000", "sources", blocks_at))
    seed("catalog", "tree-file", 4, git_entry("40000", "blocks", file) + git_entry("100644", "meta.json", file))
    seed("catalog", "tree-flat", 4, git_entry("40000", "blocks", git_id("tree", inner)) + git_entry("100644", "schema.json", file))


def git_id(kind, data):
    return hashlib.sha1(b"%s %d\0" % (kind.encode(), len(data)) + data).digest()


def git_entry(mode, name, oid):
    return ("%s %s\0" % (mode, name)).encode() + oid


# ---- what is known of files ----

def filecache():
    def file(number, name, word=4, content=b"c"):
        return bytes([1, number, len(name)]) + name + struct.pack("<6Q", 1, 2, 3, word, 5, 6) + content * 32

    block = b"the content of a block of files\0"
    chunk = bytes([2]) + block + bytes([2, 9]) + b"p" * 32 + b"\x80\x08" + b"q" * 32
    head, tail = b"DSFILES1" + b"\7" + bytes(15), bytes(17)
    names = file(1, b"a") + file(1, b"a/b", 7) + file(1, b"a b")
    for name, records in (("none", b""), ("files", names), ("chunk", names + chunk + file(2, b"")), ("order", file(2, b"") + names),
                          ("many", (file(1, b"a") + chunk) * 70), ("long", bytes([1, 1, 255, 255, 255, 255, 15]) + b"x"),
                          ("pieces", bytes([2]) + block + b"\xff" * 9 + b"\1"), ("other", b"\3" + names)):
        seed("filecache", name, 1, head + records + tail)
    seed("filecache", "sum", 0, head + names + tail)


# ---- adapters ----

def adapters():
    def both(name, arch, config, tensors):
        text = json.dumps(config).encode()
        seed("adapter", name, arch | 4, struct.pack("<H", len(text)) + text + safetensors(tensors))

    def lora(r, module="self_attn.o_proj", dora=False):
        at = "base_model.model.model.layers.0.%s." % module
        t = [(at + "lora_A.weight", "F32", [r, 8], struct.pack("<f", 0.5) * (8 * r)),
             (at + "lora_B.weight", "BF16", [8, r], b"\x80\x3f" * (8 * r))]
        return t + ([(at + "lora_magnitude_vector", "F32", [8], struct.pack("<f", 2) * 8)] if dora else [])

    base = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 4, "lora_dropout": 0.0, "bias": "none",
            "target_modules": ["o_proj"], "fan_in_fan_out": False, "init_lora_weights": True, "modules_to_save": None}
    for arch in range(3):
        both("lora-%d" % arch, arch, base, lora(2))
    both("dora", 0, dict(base, use_dora=True, use_rslora=True), lora(2, dora=True))
    both("expression", 1, dict(base, target_modules=".*o_proj", layers_to_transform=[0]), lora(2))
    both("pattern", 0, dict(base, target_modules=["*o_pr?j", "q_proj"]), lora(2) + lora(2, "self_attn.q_proj"))
    both("rank", 0, dict(base, r=3), lora(2))
    both("rank-long", 0, dict(base, r=2**32 + 2), lora(2))
    both("rank-huge", 0, dict(base, r=2**31 - 1), lora(2))
    both("expert", 2, dict(base, target_modules=["gate_proj"]), [])
    prompt = {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 3, "token_dim": 8}
    both("prompt", 0, prompt, [("prompt_embeddings", "F32", [3, 8], bytes(96))])
    both("prompt-huge", 0, dict(prompt, num_virtual_tokens=2**31 - 1), [("prompt_embeddings", "F32", [3, 8], bytes(96))])
    both("no-type", 0, {}, [])


ALL = (packs, answers, models, archives, catalog, filecache, adapters)
for part in ALL:
    if part.__name__ in sys.argv[2:] or not sys.argv[2:]:
        part()
