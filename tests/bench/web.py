#!/usr/bin/env python3
"""`dsprep text` of a crawl and of a mail box, beside what others take to read them: processor seconds and peak memory, one thread.

    web.py DSPREP [--mb N]

Makes a WARC of N megabytes (pages in UTF-8 and ISO-8859-1, a third of them chunked, a third gzipped, block and payload digests), the
same with a gzip member for each record, and a box of mail of N/4 (alternatives, quoted-printable and base64). warcio and fastwarc
decode what HTTP wrapped a page in and make no text of it; Python's email decodes headers and the body that a reader sees. Peers that
are not installed are left out.
"""
import argparse
import base64
import gzip
import hashlib
import os
import quopri
import random
import subprocess
import sys
import tempfile
import time

WARCIO = r"""
import sys
from warcio.archiveiterator import ArchiveIterator
n = size = 0
with open(sys.argv[1], "rb") as f:
    for r in ArchiveIterator(f):
        if r.rec_type == "response":
            n, size = n + 1, size + len(r.content_stream().read())
print(n, size)
"""

FASTWARC = r"""
import sys
from fastwarc.warc import ArchiveIterator, WarcRecordType
n = size = 0
with open(sys.argv[1], "rb") as f:
    for r in ArchiveIterator(f, record_types=WarcRecordType.response, auto_decode="all"):
        n, size = n + 1, size + len(r.reader.read())
print(n, size)
"""

EMAIL = r"""
import mailbox, sys
from email import policy, message_from_bytes
n = size = 0
box = mailbox.mbox(sys.argv[1])
for key in box.iterkeys():
    m = message_from_bytes(box.get_bytes(key), policy=policy.default)
    body = m.get_body(("plain", "html"))
    heads = [str(m[h]) for h in ("from", "to", "date", "subject", "message-id")]
    n, size = n + 1, size + len(body.get_content()) + sum(map(len, heads))
print(n, size)
"""


def words(r, n):
    return " ".join(r.choice(WORDS) for _ in range(n))


WORDS = ["".join(random.Random(i).choice("aeiourstlnmdépgü") for _ in range(2 + i % 9)) for i in range(4000)]


def page(r, n):
    rows = "".join("<p class=\"c%d\">%s</p>\n<ul><li><a href=\"/%d?x=1&amp;y=2\">%s</a></li></ul>\n"
                   % (i, words(r, 60), i, words(r, 4)) for i in range(r.randrange(20, 60)))
    return ("<!DOCTYPE html>\n<html><head><title>%s</title><script>var x = %d;</script></head>\n<body><nav>%s</nav>\n%s</body></html>\n"
            % (words(r, 5), n, words(r, 20), rows))


def sha1(b):
    return "sha1:" + base64.b32encode(hashlib.sha1(b).digest()).decode()


def response(r, n):
    latin = n % 4 == 0
    body = page(r, n).encode("iso-8859-1" if latin else "utf-8")
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=%s\r\n" % ("iso-8859-1" if latin else "utf-8")
    if n % 3 == 1:
        body = gzip.compress(body, 6, mtime=0)
        head += "Content-Encoding: gzip\r\n"
    payload = body
    if n % 3 == 2:
        body = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 8192]), body[i:i + 8192]) for i in range(0, len(body), 8192)) + b"0\r\n\r\n"
        head += "Transfer-Encoding: chunked\r\n"
        payload = body
    block = head.encode() + b"\r\n" + body
    return ("WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:%032x>\r\nWARC-Date: 2026-03-01T00:00:00Z\r\n"
            "WARC-Target-URI: http://example.org/%d\r\nContent-Type: application/http; msgtype=response\r\n"
            "WARC-Block-Digest: %s\r\nWARC-Payload-Digest: %s\r\nContent-Length: %d\r\n\r\n"
            % (n, n, sha1(block), sha1(payload), len(block))).encode() + block + b"\r\n\r\n"


def message(r, n):
    text = "\n".join(words(r, 12) for _ in range(r.randrange(10, 80))) + "\n"
    plain = quopri.encodestring(text.encode()) if n % 2 else base64.encodebytes(text.encode())
    html = base64.encodebytes(page(r, n).encode())
    return (b"From a@example.org Sun Mar  1 00:00:00 2026\nFrom: =?utf-8?q?J=C3=BCrg?= <a@example.org>\nTo: b@example.org, c@example.org\n"
            b"Date: Sun, 1 Mar 2026 01:02:03 +0100\nSubject: =?utf-8?b?" + base64.b64encode(words(r, 4).encode()) + b"?=\n"
            b"Message-ID: <%d@example.org>\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=\"b\"\n\n--b\n"
            b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: %s\n\n%s\n--b\n"
            b"Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64\n\n%s\n--b--\n\n"
            % (n, b"quoted-printable" if n % 2 else b"base64", plain, html))


def make(path, size, one, seed, packed=None):
    """Records until there are `size` bytes; `packed` gets the same, a gzip member each."""
    r, n, total = random.Random(seed), 0, 0
    with open(path, "wb") as f, open(packed or os.devnull, "wb") as z:
        while total < size:
            b = one(r, n)
            f.write(b)
            if packed:
                z.write(gzip.compress(b, 6, mtime=0))
            total, n = total + len(b), n + 1
    return n


def timed(*args):
    p = subprocess.Popen(args, stdout=subprocess.DEVNULL)
    _, status, use = os.wait4(p.pid, 0)
    return (use.ru_utime + use.ru_stime, use.ru_maxrss / 1024) if status == 0 else None


def report(what, dsprep, path, peers, runs):
    args = {"dsprep": (dsprep, "text", "-q", "-j", "1", path)}
    for name, (module, code) in peers.items():
        if subprocess.run((sys.executable, "-c", "import " + module), stderr=subprocess.DEVNULL).returncode == 0:
            args[name] = (sys.executable, "-c", code, path)
    best = {}
    for _ in range(runs):
        for name, a in args.items():
            got = timed(*a)
            if got is None:
                raise SystemExit("web.py: %s failed" % name)
            best[name] = min(best.get(name, got), got)
    mb = os.path.getsize(path) / 1e6
    for name, (secs, peak) in best.items():
        print("%-24s %-10s %7.2f s  %7.1f MB/s  %5.0f MB  %s" %
              (what, name, secs, mb / secs, peak, "" if name == "dsprep" else "%.2f x ours" % (secs / best["dsprep"][0])))


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("dsprep")
    ap.add_argument("--mb", type=int, default=400)
    ap.add_argument("--runs", type=int, default=int(os.environ.get("DS_BENCH_RUNS", "3")))
    a = ap.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", ".")) as d:
        crawl, packed, box = os.path.join(d, "crawl.warc"), os.path.join(d, "crawl.warc.gz"), os.path.join(d, "box.mbox")
        make(crawl, a.mb * 1e6, response, 1, packed)
        make(box, a.mb * 1e6 / 4, message, 2)
        readers = {"warcio": ("warcio", WARCIO), "fastwarc": ("fastwarc", FASTWARC)}
        report("crawl, plain", a.dsprep, crawl, readers, a.runs)
        report("crawl, a member a record", a.dsprep, packed, readers, a.runs)
        report("box of mail", a.dsprep, box, {"email": ("email", EMAIL)}, a.runs)


if __name__ == "__main__":
    main()
