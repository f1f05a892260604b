#!/usr/bin/env python3
"""DICOM files for the tests of dsprep dicom, and the digests that their records must have.

    dicom_make.py KIND DIR          writes the files of one kind into DIR
    dicom_make.py said FILE NAME BODY   a report about somebody of that name
    dicom_make.py sha TYPE NUMBER...  SHA-256 of numbers as little endian values (struct letters)
    dicom_make.py slices A B ...    SHA-256 of the stored values of slices A, B, ... of a series

Everybody in them is made up; names and numbers are the same everywhere, so that tests can look
for them: Doe^Jane, MRN-5530917.
"""
import hashlib
import os
import struct
import sys

LONG = {b"OB", b"OW", b"OF", b"SQ", b"UC", b"UN", b"UR", b"UT"}
ROWS, COLS = 6, 5
CT, SR, MR, CR = (b"1.2.840.10008.5.1.4.1.1.2", b"1.2.840.10008.5.1.4.1.1.88.11",
                  b"1.2.840.10008.5.1.4.1.1.4.1", b"1.2.840.10008.5.1.4.1.1.1")


def el(tag, vr, value):
    if isinstance(value, str):
        value = value.encode()
    value += (b"\0" if vr in (b"UI", b"OB", b"UN") else b" ") * (len(value) & 1)
    head = struct.pack("<HH", tag >> 16, tag & 0xffff)
    if vr in LONG:
        return head + vr + b"\0\0" + struct.pack("<I", len(value)) + value
    return head + vr + struct.pack("<H", len(value)) + value


def us(tag, v):
    return el(tag, b"US", struct.pack("<H", v))


def sq(tag, *items):
    return el(tag, b"SQ", b"".join(struct.pack("<HHI", 0xfffe, 0xe000, len(i)) + i for i in items))


def numbers(v):
    return "\\".join("%.10g" % x for x in v)


def write(where, name, sop, elems, ts=b"1.2.840.10008.1.2.1"):
    uid = [e for e in elems if e[:4] == struct.pack("<HH", 8, 0x18)][0][8:].rstrip(b"\0")
    meta = el(0x00020002, b"UI", sop) + el(0x00020003, b"UI", uid) + el(0x00020010, b"UI", ts)
    group = struct.pack("<HH", 2, 0) + b"UL" + struct.pack("<HI", 4, len(meta))
    elems = sorted(elems, key=lambda e: struct.unpack("<HH", e[:4]))
    os.makedirs(where, exist_ok=True)
    with open(os.path.join(where, name), "wb") as f:
        f.write(bytes(128) + b"DICM" + group + meta + b"".join(elems))


def head(sop, uid, series, modality, number=1):
    return [el(0x00080016, b"UI", sop), el(0x00080018, b"UI", uid), el(0x00080020, b"DA", "20190102"),
            el(0x00080060, b"CS", modality), el(0x00100010, b"PN", "Doe^Jane"), el(0x00100020, b"LO", "MRN-5530917"),
            el(0x0020000d, b"UI", "1.3.6.1.55.1"), el(0x0020000e, b"UI", series), el(0x00200011, b"IS", str(number))]


def pixels(k, rows=ROWS, cols=COLS):
    return [100 * k + i for i in range(rows * cols)]


def raster(values, rows=ROWS, cols=COLS, frames=0, slope=None):
    out = [us(0x00280002, 1), el(0x00280004, b"CS", "MONOCHROME2"), us(0x00280010, rows), us(0x00280011, cols),
           us(0x00280100, 16), us(0x00280101, 16), us(0x00280102, 15), us(0x00280103, 0),
           el(0x7fe00010, b"OW", struct.pack("<%dH" % len(values), *values))]
    if frames:
        out.append(el(0x00280008, b"IS", str(frames)))
    if slope:
        out += [el(0x00281052, b"DS", "%g" % slope[1]), el(0x00281053, b"DS", "%g" % slope[0])]
    return out


