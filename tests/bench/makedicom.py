#!/usr/bin/env python3
"""Writes DICOM objects for benchmarks and tests: nothing but the standard library is needed.

    makedicom.py ct COUNT ROWS DIR            COUNT slices of ROWS x ROWS x 16 bits, explicit VR, 100 a series
    makedicom.py scans COUNT ROWS DIR         the same, no two slices alike
    makedicom.py rewrite FROM TO              copies of them with three fields of their headers rewritten, to other lengths
    makedicom.py frames COUNT ROWS FILE       one object of COUNT frames; zero pixels, written sparsely
    makedicom.py wrap UID COUNT ROWS FILE CODED...   frames of 16 bits that are encoded already
    makedicom.py wrap8 ...                    the same, of 8 bits
    makedicom.py wrapall UID COUNT ROWS DIR CODED...   COUNT objects of one frame of 16 bits
    makedicom.py noise COUNT ROWS DIR         the pixels of `ct`, by themselves
"""
import os
import random
import struct
import sys

LONG = {"OB", "OW", "OF", "SQ", "UC", "UN", "UR", "UT"}
LITTLE = "1.2.840.10008.1.2.1"


def el(tag, vr, value):
    if isinstance(value, str):
        value = value.encode()
    elif isinstance(value, int):
        value = struct.pack("<H" if vr in ("US", "SS") else "<I", value)
    value += (b"\0" if vr in ("UI", "OB", "UN") else b" ") * (len(value) & 1)
    head = struct.pack("<HH2s", tag >> 16, tag & 0xffff, vr.encode())
    if vr in LONG:
        return head + b"\0\0" + struct.pack("<I", len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def item(data):
    return struct.pack("<HHI", 0xfffe, 0xe000, len(data)) + data


def code(value, scheme, meaning):
    return item(el(0x00080100, "SH", value) + el(0x00080102, "SH", scheme) + el(0x00080104, "LO", meaning))


def part10(body, syntax=LITTLE):
    meta = (el(0x00020001, "OB", b"\0\1") + el(0x00020002, "UI", "1.2.840.10008.5.1.4.1.1.2") +
            el(0x00020003, "UI", "1.3.6.1.55.9") + el(0x00020010, "UI", syntax) +
            el(0x00020012, "UI", "1.3.6.1.55.0") + el(0x00020016, "AE", "SCANNER7"))
    return bytes(128) + b"DICM" + el(0x00020000, "UL", len(meta)) + meta + body


def head(i, rows, frames=1, bits=16):
    """All that stands before the pixel data of slice i: what a scanner writes, private elements too."""
    series, patient = i // 100, i // 300
    uid = "1.3.6.1.55.%d" % (1000 + series)
    private = b"".join(el(0x00431000 + k, "LO", "0\\%d\\%d" % (k, k * 7)) for k in range(1, 60))
    ref = item(el(0x00081150, "UI", "1.2.840.10008.3.1.2.3.1") + el(0x00081155, "UI", "1.3.6.1.55.77.%d" % patient))
    return b"".join([
        el(0x00080005, "CS", "ISO_IR 100"), el(0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL"),
        el(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.2"), el(0x00080018, "UI", "%s.%d" % (uid, i)),
        el(0x00080020, "DA", "20190102"), el(0x00080021, "DA", "20190102"), el(0x00080022, "DA", "20190102"),
        el(0x00080023, "DA", "20190102"), el(0x00080030, "TM", "093000"), el(0x00080031, "TM", "093112"),
        el(0x00080032, "TM", "093113.%06d" % i), el(0x00080050, "SH", "ACC88%05d" % patient),
        el(0x00080060, "CS", "CT"), el(0x00080070, "LO", "ACME MEDICAL"), el(0x00080080, "LO", "Lakeshore General"),
        el(0x00080081, "ST", "12 Harbour Road"), el(0x00080090, "PN", "Okonkwo^Chidi"), el(0x00081010, "SH", "CTROOM4"),
        el(0x00081030, "LO", "CT THORAX"), el(0x0008103e, "LO", "Axial 1.25"), el(0x00081050, "PN", "Whitfield^Ann"),
        el(0x00081070, "PN", "Brandt^J"), el(0x00081090, "LO", "SpeedScan 64"), el(0x00081110, "SQ", ref),
        el(0x00081111, "SQ", ref), el(0x00090010, "LO", "ACME_IDEN_01"), el(0x00091001, "LO", "SCAN_%d" % i),
        el(0x00100010, "PN", "Vandersteen^Maarten%d" % patient), el(0x00100020, "LO", "MRN-55%05d" % patient),
        el(0x00100030, "DA", "19550312"), el(0x00100040, "CS", "M"), el(0x00101010, "AS", "063Y"),
        el(0x00101030, "DS", "81"), el(0x001021b0, "LT", "Seen by Dr. Whitfield on 2 Jan 2019, follow up"),
        el(0x00180022, "CS", "HELICAL MODE"), el(0x00180050, "DS", "1.25"), el(0x00180060, "DS", "120"),
        el(0x00180090, "DS", "500"), el(0x00181020, "LO", "07MW18.4"), el(0x00181030, "LO", "5.2 THORAX"),
        el(0x00181100, "DS", "360"), el(0x00181110, "DS", "949.075"), el(0x00181111, "DS", "541"),
        el(0x00181120, "DS", "0"), el(0x00181130, "DS", "133.5"), el(0x00181140, "CS", "CW"), el(0x00181150, "IS", "600"),
        el(0x00181151, "IS", "220"), el(0x00181152, "IS", "132"), el(0x00181160, "SH", "BODY FILTER"),
        el(0x00181170, "IS", "26400"), el(0x00181190, "DS", "1.2"), el(0x00181210, "SH", "STANDARD"),
        el(0x00185100, "CS", "FFS"), el(0x00190010, "LO", "ACME_ACQU_01"), el(0x00191002, "SL", 912),
        el(0x0020000d, "UI", "1.3.6.1.55.77.%d.1" % patient), el(0x0020000e, "UI", uid), el(0x00200010, "SH", "7712"),
        el(0x00200011, "IS", str(series + 1)), el(0x00200012, "IS", "1"), el(0x00200013, "IS", str(i % 100 + 1)),
        el(0x00200032, "DS", "-180\\-180\\%.2f" % (i % 100 * 1.25 - 60)), el(0x00200037, "DS", "1\\0\\0\\0\\1\\0"),
        el(0x00200052, "UI", "1.3.6.1.55.77.%d.2" % patient), el(0x00201040, "LO", "SN"),
        el(0x00201041, "DS", "%.2f" % (i % 100 * 1.25 - 60)), el(0x00280002, "US", 1),
        el(0x00280004, "CS", "MONOCHROME2")] + ([el(0x00280008, "IS", str(frames))] if frames > 1 else []) + [
        el(0x00280010, "US", rows), el(0x00280011, "US", rows), el(0x00280030, "DS", "0.703125\\0.703125"),
        el(0x00280100, "US", bits), el(0x00280101, "US", bits), el(0x00280102, "US", bits - 1),
        el(0x00280103, "US", 1 if bits == 16 else 0), el(0x00281050, "DS", "40"), el(0x00281051, "DS", "400"),
        el(0x00281052, "DS", "-1024"), el(0x00281053, "DS", "1"), el(0x00281054, "LO", "HU"),
        el(0x00321032, "PN", "Okonkwo^Chidi"), el(0x00321060, "LO", "CT thorax with contrast"),
        el(0x00321064, "SQ", code("CTTHX", "LOCAL", "CT thorax")), el(0x00400244, "DA", "20190102"),
        el(0x00400253, "SH", "7712-1"), el(0x00400275, "SQ", item(
            el(0x00400007, "LO", "CT thorax") + el(0x00400008, "SQ", code("CTTHX", "LOCAL", "CT thorax")) +
            el(0x00401001, "SH", "RP8812"))), el(0x00430010, "LO", "ACME_PARM_01"), private])


def noise(rows, seed):
    """A disc of tissue with noise in it: as hard to compress as a CT slice."""
    r = random.Random(seed)
    line = [struct.pack("<%dh" % rows, *(max(-1024, min(3000, int(r.gauss(40, 25)))) for _ in range(rows)))
            for _ in range(16)]
    air = struct.pack("<h", -1000) * rows
    out = []
    for y in range(rows):
        half = int(max(0, (rows * 0.45) ** 2 - (y - rows / 2) ** 2) ** 0.5)
        k, at = r.randrange(rows), rows // 2 - half
        l = line[r.randrange(16)]
        l = l[2 * k:] + l[:2 * k]
        out.append(air[:2 * at] + l[:4 * half] + air[2 * at + 4 * half:])
    return b"".join(out)


def write_ct(count, rows, folder):
    os.makedirs(folder, exist_ok=True)
    pixels = [noise(rows, k) for k in range(min(count, 20))]
    for i in range(count):
        with open(os.path.join(folder, "%06d.dcm" % i), "wb") as f:
            p = pixels[i % 20]
            f.write(part10(head(i, rows)) + el(0x7fe00010, "OW", p[2 * (i // 20):] + p[:2 * (i // 20)]))


def write_scans(count, rows, folder):
    os.makedirs(folder, exist_ok=True)
    pixels = [int.from_bytes(noise(rows, k), "little") for k in range(min(count, 20))]
    n = 2 * rows * rows
    low = int.from_bytes(b"\x0f\0" * (n // 2), "little")
    for i in range(count):
        p = pixels[i % 20] ^ (int.from_bytes(random.Random(i).randbytes(n), "little") & low)
        with open(os.path.join(folder, "%06d.dcm" % i), "wb") as f:
            f.write(part10(head(i, rows)) + el(0x7fe00010, "OW", p.to_bytes(n, "little")))


def rewrite(old, new):
    os.makedirs(new, exist_ok=True)
    for i, name in enumerate(sorted(os.listdir(old))):
        with open(os.path.join(old, name), "rb") as f:
            data = f.read()
        for tag, vr, was, now in ((0x00080080, "LO", "Lakeshore General", "Harbour Clinic North"),
                                  (0x00081030, "LO", "CT THORAX", "CT chest, routine"),
                                  (0x00100010, "PN", "Vandersteen^Maarten%d" % (i // 300), "Anonymous^%d" % (i // 300))):
            data = data.replace(el(tag, vr, was), el(tag, vr, now), 1)
        with open(os.path.join(new, name), "wb") as f:
            f.write(data)


def write_frames(count, rows, path):
    n = 2 * rows * rows * count
    with open(path, "wb") as f:
        f.write(part10(head(0, rows, count)) + struct.pack("<HH2s2xI", 0x7fe0, 0x10, b"OW", n))
        f.truncate(f.tell() + n)


def write_wrapped(syntax, count, rows, path, coded, bits, first=0):
    with open(path, "wb") as f:
        f.write(part10(head(first, rows, count, bits), syntax) + struct.pack("<HH2s2xI", 0x7fe0, 0x10, b"OB", 0xffffffff))
        f.write(item(b""))
        for i in range(count):
            with open(coded[i % len(coded)], "rb") as c:
                p = c.read()
            f.write(item(p + b"\0" * (len(p) & 1)))
        f.write(struct.pack("<HHI", 0xfffe, 0xe0dd, 0))


def main(argv):
    if argv[1] == "ct":
        write_ct(int(argv[2]), int(argv[3]), argv[4])
    elif argv[1] == "scans":
        write_scans(int(argv[2]), int(argv[3]), argv[4])
    elif argv[1] == "rewrite":
        rewrite(argv[2], argv[3])
    elif argv[1] == "frames":
        write_frames(int(argv[2]), int(argv[3]), argv[4])
    elif argv[1] in ("wrap", "wrap8"):
        write_wrapped(argv[2], int(argv[3]), int(argv[4]), argv[5], argv[6:], 16 if argv[1] == "wrap" else 8)
    elif argv[1] == "wrapall":
        os.makedirs(argv[5], exist_ok=True)
        for i in range(int(argv[3])):
            write_wrapped(argv[2], 1, int(argv[4]), os.path.join(argv[5], "%06d.dcm" % i), [argv[6 + i % len(argv[6:])]], 16, i)
    elif argv[1] == "noise":
        os.makedirs(argv[4], exist_ok=True)
        for i in range(int(argv[2])):
            with open(os.path.join(argv[4], "%03d.raw" % i), "wb") as f:
                f.write(noise(int(argv[3]), i))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv)
