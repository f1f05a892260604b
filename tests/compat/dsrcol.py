"""Schemas and chunks of DSR, written from docs/dsr-format.md alone: values <-> canonical bytes, every rule checked.

A value is None or: bytes (utf8, bytes, json), bool, int (i64, timestamp), float (f64), a list of ints (tokens16,
tokens32), a list of (length, value) (runs), a Tensor, a list of items (list).
"""
import json
import re
import struct
import sys
from collections import namedtuple

M64 = (1 << 64) - 1
NAN = struct.pack("<Q", 0x7FF8000000000000)
TYPES = ("utf8", "bytes", "json", "bool", "i64", "f64", "timestamp", "tensor", "tokens16", "tokens32", "runs", "list")
ITEMS = TYPES[:7] + ("tokens16", "tokens32")
SPANS = ("utf8", "bytes", "json")
WORDS = ("i64", "timestamp", "f64")
DTYPES = {1: ("u8", 1), 2: ("i8", 1), 3: ("u16", 2), 4: ("i16", 2), 5: ("u32", 4), 6: ("i32", 4), 7: ("u64", 8),
          8: ("i64", 8), 9: ("f16", 2), 10: ("bf16", 2), 11: ("f32", 4), 12: ("f64", 8)}
JSON_DEPTH = 128
CANONICAL_DEPTH = 514  # options and digests, 512 deep, lie in a step in an array
sys.setrecursionlimit(20000)

Tensor = namedtuple("Tensor", "dtype dims data")


class Bad(Exception):
    """A rule of the format is broken: a word for the rule, and where."""

    def __init__(self, rule, why, offset=None):
        super().__init__("%s: %s%s" % (rule, why, "" if offset is None else " (offset %d)" % offset))
        self.rule = rule


# ---- varints ----

def varint(v):
    out = bytearray()
    while v > 127:
        out.append(v & 127 | 128)
        v >>= 7
    out.append(v)
    return bytes(out)


def zigzag(v):
    return v << 1 if v >= 0 else (-v << 1) - 1


def unzigzag(v):
    return v >> 1 ^ -(v & 1)