def slice_of(where, k, pos, series="1.3.6.1.55.2", uid=None, turn=0, orientation=(1, 0, 0, 0, 1, 0), acquisition=1,
             more=(), number=1, slope=None):
    uid = uid or "%s.%d" % (series, k + 1)
    name = hashlib.sha256(uid.encode()).hexdigest()[:12]  # the folder's order is no order
    write(where, name, CT, head(CT, uid, series, "CT", number) + [
        el(0x00200012, b"IS", str(acquisition)), el(0x00200013, b"IS", str(turn or 900 - k)),
        el(0x00180015, b"CS", "CHEST"),
        el(0x00200032, b"DS", numbers(pos)), el(0x00200037, b"DS", numbers(orientation)),
        el(0x00200052, b"UI", "1.3.6.1.55.3"), el(0x00280030, b"DS", "0.8\\0.7")] + list(more) +
        raster(pixels(k), slope=slope))


def diffusion(maker, b):
    def fl(tag, *v):
        return el(tag, b"FL", struct.pack("<%df" % len(v), *v))
    if maker == "siemens":  # of VR UN where a writer did not know the element
        return [el(0x00190010, b"LO", "SIEMENS MR HEADER"), el(0x0019100c, b"UN" if b else b"IS", str(b))] + (
            [el(0x0019100e, b"FD", struct.pack("<3d", 0.6, 0, -0.8))] if b else [])
    if maker == "ge":
        return [el(0x00180020, b"CS", "EP\\RM"), el(0x00430011, b"LO", "GEMS_PARM_01"),
                el(0x00431139, b"IS", "%d\\8\\0\\0" % (b and 1000000000 + b))]
    if maker == "ge-other":  # a spin echo has some number there, too
        return [el(0x00180020, b"CS", "SE"), el(0x00430010, b"LO", "GEMS_PARM_01"), el(0x00431039, b"IS", "%d\\0\\0\\0" % b)]
    if maker == "philips":
        return [el(0x20010010, b"LO", "Philips Imaging DD 001"), fl(0x20011003, b), el(0x20050010, b"LO", "PHILIPS MR IMAGING DD 001"),
                fl(0x200510b0, 0, 0), fl(0x200510b1, 1), fl(0x200510b2, 0)]
    if maker == "empty":  # the standard's are there and say nothing
        return diffusion("siemens", b) + [el(0x00189087, b"FD", b""), el(0x00189089, b"FD", b"")]
    return [el(0x00190010, b"LO", "SIEMENS MR HEADER"), el(0x0019100c, b"IS", "500"),  # the standard's own comes first
            el(0x00189087, b"FD", struct.pack("<d", b))]


def frames_of(where, shared_more=b""):
    """An enhanced object: two temporal positions of three slices, in an order of its own."""
    frames = [(t, z) for z in (2, 0, 1) for t in (2, 1)]
    groups = [sq(0x00209111, us(0x00209057, z + 1)[:0] + el(0x00209128, b"UL", struct.pack("<I", t))) +
              sq(0x00209113, el(0x00200032, b"DS", numbers((0, 0, 3 * z)))) for t, z in frames]
    shared = (sq(0x00209116, el(0x00200037, b"DS", "1\\0\\0\\0\\1\\0")) +
              sq(0x00289110, el(0x00280030, b"DS", "0.5\\0.5")) + shared_more)
    values = [v for t, z in frames for v in pixels(10 * t + z)]
    write(where, "enhanced", MR, head(MR, "1.3.6.1.55.8.1", "1.3.6.1.55.8", "MR") +
          [sq(0x52009229, shared), sq(0x52009230, *groups)] + raster(values, frames=len(frames)))


def code(tag, value, scheme, meaning):
    return sq(tag, el(0x00080100, b"SH", value) + el(0x00080102, b"SH", scheme) + el(0x00080104, b"LO", meaning))


def node(kind, concept, value=b"", *children):
    out = el(0x0040a010, b"CS", "CONTAINS") + el(0x0040a040, b"CS", kind) + code(0x0040a043, *concept) + value
    return out + (sq(0x0040a730, *children) if children else b"")


def text(s):
    return el(0x0040a160, b"UT", s)


