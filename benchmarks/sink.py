"""A stand-in for S3 that costs as little as Python allows: it takes objects, forgets them, and answers with their MD5.

    python benchmarks/sink.py [PORT]

Prints the port it listens on at 127.0.0.1, plain http, any bucket, no signature looked at. HEAD tells size and ETag,
If-None-Match is obeyed. GET /stats gives
{"objects": …, "bytes": …, "kinds": {"picture": …}, "newest": {"/bucket/key": epoch seconds}}. Ends at SIGTERM.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import uvloop

LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
KIND = re.compile(rb"\r\nx-amz-meta-kind:[ \t]*(\w+)", re.IGNORECASE)
EXPECT = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)


@dataclass(slots=True)
class Taken:
    objects: int = 0
    bytes: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    newest: dict[str, float] = field(default_factory=dict)
    held: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Path -> size and MD5."""

    def json(self) -> bytes:
        facts = {"objects": self.objects, "bytes": self.bytes, "kinds": self.kinds, "newest": self.newest}
        return json.dumps(facts).encode()


class Visit(asyncio.Protocol):
    def __init__(self, taken: Taken) -> None:
        self.taken = taken
        self.head = b""
        self.missing = 0
        self.kind = ""
        self.path = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.missing:
            self.take(data)
            return
        self.head += data
        end = self.head.find(b"\r\n\r\n")
        if end < 0:
            return
        head, rest, self.head = self.head[:end], self.head[end + 4 :], b""
        method, path, _ = head.split(b"\r\n", 1)[0].split(b" ")
        if method == b"HEAD":
            self.tell(path.decode())
            return
        if method != b"PUT":
            self.answer(self.taken.json() if path == b"/stats" else b"", b"")
            return
        length, kind = LENGTH.search(head), KIND.search(head)
        assert length, "objects come with their length"
        self.missing = self.size = int(length[1])
        self.taken_already = path.decode() in self.taken.held and b"if-none-match" in head.lower()
        self.path, self.kind = path.decode(), kind[1].decode() if kind else "none"
        self.md5 = hashlib.md5(usedforsecurity=False)
        if EXPECT.search(head):
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if rest:
            self.take(rest)

    def take(self, data: bytes) -> None:
        self.md5.update(data)
        self.missing -= len(data)
        self.taken.bytes += len(data)
        if not self.missing:
            if self.taken_already:
                self.transport.write(b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n")
                return
            self.taken.held[self.path] = (self.size, self.md5.hexdigest())
            self.taken.objects += 1
            self.taken.kinds[self.kind] += 1
            self.taken.newest[self.path] = time.time()
            self.answer(b"", b'ETag: "%s"\r\n' % self.md5.hexdigest().encode())

    def tell(self, path: str) -> None:
        if path not in self.taken.held:
            self.transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        size, md5 = self.taken.held[path]
        self.transport.write(b'HTTP/1.1 200 OK\r\nETag: "%s"\r\nContent-Length: %d\r\n\r\n' % (md5.encode(), size))

    def answer(self, body: bytes, headers: bytes) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (headers, len(body), body))


async def main() -> None:
    taken, port = Taken(), int(sys.argv[1]) if len(sys.argv) > 1 else 0
    server = await asyncio.get_running_loop().create_server(lambda: Visit(taken), "127.0.0.1", port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
