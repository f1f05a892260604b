#!/usr/bin/env python3
"""randmodel.py SHAPE DIR - a Hugging Face folder with random bf16 weights of a known model's shape, in shards of some GB.

SHAPE: qwen2-1.5b, qwen2-7b, llama-8b, or tiny. The config.json alone with a third argument. Numbers are made by torch or numpy.
"""
import json
import math
import os
import struct
import sys
import zlib

SHAPES = {
    "qwen2-1.5b": ("qwen2", 28, 1536, 8960, 12, 2, 128, 151936),
    "qwen2-7b": ("qwen2", 28, 3584, 18944, 28, 4, 128, 152064),
    "llama-8b": ("llama", 32, 4096, 14336, 32, 8, 128, 128256),
    "tiny": ("qwen2", 2, 128, 256, 4, 2, 32, 4096),
}
SHARD = 4 << 30


def tensors_of(arch, layers, d, ff, heads, kv, hd, vocab):
    """Name and shape of each, in the order of the files."""
    yield "model.embed_tokens.weight", (vocab, d)
    for i in range(layers):
        at = "model.layers.%d." % i
        yield at + "input_layernorm.weight", (d,)
        for name, n in (("q", heads), ("k", kv), ("v", kv)):
            yield at + "self_attn.%s_proj.weight" % name, (n * hd, d)
            if arch == "qwen2":
                yield at + "self_attn.%s_proj.bias" % name, (n * hd,)
        yield at + "self_attn.o_proj.weight", (d, heads * hd)
        yield at + "post_attention_layernorm.weight", (d,)
        yield at + "mlp.gate_proj.weight", (ff, d)
        yield at + "mlp.up_proj.weight", (ff, d)
        yield at + "mlp.down_proj.weight", (d, ff)
    yield "model.norm.weight", (d,)
    yield "lm_head.weight", (vocab, d)


POOL = 1 << 24


def pool():
    """Bytes of POOL random bf16 numbers of deviation 0.02: files are made of stretches of them."""
    try:
        import torch
        x = torch.randn(POOL, generator=torch.Generator().manual_seed(1)) * 0.02
        return memoryview(x.to(torch.bfloat16).view(torch.int16).numpy()).cast("B")
    except ImportError:
        import numpy
        x = numpy.random.default_rng(1).standard_normal(POOL, numpy.float32) * numpy.float32(0.02)
        return memoryview((x.view(numpy.uint32) >> 16).astype(numpy.uint16)).cast("B")


def numbers(f, pool, n, at):
    """Writes n of them, from place `at`, round and round."""
    while n:
        some = min(n, POOL - at)
        f.write(pool[2 * at:2 * (at + some)])
        n, at = n - some, 0


def write(shape, out, whole):
    arch, layers, d, ff, heads, kv, hd, vocab = SHAPES[shape]
    os.makedirs(out, exist_ok=True)
    shards, size = [[]], 0
    for name, dims in tensors_of(arch, layers, d, ff, heads, kv, hd, vocab):
        n = math.prod(dims)
        if size and size + 2 * n > SHARD:
            shards.append([])
            size = 0
        shards[-1].append((name, dims, n))
        size += 2 * n
    if not whole:
        shards = []
    made, where, total = pool(), {}, 0
    for i, shard in enumerate(shards):
        file = "model-%05d-of-%05d.safetensors" % (i + 1, len(shards)) if len(shards) > 1 else "model.safetensors"
        head, at = {}, 0
        for name, dims, n in shard:
            head[name] = {"dtype": "BF16", "shape": dims, "data_offsets": [at, at + 2 * n]}
            at += 2 * n
            where[name] = file
        text = json.dumps(head).encode()
        text += b" " * (-len(text) % 8)
        with open(os.path.join(out, file), "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text)
            for name, dims, n in shard:
                if "norm" in name:
                    f.write(b"\x80\x3f" * n)
                else:
                    numbers(f, made, n, zlib.crc32(name.encode()) % POOL)
        total += at
    if len(shards) > 1:
        with open(os.path.join(out, "model.safetensors.index.json"), "w") as f:
            json.dump({"metadata": {"total_size": total}, "weight_map": where}, f)
    with open(os.path.join(out, "config.json"), "w") as f:
        json.dump({"architectures": ["Qwen2ForCausalLM" if arch == "qwen2" else "LlamaForCausalLM"], "model_type": arch,
                   "vocab_size": vocab, "hidden_size": d, "intermediate_size": ff, "num_hidden_layers": layers,
                   "num_attention_heads": heads, "num_key_value_heads": kv, "head_dim": hd, "max_position_embeddings": 32768,
                   "rope_theta": 1000000.0 if arch == "qwen2" else 500000.0, "rms_norm_eps": 1e-6, "hidden_act": "silu",
                   "tie_word_embeddings": False, "torch_dtype": "bfloat16", "bos_token_id": 1, "eos_token_id": 2}, f, indent=1)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in SHAPES:
        sys.exit(__doc__.strip())
    write(sys.argv[1], sys.argv[2], len(sys.argv) == 3)
