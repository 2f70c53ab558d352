"""Chunked transfer, read as forgivingly as its framing allows."""

from __future__ import annotations

import re

from cctv_images.acquire.exchange import ProtocolError
from cctv_images.acquire.picture_stream import begins_stream, is_picture

MAX_SIZE_LINE = 1024
MAX_FRAMING = 16_384
"""Bytes of framing beyond as many bytes as there are of payload: chunks of one byte only cost time."""

_SIZE_LINE = re.compile(rb"\s{0,8}([0-9a-fA-F]{1,12})[ \t]*(?:;[^\n]*)?\r?\n")
_BEGINS_SIZE_LINE = re.compile(rb"\s{0,8}[0-9a-fA-F]{0,12}[ \t]*(?:;[^\n]*|\r)?\Z")


class Chunks:
    """Feed it bytes as they come; it gives back what is payload. LF alone ends a line too."""

    def __init__(self) -> None:
        self._rest = b""
        """The beginning of a size line."""
        self._left = 0
        self._surplus = -MAX_FRAMING
        """Bytes of framing less bytes of payload."""
        self._plain: bool | None = None
        """Whether there are no chunks at all, whatever the head says; None until the first bytes show it."""
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """Raises ProtocolError where no chunk size can be read."""
        if self._plain:
            return data
        data, self._rest = self._rest + data, b""
        payload = bytearray()
        at = 0
        while at < len(data) and not self.ended:
            if self._left:
                piece = data[at : at + self._left]
                payload += piece
                at += len(piece)
                self._left -= len(piece)
                self._surplus -= len(piece)
            elif found := _SIZE_LINE.match(data, at):
                self._plain = False
                self._left = int(found[1], 16)
                self.ended = self._left == 0
                self._surplus += found.end() - at
                at = found.end()
                if self._surplus > 0:
                    raise ProtocolError
            elif len(data) - at < MAX_SIZE_LINE and _BEGINS_SIZE_LINE.match(data, at):
                self._rest = data[at:]
                break
            elif self._plain is None and (is_picture(data) or begins_stream(data)):
                self._plain = True
                return data
            else:
                raise ProtocolError
        return bytes(payload)

    @property
    def complete(self) -> bool:
        """Whether the body may end here."""
        return self.ended or self._plain is True
