#!/usr/bin/env python3
"""Odd objects, as exports of archives hold them: what comes of each, and that nothing of the person comes out.

    dicom_odd.py DSPREP DIR [CASE...]

Nothing but the standard library is needed. Every case is a file of its own and what is expected: the values of its
image, "document" (a record without one), or the reason of which it is held or fails. Records and DICOM files are
searched for what the files say of people, who are made up.
"""
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
from makedicom import el, item  # noqa: E402

LITTLE, IMPLICIT, BIG, DEFLATED, RLE = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2",
                                        "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5")
CT, PDF, SR, KOS, GSPS, SEG, RTSTRUCT, RTPLAN, ECG = (
    "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.88.11",
    "1.2.840.10008.5.1.4.1.1.88.59", "1.2.840.10008.5.1.4.1.1.11.1", "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.481.3", "1.2.840.10008.5.1.4.1.1.481.5", "1.2.840.10008.5.1.4.1.1.9.1.1")
NAME, MRN, WHERE = "Quillfeather^Zebediah", "QX-7719283", "Thornbury Infirmary"
SECRET = re.compile(rb"quillfeather|zebediah|7719283|thornbury|1\.3\.6\.1\.55", re.I)
ROWS, COLS = 4, 6
PIXELS = [7 * i + 3 for i in range(ROWS * COLS)]


def words(v):
    return struct.pack("<%dH" % len(v), *v)


def implicit(tag, value):
    if isinstance(value, str):
        value = value.encode()
    value += b" " * (len(value) & 1)
    return struct.pack("<HHI", tag >> 16, tag & 0xffff, len(value)) + value


def raw(tag, vr, value):
    """As el, of any length and any VR."""
    return struct.pack("<HH", tag >> 16, tag & 0xffff) + vr.encode() + struct.pack("<H", len(value)) + value


def people(sop=CT, modality="CT"):
    return {0x00080016: el(0x00080016, "UI", sop), 0x00080018: el(0x00080018, "UI", "1.3.6.1.55.60.1"),
            0x00080020: el(0x00080020, "DA", "20190102"), 0x00080050: el(0x00080050, "SH", "A7719283"),
            0x00080060: el(0x00080060, "CS", modality), 0x00080080: el(0x00080080, "LO", WHERE),
            0x00100010: el(0x00100010, "PN", NAME), 0x00100020: el(0x00100020, "LO", MRN),
            0x0020000d: el(0x0020000d, "UI", "1.3.6.1.55.60.2"), 0x0020000e: el(0x0020000e, "UI", "1.3.6.1.55.60.3"),
            0x00200013: el(0x00200013, "IS", "1")}


def image(**kw):
    e = people(kw.get("sop", CT))
    for tag, v in ((0x00280002, 1), (0x00280010, ROWS), (0x00280011, COLS), (0x00280100, 16), (0x00280101, 16),
                   (0x00280102, 15), (0x00280103, 0)):
        e[tag] = el(tag, "US", v)
    e[0x00280004] = el(0x00280004, "CS", "MONOCHROME2")
    e[0x7fe00010] = el(0x7fe00010, "OW", words(PIXELS))
    return e


def with_(*more, without=(), base=None):
    """An image with other elements (bytes), and without some."""
    e = dict(base or image())
    for t in without:
        del e[t]
    for b in more:
        g, n = struct.unpack("<HH", b[:4])
        e[g << 16 | n] = b
    return b"".join(e[t] for t in sorted(e))


def part10(body, syntax=LITTLE, sop=CT, preamble=bytes(128), extra=b""):
    meta = (el(0x00020001, "OB", b"\0\1") + el(0x00020002, "UI", sop) + el(0x00020003, "UI", "1.3.6.1.55.60.1") +
            (el(0x00020010, "UI", syntax) if syntax else b"") + extra)
    return preamble + b"DICM" + el(0x00020000, "UL", len(meta)) + meta + body


def coded(*fragments, end=True):
    out = struct.pack("<HH2s2xI", 0x7fe0, 0x10, b"OB", 0xffffffff)
    for f in fragments:
        out += item(f)
    return out + (struct.pack("<HHI", 0xfffe, 0xe0dd, 0) if end else b"")


