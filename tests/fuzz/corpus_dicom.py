#!/usr/bin/env python3
"""Writes the corpus of fuzz_dicom: small DICOM files of every kind that the walk tells apart.

    tests/fuzz/corpus_dicom.py tests/fuzz/corpus/dicom
"""
import os
import struct
import sys

LONG = {b"OB", b"OW", b"OF", b"SQ", b"UC", b"UN", b"UR", b"UT"}


def el(tag, vr, value, implicit=False):
    value += (b"\0" if vr in (b"UI", b"OB", b"UN") else b" ") * (len(value) & 1)
    head = struct.pack("<HH", tag >> 16, tag & 0xffff)
    if implicit:
        return head + struct.pack("<I", len(value)) + value
    if vr in LONG:
        return head + vr + b"\0\0" + struct.pack("<I", len(value)) + value
    return head + vr + struct.pack("<H", len(value)) + value


def item(data):
    return struct.pack("<HHI", 0xfffe, 0xe000, len(data)) + data


def part10(body, ts=b"1.2.840.10008.1.2.1"):
    meta = el(0x00020003, b"UI", b"1.3.6.1.55.9") + el(0x00020010, b"UI", ts) + el(0x00020016, b"AE", b"DOES PACS")
    return bytes(128) + b"DICM" + meta + body


PATIENT = [(0x00080020, b"DA", b"20190102"), (0x00080050, b"SH", b"ACC88121"), (0x00080090, b"PN", b"Okonkwo^Chidi"),
           (0x0008103e, b"LO", b"Axial 1.25"), (0x00100010, b"PN", b"Doe^Jane"), (0x00100020, b"LO", b"MRN-5530917"),
           (0x00101010, b"AS", b"093Y"), (0x00104000, b"LT", b"Dr. Doe, 555-123-4567, 5 Jan 2019")]


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    files = {}
    body = b"".join(el(*e) for e in PATIENT)
    files["explicit"] = part10(body)
    files["implicit"] = part10(b"".join(el(*e, implicit=True) for e in PATIENT), b"1.2.840.10008.1.2")
    files["bare"] = body
    inner = el(0x00081155, b"UI", b"1.3.6.1.55.10") + el(0x00100010, b"PN", b"Doe^Jane")
    files["nested"] = part10(el(0x00080018, b"UI", b"1.3.6.1.55.9") +
                             el(0x00081140, b"SQ", item(inner + el(0x00081199, b"SQ", item(inner)))))
    files["private"] = part10(el(0x00090010, b"LO", b"ACME") + el(0x00091001, b"LO", b"Doe") +
                              el(0x00091002, b"SQ", item(inner)) + el(0x00190010, b"LO", b"SIEMENS MR HEADER") +
                              el(0x0019100c, b"IS", b"1000"))
    files["sr"] = part10(el(0x0040a730, b"SQ", item(
        el(0x0040a040, b"CS", b"TEXT") + el(0x0040a160, b"UT", b"Doe, seen 2019-01-02 by Dr. Smith")) + item(
            el(0x0040a123, b"PN", b"Okonkwo^Chidi") + el(0x0040a730, b"SQ", item(el(0x0040a124, b"UI", b"1.3.6.1.55.4"))))))
    for name, charset, text in [
            ("ir100", b"ISO_IR 100", "Jérôme".encode("latin1")), ("utf8", b"ISO_IR 192", "山田".encode()),
            ("gbk", b"GBK", "小东".encode("gbk")), ("ir87", b"\\ISO 2022 IR 87", "Y=山田^太郎".encode("iso2022_jp")),
            ("ir149", b"\\ISO 2022 IR 149", b"\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce"), ("ir13", b"ISO_IR 13", b"\xd4\xcf\xc0"),
            ("none", b"", b"\xe9\xff")]:
        files["charset_" + name] = part10(el(0x00080005, b"CS", charset) + el(0x00100010, b"PN", text))
    files["us"] = part10(el(0x00080060, b"CS", b"US") + el(0x00186011, b"SQ", item(
        b"".join(el(0x00186018 + 2 * k, b"UL", struct.pack("<I", 5 * k)) for k in range(4)))) + el(0x7fe00010, b"OB", b"ab"))
    files["overlay"] = part10(el(0x50003000, b"OW", b"abcd") + el(0x60003000, b"OW", b"Doe^Jane") +
                              el(0xfffcfffc, b"OB", b"Doe^Jane"))
    files["un"] = part10(el(0x00100010, b"UN", b"Doe^Jane") + el(0x00181000, b"UN", b"SN-7711"))
    files["done"] = part10(el(0x00080020, b"DA", b"20190102") + el(0x00120062, b"CS", b"YES") +
                           el(0x00280303, b"CS", b"MODIFIED"))
    px = struct.pack("<16H", *range(0, 16000, 1000))
    us = lambda n: struct.pack("<H", n)
    geometry = (el(0x00280002, b"US", us(1)) + el(0x00280004, b"CS", b"MONOCHROME2") + el(0x00280010, b"US", us(4)) +
                el(0x00280011, b"US", us(4)) + el(0x00280100, b"US", us(16)) + el(0x00280101, b"US", us(12)) +
                el(0x00280102, b"US", us(11)) + el(0x00280103, b"US", us(0)) + el(0x00281052, b"DS", b"-1024") +
                el(0x00281053, b"DS", b"0.5") + el(0x7fe00010, b"OW", px))
    head = el(0x00080016, b"UI", b"1.2.840.10008.5.1.4.1.1.2") + el(0x00080018, b"UI", b"1.3.6.1.55.9")
    ids = b"".join(el(*e) for e in PATIENT)
    series = el(0x0020000d, b"UI", b"1.3.6.1.55.1") + el(0x0020000e, b"UI", b"1.3.6.1.55.2")
    files["ct"] = part10(head + el(0x00080060, b"CS", b"CT") + ids + series + geometry)
    files["us_held"] = part10(head + el(0x00080060, b"CS", b"US") + ids + geometry)
    files["place_a"] = part10(head + el(0x00080080, b"LO", b"Lakeshore General") + series)
    files["place_b"] = part10(el(0x00080018, b"UI", b"1.3.6.1.55.7") + el(0x0008103e, b"LO", b"Lakeshore General chest"))
    files["odd_values"] = part10(el(0x00080008, b"CS", b"\\\\") + el(0x00080020, b"DA", b"2019\\20190230\\20190102") +
                                 el(0x0008002a, b"DT", b"20190102103000.5-0500") + el(0x00100010, b"PN", b"^^=^=") +
                                 el(0x0020000d, b"UI", b"1.2\\\\1.3.6.1.55.9"))
    for name, data in files.items():
        with open(os.path.join(out, name), "wb") as f:
            f.write(data)


main()
