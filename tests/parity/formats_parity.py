"""Reads the exports in the working directory with the libraries that they are for, and compares with want.jsonl.

streaming wants torch, and much else, before it reads a file: the modules it imports and these tests do not need are
stood in for, and its own reader, encodings and digests do the work.
"""
import base64
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
import types
from unittest.mock import MagicMock

WANT = [json.loads(line) for line in open("want.jsonl", encoding="utf-8")]
count = failed = 0


def check(name, needs, fn):
    global count, failed
    count += 1
    missing = [m for m in needs if importlib.util.find_spec(m) is None]
    if missing:
        print("ok %d - %s # skip no %s" % (count, name, missing[0]))
        return
    try:
        fn()
    except Exception as e:
        failed += 1
        print("not ok %d - %s\n# %s: %s" % (count, name, type(e).__name__, str(e).replace("\n", " ")[:600]))
    else:
        print("ok %d - %s" % (count, name))


class Stub(MagicMock):
    __path__ = []


class StandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("torch", "PIL", "transformers", "boto3", "brotli", "snappy"):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        module = Stub()
        module.__spec__, module.__name__ = spec, spec.name
        return module

    def exec_module(self, module):
        pass


def streaming():
    root = os.path.dirname(importlib.util.find_spec("streaming").origin)
    sys.meta_path.insert(0, StandIn())
    for n in "streaming", "streaming.base", "streaming.base.format":
        sys.modules[n] = types.ModuleType(n)
        sys.modules[n].__path__ = [os.path.join(root, *n.split(".")[1:])]
    from streaming.base.format.mds.reader import MDSReader
    from streaming.base.hashing import get_hash
    import zstandard
    with open("mds/index.json") as f:
        index = json.load(f)
    got = []
    for shard in index["shards"]:
        for which in "zip_data", "raw_data":
            path = os.path.join("mds", shard[which]["basename"])
            if which == "raw_data":
                with open(path, "wb") as f:
                    f.write(raw)
            with open(path, "rb") as f:
                data = f.read()
            assert len(shard["hashes"]) == 4 and len(data) == shard[which]["bytes"]
            for name, digest in shard[which]["hashes"].items():
                assert get_hash(name, data) == digest, name
            raw = zstandard.ZstdDecompressor().decompress(data) if which == "zip_data" else data
        reader = MDSReader.from_json("mds", None, shard)
        reader.validate(False)
        got += [reader.get_item(i) for i in range(len(reader))]
    sys.meta_path.pop(0)
    assert len(got) == len(WANT)
    for a, b in zip(got, WANT):
        nulls = [k for k in b if b[k] is None and not k.endswith("f64") and k in a["__null__"]]
        for k in "utf8", "json", "i64", "runs", "list utf8":
            assert k in nulls or a[k] == b[k], k
        assert base64.b64encode(a["bytes"]).decode() == b["bytes"]
        for k in "tokens16", "tokens32":
            assert a[k].tolist() == b[k], k
        assert list(a["tensor"].shape) == b["tensor"]["shape"]
        assert base64.b64encode(a["tensor"].tobytes()).decode() == b["tensor"]["data"]


def webdataset():
    import webdataset as wds
    got = list(wds.WebDataset("t.tar", shardshuffle=False).decode())
    assert len(got) == len(WANT)
    for a, b in zip(got, WANT):
        if a["json.json"] == b"null":  # a decoder that gives None counts as none, and the bytes stay
            a["json.json"] = None
        assert a["utf8.txt"] == b["utf8"] and a["json.json"] == b["json"] and a["i64.cls"] == b["i64"]
        assert a["tokens32.npy"].tolist() == b["tokens32"] and a["runs.json"] == b["runs"]
        assert base64.b64encode(a["tensor.npy"].tobytes()).decode() == b["tensor"]["data"]
        assert ("null utf8.txt" in a) == (b["null utf8"] is not None)


def tfrecord():
    from tfrecord.reader import tfrecord_loader
    got = list(tfrecord_loader("t.tfrecord", None))
    assert len(got) == len(WANT)
    for a, b in zip(got, WANT):
        assert bytes(a["utf8"]).decode() == b["utf8"] and a["tokens16"].tolist() == b["tokens16"]
        assert a["i64"].tolist() == [b["i64"]] and a["list i64"].tolist() == b["list i64"]


def tensorflow():
    import tensorflow as tf
    got = [tf.train.Example.FromString(r.numpy()).features.feature for r in tf.data.TFRecordDataset("t.tfrecord")]
    assert len(got) == len(WANT)
    for a, b in zip(got, WANT):
        assert a["utf8"].bytes_list.value[0].decode() == b["utf8"]
        assert list(a["tokens32"].int64_list.value) == b["tokens32"] and ("null i64" in a) == (b["null i64"] is not None)


def datasets():
    import datasets as hf
    with open("explicit.jsonl", encoding="utf-8") as f:
        want = [json.loads(line) for line in f]
    # One type a column: what varies from record to record is no table.
    with open("t.jsonl", encoding="utf-8") as f, open("u.jsonl", "w", encoding="utf-8") as u:
        for line in f:
            r = json.loads(line)
            u.write(json.dumps({k: v for k, v in r.items() if isinstance(v, str)}) + "\n")
    got = hf.load_dataset("json", data_files="u.jsonl", split="train", cache_dir="cache")
    assert [r["key"] for r in got] == [r["key"] for r in want]


def numpy():
    import numpy as np
    a = np.load("t.npy", mmap_mode="r")
    assert a.dtype == np.uint32 and a.tolist() == sum((r["tokens32"] for r in WANT), [])


def npz():
    import numpy as np
    a = np.load("t.npz")
    off = a["tokens32.offsets"]
    assert [a["tokens32"][x:y].tolist() for x, y in zip(off, off[1:])] == [r["tokens32"] for r in WANT]
    assert a["i64"].tolist() == [r["i64"] for r in WANT] and a["bool"].dtype == np.bool_
    # The least of them is what numpy takes for none.
    assert all(str(t) in ("NaT", r["timestamp"][:-1]) for t, r in zip(a["timestamp"], WANT))
    np.savez_compressed("n.npz", x=np.arange(4), y=np.linspace(0, 1, 4), s=np.array(["a", "b", "", "é"]), m=np.ones((4, 2), np.float32))
    dsprep = os.environ["DSPREP"]
    got = [json.loads(line) for line in subprocess.run([dsprep + " import -q n.npz | " + dsprep + " cat --no-key"], shell=True,
                                                       check=True, capture_output=True).stdout.splitlines()]
    assert [r["y"] for r in got] == np.linspace(0, 1, 4).tolist() and [r["s"] for r in got] == ["a", "b", "", "é"]
    assert got[3]["x"] == 3 and got[0]["m"]["shape"] == [2]


check("webdataset reads its tar", ["webdataset", "numpy"], webdataset)
check("tfrecord reads TFRecord", ["tfrecord", "numpy"], tfrecord)
check("tensorflow reads TFRecord", ["tensorflow"], tensorflow)
check("datasets reads JSON lines", ["datasets"], datasets)
check("numpy maps npy", ["numpy"], numpy)
check("numpy reads npz, and its own is read", ["numpy"], npz)
# Last: what was stood in for stays in sys.modules.
check("streaming reads MDS", ["streaming", "numpy", "zstandard", "xxhash"], streaming)
print("1..%d" % count)
sys.exit(failed > 0)