def rle(values):
    """Two segments of literal runs, high bytes first."""
    data = words(values)
    segments = []
    for plane in (data[1::2], data[0::2]):
        s = b"".join(bytes([len(plane[i:i + 128]) - 1]) + plane[i:i + 128] for i in range(0, len(plane), 128))
        segments.append(s + b"\0" * (len(s) & 1))
    offsets = [64, 64 + len(segments[0])] + [0] * 13
    return struct.pack("<16I", 2, *offsets) + b"".join(segments)


def long_vr(tag, vr, value, length=None):
    return struct.pack("<HH2s2xI", tag >> 16, tag & 0xffff, vr, len(value) if length is None else length) + value


def open_sequence(tag, *items, vr=b"SQ"):
    body = b"".join(struct.pack("<HHI", 0xfffe, 0xe000, 0xffffffff) + i + struct.pack("<HHI", 0xfffe, 0xe00d, 0)
                    for i in items)
    return long_vr(tag, vr, body + struct.pack("<HHI", 0xfffe, 0xe0dd, 0), 0xffffffff)


def code(tag, value, meaning):
    return el(tag, "SQ", item(el(0x00080100, "SH", value) + el(0x00080102, "SH", "DCM") + el(0x00080104, "LO", meaning)))


def document(sop, modality, *more):
    return part10(with_(*more, base=people(sop, modality)), sop=sop)


