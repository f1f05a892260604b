#!/usr/bin/env bats
# dsprep dicom: columns, volumes, studies, reports, patches.

load dicom_common

# records KIND OPTION...: the records of made files, as lines of JSON, in `out`.
records() {
    local kind=$1
    shift
    [ -d "$kind" ] || make "$kind" "$kind"
    dsprep dicom -q --key-file key "$@" "$kind" >s.dsr
    dsprep check s.dsr >/dev/null
    dsprep head -n 1000 s.dsr >out
}

# field N MEMBER...: a member of record N (from 1), as JSON without spaces. All of them are written down once, a line each.
field() {
    [ flat -nt out ] || python3 - >flat <<'EOF'
import json
def walk(path, v):
    print(path, json.dumps(v, separators=(",", ":")), sep="\t")
    for k, x in v.items() if isinstance(v, dict) else ():
        walk(path + " " + k, x)
    for i, x in enumerate(v) if isinstance(v, list) else ():
        walk("%s %d" % (path, i), x)
        walk("%s %d" % (path, i - len(v)), x)
for n, line in enumerate(open("out"), 1):
    walk(str(n), json.loads(line))
EOF
    WANT=$* ABOVE=${*:1:$#-1} awk -F '\t' '
        $1 == ENVIRON["WANT"] { print $2; found = 1; exit }
        $1 == ENVIRON["ABOVE"] { known = 1 }
        END { if (!found && known) print "null"; exit !found && !known }' flat
}

is() { # is WANTED N MEMBER...
    local want=$1 got
    shift
    got=$(field "$@")
    [ "$got" = "$want" ] || { echo "$*: $got, not $want" && return 1; }
}

@test "dicom records: columns of an image" {
    records one --record image --values modality
    is '"image"' 1 kind
    is '"CT"' 1 modality
    is '"CHEST"' 1 body_part
    is '[0.8,0.7]' 1 spacing
    is '[-10,-20,30]' 1 position
    is '[1,0,0,0,1,0]' 1 orientation
    is '[0.7,0,0,-10,0,0.8,0,-20,0,0,0,30,0,0,0,1]' 1 affine
    is '"i32"' 1 image dtype # 2 v - 10 of 16 bits
    is "\"$(make sha i $(for i in $(seq 300 329); do echo $((2 * i - 10)); done))\"" 1 image sha256
    for c in study series; do field 1 $c | grep -q '"2\.25\.'; done
    field 1 patient | grep -qx '"[0-9a-f]\{24\}"'
    for c in laterality view volume members findings content; do is null 1 $c; done
}

@test "dicom records: slices with scales of their own are one volume, of a type that holds all" {
    records pet --record volume --values modality
    [ "$(wc -l <out)" -eq 1 ]
    is '"f64"' 1 image dtype # slices of whole numbers of 32 bits are among them
    is '[2.5,0.8,0.7]' 1 spacing
    is true 1 volume regular
    is "\"$(make sha d $(for k in 0 1 2 3 4; do for i in $(seq $((100 * k)) $((100 * k + 29))); do
        python3 -c "print($i * (0.5, 0.25, 1, 3, 1)[$k])"
    done; done))\"" 1 image sha256
    is '"f64"' 1 chain 2 -1 dtype
    records pet --record volume --values stored
    is '"u16"' 1 image dtype
}

@test "dicom records: an affine holds for the pixels that come out" {
    records one --resize 3x10
    is '[1.6,0.35]' 1 spacing
    # the first centre: half an old pixel in, half a new one out: -10 - 0.7 / 4, -20 + 0.8 / 2
    is '[-10.175,-19.6,30]' 1 position
}

@test "dicom records: what has no place gets none" {
    records study --record image --burned-in pass
    n=$(grep -n '"view":"PA"' out | cut -d: -f1)
    for c in spacing position orientation affine body_part; do is null "$n" $c; done
    is '"L"' "$n" laterality
    records mosaic --record volume # slices side by side: the position is of none of them
    [ "$(wc -l <out)" = 2 ]
    is '"image"' 1 kind
    is '[0.8,0.7]' 1 spacing
    for c in position affine volume; do is null 1 $c; done
}

@test "dicom volume: sorted by position, whatever the names and numbers" {
    records plain --record volume
    [ "$(wc -l <out)" = 1 ]
    is '[5,6,5]' 1 image shape
    is "\"$(make slices 0 1 2 3 4)\"" 1 image sha256
    is '[2.5,0.8,0.7]' 1 spacing
    is '[0.7,0,0,-10,0,0.8,0,-20,0,0,2.5,10,0,0,0,1]' 1 affine
    is '[-10,-20,10,-10,-20,12.5,-10,-20,15,-10,-20,17.5,-10,-20,20]' 1 position
    is '[]' 1 volume gaps
    dsprep info s.dsr | grep -q '5 sources' || dsprep check s.dsr | grep -q '5 sources'
}

