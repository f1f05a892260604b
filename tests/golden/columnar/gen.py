#!/usr/bin/env python3
"""Writes the Parquet and Arrow files beside this one, and want.jsonl, the records that they hold: gen.py, with pyarrow, duckdb, polars.

All hold the same 40 records, in every encoding, compression and kind of page or message that these write; want.jsonl is what
pyarrow reads back. kinds.arrow has what Parquet has no types for, and kinds.jsonl its records."""
import base64
import datetime
import decimal
import json
import os

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

os.chdir(os.path.dirname(os.path.abspath(__file__)))
UTC = datetime.timezone.utc
STRUCT = pa.struct([("role", pa.string()), ("content", pa.string()), ("weight", pa.int64())])
SCHEMA = pa.schema([
    ("id", pa.string()), ("text", pa.string()), ("n8", pa.int8()), ("u64", pa.uint64()), ("hash", pa.uint64()), ("i32", pa.int32()),
    ("f", pa.float64()), ("f32", pa.float32()), ("ok", pa.bool_()), ("when", pa.timestamp("us", tz="UTC")), ("day", pa.date32()),
    ("clock", pa.time64("us")), ("price", pa.decimal128(9, 2)), ("big", pa.decimal128(30, 3)), ("blob", pa.binary()),
    ("ids", pa.list_(pa.int32())), ("floats", pa.list_(pa.float32())), ("tags", pa.list_(pa.string())), ("gaps", pa.list_(pa.int64())),
    ("turns", pa.list_(STRUCT)), ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ("meta", pa.struct([("a", pa.int64()), ("b", pa.struct([("c", pa.list_(pa.int64()))]))])), ("named", pa.map_(pa.string(), pa.int64())),
    ("pairs", pa.map_(pa.int64(), pa.string())), ("nested", pa.list_(pa.list_(pa.int16()))), ("kind", pa.dictionary(pa.int32(), pa.string()))])


def record(i):
    turn = [{"role": ("user", "assistant")[k % 2], "content": "turn %d of %d: \"ü\"\n" % (k, i), "weight": None if k == 1 else k} for k in range(i % 4)]
    return {
        "id": "rec-%02d" % i, "text": None if i % 7 == 3 else "text Ω %d " % i * (i % 5), "n8": i * 6 - 128, "u64": i * 3, "hash": 2**64 - 1 - i,
        "i32": -i * 70000, "f": i / 3, "f32": i / 4, "ok": i % 2 == 0 if i % 3 else None,
        "when": datetime.datetime(1969, 12, 31, 23, 59, tzinfo=UTC) + datetime.timedelta(microseconds=i * 123456789),
        "day": datetime.date(1969, 12, 30) + datetime.timedelta(days=i * 3700), "clock": datetime.time(i % 24, i % 60, i % 59, i),
        "price": decimal.Decimal(i * i * 7 - 500) / 100, "big": decimal.Decimal("-12345678901234567890123.456") + i * 10**20,
        "blob": bytes([i]) * (i % 9), "ids": None if i % 11 == 0 else list(range(i % 6)), "floats": [k / 8 for k in range(i % 4)],
        "tags": ["tag %d" % k for k in range(i % 4)], "gaps": [None if (k + i) % 3 == 0 else k for k in range(i % 5)],
        "turns": turn if i % 13 else None, "image": {"bytes": b"\x89PNG" + bytes([i]), "path": "p%d.png" % i} if i % 5 else None,
        "meta": {"a": i, "b": {"c": [1, 2, i]}}, "named": [("k%d" % k, k) for k in range(i % 3)], "pairs": [(k, "v") for k in range(i % 3)],
        "nested": [[1, 2], [], [i]] if i % 2 else [], "kind": "xyz"[i * i % 3]}


def plain(v):
    if isinstance(v, bytes):
        return base64.b64encode(v).decode()
    if isinstance(v, datetime.datetime):
        return v.strftime("%Y-%m-%dT%H:%M:%S.") + "%06d000Z" % v.microsecond
    if isinstance(v, datetime.date):
        return v.isoformat()
    if isinstance(v, datetime.time):
        return v.strftime("%H:%M:%S.") + "%06d" % v.microsecond
    if isinstance(v, decimal.Decimal):
        return "decimal:%s" % v
    if isinstance(v, list):
        return [plain(x) for x in v]
    return {k: plain(x) for k, x in v.items()} if isinstance(v, dict) else v


table = pa.Table.from_pylist([record(i) for i in range(40)], schema=SCHEMA)
DELTA = {"text": "DELTA_BYTE_ARRAY", "id": "DELTA_LENGTH_BYTE_ARRAY", "u64": "DELTA_BINARY_PACKED", "i32": "DELTA_BINARY_PACKED",
         "f": "BYTE_STREAM_SPLIT", "f32": "BYTE_STREAM_SPLIT", "tags.list.element": "DELTA_BYTE_ARRAY", "ok": "RLE",
         "ids.list.element": "DELTA_BINARY_PACKED", "big": "BYTE_STREAM_SPLIT", "when": "DELTA_BINARY_PACKED", "blob": "DELTA_LENGTH_BYTE_ARRAY"}
for name, options in {
        "snappy": {}, "gzip": {"compression": "gzip", "row_group_size": 15}, "brotli": {"compression": "brotli"}, "lz4": {"compression": "lz4"},
        "plain": {"compression": "none", "use_dictionary": False, "data_page_size": 64, "write_page_checksum": True},
        "v2": {"compression": "zstd", "data_page_version": "2.0", "write_page_checksum": True, "row_group_size": 30},
        "delta": {"compression": "zstd", "use_dictionary": False, "column_encoding": DELTA, "data_page_size": 200},
        "old": {"version": "1.0", "use_deprecated_int96_timestamps": True, "use_compliant_nested_type": False}}.items():
    pq.write_table(table, name + ".parquet", **options)