def swap(body):
    """Little to big endian, of an explicit data set of short VRs and OW."""
    out, at = b"", 0
    while at < len(body):
        g, e, vr = struct.unpack("<HH2s", body[at:at + 6])
        if vr == b"OW":
            n, = struct.unpack("<I", body[at + 8:at + 12])
            v, at = body[at + 12:at + 12 + n], at + 12 + n
            head = struct.pack(">HH2s2xI", g, e, vr, n)
        else:
            n, = struct.unpack("<H", body[at + 6:at + 8])
            v, at = body[at + 8:at + 8 + n], at + 8 + n
            head = struct.pack(">HH2sH", g, e, vr, n)
        if vr in (b"US", b"OW"):
            v = struct.pack(">%dH" % (n // 2), *struct.unpack("<%dH" % (n // 2), v))
        out += head + v
    return out


def deflate(body):
    z = zlib.compressobj(wbits=-15)
    return z.compress(body) + z.flush()


def groups_with_lengths():
    e, out = image(), b""
    for g in sorted({t >> 16 for t in e}):
        body = b"".join(e[t] for t in sorted(e) if t >> 16 == g)
        out += el(g << 16, "UL", len(body) + (4 if g == 8 else 0)) + body
    return out


VALUES = PIXELS
TWICE = PIXELS + PIXELS
REPORT = (el(0x0040a040, "CS", "CONTAINER") + el(0x0040a730, "SQ", item(
    el(0x0040a010, "CS", "CONTAINS") + el(0x0040a040, "CS", "TEXT") + el(0x0040a160, "UT", "Seen: Quillfeather, well."))))


def cases():
    c = {}
    # how it is written
    c["plain"] = VALUES, part10(with_())
    c["group_lengths"] = VALUES, part10(groups_with_lengths())
    c["group_lengths_wrong"] = VALUES, part10(groups_with_lengths().replace(struct.pack("<HH2sHI", 0x10, 0, b"UL", 4, 0)[:8],
                                                                            struct.pack("<HH2sH", 0x10, 0, b"UL", 4)))
    c["meta_length_wrong"] = VALUES, part10(with_())[:140] + struct.pack("<I", 9999) + part10(with_())[144:]
    c["meta_length_small"] = VALUES, part10(with_())[:140] + struct.pack("<I", 30) + part10(with_())[144:]
    c["meta_no_syntax"] = VALUES, part10(with_(), syntax=None)
    c["meta_names"] = VALUES, part10(with_(), extra=el(0x00020016, "AE", "QUILLFEATHER") +
                                     el(0x00020100, "UI", "1.3.6.1.55.9") + el(0x00020102, "OB", NAME.encode()))
    c["preamble_names"] = VALUES, part10(with_(), preamble=(NAME.encode() * 10)[:128])
    c["meta_none"] = VALUES, with_()
    c["meta_none_implicit"] = VALUES, b"".join(implicit(t, with_to_value(v)) for t, v in sorted(image().items()))
    c["big"] = VALUES, part10(swap(with_()), BIG)
    c["deflated"] = VALUES, part10(deflate(with_()), DEFLATED)
    c["deflated_tail"] = VALUES, part10(deflate(with_()) + b"\0", DEFLATED)
    c["odd_length"] = VALUES, part10(with_(raw(0x00080070, "LO", b"ACM"), raw(0x00100010, "PN", b"Quillfeather^Zeb")))
    c["vr_unknown"] = VALUES, part10(with_(long_vr(0x00100010, b"UN", NAME.encode() + b" "),
                                           long_vr(0x00100020, b"UN", MRN.encode())))
    c["vr_wrong"] = VALUES, part10(with_(el(0x00100010, "LO", NAME), el(0x00100020, "SH", MRN),
                                         el(0x00080050, "LO", "A7719283"), el(0x00280010, "SS", ROWS)))
    c["vr_blank"] = VALUES, part10(with_(raw(0x00102160, "  ", b"QUILLFEATHER")))
    c["vr_none_such"] = "damaged", part10(with_(raw(0x00102160, "ZZ", b"QUILLFEATHER")))
    said = el(0x0008103e, "LO", "Quillfeather, abdomen")  # a name that the second alone tells
    twice = el(0x00100010, "PN", "Nobody") + el(0x00100010, "PN", NAME)
    c["twice_name"] = VALUES, part10(with_(said).replace(el(0x00100010, "PN", NAME), twice))
    c["twice_big"] = VALUES, part10(swap(with_(said).replace(el(0x00100010, "PN", NAME), twice)), BIG)
    c["twice_within"] = VALUES, part10(with_(said, open_sequence(0x00081140, el(0x00081155, "UI", "1.3.6.1.55.8") + twice),
                                             without=[0x00100010]))
    c["twice_implicit"] = "document", part10(
        implicit(0x00080016, CT) + implicit(0x00080018, "1.3.6.1.55.60.1") + implicit(0x0008103e, "Quillfeather, abdomen") +
        implicit(0x00100010, "Nobody") + implicit(0x00100010, NAME), IMPLICIT)
    c["twice_pixels"] = VALUES, part10(with_() + el(0x7fe00010, "OW", words([0] * len(PIXELS))))
    c["name_behind_pixels"] = VALUES, part10(with_(without=[0x00100010]) + el(0x00100010, "PN", NAME))
    c["text_behind"] = "damaged", part10(with_()) + b"\r\n--boundary\r\nPatient: Quillfeather\r\n"
    c["zeros_behind"] = VALUES, part10(with_()) + bytes(1000)
    c["meta_within"] = VALUES, part10(el(0x00020003, "UI", "1.3.6.1.55.60.1") + with_())
    c["acr_nema"] = VALUES, with_(el(0x00080010, "LO", "ACR-NEMA 2.0"))
    c["cut_in_pixels"] = "damaged", part10(with_())[:-7]
    c["cut_in_header"] = "damaged", part10(with_())[:260]
    c["cut_in_meta"] = "damaged", part10(with_())[:150]
    # sequences
    private = el(0x00290010, "LO", "ACME") + el(0x00290011, "LO", "NOBODY")
    inner = el(0x00100010, "PN", NAME) + open_sequence(0x00081140, el(0x00081155, "UI", "1.3.6.1.55.8"))
    c["private_open"] = VALUES, part10(with_(private + open_sequence(0x00291010, inner, inner)))
    c["private_open_un"] = VALUES, part10(with_(private + open_sequence(
        0x00291010, implicit(0x00100010, NAME) + implicit(0x00291011, NAME), vr=b"UN")))
    c["private_no_creator"] = VALUES, part10(with_(el(0x00291010, "LO", NAME) + long_vr(0x00291111, b"UN", MRN.encode())))
    c["sequence_no_end"] = "damaged", part10(with_(base=people())) + open_sequence(0x50000010, inner)[:-8]
    c["sequence_empty"] = VALUES, part10(with_(el(0x00081110, "SQ", b""), open_sequence(0x00081140),
                                              el(0x00081115, "SQ", item(b""))))
    c["delimiter_with_length"] = VALUES, part10(with_(open_sequence(0x00081140, inner).replace(
        struct.pack("<HHI", 0xfffe, 0xe0dd, 0), struct.pack("<HHI", 0xfffe, 0xe0dd, 4))))
    c["items_at_top"] = "damaged", part10(with_() + item(el(0x00100010, "PN", NAME)))
    c["icon_overlay_curve"] = VALUES, part10(with_(
        el(0x00880200, "SQ", item(el(0x00280010, "US", 1) + el(0x7fe00010, "OW", NAME.encode() + b" "))),
        el(0x60003000, "OW", NAME.encode() + b" "), el(0x60004000, "LT", NAME), el(0x50003000, "OW", NAME.encode() + b" "),
        el(0xfffcfffc, "OB", NAME.encode() + b" ")))
    # values
    c["window_many"] = VALUES, part10(with_(el(0x00281050, "DS", "40\\300\\"), el(0x00281051, "DS", "400\\1500")))
    c["text_decimal_comma"] = VALUES, part10(with_(el(0x00280030, "DS", "0,7\\0,7")))
    c["text_too_long"] = VALUES, part10(with_(el(0x00081030, "LO", "x" * 300 + " Quillfeather"),
                                             el(0x00204000, "LT", "QX-7719283 " * 30)))
    c["text_with_nul"] = VALUES, part10(with_(el(0x0008103e, "LO", b"Head\0Quillfeather\0"),
                                             el(0x00100010, "PN", NAME.encode() + b"\0\0\0")))
    c["text_undeclared"] = VALUES, part10(with_(el(0x00081030, "LO", "Sch\u00e4del Quillfeather".encode("latin-1"))))
    c["text_bad_charset"] = VALUES, part10(with_(el(0x00080005, "CS", "ISO_IR 999"), el(0x00081030, "LO", "Quillfeather head")))
    c["uid_padded"] = VALUES, part10(with_(el(0x0020000d, "UI", "1.3.6.1.55.60.2 "), el(0x0020000e, "UI", b" 1.3.6.1.55.60.3\0")))
    c["uid_none"] = VALUES, part10(with_(without=[0x00080018, 0x0020000d, 0x0020000e]))
    c["patient_none"] = VALUES, part10(with_(without=[0x00100010, 0x00100020]))
    c["dates_bad"] = VALUES, part10(with_(el(0x00080020, "DA", "2019.01.02"), el(0x00080021, "DA", "Quillfea"),
                                         el(0x00080023, "DA", "20191399")))
    c["samples_missing"] = VALUES, part10(with_(without=[0x00280002]))
    c["representation_missing"] = VALUES, part10(with_(without=[0x00280103]))
    c["photometric_missing"] = VALUES, part10(with_(without=[0x00280004]))
    c["bits_impossible"] = "unsupported-bits", part10(with_(el(0x00280101, "US", 17)))
    c["rows_zero"] = "bad-geometry", part10(with_(el(0x00280010, "US", 0)))
    c["frames_zero"] = VALUES, part10(with_(el(0x00280008, "IS", "0")))
    c["frames_empty"] = VALUES, part10(with_(el(0x00280008, "IS", "")))
    c["frames_decimal"] = TWICE, part10(with_(el(0x00280008, "IS", "2.0"), el(0x7fe00010, "OW", words(TWICE))))
    c["frames_too_many"] = "frames-missing", part10(with_(el(0x00280008, "IS", "3")))
    c["frames_surplus"] = VALUES, part10(with_(el(0x7fe00010, "OW", words(TWICE))))
    c["pixels_empty"] = "frames-missing", part10(with_(el(0x7fe00010, "OW", b"")))
    c["pixels_none"] = "document", part10(with_(without=[0x7fe00010]))
    colour = image()
    for tag, v in ((0x00280002, 3), (0x00280006, 0), (0x00280100, 8), (0x00280101, 8), (0x00280102, 7)):
        colour[tag] = el(tag, "US", v)
    colour[0x00280004] = el(0x00280004, "CS", "YBR_FULL_422")
    full = bytes(7 * i % 251 for i in range(3 * ROWS * COLS))
    c["ybr_full_width"] = full, part10(with_(el(0x7fe00010, "OB", full), base=colour))
    pairs = bytes(v for i in range(0, len(full), 6) for v in (full[i], full[i + 3], full[i + 1], full[i + 2]))
    c["ybr_422"] = bytes(full[i // 6 * 6 + k if k else i] for i in range(0, len(full), 3) for k in (0, 1, 2)), part10(
        with_(el(0x7fe00010, "OB", pairs), base=colour))
    # encapsulated
    e = {t: v for t, v in image().items() if t != 0x7fe00010}
    two = with_(el(0x00280008, "IS", "2"), base=e)
    f = rle(PIXELS)
    c["rle_one"] = VALUES, part10(with_(base=e) + coded(b"", f), RLE)
    c["rle_two_no_table"] = TWICE, part10(two + coded(b"", f, f), RLE)
    c["rle_in_parts"] = VALUES, part10(with_(base=e) + coded(b"", f[:70], f[70:]), RLE)
    c["rle_two_unclear"] = "frames-unclear", part10(two + coded(b"", f[:70], f[70:], f), RLE)
    c["rle_two_table"] = TWICE, part10(two + coded(struct.pack("<II", 0, 16 + len(f)), f[:70], f[70:], f), RLE)
    c["rle_empty_fragment"] = "frames-unclear", part10(two + coded(b"", f, b"", f), RLE)
    c["rle_no_end"] = VALUES, part10(with_(base=e) + coded(b"", f, end=False), RLE)
    c["rle_table_wrong"] = "frames-unclear", part10(two + coded(struct.pack("<II", 0, 6), f[:70], f[70:], f), RLE)
    c["rle_nothing"] = "frames-missing", part10(with_(base=e) + coded(b""), RLE)
    c["coded_as_native"] = "unsupported-syntax", part10(with_(base=e) + coded(b"", f), LITTLE)
    # other objects
    c["structured_report"] = "document", document(SR, "SR", REPORT)
    c["key_objects"] = "document", document(KOS, "KO", REPORT)
    c["presentation_state"] = "document", document(
        GSPS, "PR", el(0x00700001, "SQ", item(el(0x00700008, "SQ", item(el(0x00700006, "ST", NAME))))),
        el(0x00700080, "CS", "A"), el(0x00700084, "PN", NAME))
    c["structure_set"] = "document", document(
        RTSTRUCT, "RTSTRUCT", el(0x30060002, "SH", "Quillfeather"), el(0x30060020, "SQ", item(
            el(0x30060022, "IS", "1") + el(0x30060026, "LO", "PTV Quillfeather"))),
        el(0x300e0008, "PN", NAME))
    c["plan"] = "document", document(RTPLAN, "RTPLAN", el(0x300a0002, "SH", "Quillfeather"), el(0x300a0003, "LO", NAME))
    c["waveform"] = "document", document(ECG, "ECG", el(0x54000100, "SQ", item(
        el(0x54001004, "US", 16) + el(0x54001010, "OW", NAME.encode() + b" "))))
    c["pdf"] = "encapsulated-document", document(PDF, "DOC", long_vr(0x00420011, b"OB", b"%PDF-1.4 Quillfeather "))
    bits = image(sop=SEG)
    for tag, v in ((0x00280100, 1), (0x00280101, 1), (0x00280102, 0)):
        bits[tag] = el(tag, "US", v)
    bits[0x7fe00010] = el(0x7fe00010, "OB", bytes([0x55, 0xaa, 0x0f, 0xff, 0, 0x81]))
    all_bits = [b >> k & 1 for b in (0x55, 0xaa, 0x0f, 0xff, 0, 0x81) for k in range(8)]
    c["segmentation"] = bytes(all_bits), part10(with_(el(0x00280008, "IS", "2"), el(0x00081115, "SQ", item(
        el(0x0020000e, "UI", "1.3.6.1.55.60.4"))), base=bits), sop=SEG)
    c["concatenation"] = VALUES, part10(with_(el(0x00209161, "UI", "1.3.6.1.55.61"), el(0x00209162, "US", 1),
                                             el(0x00200242, "UI", "1.3.6.1.55.62"), el(0x00209163, "US", 3)))
    # no objects
    c["empty"] = "not-dicom", b""
    c["text_file"] = "not-dicom", b"Quillfeather\n" * 100
    c["directory"] = "dicomdir", part10(el(0x00041130, "CS", "Q") + el(0x00041220, "SQ", item(
        el(0x00041430, "CS", "PATIENT") + el(0x00100010, "PN", NAME))), sop="1.2.840.10008.1.3.10")
    return c


def with_to_value(e):
    """The value of an element that el made."""
    return e[12:] if e[4:6] in (b"OB", b"OW", b"SQ", b"UN", b"UT") else e[8:]


def run(dsprep, path, out):
    made = subprocess.run([dsprep, "dicom", "-j", "1", "--json", "--deid", "basic,clean-descriptors,clean-structured-content",
                           "--burned-in", "pass", "--key-file", os.path.join(out, "key"), "--to-dicom",
                           os.path.join(out, "dicom"), path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    shown = subprocess.run([dsprep, "cat"], input=made.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return made, shown


def written(out):
    for base, _, names in os.walk(os.path.join(out, "dicom")):
        for n in names:
            p = os.path.join(base, n)
            with open(p, "rb") as f:
                yield p, f.read()
            os.remove(p)


def came_of(made, shown):
    """"document", the digest of the values, or the reason."""
    said = json.loads(made.stderr.splitlines()[-1])
    if said["records"]:
        row = json.loads(shown.stdout.splitlines()[0])
        return row["image"]["sha256"] if row.get("image") else "document"
    return list(said["held"] or said["failed"])[0]


def check(dsprep, name, want, data, out):
    path = os.path.join(out, name)
    with open(path, "wb") as f:
        f.write(data)
    made, shown = run(dsprep, path, out)
    bad = []
    if made.returncode not in (0, 3):
        return ["status %d: %s" % (made.returncode, made.stderr.decode(errors="replace"))]
    got = came_of(made, shown)
    if isinstance(want, str) and got != want:
        bad.append("%s, not %s" % (got, want))
    if isinstance(want, (list, bytes)):
        sha = hashlib.sha256(want if isinstance(want, bytes) else words(want)).hexdigest()
        if got != sha:
            bad.append("other values: %s" % got)
    for what, text in [("records", made.stdout), ("records", shown.stdout)] + list(written(out)):
        hit = SECRET.search(text)
        if hit:
            bad.append("%r in %s" % (hit.group(), what))
        if what != "records":
            with open(os.path.join(out, "again"), "wb") as f:
                f.write(text)
            made, shown = run(dsprep, os.path.join(out, "again"), out)
            if made.returncode != 0 or came_of(made, shown) != got:
                bad.append("what --to-dicom wrote reads otherwise: %s" % made.stderr.decode(errors="replace"))
            list(written(out))
    return bad


def main(argv):
    dsprep, out = argv[1:3]
    with open(os.path.join(out, "key"), "w") as f:
        f.write("%064d\n" % 7)
    os.chmod(os.path.join(out, "key"), 0o600)
    failed = 0
    all_cases = cases()
    for name in argv[3:] or all_cases:
        bad = check(dsprep, name, *all_cases[name], out)
        failed += len(bad)
        for b in bad:
            print("# %s: %s" % (name, b))
    print("%d odd files" % len(all_cases))
    return failed > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
