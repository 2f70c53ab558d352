"""Stage 2: bytes → a picture we are willing to show, and the one that is shown in its place."""

from cctv_images.process.fallback import builtin_fallback, load_fallback
from cctv_images.process.verify import Picture, Verifier

__all__ = ["Picture", "Verifier", "builtin_fallback", "load_fallback"]
