"""Finds cameras that show one view: two ids of one device, or a proxy that answers for another.

Each new picture is compared with a bounded number of the others' latest, in turn, so that a cycle costs the same in a
fleet of ten thousand. Whoever is found stays remembered, for both, and is compared in every cycle.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cctv_images.process.content import SCENE

AT_ONCE = 128
"""Views compared per cycle: a fleet of 1,000 takes eight cycles."""
SAME, OTHER = 0.75, 0.60
"""Correlation from which on two views are one, and below which they are not."""
NEVER = float("-inf")


class Likenesses:
    """The fleet's latest views. Used by one thread."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._rows: dict[str, int] = {}
        self._views = np.zeros((64, SCENE), np.float32)
        self._seen = np.full(64, NEVER)
        """Seconds at which each view was taken."""
        self._next: list[int] = []
        """Where each camera goes on comparing."""
        self._twins: dict[str, str] = {}

    def compare(
        self, camera_id: str, scene: NDArray[np.float32] | None, now: float, max_age_s: float
    ) -> tuple[str | None, bool | None]:
        """The camera with the same view, and whether it is the same: None where that cannot be said now.

        now: in seconds of any clock that never steps. max_age_s: older views are not compared.
        """
        row = self._row(camera_id)
        self._seen[row] = NEVER if scene is None else now
        if scene is None:
            return self._twins.get(camera_id), None
        self._views[row] = scene
        if twin := self._twins.get(camera_id):
            other = self._rows[twin]
            if now - self._seen[other] > max_age_s:
                return twin, None
            score = float(self._views[other] @ scene)
            if score >= OTHER:
                return twin, True if score >= SAME else None
            del self._twins[camera_id]
        if twin := self._search(row, scene, now - max_age_s):
            self._twins[camera_id] = twin
            self._twins.setdefault(twin, camera_id)
        return twin, twin is not None

    def forget(self, camera_id: str) -> None:
        """A camera that is no longer run, or may have become another."""
        row, last = self._rows.pop(camera_id, None), len(self._ids) - 1
        if row is None:
            return
        self._twins = {one: other for one, other in self._twins.items() if camera_id not in (one, other)}
        self._ids[row], self._next[row] = self._ids[last], self._next[last]
        self._views[row], self._seen[row] = self._views[last], self._seen[last]
        if row != last:
            self._rows[self._ids[row]] = row
        del self._ids[last], self._next[last]

    def _row(self, camera_id: str) -> int:
        row = self._rows.setdefault(camera_id, len(self._ids))
        if row == len(self._ids):
            self._ids.append(camera_id)
            self._next.append(0)
            if row == len(self._seen):
                self._views = np.concatenate((self._views, np.zeros_like(self._views)))
                self._seen = np.concatenate((self._seen, np.full(row, NEVER)))
        return row

    def _search(self, row: int, scene: NDArray[np.float32], since: float) -> str | None:
        begin = self._next[row] if self._next[row] < len(self._ids) else 0
        end = min(begin + AT_ONCE, len(self._ids))
        self._next[row] = end
        scores = self._views[begin:end] @ scene
        scores[self._seen[begin:end] < since] = 0.0
        if begin <= row < end:
            scores[row - begin] = 0.0
        best = int(scores.argmax())
        return self._ids[begin + best] if scores[best] >= SAME else None
