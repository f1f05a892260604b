#!/usr/bin/env python3
"""A small S3 for tests, on loopback: objects are files in DIR/data/BUCKET/KEY, and it misbehaves on demand.

    fakes3.py DIR [PEM]  writes the port to DIR/port when it listens; ends when DIR/stop appears or its
                         parent does not live any more. PEM: a certificate and its key, to be asked over TLS

Signatures are checked (version 4, keys AK / SK), bodies against x-amz-content-sha256. Listings have
PAGE keys a page (environment, default 1000). The clock is SKEW seconds ahead (environment). DIR/log gets a line a request: METHOD PATH?QUERY STATUS.

DIR/faults: a line a rule, METHOD REGEX WHAT TIMES [SKIP [NAME]]; the regular expression is looked for in PATH?QUERY. It works TIMES times after
it would have SKIP times, counted for each line of its own (NAME makes two differ). WHAT:
    500 503 403 ...   that status, with an <Error>
    drop              the connection is closed without an answer; lost: the same after it was done
    truncate          half of the body, then the connection is closed
    reset             half of the body, and then a reset; without a body it comes at once
    flip              a byte of the body is another
    short, long       less of the body, or more, with a length to it
    norange           the whole object instead of the range
    stale             a listing lacks what came last; ghost: it has a pack that is not there
    slow              503 and a time after which to come again
    lie               200, but nothing is stored
    half              200, but half of it is stored; flip of a part: a byte of it is another
    xml:TEXT          200 and this text
    die               the server ends at once
    hold:NAME         DIR/NAME is made, and the request is looked at when that is gone
    late:NAME         the same after it was done and before it is answered; around:NAME both
"""
import hashlib
import hmac
import io
import os
import re
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse
from datetime import datetime, timezone
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

ROOT = os.path.abspath(sys.argv[1])
DATA = os.path.join(ROOT, "data")
PAGE = int(os.environ.get("PAGE", "1000"))
SKEW = int(os.environ.get("SKEW", "0"))
KEY, SECRET = "AK", "SK"
LOCK = threading.Lock()
USED = {}
UPLOADS = {}


