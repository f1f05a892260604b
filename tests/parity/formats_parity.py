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


def parquet_rows(got):
    """Rows as pyarrow, DuckDB or polars has them, compared with WANT."""
    assert len(got) == len(WANT)
    for a, b in zip(got, WANT):
        for k in "utf8", "null utf8", "i64", "null i64", "bool", "tokens16", "null tokens16", "tokens32", "list utf8", "list i64", "list tokens32":
            assert a[k] == b[k], (k, a[k], b[k])
        for k in "json", "null json", "runs":
            assert (a[k] if a[k] is None else json.loads(a[k])) == b[k], k
        assert base64.b64encode(a["bytes"]).decode() == b["bytes"]
        assert b["f64"] is None or a["f64"] == b["f64"]
        for k in "tensor", "null tensor":
            t = a[k]
            assert t == b[k] or (t["dtype"], list(t["shape"]), base64.b64encode(t["data"]).decode()) == tuple(b[k][n] for n in ("dtype", "shape", "data"))


def skip_times(schema):
    return [n for n in schema if "timestamp" not in n]  # in nanoseconds, which Python's have not


def pyarrow():
    import pyarrow.parquet as pq
    f = pq.ParquetFile("t.parquet", page_checksum_verification=True)
    t = f.read()
    t.validate(full=True)
    assert [v for v in t["timestamp"].cast("int64").to_pylist()] == [ns(r["timestamp"]) for r in WANT]
    stats = f.metadata.row_group(0).column(f.schema_arrow.names.index("i64")).statistics
    assert (stats.min, stats.max, stats.null_count) == (min(r["i64"] for r in WANT), max(r["i64"] for r in WANT), 0)
    parquet_rows(t.select(skip_times(t.column_names)).to_pylist())


def ns(text):
    import datetime
    day = datetime.date(int(text[:4]), int(text[5:7]), int(text[8:10])).toordinal() - 719163
    return ((day * 24 + int(text[11:13])) * 60 + int(text[14:16])) * 60 * 10**9 + int(text[17:19]) * 10**9 + int(text[20:29])


def duckdb():
    import duckdb as db
    names = skip_times(list(WANT[0]))
    names.remove("key")
    got = db.sql("select %s from read_parquet('t.parquet')" % ", ".join('"%s"' % n for n in names))
    parquet_rows([dict(zip(names, row)) for row in got.fetchall()])


def polars():
    import polars as pl
    t = pl.read_parquet("t.parquet")
    parquet_rows(t.select(skip_times(t.columns)).to_dicts())


def parquet_foreign():
    """What pyarrow, DuckDB and polars write comes back as the same records, by each of their compressions and pages."""
    import duckdb as db
    import polars as pl
    import pyarrow.parquet as pq
    t = pq.read_table("t.parquet")
    files = []
    for codec in "none", "snappy", "gzip", "brotli", "lz4", "zstd":
        for version in "1.0", "2.0":
            files.append("pa-%s-%s.parquet" % (codec, version))
            pq.write_table(t, files[-1], compression=codec, data_page_version=version, data_page_size=300, row_group_size=7)
    db.sql("copy (select * from read_parquet('t.parquet')) to 'db.parquet' (format parquet, parquet_version 'V2', compression zstd)")
    pl.read_parquet("t.parquet").write_parquet("pl.parquet", compression="snappy", row_group_size=6)
    for f in files + ["db.parquet", "pl.parquet"]:
        stream = subprocess.run([os.environ["DSPREP"], "import", "-q", "--infer", f], check=True, capture_output=True).stdout
        got = subprocess.run([os.environ["DSPREP"], "cat", "--data"], input=stream, check=True, capture_output=True).stdout.splitlines()
        got = [json.loads(line) for line in got]
        for a, b in zip(got, WANT):
            for k in b:
                # What these have no type for comes back as text; NaN is no JSON.
                other = k == "key" or any(t in k for t in ("json", "runs", "f64"))
                assert other or a.get(k) == b[k], (f, k, a.get(k), b[k])
        assert len(got) == len(WANT), f


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
check("pyarrow reads Parquet", ["pyarrow"], pyarrow)
check("duckdb reads Parquet", ["duckdb"], duckdb)
check("polars reads Parquet", ["polars"], polars)
check("Parquet of pyarrow, duckdb and polars is read", ["pyarrow", "duckdb", "polars"], parquet_foreign)
# Last: what was stood in for stays in sys.modules.
check("streaming reads MDS", ["streaming", "numpy", "zstandard", "xxhash"], streaming)
print("1..%d" % count)
sys.exit(failed > 0)
