"""aiohttp's protocol with an end to what it reads before and between the bytes of a body.

aiohttp parses whatever has arrived in one go and queues interim answers without limit: a camera that sends
"100 Continue" as fast as it can blocked the loop for 3.8 s (aiohttp 3.14.5), chunks of one byte for 0.15 s at a time.
"""

from __future__ import annotations

from typing import Any

from aiohttp.client_proto import ResponseHandler

SLICE = 65_536
"""Bytes that are parsed between two looks at what they were."""
MAX_INTERIM = 64
"""1xx answers; who sends more is not read any further and ends at the time limit."""
MAX_HEADS = 1 << 20
"""Bytes before a body, in all."""
MAX_FRAMING = 65_536
"""Bytes of chunk framing beyond as many bytes as there are of the body."""


class BoundedHandler(ResponseHandler):
    _interim = 0
    _raw = 0
    _before = 0
    _flooded = False

    def data_received(self, data: bytes) -> None:
        for at in range(0, len(data), SLICE):
            if self._flooded:
                return
            piece = data if len(data) <= SLICE else data[at : at + SLICE]
            super().data_received(piece)
            self._look(len(piece))

    def feed_data(self, data: Any, size: int = 0) -> None:
        super().feed_data(data, size)
        self._interim += 100 <= data[0].code < 200 and data[0].code != 101

    def _look(self, count: int) -> None:
        transport, payload = self.transport, self._payload
        if transport is None:
            return
        self._raw += count
        if self._interim > MAX_INTERIM or (payload is None and self._raw > MAX_HEADS):
            self._flooded = True
            transport.pause_reading()
        elif payload is None:
            self._before = self._raw
        elif self._raw - self._before > 2 * payload.total_bytes + MAX_FRAMING:
            transport.abort()
