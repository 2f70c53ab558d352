"""From the cycle to the spool: a bounded queue that nobody waits for, and one thread that makes files of it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import structlog

from cctv_images.records import ArchiveRecord
from cctv_images.retain.reasons import FULL, INTERNAL, SLOW, STOPPING, Kept
from cctv_images.retain.spool import Draft, Refused, Spool
from cctv_images.retain.spooled import Spooled

log = structlog.get_logger()

MAX_WAITING_BYTES = 32 << 20
WELL_AGAIN = 0.9
"""Share of the limit below which a spool that was full is called well again."""
SETTLE_S = 5.0
CLOSE_S = 3.0


class Account(Protocol):
    """The ledger."""

    def kept(
        self, camera_id: str, slot: float, state: Kept, reason: str = "", captured_at: float | None = None
    ) -> None: ...

    def settle(self, limit_s: float) -> bool:
        """Blocks until all that has been reported is written down; False where that takes longer."""


class Intake:
    """keep() costs microseconds and raises nothing. on_accepted is called in the thread."""

    def __init__(
        self,
        spool: Spool,
        account: Account,
        record: ArchiveRecord,
        when_full: Literal["newest", "oldest"],
        on_accepted: Callable[[Spooled], None],
    ) -> None:
        self._spool, self._account, self._record = spool, account, record
        self._drops_oldest = when_full == "oldest"
        self._on_accepted = on_accepted
        self._lost = 0
        """Since the present trouble began."""
        self._given_up = set[Spooled]()
        """Reported as lost, and still there because the ledger could not write it down yet."""
        self._waiting: deque[Draft] = deque()
        self._bytes = 0
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="spool", daemon=True)
        self._thread.start()

    def keep(self, draft: Draft) -> None:
        with self._changed:
            reason = STOPPING if self._closing else "" if self._has_room(draft) else SLOW
            if not reason:
                self._waiting.append(draft)
                self._bytes += len(draft.data)
                self._changed.notify()
        if reason:
            self._lose(draft, reason, "the disk does not keep up")

    def close(self) -> None:
        """Writes what waits, unless the disk hangs; the rest is lost."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(CLOSE_S)
        with self._changed:
            left = list(self._waiting)
            self._waiting.clear()
        for draft in left:
            self._lose(draft, STOPPING, "the disk did not take it in time")

    def _has_room(self, draft: Draft) -> bool:
        return self._bytes + len(draft.data) <= MAX_WAITING_BYTES

    # From here on: in the thread.

    def _work(self) -> None:
        while drafts := self._next():
            try:
                self._take(drafts)
            except Exception as exc:
                log.error("internal_error", detail=f"our fault: {type(exc).__name__} in the spool")
                log.debug("internal_traceback", exc_info=exc)
                for draft in drafts:
                    self._lose(draft, INTERNAL, type(exc).__name__)
            with self._changed:
                self._bytes -= sum(len(draft.data) for draft in drafts)

    def _next(self) -> list[Draft]:
        """All that waits: flushing a folder costs the same for many as for one. Empty = the end."""
        with self._changed:
            while not (self._waiting or self._closing):
                self._changed.wait()
            drafts = list(self._waiting)
            self._waiting.clear()
            return drafts

    def _take(self, drafts: Sequence[Draft]) -> None:
        results = self._spool.accept(drafts)
        if self._drops_oldest:
            full = [n for n, result in enumerate(results) if self._would_fit(drafts[n], result)]
            if full and self._make_room(sum(len(drafts[n].data) for n in full)):
                for n, result in zip(full, self._spool.accept([drafts[n] for n in full]), strict=True):
                    results[n] = result
        lost = self._lost
        for draft, result in zip(drafts, results, strict=True):
            if isinstance(result, Refused):
                self._lose(draft, result.reason, result.detail)
            else:
                self._account.kept(draft.camera_id, draft.slot, Kept.ACCEPTED, captured_at=draft.captured_at)
                self._on_accepted(result)
        if lost and lost == self._lost and self._spool.bytes <= WELL_AGAIN * self._spool.limit:
            log.info("spool_recovered", lost=self._lost)
            self._lost = 0
            self._record.spool_trouble = ""

    def _would_fit(self, draft: Draft, result: Spooled | Refused) -> bool:
        """If older ones went."""
        is_full = isinstance(result, Refused) and result.reason == FULL
        return is_full and len(draft.data) <= self._spool.limit

    def _make_room(self, size: int) -> bool:
        """Gives up the oldest, once the ledger has it."""
        oldest = self._spool.oldest(size)
        for entry in oldest:
            if entry not in self._given_up:
                self._report(entry.camera_id, entry.slot, FULL, "the oldest go")
        self._given_up.update(oldest)
        if self._account.settle(SETTLE_S):
            self._spool.remove(oldest)
            self._given_up.clear()
        return bool(oldest)

    def _lose(self, draft: Draft, reason: str, detail: str) -> None:
        self._report(draft.camera_id, draft.slot, reason, detail)

    def _report(self, camera_id: str, slot: float, reason: str, detail: str) -> None:
        """One line for all that is lost until the spool is well again."""
        self._account.kept(camera_id, slot, Kept.LOST, reason)
        self._record.lost[reason] += 1
        if not self._lost:
            self._record.spool_trouble = reason
            log.error("spool_full" if reason == FULL else "spool_failed", reason=reason, detail=detail)
        self._lost += 1
