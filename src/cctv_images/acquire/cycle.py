"""What one cycle remembers from attempt to attempt."""

from __future__ import annotations

from dataclasses import dataclass

from cctv_images.acquire.trace import Trace
from cctv_images.errors import CameraError, ErrorState

MAX_UNANSWERED = 2
"""An unanswered offer may be repeated once."""


@dataclass(slots=True)
class FetchCycle:
    """Make one per cycle and hand it to each of its attempts."""

    trace: Trace | None = None
    attempts: int = 0
    """Counted by whoever makes them."""
    unanswered_offers: int = 0
    login_refused: bool = False
    why: ErrorState | None = None
    """How the last attempt failed."""

    def check_offer(self) -> None:
        """Raises CameraError where this cycle must not offer a login again."""
        if self.login_refused:
            raise CameraError(ErrorState.AUTH, "the login was refused in this cycle")
        if self.unanswered_offers >= MAX_UNANSWERED:
            why = self.why or ErrorState.DISCONNECTED
            raise CameraError(why, "the login was offered twice, and neither answer could be understood")

    def offered(self) -> None:
        self.unanswered_offers += 1

    def answered(self) -> None:
        self.unanswered_offers -= 1

    def refused(self) -> None:
        self.login_refused = True