def rules():
    try:
        with open(os.path.join(ROOT, "faults")) as f:
            return [(r.split() + ["0"])[:5] + [r] for r in f.read().splitlines() if r.strip()]
    except FileNotFoundError:
        return []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    late = None
    lost = False

    def log_message(self, *args):
        pass

    def date_time_string(self, timestamp=None):
        return formatdate(time.time() + SKEW, usegmt=True)

    # ---- answers

    def note(self, status):
        with LOCK, open(os.path.join(ROOT, "log"), "a") as f:
            f.write("%s %s %s\n" % (self.command, self.path, status))

    def wait(self, name):
        path = os.path.join(ROOT, name)
        with open(path, "w") as f:
            f.write("held\n")
        while os.path.exists(path):
            time.sleep(0.005)

    def answer(self, status, body=b"", headers=(), fault=None):
        if self.late:
            self.wait(self.late)
            self.late = None
        if self.lost:
            self.note("lost")
            self.lost = False
            self.close_connection = True
            return
        self.note(status)
        if fault == "flip" and body:
            at = len(body) // 2
            body = body[:at] + bytes([body[at] ^ 0x20]) + body[at + 1:]
        if fault == "short":
            body = body[:len(body) - len(body) // 3 - 1]
        if fault == "long":
            body += b"and more"
        self.send_response(status)
        for k, v in headers:
            self.send_header(k, v)
        if not any(k == "Content-Length" for k, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and fault in ("truncate", "reset"):
            self.wfile.write(body[:len(body) // 2])
            self.wfile.flush()
            self.close_connection = True
            if fault == "reset":
                self.reset()
        elif self.command != "HEAD":
            self.wfile.write(body)

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.wfile = io.BytesIO()
        self.rfile = io.BytesIO()

    def error(self, status, code, message="as the test asked for"):
        body = "<?xml version='1.0'?><Error><Code>%s</Code><Message>%s</Message></Error>" % (code, message)
        self.answer(status, b"" if self.command == "HEAD" else body.encode())

    # ---- who asks

    def signed(self, body):
        auth = self.headers.get("Authorization", "")
        m = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, "
                         r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})", auth)
        if not m or m.group(1) != KEY:
            return "InvalidAccessKeyId"
        day, region, names = m.group(2), m.group(3), m.group(4).split(";")
        if names != sorted(names) or "host" not in names or "x-amz-date" not in names:
            return "AccessDenied"
        said = datetime.strptime(self.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        if abs(said.timestamp() - time.time() - SKEW) > 900:
            return "RequestTimeTooSkewed"
        payload = self.headers["x-amz-content-sha256"]
        if payload != hashlib.sha256(body).hexdigest():
            return "XAmzContentSHA256Mismatch"
        path, _, query = self.path.partition("?")
        lines = [self.command, path, query]
        lines += ["%s:%s" % (k, " ".join(self.headers[k].split())) for k in names]
        canonical = "\n".join(lines + ["", ";".join(names), payload])
        text = "\n".join(["AWS4-HMAC-SHA256", self.headers["x-amz-date"],
                          "%s/%s/s3/aws4_request" % (day, region),
                          hashlib.sha256(canonical.encode()).hexdigest()])
        k = ("AWS4" + SECRET).encode()
        for part in (day, region, "s3", "aws4_request", text):
            k = hmac.new(k, part.encode(), hashlib.sha256).digest()
        return None if k.hex() == m.group(5) else "SignatureDoesNotMatch"

    def fault(self):
        for method, pattern, what, times, skip, key in rules():
            if method in ("ANY", self.command) and re.search(pattern, self.path):
                with LOCK:
                    USED[key] = USED.get(key, 0) + 1
                    if int(skip) < USED[key] <= int(skip) + int(times):
                        return what
        return None

    # ---- requests

    def handle_any(self):
        n = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(n)
        what = self.fault()
        word, _, name = (what or "").partition(":")
        if word in ("hold", "around"):
            self.wait(name)
        if word in ("late", "around"):
            self.late = name
        self.lost = what == "lost"
        if word in ("hold", "late", "around", "lost"):
            what = None
        if what == "die":
            os._exit(0)
        if what == "drop":
            self.note("drop")
            self.close_connection = True
            return
        if what == "reset" and self.command != "GET":
            self.note("reset")
            self.close_connection = True
            return self.reset()
        if what == "slow":
            body = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
            return self.answer(503, b"" if self.command == "HEAD" else body, [("Retry-After", "1")])
        if what and what.isdigit():
            return self.error(int(what), "Fault" + what)
        if what and what.startswith("xml:"):
            return self.answer(200, urllib.parse.unquote(what[4:]).encode())
        bad = self.signed(body)
        if bad:
            return self.error(403, bad)
        path, _, query = self.path.partition("?")
        query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        bucket, _, key = urllib.parse.unquote(path[1:]).partition("/")
        if not os.path.isdir(os.path.join(DATA, bucket)):
            return self.error(404, "NoSuchBucket")
        getattr(self, "s3_" + self.command)(bucket, key, query, body, what)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

    def file(self, bucket, key):
        return os.path.join(DATA, bucket, key)

    def s3_GET(self, bucket, key, query, body, what):
        if not key:
            return self.listing(bucket, query, what)
        if "uploadId" in query:
            return self.parts(query)
        try:
            with open(self.file(bucket, key), "rb") as f:
                data = f.read()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return self.error(404, "NoSuchKey")
        m = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not m or what == "norange":
            return self.answer(200, data, fault=what)
        if int(m.group(1)) >= len(data):
            return self.error(416, "InvalidRange")
        self.answer(206, data[int(m.group(1)):int(m.group(2)) + 1], fault=what)

    def s3_HEAD(self, bucket, key, query, body, what):
        try:
            size = os.path.getsize(self.file(bucket, key))
        except (FileNotFoundError, NotADirectoryError):
            return self.error(404, "NoSuchKey")
        self.answer(200, headers=[("Content-Length", str(size))])

    def s3_DELETE(self, bucket, key, query, body, what):
        if "uploadId" in query:
            UPLOADS.pop(query["uploadId"], None)
        else:
            try:
                os.unlink(self.file(bucket, key))
            except FileNotFoundError:
                pass
        self.answer(204)

    def store(self, bucket, key, data, what):
        if what == "lie":
            return 200
        path = self.file(bucket, key)
        with LOCK:
            there = os.path.exists(path)
            if self.headers.get("If-None-Match") == "*" and there:
                return 412
            etag = '"%s"' % hashlib.md5(open(path, "rb").read()).hexdigest() if there else None
            if self.headers.get("If-Match") not in (None, etag):
                return 412
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path + "~", "wb") as f:
                f.write(data[:len(data) // 2] if what == "half" else data)
            os.replace(path + "~", path)
        return 200

    def s3_PUT(self, bucket, key, query, body, what):
        etag = [("ETag", '"%s"' % hashlib.md5(body).hexdigest())]
        if "partNumber" in query:
            if query["uploadId"] not in UPLOADS:
                return self.error(404, "NoSuchUpload")
            if what == "flip":
                body = bytes([body[0] ^ 0x20]) + body[1:]
            UPLOADS[query["uploadId"]][int(query["partNumber"])] = body
            return self.answer(200, headers=etag)
        status = self.store(bucket, key, body, what)
        if status != 200:
            return self.error(status, "PreconditionFailed")
        self.answer(200, headers=etag)

    def s3_POST(self, bucket, key, query, body, what):
        if "uploads" in query:
            name = "upload-%d" % (len(UPLOADS) + int(time.time() * 1e6))
            UPLOADS[name] = {"key": key, "began": time.time()}
            return self.answer(200, ("<InitiateMultipartUploadResult><UploadId>%s</UploadId>"
                                     "</InitiateMultipartUploadResult>" % name).encode())
        parts = UPLOADS.get(query.get("uploadId"))
        if parts is None:
            return self.error(404, "NoSuchUpload")
        said = re.findall(r"<PartNumber>(\d+)</PartNumber><ETag>\"([0-9a-f]{32})\"</ETag>", body.decode())
        for number, etag in said:
            if hashlib.md5(parts.get(int(number), b"")).hexdigest() != etag:
                return self.error(400, "InvalidPart")
        if any(len(parts[int(n)]) < 5 << 20 for n, _ in said[:-1]):
            return self.error(400, "EntityTooSmall")
        status = self.store(bucket, key, b"".join(parts[int(n)] for n, _ in said), what)
        if status != 200:
            return self.error(status, "PreconditionFailed")
        UPLOADS.pop(query["uploadId"])
        self.answer(200, b"<CompleteMultipartUploadResult><Key>k</Key></CompleteMultipartUploadResult>")

    def pages(self, root, entries, names, at, what=None):
        """One page of entries, (place, text), after the place `at`; names: those of the next one's."""
        left = [e for e in sorted(entries) if e[0] > at]
        out = ["<%s><IsTruncated>%s</IsTruncated>" % (root, "true" if len(left) > PAGE else "false")]
        out += [text for _, text in left[:PAGE]]
        if len(left) > PAGE:
            out += ["<%s>%s</%s>" % (n, escape(str(v)), n) for n, v in zip(names, left[PAGE - 1][0])]
        self.answer(200, ("".join(out) + "</%s>" % root).encode(), fault=what)

    def uploads(self, query, what):
        under_way = [((u["key"], name), "<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiator><ID>AK</ID></Initiator>"
                      "<Initiated>%s</Initiated></Upload>"
                      % (escape(u["key"]), name, time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(u["began"]))))
                     for name, u in UPLOADS.items() if u["key"].startswith(query.get("prefix", ""))]
        self.pages("ListMultipartUploadsResult", under_way, ("NextKeyMarker", "NextUploadIdMarker"),
                   (query.get("key-marker", ""), query.get("upload-id-marker", "")), what)

    def parts(self, query):
        if query["uploadId"] not in UPLOADS:
            return self.error(404, "NoSuchUpload")
        parts = [((n,), "<Part><PartNumber>%d</PartNumber><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                  "<ETag>&quot;%s&quot;</ETag><Size>%d</Size></Part>" % (n, hashlib.md5(body).hexdigest(), len(body)))
                 for n, body in UPLOADS[query["uploadId"]].items() if isinstance(n, int)]
        self.pages("ListPartsResult", parts, ("NextPartNumberMarker",), (int(query.get("part-number-marker", 0)),))

    def listing(self, bucket, query, what):
        prefix, keys = query.get("prefix", ""), []
        if "uploads" in query:
            return self.uploads(query, what)
        top = os.path.join(DATA, bucket)
        for folder, _, files in os.walk(top):
            for f in files:
                keys.append(os.path.relpath(os.path.join(folder, f), top))
        keys = sorted(k for k in keys if k.startswith(prefix) and not k.endswith("~"))
        keys = [k for k in keys if k > query.get("continuation-token", "")]
        if what == "stale" and keys:
            keys.remove(max(keys, key=lambda k: os.stat(os.path.join(top, k)).st_mtime_ns))
        out = ["<?xml version='1.0' encoding='UTF-8'?>",
               "<ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>"]
        for k in keys[:PAGE]:
            st = os.stat(os.path.join(top, k))
            when = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(st.st_mtime))
            out.append("<Contents><Key>%s</Key><LastModified>%s</LastModified><Size>%d</Size></Contents>"
                       % (escape(k), when, st.st_size))
        if what == "ghost" and "packs" in prefix:
            for end, size in (("heads", 300), ("pack", 3000)):
                out.append("<Contents><Key>%s%s.%s</Key><LastModified>2020-01-01T00:00:00.000Z</LastModified><Size>%d</Size></Contents>"
                           % (escape(prefix), "0" * 64, end, size))
        more = len(keys) > PAGE
        out.append("<IsTruncated>%s</IsTruncated>" % ("true" if more else "false"))
        if more:
            out.append("<NextContinuationToken>%s</NextContinuationToken>" % escape(keys[PAGE - 1]))
        out.append("</ListBucketResult>")
        self.answer(200, "".join(out).encode(), fault=what)


def main():
    os.makedirs(DATA, exist_ok=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if len(sys.argv) > 2:  # a file of a certificate and its key
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[2])
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    with open(os.path.join(ROOT, "port~"), "w") as f:
        f.write("%d\n" % server.server_address[1])
    os.replace(os.path.join(ROOT, "port~"), os.path.join(ROOT, "port"))
    parent = os.getppid()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while os.getppid() == parent and not os.path.exists(os.path.join(ROOT, "stop")):
        time.sleep(0.1)


if __name__ == "__main__":
    main()