def report(where, body="Lungs are clear. Seen by Dr. Doe."):
    size = node("NUM", ("410668003", "SCT", "Length"), sq(0x0040a300, code(0x004008ea, "mm", "UCUM", "millimeter") +
                                                        el(0x0040a30a, b"DS", "12.5")))
    parts = [node("TEXT", ("121109", "DCM", "Indications for Procedure"), text("Cough.")),
             node("CONTAINER", ("121070", "DCM", "Findings"), b"", node("TEXT", ("121071", "DCM", "Finding"), text(body)),
                  size),
             node("TEXT", ("99001", "99HERE", "Impression"), text("No <image> of pneumonia."))]
    write(where, "report", SR, head(SR, "1.3.6.1.55.5.1", "1.3.6.1.55.5", "SR", 9) +
          [el(0x0040a040, b"CS", "CONTAINER"), code(0x0040a043, "18748-4", "LN", "Report"), sq(0x0040a730, *parts)])


def said(path, name, body):
    uid = "1.3.6.1.55.40.%d" % (int(hashlib.sha256((name + body).encode()).hexdigest()[:8], 16))
    elems = [e for e in head(SR, uid, "1.3.6.1.55.40", "SR", 9) if e[:4] not in (
        struct.pack("<HH", 0x10, 0x10), struct.pack("<HH", 0x10, 0x20))]
    write(os.path.dirname(path) or ".", os.path.basename(path), SR, elems + [
        el(0x00100010, b"PN", name), el(0x00100020, b"LO", "MRN-" + uid[-7:]), el(0x0040a040, b"CS", "CONTAINER"),
        sq(0x0040a730, node("TEXT", ("1", "99X", "Body"), text(body)))])


def gbk(where):
    """A report in GBK that calls itself Latin-1; neither part of the name is three letters of that."""
    elems = [e for e in head(SR, "1.3.6.1.55.42.1", "1.3.6.1.55.42", "SR", 9) if e[:4] != struct.pack("<HH", 0x10, 0x10)]
    body = "患者王五复查, 无异常。".encode("gbk")
    write(where, "gbk", SR, elems + [
        el(0x00080005, b"CS", "ISO_IR 100"), el(0x00100010, b"PN", "王^五".encode("gbk")),
        el(0x0040a040, b"CS", "CONTAINER"), sq(0x0040a730, node("TEXT", ("1", "99X", "Body"), el(0x0040a160, b"UT", body)))])


def surplus(where):
    """Pixel data of three frames, one of which it says."""
    values = [v for k in range(3) for v in pixels(k)]
    write(where, "surplus", CT, head(CT, "1.3.6.1.55.41.1", "1.3.6.1.55.41", "CT") + raster(values, frames=1))


def plain_report(where):
    body = ("CT CHEST\r\nINDICATION: cough.\r\nTechnique: helical.\r\n\r\nFINDINGS:\r\nLUNGS: clear.\r\nHEART: normal. "
            "IMPRESSION: Normal.\r\nRECOMMENDATION: none.\r\n")
    write(where, "plain_report", SR, head(SR, "1.3.6.1.55.6.1", "1.3.6.1.55.6", "SR", 9) +
          [el(0x0040a040, b"CS", "CONTAINER"), sq(0x0040a730, node("TEXT", ("1", "99X", "Body"), text(body)))])


