"""What the fleet's workers share to doubt their cameras' pictures."""

from __future__ import annotations

from dataclasses import dataclass, field

from cctv_images.errors import CameraError, ErrorState
from cctv_images.inventory.camera import Camera
from cctv_images.likeness import Likenesses
from cctv_images.process.content import Look
from cctv_images.suspicion import Reason, Suspect, Suspicion

RECENT = 2.5
"""Intervals within which a view of another camera is compared."""
FAILURES = {Reason.BLANK: ErrorState.BLANK, Reason.FROZEN: ErrorState.FROZEN}


@dataclass(slots=True)
class Doubts:
    """One camera's verdict at a time, by the fleet's rules."""

    frozen_after: int = 6
    fails: bool = False
    """Blank and frozen are failures (CCTV_CONTENT_ACTION=fallback)."""
    likenesses: Likenesses = field(default_factory=Likenesses)

    def begin(self, camera: Camera) -> Suspicion:
        """Of a camera that is run from now on, and may have been another one under the same id."""
        self.likenesses.forget(camera.camera_id)
        known = camera.latitude is not None and camera.longitude is not None
        return Suspicion(self.frozen_after, (camera.latitude or 0.0, camera.longitude or 0.0) if known else None)

    def judge(
        self, suspicion: Suspicion, camera_id: str, look: Look, captured_at: float, now: float, interval_s: float
    ) -> Suspect | None:
        """captured_at: epoch seconds; now: monotonic seconds."""
        twin, alike = self.likenesses.compare(camera_id, look.scene, now, RECENT * interval_s)
        return suspicion.judge(look, captured_at, twin, alike)

    def failure(self, suspect: Suspect | None) -> CameraError | None:
        """What it costs the camera its picture, if it does."""
        state = FAILURES.get(suspect.reason) if suspect and self.fails else None
        return CameraError(state, suspect.detail) if suspect and state else None
