"""Stage 2: bytes → a picture we are willing to show, in all its forms, and the one that is shown in its place."""

from cctv_images.process.fallback import Fallback, builtin_fallback, load_fallback
from cctv_images.process.processor import Processed, Processor
from cctv_images.process.render import Rendition
from cctv_images.process.verify import Picture, Verifier

__all__ = [
    "Fallback",
    "Picture",
    "Processed",
    "Processor",
    "Rendition",
    "Verifier",
    "builtin_fallback",
    "load_fallback",
]
