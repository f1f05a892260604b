#!/usr/bin/env bats
# dsprep dicom: --values, --window, --resize, --dtype and --real-world, against numbers computed here from the
# formulas of PS3.3. Tensors are read by the independent reader of tests/compat.

load dicom_common

setup() {
    dicom_setup && make one one
}

# values DTYPE TOLERANCE 'EXPRESSION' OPTION...: of the one image of 6 x 5 whose stored values are 300 to 329,
# slope 2, intercept -10. The expression gives the list of values in row order; s and m are stored and modality
# values, f(x) rounds to a 32-bit float, even(x) to the nearest, ties to even.
values() {
    local dtype=$1 tolerance=$2 want=$3
    shift 3
    dsprep dicom -q --key-file key "$@" one >s.dsr
    python3 "$DS_ROOT/tests/compat/dsr.py" cat --data s.dsr >out
    python3 - "$dtype" "$tolerance" "$want" <<'EOF'
import base64, json, math, struct, sys
dtype, tolerance, want = sys.argv[1], float(sys.argv[2]), sys.argv[3]
image = json.loads(open("out").readline())["image"]
assert image["dtype"] == dtype, image["dtype"]
code = {"u8": "B", "i8": "b", "u16": "H", "i16": "h", "u32": "I", "i32": "i", "f32": "f", "f64": "d"}[dtype]
data = base64.b64decode(image["data"])
got = struct.unpack("<%d%s" % (len(data) // struct.calcsize(code), code), data)
s = list(range(300, 330))
m = [2 * v - 10 for v in s]
f = lambda x: struct.unpack("<f", struct.pack("<f", x))[0]
even = round
def linear(x, c, w):
    return 0.0 if x <= c - 0.5 - (w - 1) / 2 else 1.0 if x > c - 0.5 + (w - 1) / 2 else (x - (c - 0.5)) / (w - 1) + 0.5
def triangle(v, m):
    n, out = len(v), []
    scale = n / m
    reach = max(scale, 1)
    for i in range(m):
        at = (i + 0.5) * scale - 0.5
        w = [max(0, 1 - abs(j - at) / reach) for j in range(n)]
        out.append(sum(a * b for a, b in zip(w, v)) / sum(w))
    return out
def resized(v, rows, cols):
    lines = [triangle(v[5 * y:5 * y + 5], cols) for y in range(6)]
    columns = [triangle([lines[y][x] for y in range(6)], rows) for x in range(cols)]
    return [columns[x][y] for y in range(rows) for x in range(cols)]
want = eval(want)
assert len(got) == len(want), (len(got), len(want))
bad = [(i, g, x) for i, (g, x) in enumerate(zip(got, want)) if abs(g - x) > tolerance]
assert not bad, bad[:5]
EOF
}

@test "dicom values: stored, and in units" {
    values u16 0 s
    values i32 0 m --values modality
    values f64 0 m --values modality --dtype f64
    values u8 0 '[255] * 30' --dtype u8 # clamped
    values i8 0 '[127] * 30' --values modality --dtype i8
}

@test "dicom values: a window is that of PS3.3 C.11.2.1.2" {
    values f32 0 '[f(linear(x, 620, 40)) for x in m]' --values window --window 620,40
    values f64 0 '[linear(x, 620, 40) for x in m]' --values window --window 620,40 --dtype f64
    values u8 0 '[even(255 * linear(x, 620, 40)) for x in m]' --values window --window 620,40 --dtype u8
    values u16 0 '[even(65535 * linear(x, 615.5, 31)) for x in m]' --values window --window 615.5,31 --dtype u16
    values f32 0 '[f((x - 590) / 58) for x in m]' --values window --window auto
}

@test "dicom values: sizes by a triangle as wide as the scale" {
    values f64 1e-9 'resized(s, 3, 10)' --resize 3x10 --dtype f64
    values f64 1e-9 'resized(m, 11, 2)' --values modality --resize 11x2 --dtype f64
    values u16 0 '[even(x) for x in resized(s, 4, 4)]' --resize 4x4
    values f32 1e-6 '[f(x) for x in resized([linear(x, 620, 40) for x in m], 7, 7)]' --values window --window 620,40 --resize 7x7
}

@test "dicom values: the real world value map, when it is asked for" {
    make mapped mapped
    rm -r one && mv mapped one
    values i32 0 m --values modality
    values f32 0 '[f(0.25 * x + 1.5) for x in s]' --values modality --real-world
    python3 - <<'EOF'
import json
chain = json.loads(open("out").readline())["chain"]
assert any(c.get("slope") == 0.25 and c.get("intercept") == 1.5 for c in chain), chain
EOF
}