def make(kind, where):
    if kind == "plain":
        for k in range(5):
            slice_of(where, k, (-10, -20, 10 + 2.5 * k))
    elif kind == "gap":
        for k in (0, 1, 2, 5, 6):
            slice_of(where, k, (-10, -20, 10 + 2.5 * k))
    elif kind == "torn":  # three slices; the pixels of the second are cut off, and writing is said to be in the fourth
        for k in range(3):
            slice_of(where, k, (0, 0, 4 * k))
        path = os.path.join(where, hashlib.sha256(b"1.3.6.1.55.2.2").hexdigest()[:12])
        os.truncate(path, os.path.getsize(path) - 40)
        slice_of(where, 3, (0, 0, 12), more=[el(0x00280301, b"CS", "YES")])
        slice_of(where, 4, (0, 0, 16))
    elif kind == "double":
        for k in range(6):
            slice_of(where, k, (0, 0, 4 * (k % 3)), turn=k + 1)
    elif kind == "acquisitions":
        for k in range(6):
            slice_of(where, k, (0, 0, 4 * (k % 3)), turn=6 - k, acquisition=1 + k // 3)
    elif kind == "echoes":
        for k in range(6):
            slice_of(where, k, (0, 0, 4 * (k % 3)), more=[el(0x00180086, b"IS", str(1 + k // 3))])
    elif kind.startswith("diffusion-"):  # what a maker has in elements of its own
        maker = kind[len("diffusion-"):]
        for k in range(6):
            slice_of(where, k, (0, 0, 4 * (k % 3)), more=diffusion(maker, 0 if k < 3 else 800))
    elif kind == "mosaic":
        for k in range(2):
            slice_of(where, k, (0, 0, 4), more=[el(0x00080008, b"CS", "ORIGINAL\\PRIMARY\\M\\ND\\MOSAIC")])
    elif kind == "tilt":  # the table moves along z while slices are tilted about x
        for k in range(4):
            slice_of(where, k, (0, 0, 5 * k), orientation=(1, 0, 0, 0, 0.8, -0.6))
    elif kind == "enhanced":
        frames_of(where)
    elif kind == "sided":
        frames_of(where, sq(0x00209071, el(0x00209072, b"CS", "R")))
    elif kind == "study":
        make("plain", where)
        report(where)
        write(where, "cr", CR, head(CR, "1.3.6.1.55.7.1", "1.3.6.1.55.7", "CR", 3) +
              [el(0x00185101, b"CS", "PA"), el(0x00200062, b"CS", "L")] + raster(pixels(7)))
    elif kind == "report":
        report(where)
        plain_report(where)
    elif kind == "gbk":
        gbk(where)
    elif kind == "surplus":
        surplus(where)
    elif kind == "pet":  # every slice has its own scale, an empty one a scale of 1 or 0
        for k, slope in enumerate((0.5, 0.25, 1, 3, 0)):
            slice_of(where, k, (-10, -20, 10 + 2.5 * k), slope=(slope, 0))
    elif kind == "one":
        slice_of(where, 3, (-10, -20, 30), slope=(2, -10))
    elif kind == "profile":  # a profile of colours that says whose it is, in letters of one byte and of two
        said = b"desc" + bytes(8) + b"scan of DOE JANE, MRN-5530917" + bytes(3) + "Doe Jane".encode("utf-16-be")
        slice_of(where, 3, (-10, -20, 30), more=[el(0x00282000, b"OB", said)])
    elif kind == "ramp":  # a table of greys, and a patient who has a number that climbs as it does
        who = [e for e in head(CT, "1.3.6.1.55.9.1", "1.3.6.1.55.9", "CT") if e[:4] != struct.pack("<HH", 0x10, 0x20)]
        write(where, "ramp", CT, who + [el(0x00100020, b"LO", "12345678"), el(0x00281201, b"OW", bytes(range(256)))] +
              raster(pixels(3)))
    elif kind == "mapped":  # a real world value map beside slope and intercept
        real = (el(0x00409211, b"US", struct.pack("<H", 65535)) + el(0x00409216, b"US", struct.pack("<H", 0)) +
                el(0x00409224, b"FD", struct.pack("<d", 1.5)) + el(0x00409225, b"FD", struct.pack("<d", 0.25)))
        slice_of(where, 3, (-10, -20, 30), slope=(2, -10), more=[sq(0x00409096, real)])
    else:
        sys.exit("no such kind: " + kind)


def main():
    if sys.argv[1] == "sha":
        data = struct.pack("<%d%s" % (len(sys.argv) - 3, sys.argv[2]), *[
            float(v) if sys.argv[2] in "fd" else int(v) for v in sys.argv[3:]])
        print(hashlib.sha256(data).hexdigest())
    elif sys.argv[1] == "said":
        said(*sys.argv[2:5])
    elif sys.argv[1] == "slices":
        values = [v for k in sys.argv[2:] for v in pixels(int(k))]
        print(hashlib.sha256(struct.pack("<%dH" % len(values), *values)).hexdigest())
    else:
        make(sys.argv[1], sys.argv[2])


main()
