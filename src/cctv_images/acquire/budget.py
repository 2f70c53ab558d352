"""Bytes of unfinished bodies share one budget: beyond it the largest body ends, and nothing ever waits."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from cctv_images.errors import CameraError, ErrorState

MIB = 1 << 20


class Budget:
    """Counts the bytes of all bodies that are being read; `limit` in bytes."""

    def __init__(self, limit: int = 96 * MIB) -> None:
        self.limit = limit
        self.used = 0
        self._bodies: set[Body] = set()

    def body(self, max_bytes: int, wake: Callable[[], None]) -> Body:
        """A new body of at most max_bytes. `wake` interrupts its reader when the body has to end for the others."""
        return Body(self, max_bytes, wake)

    def enter(self, body: Body) -> None:
        self._bodies.add(body)

    def leave(self, body: Body) -> None:
        self._bodies.discard(body)

    def charge(self, count: int) -> None:
        self.used += count
        while self.used > self.limit and self._bodies:
            max(self._bodies, key=lambda body: len(body.data)).evict()


class Body:
    """One body while it is read. As a context manager it gives its bytes back to the budget, however it ends."""

    __slots__ = ("_budget", "_wake", "data", "evicted", "max_bytes")

    def __init__(self, budget: Budget, max_bytes: int, wake: Callable[[], None]) -> None:
        self._budget = budget
        self._wake = wake
        self.max_bytes = max_bytes
        self.data = bytearray()
        self.evicted = False

    def __enter__(self) -> Body:
        self._budget.enter(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.restart()
        self._budget.leave(self)

    def add(self, piece: bytes) -> bytearray:
        """Gives all bytes so far.

        Raises CameraError(TOO_LARGE) beyond max_bytes, or when the budget has chosen this body to end.
        """
        if len(self.data) + len(piece) > self.max_bytes:
            raise CameraError(ErrorState.TOO_LARGE, f"more than {self.max_bytes:,} bytes")
        if self.evicted:
            raise self.spent()
        self.data += piece
        self._budget.charge(len(piece))
        if self.evicted:
            raise self.spent()
        return self.data

    def restart(self) -> None:
        """Forgets the bytes. A new buffer, so that a frame or exception that holds the body holds nothing large."""
        self._budget.used -= len(self.data)
        self.data = bytearray()

    def evict(self) -> None:
        self.evicted = True
        self.restart()
        self._budget.leave(self)
        self._wake()

    @staticmethod
    def spent() -> CameraError:
        return CameraError(ErrorState.TOO_LARGE, "the memory for unfinished pictures was spent, this one the largest")
