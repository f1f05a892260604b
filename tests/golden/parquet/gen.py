#!/usr/bin/env python3
"""Writes the Parquet files beside this one, and want.jsonl, the records that they hold: gen.py, with pyarrow and duckdb.

All hold the same 40 records, in every encoding, compression and kind of page that these two write; want.jsonl is what
pyarrow reads back."""
import base64
import datetime
import decimal
import json
import os

import duckdb
import pyarrow as pa
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