duckdb.connect().execute("copy (select * from read_parquet('snappy.parquet')) to 'duckdb.parquet' (format parquet, parquet_version 'V2')")


def arrow(name, table, rows=15, stream=False, **options):
    new = ipc.new_stream if stream else ipc.new_file
    with new(name + ".arrow", table.schema, options=ipc.IpcWriteOptions(**options)) as w:
        w.write_table(table, max_chunksize=rows)


V4 = ipc.MetadataVersion.V4
arrow("file", table)
arrow("stream", table, stream=True)
arrow("lz4", table, compression="lz4")
arrow("zstd", table, stream=True, compression="zstd")
arrow("legacy", table, stream=True, metadata_version=V4, use_legacy_format=True)
WIDE = {pa.string(): pa.string_view(), pa.binary(): pa.binary_view(), pa.list_(pa.int32()): pa.list_view(pa.int32()),
        pa.list_(pa.float32()): pa.large_list(pa.float32()), pa.list_(pa.string()): pa.large_list(pa.large_string()),
        pa.timestamp("us", tz="UTC"): pa.timestamp("ns", tz="UTC"), pa.date32(): pa.date64(), pa.decimal128(9, 2): pa.decimal256(9, 2)}
views = [pa.array(c.to_pylist(), WIDE.get(c.type, c.type)) for c in table.columns]
arrow("views", pa.table(views, table.column_names))
pl.from_arrow(table.drop(["pairs", "named"])).write_ipc("polars.arrow", compression="lz4")

N = 12
half = [None if i % 5 == 3 else i for i in range(N)]
kinds = pa.table({
    "id": ["k-%02d" % i for i in range(N)],
    "runs": pa.RunEndEncodedArray.from_arrays(pa.array([2, 7, N], pa.int16()), pa.array(["a", None, "c"])),
    "dense": pa.UnionArray.from_dense(pa.array([i % 2 for i in range(N)], pa.int8()), pa.array([i // 2 for i in range(N)], pa.int32()),
                                      [pa.array(half, pa.int32()), pa.array(["u%d" % i for i in range(N)])]),
    "sparse": pa.UnionArray.from_sparse(pa.array([5 if i % 3 else 9 for i in range(N)], pa.int8()),
                                        [pa.array(range(N), pa.int64()), pa.array([i / 4 for i in range(N)])], type_codes=[5, 9]),
    "span": pa.array([None if i is None else (i, -i, i * 10**9) for i in half], pa.month_day_nano_interval()),
    "took": pa.array(half, pa.duration("ms")), "f16": pa.array([None if i is None else i / 4 for i in half], pa.float16()),
    "clock": pa.array([None if i is None else datetime.time(i, 7, i) for i in half], pa.time32("s")),
    "triple": pa.array([None if i is None else [i, i + 1, i + 2] for i in half], pa.list_(pa.float64(), 3)),
    "three": pa.array([None if i is None else b"%03d" % i for i in half], pa.binary(3)), "none": pa.nulls(N),
    "json": pa.array(['{"n": %d}' % i for i in range(N)], pa.json_()),
    "uuid": pa.array([bytes([i]) * 16 for i in range(N)], pa.uuid()),
    "coded": pa.ListArray.from_arrays(pa.array(range(N + 1), pa.int32()), pa.array(["q%d" % (i % 3) for i in range(N)]).dictionary_encode())})
arrow("kinds", kinds, rows=N, compression="zstd")


def kind(v):
    if isinstance(v, pa.MonthDayNano):
        return {"months": v.months, "days": v.days, "nanoseconds": v.nanoseconds}
    if isinstance(v, datetime.timedelta):
        return v // datetime.timedelta(milliseconds=1)
    return v.isoformat() + ".000" if isinstance(v, datetime.time) else str(v) if type(v).__name__ == "UUID" else plain(v)


with open("kinds.jsonl", "w", encoding="utf-8") as out:
    for r in kinds.to_pylist():
        r = {k: kind(v) for k, v in r.items()}
        out.write(json.dumps(dict(r, json=json.loads(r["json"])), sort_keys=True) + "\n")

# A dictionary that grows, and one that another takes the place of.
codes = pa.schema([("id", pa.string()), ("text", pa.dictionary(pa.int8(), pa.string()))])
for name, options in (("deltas", {"emit_dictionary_deltas": True}), ("replaced", {})):
    with ipc.new_stream(name + ".arrow", codes, options=ipc.IpcWriteOptions(**options)) as w:
        for k, words in enumerate((["a", "b"], ["a", "b", "c"], ["x", "y"])):
            ids = pa.array(["%d-%d" % (k, i) for i in range(len(words))])
            w.write_batch(pa.record_batch([ids, pa.DictionaryArray.from_arrays(pa.array(range(len(words)), pa.int8()), pa.array(words))], schema=codes))

with open("want.jsonl", "w", encoding="utf-8") as out:
    for r in table.to_pylist():
        image = r.pop("image") or {"bytes": None, "path": None}
        r.update({"image.bytes": image["bytes"], "image.path": image["path"], "named": dict(r["named"]), "pairs": [list(x) for x in r["pairs"]]})
        text = json.dumps({k: plain(v) for k, v in r.items()}, ensure_ascii=False, sort_keys=True)
        while '"decimal:' in text:  # a number with the digits that it has
            a = text.index('"decimal:')
            b = text.index('"', a + 1)
            text = text[:a] + text[a + 9:b] + text[b + 1:]
        out.write(text + "\n")
