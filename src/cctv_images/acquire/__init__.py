"""Stage 1: one picture's bytes out of one camera.

The door is Acquirer.fetch: one attempt, name resolution to last byte within one time limit, no more bytes than
allowed, nothing sent to anybody but this camera. It raises CameraError and nothing else.
"""

from cctv_images.acquire.acquirer import Acquirer, Still
from cctv_images.acquire.cycle import FetchCycle
from cctv_images.acquire.logins import Login, LoginGuard
from cctv_images.acquire.trace import Step, Trace

__all__ = ["Acquirer", "FetchCycle", "Login", "LoginGuard", "Step", "Still", "Trace"]
