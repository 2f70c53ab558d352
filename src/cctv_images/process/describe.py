"""What a body is that is no picture, in a few words for people. Camera text: escaped, without secrets."""

from __future__ import annotations

import re

from cctv_images.errors import plain

SHOWN = 80

_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"GIF8", "GIF picture"),
    (b"BM", "BMP picture"),
    (b"II*\0", "TIFF picture"),
    (b"MM\0*", "TIFF picture"),
    (b"\0\0\x01\0", "icon"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"PK\x03\x04", "ZIP archive"),
    (b"%PDF", "PDF"),
    (b"\0\0\0\x01", "H.264 or H.265 video"),
    (b"RTSP/", "RTSP answer"),
    (b"HTTP/", "second HTTP answer"),
)
_TITLE = re.compile(r"<title[^>]*>([^<]*)</title", re.IGNORECASE)
_TAG = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>?", re.IGNORECASE | re.DOTALL)
_SECRET = re.compile(
    r"((?:pass\w*|pwd|psw|pw|secret|token|session\w*|sid|auth\w*|api_?key|key|nonce|response)[\"']?\s*[=:]\s*[\"']?)"
    r"[^\s&\"'<>,;]+",
    re.IGNORECASE,
)
_USER_INFO = re.compile(r"://[^/\s@]*@")


def describe(data: bytes) -> str:
    """For example `HTML page "Login"`, `JSON: {"error": "max session"}`, `empty body`."""
    if not data.strip(b"\0 \r\n\t"):
        return "empty body" if not data else f"{len(data)} empty bytes"
    for start, kind in _KINDS:
        if data.startswith(start):
            return kind
    if data[4:8] == b"ftyp":
        return f"{plain(data[8:12].decode('latin-1'))} file (HEIC, AVIF or video)"
    head = data[:4096].decode("utf-8", "replace").lstrip("\ufeff \r\n\t")
    if head.count("\ufffd") + head.count("\0") > len(head) // 10:
        return f"{len(data)} bytes of an unknown kind, beginning with {data[:8].hex(' ')}"
    return _text(head)


def _text(head: str) -> str:
    lower = head.lower()
    if lower.startswith(("<!doctype html", "<html")) or "<body" in lower or "<head" in lower:
        title = _TITLE.search(head)
        said = title[1] if title and title[1].strip() else _TAG.sub(" ", head)
        return f'HTML page "{_shown(said)}"'
    if lower.startswith("<"):
        return f'XML "{_shown(_TAG.sub(" ", head))}"'
    return f"{'JSON' if head[0] in '{[' else 'text'}: {_shown(head)}"


def _shown(text: str) -> str:
    safe = _USER_INFO.sub("://***@", _SECRET.sub(r"\1***", text))
    return plain(" ".join(safe.split()), SHOWN)