@test "dicom volume: the same bytes for any order of files and any number of processes" {
    records study --record study --burned-in pass
    cp s.dsr first.dsr
    n=900
    for f in study/*; do cp "$f" "copy-$((n--))"; done
    dsprep dicom -q -j 5 --record study --burned-in pass --key-file key copy-* >t.dsr
    dsprep head -n 1000 t.dsr >out2
    cmp out out2
    dsprep dicom -q -j 1 --record study --burned-in pass --key-file key study >t.dsr
    cmp first.dsr t.dsr
    # an archive is no file that can be opened again: its members are kept
    tar cf a.tar -C study .
    dsprep dicom -q --record study --burned-in pass --key-file key - <a.tar | dsprep head -n 1000 >out2
    cmp out out2
}

@test "dicom volume: archives have a limit, by name of the series" {
    make plain plain
    tar cf a.tar -C plain .
    exits 1 bash -c 'dsprep dicom --record volume --spool-limit 2K --key-file key a.tar 2>&1 >s.dsr'
    has "--spool-limit" "series 2.25."
    dsprep dicom -q --record volume --spool-limit 2K --key-file key plain >s.dsr
}

@test "dicom volume: gaps are told of, and no affine is made up" {
    records gap --record volume
    is '[5,6,5]' 1 image shape
    is '[{"after":2,"mm":7.5,"missing":2}]' 1 volume gaps
    is false 1 volume regular
    is null 1 affine
    is '[0.8,0.7]' 1 spacing
}

@test "dicom volume: several slices at one place" {
    records double --record volume
    is "\"$(make slices 0 1 2)\"" 1 image sha256
    is "\"$(make slices 3 4 5)\"" 2 image sha256
    is '"occurrence"' 1 volume split_by
    is 3 1 volume doubled
    records acquisitions --record volume
    is "\"$(make slices 0 1 2)\"" 1 image sha256
    is '"acquisition"' 2 volume split_by
    records echoes --record volume
    is '{"echo":2}' 2 volume split
    is "\"$(make slices 3 4 5)\"" 2 image sha256
    is 0 2 volume doubled
}

@test "dicom volume: diffusion weighting that a maker keeps in private elements tells stacks apart" {
    records diffusion-siemens --record volume
    is '{"b_value":0}' 1 volume split
    is '{"b_value":800,"gradient":[0.6,0,-0.8]}' 2 volume split
    is "\"$(make slices 3 4 5)\"" 2 image sha256
    is 0 2 volume doubled
    is 800 2 meta DiffusionBValue
    is '[0.6,0,-0.8]' 2 meta DiffusionGradientOrientation
    [[ "$(cat out)" != *SIEMENS* ]]
    records diffusion-ge --record volume # a flag in the higher digits; zero there tells nothing
    is '{"b_value":800}' 1 volume split
    is '{}' 2 volume split
    records diffusion-philips --record volume
    is '{"b_value":800,"gradient":[0,1,0]}' 1 volume split
    is '{}' 2 volume split
    records diffusion-ge-other --record volume
    is '{}' 2 volume split
    is '"occurrence"' 2 volume split_by
    records diffusion-standard --record volume
    is '{"b_value":0}' 1 volume split
    is '{"b_value":800}' 2 volume split
    records diffusion-empty --record volume
    is '{"b_value":0}' 1 volume split
    is '{"b_value":800,"gradient":[0.6,0,-0.8]}' 2 volume split
    # one image by itself, and without de-identification
    dsprep dicom -q --deid none diffusion-siemens | dsprep head -n 10 >out
    [ "$(grep -c '"DiffusionBValue":800' out)" = 3 ]
    [ "$(grep -c '"DiffusionBValue":0' out)" = 3 ]
}

@test "dicom volume: a tilted gantry's shear is in the affine" {
    records tilt --record volume
    is '[0.7,0,0,0,0,0.6400000000000001,0,0,0,-0.48,5,0,0,0,0,1]' 1 affine
    is true 1 volume regular
}

@test "dicom volume: frames of an enhanced object" {
    records enhanced --record volume
    [ "$(wc -l <out)" = 2 ]
    is '{"temporal":1}' 1 volume split
    is "\"$(make slices 10 11 12)\"" 1 image sha256
    is "\"$(make slices 20 21 22)\"" 2 image sha256
    is '{"key":'"$(field 2 members 0 key)"',"frame":3}' 2 members 0
    records sided --record frame
    is '[0,0,6]' 1 position
    is '[0.5,0.5]' 6 spacing
    is '"R"' 6 laterality
}

@test "dicom volume: an object twice is held, a broken one leaves a gap" {
    make plain plain
    f=$(ls plain | head -1)
    cp "plain/$f" plain/again
    exits 0 bash -c 'dsprep dicom --record volume --key-file key --hold held plain 2>&1 >s.dsr'
    has "6 input = 5 output + 1 held + 0 failed; 1 record"
    [ ! -e held ]
    # other bytes under its name
    printf '\7' | dd of=plain/again bs=1 seek=$(($(stat -c %s plain/again) - 1)) conv=notrunc status=none
    exits 3 bash -c 'dsprep dicom --record volume --key-file key --hold held plain 2>&1 >s.dsr'
    has "6 input = 5 output + 1 held + 0 failed; 1 record"
    [ "$(ls held)" = duplicate-object ]
    # pixels cut off: known only when they are read
    rm plain/again
    for f in plain/*; do
        [ "$(dsprep dicom -q --key-file key "$f" | dsprep head | grep -c '15\]')" = 1 ] || continue
        head -c -40 "$f" >cut && mv cut "$f"
        break
    done
    exits 3 bash -c 'dsprep dicom --record volume --key-file key plain 2>&1 >s.dsr'
    dsprep head s.dsr >out
    is '[4,6,5]' 1 image shape
    is 5 1 volume gaps 0 mm
    is 1 1 volume lost
}

@test "dicom volume: what is left of a stack is measured by all of it, whatever becomes of the rest" {
    make torn torn
    exits 3 bash -c 'dsprep dicom --record volume --key-file key torn 2>&1 >s.dsr'
    has "5 input = 3 output + 1 held + 1 failed; 1 record"
    dsprep head s.dsr >out
    is "\"$(make slices 0 2 4)\"" 1 image sha256
    is 2 1 volume lost
    is false 1 volume regular
    is '[{"after":0,"mm":8,"missing":1},{"after":1,"mm":8,"missing":1}]' 1 volume gaps
    is null 1 affine
}

@test "dicom volume: nobody's name in it, and the search says so" {
    make study study
    dsprep dicom -q --record study --burned-in pass --deid basic,clean-structured-content --key-file key \
        --report r.json -o sh study
    ! grep -aiE 'jane|5530917|1\.3\.6\.1\.55' sh/*.dsr r.json || return 1
    grep -q '"hits":\[\]' r.json
}

@test "dicom study: volumes, images and reports, and one record of them" {
    records study --record study --burned-in pass --deid basic,clean-structured-content
    [ "$(wc -l <out)" = 4 ]
    is '"study"' 4 kind
    is "$(field 1 study)" 4 key
    is '"volume"' 4 members 0 kind
    is "$(field 1 key)" 4 members 0 key
    is "$(field 1 image sha256)" 4 members 0 sha256
    is '"document"' 4 members 2 kind
    is '"Cough."' 4 indication
    is '"Lungs are clear. Seen by Dr. [NAME].\nLength: 12.5 millimeter"' 4 findings
    field 4 meta StudyInstanceUID | grep -q '"2\.25\.'
    is null 4 meta Modality
}

@test "dicom report: rows, and sections by code, by meaning and by heading" {
    records report --deid basic,clean-structured-content
    is '"1.2.2"' 2 content 4 path
    is 12.5 2 content 4 value
    is '"mm"' 2 content 4 unit
    is '"410668003"' 2 content 4 code
    is '"No <image> of pneumonia."' 2 impression
    is '"cough."' 1 indication
    is '"helical."' 1 technique
    is '"LUNGS: clear.\r\nHEART: normal."' 1 findings
    is '"Normal."' 1 impression
    is null 1 comparison
}

@test "dicom patches: grid, mask, count, and pixels in their places" {
    records one --patches 4
    is '[4,16]' 1 patches shape
    is '[1,2,2]' 1 grid
    is 4 1 count
    is '"<image><image><image><image>"' 1 text
    # 6 x 5 in patches of 4 x 4, computed another way
    is "\"$(python3 -c '
import hashlib, struct
px = lambda y, x: 300 + 5 * y + x if y < 6 and x < 5 else 0
v = [px(4 * p + y, 4 * q + x) for p in (0, 1) for q in (0, 1) for y in range(4) for x in range(4)]
print(hashlib.sha256(struct.pack("<64H", *v)).hexdigest())')\"" 1 patches sha256
    is "\"$(python3 -c '
import hashlib
v = [4 * p + y < 6 and 4 * q + x < 5 for p in (0, 1) for q in (0, 1) for y in range(4) for x in range(4)]
print(hashlib.sha256(bytes(v)).hexdigest())')\"" 1 mask sha256
    exits 2 dsprep dicom --key-file key --patches 4 --placeholder 'a b' one
    has "--placeholder"
}

@test "dicom patches: tokens of placeholders are as many as patches, and a report makes none" {
    python3 - "$TOKENIZER" <<'EOF'
import json, sys
t = json.load(open(sys.argv[1]))
ids = [i for i in t["model"]["vocab"].values()] + [a["id"] for a in t["added_tokens"]]
t["added_tokens"].append({"id": max(ids) + 1, "content": "<image>", "single_word": False, "lstrip": False,
                          "rstrip": False, "normalized": False, "special": True})
json.dump(t, open("tok.json", "w"))
print(max(ids) + 1, file=open("id", "w"))
EOF
    make study study
    dsprep dicom -q --record study --burned-in pass --deid basic,clean-structured-content --patches 4 --key-file key study |
        dsprep tokenize -q -t tok.json >t.dsr
    dsprep check t.dsr
    dsprep head -n 10 t.dsr >out
    python3 - <<'EOF'
import json
image = int(open("id").read())
for r in map(json.loads, open("out")):
    n = r["tokens"].count(image) if r["tokens"] else 0
    assert n == (r["count"] or 0), (r["key"], n, r["count"])
    assert r["kind"] != "document" or "< image>" in r["text"]
    assert r["kind"] != "study" or n == 24
EOF
}

@test "dicom preview: sheets by pseudonym, with the values of the records" {
    make study study
    dsprep dicom -q --record volume --burned-in pass --key-file key --preview sheets --patches 4 study >s.dsr
    [ "$(ls sheets | wc -l)" = 2 ]
    [ -z "$(ls sheets | grep -v '^2\.25\.[0-9_]*\.png$')" ]
    ! grep -aiE 'jane|5530917|1\.3\.6\.1\.55' sheets/* || return 1
    dsprep dicom -q --record volume --burned-in pass --key-file key --preview again --patches 4 study >s.dsr
    diff -r sheets again
    [ "$(ls -A sheets)" = "$(ls sheets)" ]
    # one image of 6 x 5: 14 x 13 pixels with its frame, least black, greatest white
    python3 - sheets/*[0-9].png <<'EOF'
import struct, sys, zlib
def read(path):
    b = open(path, "rb").read()
    assert b[:8] == b"\x89PNG\r\n\x1a\n"
    at, data, size = 8, b"", None
    while at < len(b):
        n, kind = struct.unpack(">I4s", b[at:at + 8])
        body = b[at + 8:at + 8 + n]
        assert struct.unpack(">I", b[at + 8 + n:at + 12 + n])[0] == zlib.crc32(kind + body)
        if kind == b"IHDR":
            size = struct.unpack(">II", body[:8])
        if kind == b"IDAT":
            data += body
        at += 12 + n
    w, h = size
    raw, rows, above = zlib.decompress(data), [], bytes(3 * w)
    for y in range(h):
        f, line = raw[y * (3 * w + 1)], bytearray(raw[y * (3 * w + 1) + 1:(y + 1) * (3 * w + 1)])
        for i in range(3 * w):
            a, u, c = line[i - 3] if i > 2 else 0, above[i], above[i - 3] if i > 2 else 0
            p = min((abs(u - c), 0, a), (abs(a - c), 1, u), (abs(a + u - 2 * c), 2, c))[2]
            line[i] = (line[i] + (0, a, u, (a + u) // 2, p)[f]) & 255
        rows.append(bytes(line))
        above = rows[-1]
    return w, h, rows
found = False
for path in sys.argv[1:]:
    w, h, rows = read(path)
    assert h == 14 and w in (13, 5 * 9 + 4), (w, h)
    at = lambda y, x: tuple(rows[y][3 * x:3 * x + 3])
    assert at(0, 0) == (64, 64, 64) and at(4, 4) == (0, 0, 0) and at(9, 8) == (255, 255, 255), path
    assert at(4, 5) == (9, 9, 9)  # 1 of 29
EOF
}

@test "dicom deid: clean-visual-features holds what may show a face" {
    make plain plain
    make enhanced plain # nobody knows of what
    exits 3 bash -c 'dsprep dicom --deid basic,clean-visual-features --burned-in pass --key-file key --hold held plain 2>&1 >s.dsr'
    [ "$(ls held)" = recognizable-features ]
    has "6 input = 5 output + 1 held + 0 failed"
    # nothing was taken out of an image, and nothing says so
    ! dsprep cat s.dsr | grep -E '"CodeValue":"11310[12]"' || return 1
    dsprep cat s.dsr | grep -q '"CodeValue":"113100"'
}