class Cursor:
    """Reads forward through bytes; running out is the error `short`."""

    def __init__(self, b, what):
        self.b, self.at, self.what = b, 0, what

    def take(self, n):
        if n > len(self.b) - self.at:
            raise Bad("short", "%s ends inside a value" % self.what, self.at)
        self.at += n
        return self.b[self.at - n:self.at]

    def u8(self):
        return self.take(1)[0]

    def varint(self):
        v = shift = 0
        while True:
            byte = self.u8()
            v |= (byte & 127) << shift
            if byte < 128:
                break
            shift += 7
            if shift > 63:
                raise Bad("varint", "%s: a varint of more than 10 bytes" % self.what, self.at)
        if v > M64:
            raise Bad("varint", "%s: a varint past 64 bits" % self.what, self.at)
        if byte == 0 and shift:
            raise Bad("varint", "%s: a varint that is not the shortest" % self.what, self.at)
        return v

    def varints(self, n):
        if n > len(self.b) - self.at:
            raise Bad("short", "%s: %d varints do not fit" % (self.what, n), self.at)
        return [self.varint() for _ in range(n)]

    def bits(self, n):
        raw = self.take((n + 7) // 8)
        if n & 7 and raw[-1] >> (n & 7):
            raise Bad("padding", "%s: padding bits that are not 0" % self.what, self.at)
        return [raw[i >> 3] >> (i & 7) & 1 for i in range(n)]

    def end(self):
        if self.at != len(self.b):
            raise Bad("trailing", "%s: %d bytes too many" % (self.what, len(self.b) - self.at), self.at)


def bitmap(flags):
    out = bytearray((len(flags) + 7) // 8)
    for i, f in enumerate(flags):
        if f:
            out[i >> 3] |= 1 << (i & 7)
    return bytes(out)


# ---- JSON ----

_ESCAPES = {0x22: '\\"', 0x5C: "\\\\", 8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"}
_ESCAPES.update({i: "\\u%04x" % i for i in range(32) if i not in _ESCAPES})


def json_str(s):
    return '"' + s.translate(_ESCAPES) + '"'


def dump(v, depth=0):
    """Canonical text: members in the order of the dict, no white space."""
    if v is None:
        return "null"
    if v is True or v is False:
        return "true" if v else "false"
    if isinstance(v, int):
        if not -1 << 63 <= v < 1 << 63:
            raise Bad("json", "a number of more than 64 bits")
        return str(v)
    if isinstance(v, float):
        if v != v or v in (float("inf"), float("-inf")):
            raise Bad("json", "a number that is none")
        text = real(v)
        return text if "." in text or "e" in text else text + ".0"
    if isinstance(v, str):
        if "\0" in v:
            raise Bad("json", "a string with U+0000")
        return json_str(v)
    if depth == CANONICAL_DEPTH:
        raise Bad("json", "nested too deep")
    if isinstance(v, dict):
        return "{" + ",".join([dump(k) + ":" + dump(x, depth + 1) for k, x in v.items()]) + "}"
    return "[" + ",".join([dump(x, depth + 1) for x in v]) + "]"


def real(v):
    if v != v or v in (float("inf"), float("-inf")):
        return "null"
    for digits in (15, 16, 17):
        s = "%.*g" % (digits, v)
        if float(s) == v:
            break
    return s


def canonical(raw, what):
    """Parses canonical JSON: what dump would write and nothing else."""
    def members(pairs):
        if len(dict(pairs)) != len(pairs):
            raise Bad("json", "%s: a member twice" % what)
        return dict(pairs)
    try:
        v = json.loads(raw.decode("utf-8"), object_pairs_hook=members)
        if dump(v).encode("utf-8") != raw:
            raise Bad("json", "%s is not in canonical form" % what)
    except (ValueError, RecursionError) as e:
        raise Bad("json", "%s: %s" % (what, e)) from None
    return v


_STRING = re.compile(rb'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_SCALAR = re.compile(rb'-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null')
_UNIT = re.compile(rb'\\(?:u([0-9a-fA-F]{4})|.)', re.S)


def _surrogates(s):
    want = None  # offset at which the second half must begin
    for m in _UNIT.finditer(s):
        u = int(m[1], 16) if m[1] else 0
        if want is not None and (m.start() != want or not 0xDC00 <= u < 0xE000):
            return False
        if want is None and 0xDC00 <= u < 0xE000:
            return False
        want = m.end() if 0xD800 <= u < 0xDC00 else None
    return want is None


def check_json(b):
    """One JSON value, minified, of bounded depth."""
    utf8(b)
    at, stack, expect = 0, [], "value"  # expect: value, value] (or the end of an array), key, key}, after
    while True:
        c = b[at:at + 1]
        if expect.startswith("value") and c in (b"[", b"{"):
            stack.append(c)
            if len(stack) > JSON_DEPTH:
                raise Bad("json-depth", "JSON nested too deep", at)
            at, expect = at + 1, "value]" if c == b"[" else "key}"
            continue
        if expect in ("value]", "key}", "after") and c in (b"]", b"}") and c:
            if not stack or stack[-1] != (b"[" if c == b"]" else b"{"):
                raise Bad("json", "a bracket out of place", at)
            stack.pop()
            at, expect = at + 1, "after"
        elif expect == "after" and c == b",":
            if not stack:
                raise Bad("json", "more than one value", at)
            at, expect = at + 1, "value" if stack[-1] == b"[" else "key"
            continue
        elif expect == "after":
            raise Bad("json", "not minified JSON", at)
        else:
            string = c == b'"'
            m = (_STRING if string else _SCALAR).match(b, at)
            if not m or (expect.startswith("key") and not string):
                raise Bad("json", "not minified JSON", at)
            if string and not _surrogates(m[0]):
                raise Bad("json-surrogate", "half a surrogate pair", at)
            at = m.end()
            if expect.startswith("key"):
                if b[at:at + 1] != b":":
                    raise Bad("json", "not minified JSON", at)
                at, expect = at + 1, "value"
                continue
            expect = "after"
        if not stack:
            break
    if at != len(b):
        raise Bad("json", "more than one value, or white space", at)


def utf8(b):
    try:
        return b.decode("utf-8")
    except UnicodeDecodeError as e:
        raise Bad("utf8", "invalid UTF-8: %s" % e.reason, e.start) from None


# ---- schema ----

class Column:
    def __init__(self, name, type, item=None, null=False, attrs=None):
        self.name, self.type, self.item, self.null, self.attrs = name, type, item, null, attrs

    def json(self):
        d = {"name": self.name, "type": self.type}
        if self.item is not None:
            d["item"] = self.item
        if self.null:
            d["null"] = True
        if self.attrs is not None:
            d["attrs"] = dict(sorted(self.attrs.items()))
        return d


class Schema:
    """keyed and primary are lists of column names; keyed None = explicit keys."""

    def __init__(self, columns, primary, keyed=None, block=(65536, 262144, 1048576)):
        self.columns, self.block = columns, tuple(block)
        self.explicit = keyed is None
        names = [c.name for c in columns]
        self.primary = [i for i, n in enumerate(names) if n in primary]
        self.keyed = [i for i, n in enumerate(names) if n in (keyed or ())]

    def json(self):
        names = [c.name for c in self.columns]
        return dump({"columns": [c.json() for c in self.columns], "key": "explicit" if self.explicit else "derived",
                     "keyed": [names[i] for i in self.keyed], "primary": [names[i] for i in self.primary],
                     "block": list(self.block)}).encode("utf-8")

    @classmethod
    def parse(cls, raw):
        d = canonical(raw, "schema")
        if not isinstance(d, dict) or list(d) != ["columns", "key", "keyed", "primary", "block"]:
            raise Bad("schema", "members are not columns, key, keyed, primary, block")
        if not isinstance(d["columns"], list) or not 1 <= len(d["columns"]) <= 256:
            raise Bad("schema-columns", "1 to 256 columns")
        columns = [cls._column(c) for c in d["columns"]]
        names = [c.name for c in columns]
        if len(set(names)) != len(names):
            raise Bad("schema-twice", "two columns of one name")
        if d["key"] not in ("explicit", "derived"):
            raise Bad("schema-key", "key is explicit or derived")
        for which in ("keyed", "primary"):
            if not isinstance(d[which], list) or d[which] != [n for n in names if n in d[which]]:
                raise Bad("schema-" + which, "%s does not list columns in their order" % which)
            if any(c.type in ("runs", "list") for c in columns if c.name in d[which]):
                raise Bad("schema-" + which, "%s names a runs or list column" % which)
        explicit = d["key"] == "explicit"
        if not d["primary"]:
            raise Bad("schema-primary", "no primary column")
        if explicit == bool(d["keyed"]):
            raise Bad("schema-keyed", "keyed columns with explicit keys, or none with derived ones")
        if explicit and (names[0] != "key" or columns[0].type != "utf8" or columns[0].null):
            raise Bad("schema-key", "column 0 is not a utf8 key without nulls")
        if not explicit and "key" in names:
            raise Bad("schema-key", "a column called key with derived keys")
        b = d["block"]
        if not (isinstance(b, list) and len(b) == 3 and all(type(x) is int for x in b)
                and 1 <= b[0] <= b[1] <= b[2] <= 1 << 30):
            raise Bad("schema-block", "block sizes out of order or bounds")
        return cls(columns, d["primary"], None if explicit else d["keyed"], b)

    @staticmethod
    def _column(c):
        if not isinstance(c, dict) or not isinstance(c.get("name"), str):
            raise Bad("schema", "a column without a name")
        want = [m for m in ("name", "type", "item", "null", "attrs") if m in c]
        if list(c) != want or "type" not in c:
            raise Bad("schema", "a column's members are out of order or unknown")
        if not 1 <= len(c["name"].encode("utf-8")) <= 128 or "\0" in c["name"]:
            raise Bad("schema-name", "a column's name has 1 to 128 bytes, none of them NUL")
        if c["type"] not in TYPES:
            raise Bad("schema-type", "no such type")
        if ("item" in c) != (c["type"] == "list") or ("item" in c and c["item"] not in ITEMS):
            raise Bad("schema-item", "an item type is for lists, and no tensor, runs or list")
        if "null" in c and c["null"] is not True:
            raise Bad("schema-null", "null is true or absent")
        a = c.get("attrs")
        if "attrs" in c and not (isinstance(a, dict) and a and list(a) == sorted(a, key=lambda s: s.encode("utf-8"))
                                 and all(isinstance(v, str) for v in a.values())):
            raise Bad("schema-attrs", "attrs is an object of strings, sorted")
        return Column(c["name"], c["type"], c.get("item"), "null" in c, a)


# ---- chunks ----

def pack_f64(v):
    return NAN if v != v else struct.pack("<d", v)


def value_bytes(type, v):
    """The bytes of a value that row hashes and derived keys look at."""
    if type in SPANS:
        return v
    if type == "bool":
        return b"\1" if v else b"\0"
    if type == "f64":
        return pack_f64(v)
    if type in WORDS:
        return struct.pack("<q", v)
    if type == "tensor":
        return tensor_head(v) + v.data
    return struct.pack("<%d%s" % (len(v), "H" if type == "tokens16" else "I"), *v)


def tensor_head(v):
    return bytes([v.dtype, len(v.dims)]) + b"".join(map(varint, v.dims))


def encode_body(type, item, values):
    if type in SPANS:
        return b"".join(varint(len(v)) for v in values) + b"".join(values)
    if type == "bool":
        return bitmap(values)
    if type in WORDS:
        return b"".join(value_bytes(type, v) for v in values)
    if type in ("tokens16", "tokens32"):
        return b"".join(varint(len(v)) for v in values) + b"".join(value_bytes(type, v) for v in values)
    if type == "runs":
        return (b"".join(varint(len(v)) for v in values)
                + b"".join(varint(n) + varint(x) for v in values for n, x in v))
    if type == "tensor":
        return b"".join(map(tensor_head, values)) + b"".join(v.data for v in values)
    return b"".join(varint(len(v)) for v in values) + encode_body(item, None, [x for v in values for x in v])


def encode_chunk(col, values):
    present = [v is not None for v in values]
    out = varint(len(values))
    out += b"\0" if all(present) else b"\1" + bitmap(present)
    return out + encode_body(col.type, col.item, [v for v in values if v is not None])


def _split(data, lengths):
    at = 0
    for n in lengths:
        yield data[at:at + n]
        at += n


def _spans(c, type, m):
    lengths = c.varints(m)
    values = list(_split(c.take(sum(lengths)), lengths))
    for v in values:
        if type == "utf8":
            utf8(v)
        elif type == "json":
            check_json(v)
    return values


def _words(c, type, m):
    raw = c.take(8 * m)
    if type != "f64":
        return list(struct.unpack("<%dq" % m, raw))
    for (u,) in struct.iter_unpack("<Q", raw):
        if u & 0x7FF << 52 == 0x7FF << 52 and u & (1 << 52) - 1 and u != 0x7FF8 << 48:
            raise Bad("nan", "a NaN in another form")
    return list(struct.unpack("<%dd" % m, raw))


def _tokens(c, type, m):
    counts = c.varints(m)
    wide = 2 if type == "tokens16" else 4
    ids = struct.unpack("<%d%s" % (sum(counts), "H" if wide == 2 else "I"), c.take(wide * sum(counts)))
    return [list(v) for v in _split(ids, counts)]


def _runs(c, type, m):
    values = []
    for n in c.varints(m):
        pairs = [(c.varint(), c.varint()) for _ in range(n)]
        if any(p[0] == 0 for p in pairs):
            raise Bad("run-empty", "a run of length 0", c.at)
        if any(p[1] == q[1] for p, q in zip(pairs, pairs[1:])):
            raise Bad("run-merge", "neighbouring runs of one value", c.at)
        if sum(p[0] for p in pairs) > M64:
            raise Bad("run-sum", "runs longer than 2^64", c.at)
        values.append(pairs)
    return values


def _tensors(c, type, m):
    heads, sizes = [], []
    for _ in range(m):
        dtype, ndim = c.u8(), c.u8()
        if dtype not in DTYPES:
            raise Bad("dtype", "no such element type %d" % dtype, c.at)
        if ndim > 8:
            raise Bad("ndim", "more than 8 dimensions", c.at)
        dims = c.varints(ndim)
        size = DTYPES[dtype][1]
        for d in dims:
            size *= d
            if size > M64:
                raise Bad("dims", "a tensor of more than 2^64 bytes", c.at)
        heads.append((dtype, dims))
        sizes.append(size)
    return [Tensor(h[0], h[1], d) for h, d in zip(heads, _split(c.take(sum(sizes)), sizes))]


def decode_body(c, type, item, m):
    if type in SPANS:
        return _spans(c, type, m)
    if type == "bool":
        return [b == 1 for b in c.bits(m)]
    if type in WORDS:
        return _words(c, type, m)
    if type == "list":
        counts = c.varints(m)
        if sum(counts) > 8 * len(c.b):
            raise Bad("short", "more list items than bytes", c.at)
        return [list(v) for v in _split(decode_body(c, item, None, sum(counts)), counts)]
    return {"runs": _runs, "tensor": _tensors}.get(type, _tokens)(c, type, m)


def decode_chunk(col, b, rows):
    c = Cursor(b, "column %s" % col.name)
    if c.varint() != rows:
        raise Bad("chunk-rows", "column %s has another number of rows than its block" % col.name)
    has_null = c.u8()
    if has_null > 1:
        raise Bad("has-null", "has_null is 0 or 1")
    if has_null and not col.null:
        raise Bad("null", "nulls in column %s, which allows none" % col.name)
    present = c.bits(rows) if has_null else [1] * rows
    if has_null and all(present):
        raise Bad("has-null", "has_null without a null")
    values = iter(decode_body(c, col.type, col.item, sum(present)))
    c.end()
    return [next(values) if p else None for p in present]
