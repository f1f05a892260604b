#!/usr/bin/env python3
"""What pydicom takes for the work of `dsprep dicom`: every object of a tar read, its pixels as an array, a walk over
all attributes that removes or replaces what the basic profile does. Nothing is written.

    dicompeer.py FILE.tar
"""
import hashlib
import io
import sys
import tarfile

import pydicom

TEXT = {"LO", "SH", "ST", "LT", "UT", "AE"}


def clean(ds, e):
    if e.tag.is_private:
        del ds[e.tag]
    elif e.VR == "PN":
        e.value = "ANONYMOUS"
    elif e.VR == "UI" and not str(e.value).startswith("1.2.840.10008."):
        e.value = "2.25.%d" % int.from_bytes(hashlib.sha256(str(e.value).encode()).digest()[:16], "big")
    elif e.VR == "DA":
        e.value = "19000101"
    elif e.VR == "TM":
        e.value = "000000"
    elif e.VR in TEXT:
        e.value = "REMOVED"


with tarfile.open(sys.argv[1]) as tar:
    for m in tar:
        if m.isfile():
            d = pydicom.dcmread(io.BytesIO(tar.extractfile(m).read()))
            d.pixel_array
            d.walk(clean)
